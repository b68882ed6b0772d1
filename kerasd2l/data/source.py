"""Where a data set comes from: built-in data, the user's own files, or a verified download.

A data set asks for its files in a few lines:

    folder = resolve(source, "ptb", (NAME,), lambda folder: download(URL, folder / NAME, SHA1))
    if folder is None:
        ...  # the built-in stand-in

This module and the command line are the only ones that read the environment: $KERASD2L_DATA,
$XDG_CACHE_HOME. (The proxy variables are urllib's.)
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

Kind = Literal["auto", "builtin", "files", "tfds", "download"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# sets that are the user's own folder
OWN_PICTURES = ("image_folder", "box_folder", "mask_folder", "instance_folder")


class DataError(Exception):
    """Data that is missing, damaged, unreachable or not what it claims; says what to do next."""


def data_error_in(error: BaseException) -> DataError | None:
    """Return the DataError that a step of tf.data raised and TensorFlow wrapped, or None.

    Args:
        error: an error of TensorFlow; its message has the name and the text of the first one.
    """
    known: list[type] = [DataError, *DataError.__subclasses__()]
    kinds = "|".join(kind.__name__ for kind in known)
    found = re.search(rf"\b(?:{kinds}): (.+)", str(error))
    return DataError(found[1].strip()) if found else None


@dataclass(frozen=True)
class Source:
    """Where data sets come from.

    Args:
        kind: "builtin" (comes with the dependencies), "files" (the original files under
            `data_dir`), "tfds" (TensorFlow Datasets), "download" (verified, into `cache_dir`) or
            "auto" (files, else a prepared folder of TFDS, else download).
        data_dir: folder with one folder per data set; None: $KERASD2L_DATA, which may be unset. Of
            "tfds" it is the folder of prepared sets; None: $TFDS_DATA_DIR or ~/tensorflow_datasets.
        seed: int >= 0, the seed of the order of training examples.
        cache_dir: folder for downloads; None: $XDG_CACHE_HOME/kerasd2l or ~/.cache/kerasd2l.
        timeout: float, seconds that a server may keep silent.
        retries: int, new attempts after a failed one.
        skip_broken: bool, leave out and count what cannot be read of one's own pictures.
        assets: the assets of an earlier run, or None. Classes and words keep the numbers that they
            have there, and what was learned from its data (means, codes) is not learned anew.

    Raises:
        ValueError: an unknown kind, or a number out of range.

    Example:
        >>> Source("files", data_dir="/data").data_dir.name
        'data'
    """

    kind: str = "auto"
    data_dir: str | os.PathLike | None = None
    seed: int = 0
    cache_dir: str | os.PathLike | None = None
    timeout: float = 30.0
    retries: int = 3
    skip_broken: bool = False
    assets: Mapping[str, Any] | None = None

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"`kind` must be one of {', '.join(KINDS)}. Received: {self.kind!r}.")
        for name, least in (("seed", 0), ("retries", 0)):
            value = getattr(self, name)
            if value < least:
                raise ValueError(f"`{name}` must be at least {least}. Received: {name}={value}.")
        if not 0 < self.timeout < float("inf"):
            raise ValueError(f"`timeout` must be positive seconds. Received: {self.timeout}.")
        usual = "TFDS_DATA_DIR" if self.kind == "tfds" else "KERASD2L_DATA"
        folder = self.data_dir or os.environ.get(usual) or None
        object.__setattr__(self, "data_dir", in_home(folder) if folder else None)
        home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        object.__setattr__(self, "cache_dir", in_home(self.cache_dir or Path(home) / "kerasd2l"))

    @property
    def tfds_dir(self) -> Path:
        """The folder of the sets that TFDS has prepared."""
        given = self.data_dir if self.kind == "tfds" else os.environ.get("TFDS_DATA_DIR")
        return in_home(given or "~/tensorflow_datasets")

    def __str__(self) -> str:
        """Say where it looks: "--data files, in /data"."""
        folders: dict[str, list] = {
            "builtin": [],
            "files": [self.data_dir],
            "tfds": [self.tfds_dir],
            "download": [self.cache_dir],
            "auto": [self.data_dir, self.tfds_dir, self.cache_dir],
        }
        there = [str(path) for path in folders[self.kind] if path and Path(path).is_dir()]
        return f"--data {self.kind}" + (f", in {' or '.join(there)}" if there else "")

    @classmethod
    def of(cls, value: Source | str | None) -> Source:
        """Return a Source: `value` itself, or one made from the name of its kind."""
        if isinstance(value, Source):
            return value
        return cls() if value is None else cls(value)

    def known(self, asset: str) -> Any:
        """Return an asset of the earlier run; None without a run, or where it has none."""
        return (self.assets or {}).get(asset)


def class_names_of(source: Source, names: Sequence[str], where: str) -> list[str]:
    """Return the names of the classes 0, 1, ...: the earlier run's, else `names` as they are.

    Args:
        source: Source, with the run's assets or without.
        names: the classes of these data; some of the run's may be absent.
        where: str, begins the sentence of an error.

    Raises:
        DataError: a class that the run does not know.
    """
    known = source.known("class_names")
    if known is None:
        return list(names)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise DataError(
            f"{where} has the class {unknown[0]!r}, which the model was not trained on. It knows: "
            f"{', '.join(map(str, known))}. Rename it, leave it away, or train a new model."
        )
    return list(known)


def is_utf8(text: str) -> bool:
    """Whether a name, maybe of a file, is made of characters; Python hides other bytes in it."""
    try:
        text.encode("utf8")
    except UnicodeEncodeError:
        return False
    return True


def shown(text: object) -> str:
    """Return a text that may hold names of files as any log can take it: other bytes escaped."""
    return str(text).encode("utf8", "backslashreplace").decode("utf8")


SourceLike = Source | Kind | str | None


def in_home(path: str | os.PathLike) -> Path:
    """Return a path with the home folder in the place of `~`.

    A user without a home, as in a container with an id that no file lists, needs none for data that
    lie elsewhere: the `~` then stays, and a path that begins with it is a file that is not there.
    """
    return Path(os.path.expanduser(path))


def builtin_only(source: SourceLike, what: str) -> Source:
    """Return the source of data that comes with the library, and nowhere else from.

    Raises:
        DataError: another kind was asked for; `what` begins the sentence.
    """
    source = Source.of(source)
    if source.kind not in ("auto", "builtin"):
        raise DataError(
            f"{what}: there are neither files nor a download. "
            f"Received: --data {source.kind}. Use --data builtin."
        )
    return source


def from_tfds(source: Source, dataset: str, files: Sequence[str]) -> bool:
    """Whether a set that TFDS has, too, shall be read from there.

    Args:
        source: Source. "tfds" says so; "auto" where the original files are not there but a prepared
            folder is.
        dataset: str, the name of the set, the same for both.
        files: the names of the original files.
    """
    if source.kind != "auto":
        return source.kind == "tfds"
    folder = None if source.data_dir is None else Path(source.data_dir) / dataset
    there = folder is not None and all(file_in(folder, name).is_file() for name in files)
    prepared = source.tfds_dir / dataset  # a version without this file is not finished
    return not there and any(prepared.glob("*/dataset_info.json"))


def file_in(folder: str | os.PathLike, name: str) -> Path:
    """Return the path of a file of a data set: `NAME.gz` may lie there unpacked, as `NAME`."""
    packed, plain = Path(folder) / name, Path(folder) / name.removesuffix(".gz")
    return plain if plain.is_file() and not packed.is_file() else packed


def own_folder(
    source: Source, dataset: str, layouts: str, *, kinds: Sequence[str] = ("auto", "files")
) -> Path:
    """Return the folder of pictures of the user's own: the folder `dataset` in it, or it itself.

    Args:
        source: Source, not "builtin".
        dataset: str, the data set's name.
        layouts: str, what the folder may hold, for the message.
        kinds: kinds of source for which `data_dir` is that folder.

    Raises:
        DataError: no folder was given, or there is none.
    """
    if source.kind not in kinds or source.data_dir is None:
        raise DataError(
            f"{dataset}: pictures of one's own are neither downloaded nor guessed. Give their "
            f"folder with --data-dir DIR ({layouts} in it), or --data builtin for drawn shapes."
        )
    inside = Path(source.data_dir) / dataset
    root = inside if inside.is_dir() else Path(source.data_dir)
    if not root.is_dir():
        raise DataError(f"{root} is no folder. Give the folder of the pictures with --data-dir.")
    return root


def resolve(
    source: Source,
    dataset: str,
    files: Sequence[str],
    fetch: Callable[[Path], object] | None = None,
    *,
    builtin: bool = True,
) -> Path | None:
    """Return the folder that holds the files of a data set, or None for its built-in stand-in.

    Args:
        source: Source.
        dataset: str, the data set's folder name, e.g. "fashion_mnist".
        files: relative names that must all be there, as they are or unpacked (see `file_in`).
        fetch: (folder) -> anything; brings the files into the given cache folder and verifies
            them (see downloads.py). None: the data set cannot be downloaded.
        builtin: bool, whether the data set has a stand-in.

    Raises:
        DataError: the files are not to be had this way; the message names the other ways.
    """
    if source.kind == "builtin":
        if builtin:
            return None
        raise DataError(
            f"{dataset} has no built-in stand-in. {_ways(dataset, files, fetch, False)}"
        )
    if source.kind == "tfds":
        ways = _ways(dataset, files, fetch, builtin)
        raise DataError(f"{dataset} is not among the sets that are read from TFDS. {ways}")
    folder = None if source.data_dir is None else Path(source.data_dir) / dataset
    missing = [name for name in files if not (folder and file_in(folder, name).is_file())]
    if source.kind in ("auto", "files") and not missing:
        return folder
    if folder is None:
        where = "no data folder was given"
    else:
        where = f"{folder} lacks {', '.join(missing)}"
    if source.kind == "files":
        raise DataError(f"{dataset}: {where}. {_ways(dataset, files, fetch, builtin)}")
    cache = cast(Path, source.cache_dir) / dataset  # __post_init__ put one there
    try:
        if fetch is None:
            raise DataError("there is no download for this data set")
        if cache.parts[0].startswith("~"):
            raise DataError(f"no home folder for downloads ({cache}). Set XDG_CACHE_HOME or HOME")
        fetch(cache)
    except DataError as error:
        also = f" Own files: {where}." if source.kind == "auto" else ""
        ways = _ways(dataset, files, None if source.kind == "download" else fetch, builtin)
        raise DataError(f"{dataset}: {error}.{also} {ways}") from error
    missing = [name for name in files if not (cache / name).is_file()]
    if missing:
        raise DataError(f"{dataset}: the download left no {', '.join(missing)} in {cache}.")
    return cache


def _ways(dataset: str, files: Sequence[str], fetch: object, builtin: bool) -> str:
    """Say which ways there are to get the data."""
    first = f"DIR/{dataset}/{files[0]}" if files else f"DIR/{dataset}"
    ways = ["--data builtin (needs neither files nor network)"] if builtin else []
    ways.append(f"--data files with --data-dir DIR or KERASD2L_DATA=DIR ({first} ...)")
    if fetch is not None:
        ways.append("--data download (needs the network)")
    return f"Ways to get data: {'; '.join(ways)}."
