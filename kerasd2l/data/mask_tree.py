"""Which pictures and masks of a folder belong together, and to which split, in the usual layouts.

Pascal VOC: `JPEGImages`, `SegmentationClass`, lists in `ImageSets/Segmentation`. SegNet's CamVid:
`train`, `trainannot`, `val`, `valannot`. Else `images` and `masks`, in the folder, with folders of
splits in them or in folders of splits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from kerasd2l.data import annotation_files, pictures
from kerasd2l.data.annotation_tree import split_of
from kerasd2l.data.annotations import Pictures, Problems, divide
from kerasd2l.data.mask_batches import Pair
from kerasd2l.data.masks import VOC_CLASSES, VOC_COLORMAP, Colours
from kerasd2l.data.source import DataError

LAYOUTS = (
    "JPEGImages, SegmentationClass and ImageSets/Segmentation (Pascal VOC), train and trainannot "
    "(CamVid), or images and masks"
)
CLASSES = "classes.txt"
_IMAGES = ("images", "imgs", "JPEGImages")
_MASKS = ("masks", "labels", "annotations", "SegmentationClass")


@dataclass
class Found:
    """What is in a folder of pictures with masks.

    Args:
        splits: split -> pairs.
        class_names: of the classes 0, 1, ...
        colours: of the classes, or None where masks have numbers.
    """

    splits: dict[str, list[Pair]]
    class_names: list[str]
    colours: Colours | None


def find(root: Path, problems: Problems) -> Found:
    """Find the pairs under a folder, without opening them.

    Args:
        root: the folder; `classes.txt` in it names the classes, a line each, maybe with red, green
            and blue after the name. Of Pascal VOC they are known.
        problems: pictures without a mask are added.

    Raises:
        DataError: no pairs, or no names of the classes.
    """
    inner = [folder for folder in sorted(root.glob("*")) if folder.is_dir()]
    if len(inner) == 1:  # the one folder of an archive: VOCdevkit/VOC2012
        return find(inner[0], problems)
    splits = pairs_of(root, problems)
    return Found(splits, *_classes(root))


def pairs_of(root: Path, problems: Problems) -> dict[str, list[Pair]]:
    """Return split -> the pairs under a folder.

    Args:
        root: the folder.
        problems: pictures without a mask are added.

    Raises:
        DataError: there are none to train on.
    """
    is_voc = (root / "ImageSets" / "Segmentation").is_dir()
    splits = _voc(root, problems) if is_voc else _folders(root, problems)
    if list(splits) == ["all"]:
        splits = divide(splits["all"])
    if not splits.get("train") and not problems.found:
        raise DataError(f"{root} has no pictures with masks to train on. Expected: {LAYOUTS}.")
    return splits


def _voc(root: Path, problems: Problems) -> dict[str, list[Pair]]:
    splits = {}
    masks, images = root / "SegmentationClass", root / "JPEGImages"
    for split, names in (("train", ("train", "trainval")), ("test", ("val", "test"))):
        lists = (root / "ImageSets" / "Segmentation" / f"{name}.txt" for name in names)
        path = next((path for path in lists if path.is_file()), None)
        if path is not None:
            stems = annotation_files.read_text(path).split()
            found = Pictures(images, pictures.SUFFIXES)
            listed = [(stem, found.find(f"{stem}.jpg")) for stem in stems]
            splits[split] = _pairs(listed, Pictures(masks, (".png",)), problems)
    return splits


def _folders(root: Path, problems: Problems) -> dict[str, list[Pair]]:
    """Return split -> pairs of pictures in one folder and masks in another."""
    places: list[tuple[str, Path, Path]] = []
    for folder in sorted(path for path in root.glob("*") if path.is_dir()):
        split, beside = split_of(folder.name), folder.with_name(f"{folder.name}annot")
        if beside.is_dir():
            places.append((split or "all", folder, beside))
        elif split and (both := _both(folder)):
            places.append((split, *both))
    both = _both(root)
    if not places and both:
        inside = [at for at in sorted(both[0].glob("*")) if at.is_dir() and split_of(at.name)]
        places = [(split_of(at.name) or "all", at, both[1] / at.name) for at in inside]
        places = places or [("all", *both)]
    return {
        split: _pairs(
            [(path.stem, path) for path in Pictures(images, pictures.SUFFIXES).all()],
            Pictures(masks, (".png",)),
            problems,
        )
        for split, images, masks in places
    }


def _both(folder: Path) -> tuple[Path, Path] | None:
    """Return the folders of pictures and of masks in a folder."""
    images, masks = (
        next((folder / name for name in names if (folder / name).is_dir()), None)
        for names in (_IMAGES, _MASKS)
    )
    return None if images is None or masks is None else (images, masks)


def _pairs(
    listed: list[tuple[str, Path | None]], masks: Pictures, problems: Problems
) -> list[Pair]:
    pairs = []
    for stem, picture in listed:
        names = (f"{stem}.png", f"{stem}_mask.png", f"{stem}_L.png")  # CamVid's own: _L
        mask = next((path for name in names if (path := masks.find(name))), None)
        if picture is None or mask is None:
            what = "its picture" if picture is None else f"its mask in {masks.root.name}"
            problems.add(stem, f"{what} is not there")
        else:
            pairs.append(Pair(picture, mask))
    return pairs


def _classes(root: Path) -> tuple[list[str], Colours | None]:
    """Read the names, and colours where they have some, of the classes."""
    path = root / CLASSES
    if not path.is_file():
        if (root / "SegmentationClass").is_dir():
            return list(VOC_CLASSES), VOC_COLORMAP
        raise DataError(f"{root} has no {CLASSES}: a line with the name of each class, from 0.")
    names: list[str] = []
    colours: list[tuple[int, int, int]] = []
    for line in annotation_files.read_text(path).splitlines():
        words = line.split()
        numbers = [int(word) for word in words[-3:] if re.fullmatch(r"[0-9]{1,3}", word)]
        coloured = len(words) > 3 and len(numbers) == 3 and max(numbers) < 256
        if words:
            names.append(" ".join(words[:-3] if coloured else words))
            colours += [(numbers[0], numbers[1], numbers[2])] if coloured else []
    if not 2 <= len(names) <= 254 or len(set(names)) != len(names):
        raise DataError(f"{path}: expected 2 to 254 different names. Received: {len(names)}.")
    if colours and len(colours) != len(names):
        raise DataError(f"{path}: some classes have a colour, others do not.")
    return names, colours or None
