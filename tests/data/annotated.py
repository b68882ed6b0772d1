"""Folders of pictures with boxes, written in each format from the same objects."""

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = ("cat", "dog")
SIZE = (40, 30)  # width, height


def rows(count=10):
    """The objects of each picture: (class, left, top, right, bottom) in pixels."""
    random = np.random.RandomState(3)
    found = []
    for i in range(count):
        left, top = random.randint(0, 20, (2, i % 3))
        width, height = random.randint(2, 10, (2, i % 3))
        found.append(
            [
                (NAMES[int(k)], int(x), int(y), int(x + w), int(y + h))
                for k, x, y, w, h in zip(
                    random.randint(0, 2, i % 3), left, top, width, height, strict=True
                )
            ]
        )
    return found


def picture(path: Path, seed=0, size=SIZE, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], 3)
    pixels = np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8)
    Image.fromarray(pixels).save(path, **options)


def xml(name, objects, size=SIZE):
    inner = "".join(
        f"<object><name>{k}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax>"
        f"<ymax>{d}</ymax></bndbox></object>"
        for k, a, b, c, d in objects
    )
    return (
        f"<annotation><filename>{name}</filename><size><width>{size[0]}</width>"
        f"<height>{size[1]}</height></size>{inner}</annotation>"
    )


def voc(root: Path, objects, lists=()):
    """Write Pascal VOC; `lists` are (split, places)."""
    (root / "Annotations").mkdir(parents=True)
    for i, of_one in enumerate(objects):
        picture(root / "JPEGImages" / f"{i:03}.png", i)
        (root / "Annotations" / f"{i:03}.xml").write_text(xml(f"{i:03}.png", of_one))
    for split, places in lists:
        path = root / "ImageSets" / "Main" / f"{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{i:03}\n" for i in places))
    return root


def coco_tree(objects):
    images = [
        {"id": i + 7, "file_name": f"{i:03}.png", "width": SIZE[0], "height": SIZE[1]}
        for i in range(len(objects))
    ]
    found = [
        {"id": 100 * i + j, "image_id": i + 7, "category_id": 3 + 2 * NAMES.index(k),
         "bbox": [a, b, c - a, d - b], "iscrowd": 0}
        for i, of_one in enumerate(objects)
        for j, (k, a, b, c, d) in enumerate(of_one)
    ]  # fmt: skip
    categories = [{"id": 3 + 2 * i, "name": name} for i, name in enumerate(NAMES)]
    return {"images": images, "annotations": found, "categories": categories}


def coco(root: Path, objects):
    (root / "annotations").mkdir(parents=True)
    for i in range(len(objects)):
        picture(root / "pictures" / f"{i:03}.png", i)
    (root / "annotations" / "instances.json").write_text(json.dumps(coco_tree(objects)))
    return root


def yolo(root: Path, objects):
    width, height = SIZE
    (root / "labels").mkdir(parents=True)
    (root / "data.yaml").write_text(f"nc: 2\nnames: {list(NAMES)}\n")
    for i, of_one in enumerate(objects):
        picture(root / "images" / f"{i:03}.png", i)
        lines = [
            f"{NAMES.index(k)} {(a + c) / 2 / width} {(b + d) / 2 / height} {(c - a) / width} "
            f"{(d - b) / height}\n"
            for k, a, b, c, d in of_one
        ]
        if lines:  # a picture without objects has no file
            (root / "labels" / f"{i:03}.txt").write_text("".join(lines))
    return root


def table(root: Path, objects):
    root.mkdir(parents=True, exist_ok=True)
    with open(root / "label.csv", "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["img_name", "label", "xmin", "ymin", "xmax", "ymax"])
        for i, of_one in enumerate(objects):
            picture(root / "images" / f"{i:03}.png", i)
            out.writerows([f"{i:03}.png", *row] for row in of_one)
    return root
