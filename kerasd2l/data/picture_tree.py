"""Which pictures of a folder belong to which split and class, found without opening them."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np

from kerasd2l.data import pictures
from kerasd2l.data.source import DataError, Source, class_names_of

LAYOUT = "CLASS/PICTURE, or train/CLASS/PICTURE and test/CLASS/PICTURE"
_TEST_SHARE = 5  # without a test folder, every fifth picture of a class is for test
_SPLITS = {  # in any case, `-` or a space for `_`
    "train": ("train", "training", "train_set", "training_set"),
    "valid": ("valid", "val", "validation", "valid_set", "val_set", "validation_set"),
    "test": ("test", "testing", "test_set", "testing_set"),
}
_AS_CLASSES = "If they are classes, say --set splits=no"


@dataclass(frozen=True)
class Tree:
    """The pictures of one split.

    Args:
        paths: the files, class by class, in the order of the classes.
        labels: the number of each one's class.
    """

    paths: tuple[Path, ...]
    labels: tuple[int, ...]

    def pick(self, places: Sequence[int]) -> Tree:
        """Return the pictures at these places."""
        return Tree(tuple(self.paths[i] for i in places), tuple(self.labels[i] for i in places))

    def count(self, class_names: Sequence[str]) -> str:
        """Return how many pictures of each class there are, in words; of many, the first ones."""
        numbers = Counter(self.labels)
        told = [f"{name} {numbers[i]}" for i, name in enumerate(class_names)]
        more = f", {len(told) - 20} classes more" if len(told) > 20 else ""
        return ", ".join(told[:20]) + more


@dataclass
class Found:
    """What is in a folder of pictures.

    Args:
        trees: split -> its pictures, "train" first.
        class_names: the names of the classes by their numbers.
        passed_over: kind -> how many files or folders were not taken.
    """

    trees: dict[str, Tree] = field(default_factory=dict)
    class_names: list[str] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)


def find(root: str | os.PathLike, *, splits: bool = True, source: Source | None = None) -> Found:
    """Find the pictures under a folder, without opening them.

    Names that differ only in how Unicode writes their accents are one class.

    Args:
        root: the folder; it holds CLASS/PICTURE, or folders that are called like splits: train,
            valid, test (or training_set, Val, TEST, ...) with CLASS/PICTURE in each.
        splits: bool; False: whatever the folders are called, they are classes.
        source: with the assets of an earlier run, whose classes keep their numbers; or None.

    Raises:
        DataError: no classes, a class without pictures, a class that is unknown, or folders of
            which it is not clear whether they are splits or classes.
    """
    root, found = Path(root), Found()
    folders = _folders(root)
    by_split = _by_split(root, folders) if splits else {}
    if not by_split:
        if splits:
            _check_no_splits(root, folders)
        found.class_names = _number(folders, root, root, source)
        found.trees = _divide(_tree(folders, root, found))
        return found
    classes = {split: _folders(folder) for split, folder in by_split.items()}
    found.class_names = _number(classes["train"], by_split["train"], root, source)
    for split, folder in by_split.items():
        _check_classes(classes[split], folder, found.class_names, by_split["train"])
        found.trees[split] = _tree(classes[split], folder, found)
    if len(found.trees) == 1:
        found.trees = _divide(found.trees["train"])
    found.passed_over["folders beside the splits"] += len(folders) - len(by_split)
    return found


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _folders(folder: Path) -> dict[str, list[Path]]:
    """Return the folders in a folder by their names, in alphabetical order."""
    found: dict[str, list[Path]] = {}
    try:
        for entry in sorted(folder.iterdir()):
            if not _hidden(entry.name) and entry.is_dir():
                found.setdefault(_plain(entry.name), []).append(entry)
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error}") from error
    return dict(sorted(found.items()))


def _by_split(root: Path, folders: Mapping[str, list[Path]]) -> dict[str, Path]:
    """Return split -> its folder; nothing where no folder is called like a split."""
    found = {}
    for split, names in _SPLITS.items():
        alike = [
            path
            for wanted in names
            for name, paths in folders.items()
            if name.lower().replace("-", "_").replace(" ", "_") == wanted
            for path in paths
        ]
        if len(alike) > 1:
            raise DataError(
                f"{root} has {' and '.join(path.name for path in alike)}: which of them is "
                f"meant? Keep one. {_AS_CLASSES}."
            )
        if alike:
            found[split] = alike[0]
    if found and "train" not in found:
        others = " and ".join(path.name for path in found.values())
        raise DataError(f"{root} has {others}, but no train beside it. {_AS_CLASSES}.")
    return found


def _check_no_splits(root: Path, folders: Mapping[str, list[Path]]) -> None:
    """Refuse classes that hold the same folders: these are the classes, the others splits."""
    inner = {
        name: {key for path in paths for key in _folders(path)} for name, paths in folders.items()
    }
    for one, other in combinations([name for name in inner if inner[name]], 2):
        both = sorted(inner[one] & inner[other])
        if both and (len(both) > 1 or inner[one] == inner[other]):
            raise DataError(
                f"{root}: {one} and {other} both hold the folders {', '.join(both[:5])}. If they "
                f"are splits, call them train and test. {_AS_CLASSES}."
            )


def _number(
    classes: Mapping[str, list[Path]], folder: Path, root: Path, source: Source | None
) -> list[str]:
    """Return the names of the classes by their numbers."""
    source = source or Source()
    known = source.known("class_names")
    if len(classes) < (2 if known is None else 1):
        loose = sum(path.name.lower().endswith(pictures.SUFFIXES) for path in folder.iterdir())
        itself = ""
        if loose and folder == root:
            itself = f" It holds {loose} pictures itself: is the folder above it meant?"
        elif loose:
            itself = f" It holds {loose} pictures itself. If it is a class, say --set splits=no."
        raise DataError(
            f"{folder}: expected a folder for each of at least two classes, received "
            f"{', '.join(classes) or 'none'}.{itself} {root} should hold {LAYOUT}."
        )
    spelled = {_plain(name): name for name in known or ()}
    return class_names_of(source, [spelled.get(name, name) for name in classes], str(folder))


def _check_classes(
    classes: Mapping[str, list[Path]], folder: Path, names: Sequence[str], train: Path
) -> None:
    """Require of a split that it has classes, and none that is not in train."""
    unknown = sorted(set(classes) - set(map(_plain, names)))
    if unknown:
        raise DataError(
            f"{folder} has the class {unknown[0]!r}, which {train} does not have. "
            "Name the folders alike."
        )
    if not classes:
        raise DataError(
            f"{folder} has no folder of a class. Put CLASS/PICTURE there, or remove it."
        )


def _tree(classes: Mapping[str, list[Path]], folder: Path, found: Found) -> Tree:
    """List the pictures of the classes, and count what is passed over."""
    number = {_plain(name): i for i, name in enumerate(found.class_names)}
    paths: list[Path] = []
    labels: list[int] = []
    loose = sum(path.name.lower().endswith(pictures.SUFFIXES) for path in folder.iterdir())
    found.passed_over["pictures beside the classes"] += loose
    for name in sorted(classes, key=number.__getitem__):
        others: Counter[str] = Counter()
        mine = [path for start in classes[name] for path in _pictures(start, others)]
        if not mine:
            raise DataError(
                f"{folder / name} has no pictures ({others.total()} other files). Put "
                f"{', '.join(pictures.SUFFIXES)} files there, or remove the folder."
            )
        found.passed_over += others
        paths += mine
        labels += [number[name]] * len(mine)
    return Tree(tuple(paths), tuple(labels))


def _pictures(start: Path, others: Counter[str]) -> list[Path]:
    """Return the pictures under the folder of a class; count the rest, but what is hidden."""
    found = []
    for parent, folders, files in os.walk(start):
        folders[:] = sorted(name for name in folders if not _hidden(name))
        others["linked folders"] += sum(os.path.islink(Path(parent, name)) for name in folders)
        for file in sorted(files):
            if _hidden(file):
                continue
            if file.lower().endswith(pictures.SUFFIXES):
                found.append(Path(parent, file))
            else:
                others[f"{Path(file).suffix.lower() or 'other'} files"] += 1
    return found


def _divide(tree: Tree) -> dict[str, Tree]:
    """Keep every fifth picture of each class, at least one, for test: the same ones every time."""
    labels = np.array(tree.labels)
    test = []
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        if len(places) < 2:
            raise DataError(
                f"{tree.paths[places[0]].parent} has a single picture; expected at least two, "
                "one to train and one to test."
            )
        mixed = np.random.RandomState(0).permutation(places)  # numpy's frozen stream
        test += mixed[::_TEST_SHARE].tolist()
    train = sorted(set(range(len(labels))) - set(test))
    return {"train": tree.pick(train), "test": tree.pick(sorted(test))}
