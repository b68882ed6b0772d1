"""Annotation files of four formats: Pascal VOC's XML, COCO's JSON, YOLO's text, tables (CSV).

Each function reads one file and says what is there; whether it fits the pictures is checked later.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np

from kerasd2l.data import files, instance_masks, limits, tables
from kerasd2l.data.source import DataError

_COLUMNS = {  # of a table: ours -> what it may be called
    "picture": ("img_name", "filename", "file_name", "image", "image_path", "path", "picture"),
    "class": ("label", "class", "class_name", "name", "category"),
    "xmin": ("xmin", "x_min", "x1", "left"),
    "ymin": ("ymin", "y_min", "y1", "top"),
    "xmax": ("xmax", "x_max", "x2", "right"),
    "ymax": ("ymax", "y_max", "y2", "bottom"),
}


@dataclass(frozen=True)
class Described:
    """What a file says of one picture.

    Args:
        picture: the picture's name as it stands there, "" if it does not.
        names: the classes of the objects.
        boxes: (G, 4) float64: left, top, right, bottom; NaN where no number was there.
        size: (width, height) or None.
        where: the place in a file of many pictures, "" else.
        masks: of each object its shape, or what is wrong with it; () where they were not read.
    """

    picture: str
    names: tuple[str, ...]
    boxes: np.ndarray
    size: tuple[int, int] | None = None
    where: str = ""
    masks: tuple[instance_masks.Shape | str, ...] = ()


def read_voc(path: Path) -> Described:
    """Read an XML file of Pascal VOC: one picture.

    Raises:
        DataError: it cannot be read, is too long, no XML, or declares a document type, which no
            annotation needs and which can unpack to gigabytes.
    """
    root = _xml(path)
    if root.tag != "annotation":
        raise DataError(f"{path}: expected <annotation>, received <{root.tag[:40]}>.")
    names, boxes = [], []
    for element in root.findall("object"):
        names.append((element.findtext("name") or "").strip())
        cells = [element.findtext(f"bndbox/{key}") for key in ("xmin", "ymin", "xmax", "ymax")]
        boxes.append([tables.number((cell or "").strip()) for cell in cells])
    sides = [tables.number((root.findtext(f"size/{key}") or "").strip())
             for key in ("width", "height")]  # fmt: skip
    known = all(math.isfinite(side) and side >= 1 for side in sides)
    size = (int(sides[0]), int(sides[1])) if known else None  # some tools write 0
    picture = (root.findtext("filename") or "").strip()
    return Described(picture, tuple(names), _boxes(boxes), size)


def _xml(path: Path) -> ElementTree.Element:
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()

    def refuse(*_: Any) -> None:
        raise DataError(f"{path} declares a document type or entities. Remove that part.")

    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(files.content(path, limits.ANNOTATION_BYTES), True)
        return builder.close()
    except (expat.ExpatError, ValueError, AssertionError, LookupError) as error:
        raise DataError(f"{path} is no XML: {error}.") from error


def read_coco(
    path: Path, *, masks: bool = False
) -> tuple[list[str], list[Described], dict[str, int]]:
    """Read a JSON file of COCO: many pictures. Groups of objects (`iscrowd`) are passed over.

    Args:
        path: the file.
        masks: bool, with the mask of each object, its `segmentation`.

    Returns:
        (classes in the order of their ids, pictures, what is passed over -> count).

    Raises:
        DataError: it cannot be read, is too long, no JSON, or of other kinds and names than COCO's.
    """
    tree = files.read_json(path, limits.ANNOTATIONS_BYTES)
    if not isinstance(tree, dict):
        raise DataError(f"{path} is no file of COCO: expected an object, received {_kind(tree)}.")
    categories = _by_id(path, tree, "categories")
    images = _by_id(path, tree, "images")
    names = {key: _field(path, "categories", row, "name", str) for key, row in categories.items()}
    if len(set(names.values())) != len(names):
        raise DataError(f"{path}: two categories have the same name.")
    rows: dict[int, list[tuple[str, list[float], Any]]] = {key: [] for key in images}
    crowds = 0
    for row in _rows(path, tree, "annotations"):
        if row.get("iscrowd") == 1:
            crowds += 1
            continue
        image = _field(path, "annotations", row, "image_id", int)
        if image not in rows:
            raise DataError(f"{path}: an annotation is of the picture {image}, which is not there.")
        category = _field(path, "annotations", row, "category_id", int)
        box = _field(path, "annotations", row, "bbox", list)
        numbers = [float(side) if _is_number(side) else math.nan for side in box]
        x, y, width, height = numbers if len(numbers) == 4 else [math.nan] * 4
        name = names.get(category, f"category {category}")
        rows[image].append((name, [x, y, x + width, y + height], row.get("segmentation")))
    described = [
        _described(path, images[key], f"picture {key}", rows[key], masks) for key in sorted(images)
    ]
    passed = {"groups of objects": crowds} if crowds else {}
    return [names[key] for key in sorted(names)], described, passed


def _described(
    path: Path, image: Mapping[str, Any], where: str, rows: Sequence[Any], masks: bool
) -> Described:
    width, height = image.get("width"), image.get("height")
    size = None
    if isinstance(width, int) and isinstance(height, int) and min(width, height) > 0:
        size = (width, height)
    picture = _field(path, "images", image, "file_name", str)
    return Described(
        picture,
        tuple(name for name, _, _ in rows),
        _boxes([box for _, box, _ in rows]),
        size,
        where,
        tuple(instance_masks.of_coco(shape) for _, _, shape in rows) if masks else (),
    )


def _rows(path: Path, tree: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    rows = tree.get(key)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(
            f"{path} is no file of COCO: {key!r} should be a list of objects. "
            f"Received: {_kind(rows)}."
        )
    return rows


def _by_id(path: Path, tree: Mapping[str, Any], key: str) -> dict[int, dict[str, Any]]:
    rows = _rows(path, tree, key)
    by_id = {_field(path, key, row, "id", int): row for row in rows}
    if len(by_id) != len(rows):
        raise DataError(f"{path}: two of {key!r} have the same id.")
    return by_id


def _field(path: Path, part: str, row: Mapping[str, Any], key: str, kind: type) -> Any:
    value = row.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise DataError(
            f"{path} is no file of COCO: {key!r} of one of {part!r} should be {kind.__name__}. "
            f"Received: {_kind(value)}."
        )
    return value


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and abs(value) <= limits.FLOAT


def read_text(path: Path) -> str:
    """Read a short text: a list of pictures, or the objects of one.

    Raises:
        DataError: it cannot be read, is too long, or not UTF-8.
    """
    try:
        return files.content(path, limits.ANNOTATION_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text: {error}.") from error


def read_yolo(path: Path, class_names: Sequence[str]) -> Described:
    """Read a text file of YOLO: the objects of one picture, "class cx cy width height" in parts.

    Raises:
        DataError: it cannot be read, is too long, or a line has no five numbers.
    """
    names, boxes = [], []
    for place, line in enumerate(read_text(path).splitlines(), start=1):
        cells = line.split()
        if not cells:
            continue
        if len(cells) != 5 or not re.fullmatch(r"[0-9]{1,6}", cells[0]):
            raise DataError(
                f"{path}, line {place}: expected a class and four numbers, `class x y width "
                f"height`. Received: {line[:80]!r}."
            )
        number = int(cells[0])
        names.append(class_names[number] if number < len(class_names) else f"class {number}")
        x, y, width, height = (tables.number(cell) for cell in cells[1:])
        boxes.append([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
    return Described("", tuple(names), _boxes(boxes))


def read_yolo_names(path: Path) -> list[str]:
    """Read the classes of YOLO: a line each, or what `names:` of a data.yaml lists.

    Raises:
        DataError: it cannot be read, is too long, or has no names.
    """
    text = read_text(path)
    if path.suffix.lower() in (".yaml", ".yml"):
        names = _yaml_names(text)
    else:
        names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names or len(set(names)) != len(names) or len(names) > limits.FIELDS:
        raise DataError(
            f"{path}: expected different names of classes, a line each (in YAML a list `names`). "
            f"Received: {', '.join(names[:5]) or 'none'}."
        )
    return names


def _yaml_names(text: str) -> list[str]:
    """Return the list `names` of a data.yaml, in the three ways that it is written."""
    inline = re.search(r"(?m)^names:[ \t]*(\[[^\]]*\])", text)
    if inline:
        try:
            listed = json.loads(inline[1].replace("'", '"'))
        except ValueError:
            listed = inline[1].strip("[]").split(",")
        return [str(name).strip() for name in listed]
    block = re.search(r"(?m)^names:[ \t]*\n((?:[ \t]*(?:-|\d+:)[ \t]*\S.*\n?)+)", text)
    lines = block[1].splitlines() if block else []
    return [re.sub(r"^[ \t]*(?:-|\d+:)[ \t]*", "", line).strip(" \t'\"") for line in lines]


def read_csv(path: Path) -> list[Described]:
    """Read a table with a row for each object: the picture, its class, xmin, ymin, xmax, ymax.

    Raises:
        DataError: it cannot be read, or lacks a column.
    """
    rows = [(number, cells) for number, cells in tables.read(path) if cells]
    if not rows:
        raise DataError(f"{path} is empty: expected a first line with the names of the columns.")
    titles = [cell.strip().lower() for cell in rows[0][1]]
    place = {}
    for ours, names in _COLUMNS.items():
        there = [name for name in names if name in titles]
        if not there:
            raise DataError(
                f"{path} lacks a column for {ours}: one of {', '.join(names)}. "
                f"Received: {', '.join(titles)[:200]}."
            )
        place[ours] = titles.index(there[0])
    pictures: dict[str, list[tuple[str, list[float]]]] = {}
    for number, cells in rows[1:]:
        if len(cells) != len(titles):
            raise DataError(
                f"{path}, line {number}: {len(cells)} cells, the first line has {len(titles)}."
            )
        box = [tables.number(cells[place[key]].strip()) for key in ("xmin", "ymin", "xmax", "ymax")]
        objects = pictures.setdefault(cells[place["picture"]].strip(), [])
        objects.append((cells[place["class"]].strip(), box))
    return [
        Described(
            picture,
            tuple(name for name, _ in objects),
            _boxes([box for _, box in objects]),
            where=f"picture {picture}",
        )
        for picture, objects in pictures.items()
    ]


def _boxes(rows: Sequence[Sequence[float]]) -> np.ndarray:
    return np.array(rows, float).reshape(-1, 4)
