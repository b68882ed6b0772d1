"""Small folders of pictures with boxes and with masks, and what reads them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from kerasd2l.data import Source, mask_batches, mask_tree, masks
from kerasd2l.data.annotations import Problems
from kerasd2l.data.sets import box_folder

Files = dict[str, bytes]


def annotated() -> dict[str, Files]:
    """Return format -> two pictures with boxes, and pictures with masks."""
    rows = [("cat", 1, 2, 5, 6), ("dog", 0, 0, 8, 4)]
    inner = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax>"
        f"<ymax>{d}</ymax></bndbox></object>"
        for name, a, b, c, d in rows
    )
    xml = f"<annotation><filename>0.png</filename>{inner}</annotation>".encode()
    tree = {
        "images": [{"id": 1, "file_name": "0.png", "width": 8, "height": 8}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 2, "bbox": [1, 2.5, 4, 4]}],
        "categories": [{"id": 2, "name": "cat"}],
    }
    lines = ["img_name,label,xmin,ymin,xmax,ymax"]
    lines += [",".join(map(str, (f"{i}.png", *row))) for i in range(2) for row in rows]
    yolo = {f"labels/{i}.txt": b"1 0.5 0.5 0.25 0.5\n0 0.25 0.5 0.5 1\n" for i in range(2)}
    colour, mask = (
        _png(np.arange(size, dtype=np.uint8).reshape(8, 8, -1) % 3) for size in (192, 64)
    )
    return {
        "voc": {f"Annotations/{i}.xml": xml for i in range(2)} | _pngs("JPEGImages", colour),
        "coco": {"annotations/a.json": json.dumps(tree).encode()} | _pngs("p", colour),
        "yolo": {"data.yaml": b"names: ['cat', 'dog']\n"} | yolo | _pngs("images", colour),
        "csv": {"label.csv": ("\n".join(lines) + "\n").encode()} | _pngs("images", colour),
        "masks": {"classes.txt": b"a 0 0 0\nb 1 1 1\nc d 2 2 2\n"}
        | _pngs("images", colour)
        | _pngs("masks", mask),
    }


def _pngs(folder: str, content: bytes) -> Files:
    return {f"{folder}/{i}.png": content for i in range(2)}


def _png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(out, "PNG")
    return out.getvalue()


def read_boxes(folder: Path) -> None:
    """Read the annotations of a folder; what cannot be right is an error."""
    splits, _, _ = box_folder.read(folder, Source())
    for labelled in (one for split in splits.values() for one in split):
        if not (np.isfinite(labelled.boxes).all() and (np.abs(labelled.boxes - 0.5) <= 0.5).all()):
            raise AssertionError("boxes outside their picture")


def read_masks(folder: Path) -> None:
    """Read the masks of a folder."""
    problems = Problems(folder)
    found = mask_tree.find(folder, problems)
    colours = masks.colormap2label(found.colours) if found.colours else None
    for pairs in found.splits.values():
        kept, _ = mask_batches.check(pairs, (2, 2), problems)
        for pair in kept:
            masks.read_mask(pair.mask, len(found.class_names), colours)
    problems.settle(skip_broken=False)
