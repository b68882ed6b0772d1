"""Which pictures and annotations of a folder belong to which split, in the usual layouts.

Pascal VOC: `Annotations/*.xml`, with lists of the splits in `ImageSets/Main`. COCO:
`annotations/instances_SPLIT.json`. YOLO: `images/SPLIT`, `labels/SPLIT` and the classes in
`data.yaml`, `classes.txt` or `obj.names`. Tables, and all of these, also in a folder for each split
as the book's bananas have it: `bananas_train/label.csv`, `bananas_val/label.csv`.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kerasd2l.data import annotation_files, limits, pictures
from kerasd2l.data.annotation_files import Described
from kerasd2l.data.annotations import MASK_FOLDERS, Objects, Pictures, Problems, divide
from kerasd2l.data.instance_masks import Numbered
from kerasd2l.data.source import DataError

LAYOUTS = (
    "Annotations/*.xml (Pascal VOC), annotations/*.json (COCO), labels/*.txt (YOLO), *.csv, or "
    "folders of these called like train, val and test"
)
MASKS = "annotations/*.json (COCO), or Annotations/*.xml with SegmentationObject/*.png (Pascal VOC)"
_WITH_MASKS = ("coco", "voc")
_WORDS = {
    "train": ("train", "training"),
    "valid": ("valid", "val", "validation"),
    "test": ("test", "testing"),
}
_NAMES = ("data.yaml", "dataset.yaml", "classes.txt", "obj.names", "_darknet.labels")


@dataclass
class Found:
    """What is in a folder of annotated pictures.

    Args:
        kind: "voc", "coco", "yolo" or "csv".
        splits: split -> what is said of its pictures.
        class_names: as the format numbers them; [] where it only has names.
        passed_over: what was not taken -> how many.
        masks: bool, whether the mask of each object is read, too.
    """

    kind: str
    splits: dict[str, list[Objects]] = field(default_factory=dict)
    class_names: list[str] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    masks: bool = False


def find(root: Path, problems: Problems, *, masks: bool = False) -> Found:
    """Read the annotations under a folder.

    Args:
        root: the folder.
        problems: annotations that cannot be read, or whose picture is not there, are added.
        masks: bool, with the mask of each object: COCO's, or of VOC's folder `SegmentationObject`.

    Raises:
        DataError: no annotations, or a file of all of them that cannot be read.
    """
    inner = [folder for folder in sorted(root.glob("*")) if folder.is_dir()]
    if len(inner) == 1 and not _kind_of(root):  # the one folder of an archive: VOCdevkit/VOC2012
        return find(inner[0], problems, masks=masks)
    there = Pictures(root, pictures.SUFFIXES)
    parts = _parts(root)
    if not parts:
        raise DataError(f"{root} has no annotations of pictures. It should hold {LAYOUTS}.")
    kind = _kind_of(next(iter(parts.values())))
    if masks and kind not in _WITH_MASKS:
        raise DataError(
            f"{root} has boxes and no masks of objects ({kind}). Masks are read from {MASKS}."
        )
    found = Found(kind, masks=masks)
    for split, part in parts.items():
        if _kind_of(part) != kind:
            raise DataError(f"{root} has annotations of two kinds: {kind} and {_kind_of(part)}.")
        for name, objects in _READ[kind](part, split, there, problems, found).items():
            found.splits[name] = objects
    if there.other_spelling:
        found.passed_over["names of pictures in another spelling than their files"] = (
            there.other_spelling
        )
    if list(found.splits) == ["all"]:
        found.splits = divide(found.splits["all"])
    if "train" not in found.splits:
        raise DataError(
            f"{root}: no split is for training: {', '.join(found.splits) or 'none'}. "
            f"It should hold {LAYOUTS}."
        )
    return found


def split_of(name: str) -> str | None:
    """Return the split that a name says: of "instances_val2017" that is "valid"."""
    words = re.findall("[a-z]+", name.lower())
    return next((ours for ours, theirs in _WORDS.items() if set(words) & set(theirs)), None)


def _parts(root: Path) -> dict[str, Path]:
    """Return split -> the folder of its annotations; "all" -> the root that holds them all."""
    folders = {
        split: folder
        for folder in sorted(root.glob("*"))
        if folder.is_dir() and (split := split_of(folder.name)) and _kind_of(folder)
    }
    if "train" in folders:
        return folders
    return {"all": root} if _kind_of(root) else {}


def _kind_of(folder: Path) -> str:
    """Return the format of the annotations that lie in a folder; "" if there are none."""
    if _voc_folder(folder) is not None:
        return "voc"
    if _json_files(folder):
        return "coco"
    if any(folder.glob("*.csv")):
        return "csv"
    if (folder / "labels").is_dir() or _names_file(folder) is not None:
        return "yolo"
    return ""


def _voc_folder(folder: Path) -> Path | None:
    places = (folder / "Annotations", folder / "annotations", folder)
    return next((place for place in places if any(place.glob("*.xml"))), None)


def _json_files(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.json"), *folder.glob("annotations/*.json")])


def _names_file(folder: Path) -> Path | None:
    places = [folder, folder / "labels"]
    if split_of(folder.name):  # the classes of all splits lie above them
        places += [folder.parent, folder.parent / "labels"]
    files = (place / name for place in places for name in _NAMES)
    return next((path for path in files if path.is_file()), None)


Read = Callable[[Path, str, Pictures, Problems, Found], dict[str, list[Objects]]]


def _voc(
    folder: Path, split: str, there: Pictures, problems: Problems, found: Found
) -> dict[str, list[Objects]]:
    """Read the XML files of a folder; lists in ImageSets/Main say which split each is of."""
    place = _voc_folder(folder)
    files = sorted(place.glob("*.xml")) if place is not None else []
    if len(files) > limits.FILES:
        raise DataError(f"{place} has more than {limits.FILES} files.")
    lists = _voc_lists(folder, found.masks) if split == "all" else {}
    numbered = folder / MASK_FOLDERS[0]
    if found.masks:
        with_mask = [path for path in files if (numbered / f"{path.stem}.png").is_file()]
        found.passed_over["pictures without masks"] += len(files) - len(with_mask)
        files = with_mask
    objects = {}
    for path in files:
        described = _try(annotation_files.read_voc, path, problems)
        if described is not None:
            names = (described.picture, path.with_suffix(".jpg").name)  # files are renamed, often
            taken = _objects(described, path, names, folder, there, problems)
            if taken is not None:
                png = numbered / f"{path.stem}.png"
                objects[path.stem] = _with_numbers(taken, png) if found.masks else taken
    if not lists:
        return {split: list(objects.values())}
    _check_lists(lists, {path.stem for path in files}, problems)
    return {
        name: [objects[stem] for stem in stems if stem in objects] for name, stems in lists.items()
    }


def _with_numbers(objects: Objects, path: Path) -> Objects:
    """Return the objects with their masks: the first one has the pixels 1, the second one 2."""
    masks = tuple(Numbered(path, place) for place in range(1, len(objects.names) + 1))
    return dataclasses.replace(objects, masks=masks)


def _voc_lists(folder: Path, masks: bool) -> dict[str, list[str]]:
    """Return split -> the stems of its pictures; "trainval" is train where that is not there."""
    of_what = "Segmentation" if masks else "Main"
    lists = {}
    for split, names in (
        ("train", ("train", "trainval")),
        ("valid", ("val",)),
        ("test", ("test",)),
    ):
        paths = (folder / "ImageSets" / of_what / f"{name}.txt" for name in names)
        path = next((path for path in paths if path.is_file()), None)
        if path is not None:
            text = annotation_files.read_text(path)
            lists[split] = [line.split()[0] for line in text.splitlines() if line.split()]
    return lists if "train" in lists else {}


def _check_lists(lists: dict[str, list[str]], stems: set[str], problems: Problems) -> None:
    """Note pictures that a list names and that have no annotation."""
    for split, listed in lists.items():
        for stem in sorted(set(listed) - stems):
            problems.add(f"{stem}.xml", f"it is not there, and the list of {split} names it")


def _coco(
    folder: Path, split: str, there: Pictures, problems: Problems, found: Found
) -> dict[str, list[Objects]]:
    """Read the JSON files of a folder; where it is all, their names say which split each is of."""
    splits: dict[str, list[Objects]] = {}
    for path in _json_files(folder):
        ours = split if split != "all" else split_of(path.stem) or "all"
        if ours in splits:
            raise DataError(f"{path}: there is another file of {ours}. Keep one of them.")
        names, described, passed = annotation_files.read_coco(path, masks=found.masks)
        found.passed_over.update(passed)
        found.class_names += [name for name in names if name not in found.class_names]
        near = next(
            (
                at
                for at in sorted(there.root.glob("*"))
                if at.is_dir() and split_of(at.name) == ours
            ),
            folder,
        )
        splits[ours] = _many(described, path, near, there, problems)
    return splits


def _csv(
    folder: Path, split: str, there: Pictures, problems: Problems, found: Found
) -> dict[str, list[Objects]]:
    """Read the tables of a folder; where it is all, their names say which split each is of."""
    splits: dict[str, list[Objects]] = {}
    for path in sorted(folder.glob("*.csv")):
        ours = split if split != "all" else split_of(path.stem) or "all"
        if ours in splits:
            raise DataError(f"{path}: there is another file of {ours}. Keep one of them.")
        splits[ours] = _many(annotation_files.read_csv(path), path, folder, there, problems)
    return splits


def _yolo(
    folder: Path, split: str, there: Pictures, problems: Problems, found: Found
) -> dict[str, list[Objects]]:
    """Read a text for each picture; a picture without one has no objects."""
    names_file = _names_file(folder)
    if names_file is None:
        raise DataError(
            f"{folder} has no names of the classes. Put one of {', '.join(_NAMES)} there."
        )
    found.class_names = annotation_files.read_yolo_names(names_file)
    splits: dict[str, list[Objects]] = {}
    for picture in there.all(folder):
        inside = picture.relative_to(folder).with_suffix(".txt")
        beside = [part if part != "images" else "labels" for part in inside.parts]
        text = folder.joinpath(*beside)
        described: Described | None = Described("", (), np.zeros((0, 4)))
        if text.is_file():
            described = _try(
                lambda path: annotation_files.read_yolo(path, found.class_names), text, problems
            )
        if described is not None:
            ours = split if split != "all" else split_of(" ".join(inside.parts[:-1])) or "all"
            splits.setdefault(ours, []).append(
                Objects(str(text.relative_to(problems.root)), picture, described.names,
                        described.boxes, parts=True)
            )  # fmt: skip
    return splits


_READ: dict[str, Read] = {"voc": _voc, "coco": _coco, "csv": _csv, "yolo": _yolo}


def _try(read: Callable[[Path], Described], path: Path, problems: Problems) -> Described | None:
    """Read a file of one picture; what cannot be read is noted."""
    try:
        return read(path)
    except DataError as error:
        said = str(error).removeprefix(str(path)).strip(" :.,")
        problems.add(str(path.relative_to(problems.root)), said)
        return None


def _many(
    described: Iterable[Described], path: Path, near: Path, there: Pictures, problems: Problems
) -> list[Objects]:
    taken = (_objects(one, path, (one.picture,), near, there, problems) for one in described)
    return [objects for objects in taken if objects is not None]


def _objects(
    described: Described,
    path: Path,
    names: Iterable[str],
    near: Path,
    there: Pictures,
    problems: Problems,
) -> Objects | None:
    """Return what is said of a picture that is there; of one that is not, note that."""
    file = str(path.relative_to(problems.root)) + (f", {described.where}" * bool(described.where))
    for name in names:
        picture = there.find(name, near)
        if picture is not None:
            return Objects(
                file, picture, described.names, described.boxes, described.size,
                masks=described.masks,
            )  # fmt: skip
    problems.add(
        file, f"its picture {described.picture[:200]!r} is not there, or there are several"
    )
    return None
