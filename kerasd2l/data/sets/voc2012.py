"""Pascal VOC 2012, segmentation: 1464 + 1449 photographs, 20 kinds of things and the background."""

from __future__ import annotations

from pathlib import Path

from kerasd2l.data import book_archives, mask_tree
from kerasd2l.data.annotations import Problems
from kerasd2l.data.sets import mask_folder, scenes
from kerasd2l.data.source import Source
from kerasd2l.recipe import Data

ARCHIVE = "VOCtrainval_11-May-2012.tar"
SHA1 = "4e443f8a2eca6b1dac8a6c57641b67dd40621a49"
_INSIDE = "VOCdevkit/VOC2012"
_FILES = tuple(f"{_INSIDE}/ImageSets/Segmentation/{split}.txt" for split in ("train", "val"))


def load(
    where: Source | str | None = None,
    *,
    batch_size: int = 32,
    crop: tuple[int, int] = mask_folder.CROP,
) -> Data:
    """Load Pascal VOC 2012; the built-in stand-in is drawn shapes on photographs.

    Section: "semantic-segmentation-and-dataset". "files" takes `DIR/VOCdevkit/VOC2012` or
    `DIR/voc2012/VOCdevkit/VOC2012`. Of pictures of at least 320 x 480 pixels there are 1114 + 1078.
    The borders of objects are of no class; the book counts them as background. Evaluation looks at
    the middle of a picture; the book's at a random part.

    Args:
        where: Source, or the name of its kind: "auto" (default), "builtin", "files", "download".
        batch_size: int, the global batch.
        crop: (height, width) that is cut out.

    Returns:
        Data: x (B, height, width, 3) float32 in [0, 1]; y (B, height, width) int32, 255 is no
        class; assets["class_names"], ["ignore"], ["colours"].

    Raises:
        DataError: the files are not to be had or not right.
    """
    where = Source.of(where)
    root = _root(where)
    if root is None:
        return scenes.load_masks(where, batch_size=batch_size, crop=crop)
    problems = Problems(root)
    found = mask_tree.find(root, problems)
    return mask_folder.from_found(found, problems, where, batch_size=batch_size, crop=crop)


def _root(where: Source) -> Path | None:
    """Return the folder of the set; None: the built-in stand-in."""
    if where.kind in ("auto", "files") and where.data_dir is not None:
        plain = Path(where.data_dir)
        if all((plain / name).is_file() for name in _FILES):
            return plain / _INSIDE

    folder = book_archives.unpacked(where, "voc2012", _FILES, ARCHIVE, SHA1, max_bytes=3 << 30)
    return None if folder is None else folder / _INSIDE
