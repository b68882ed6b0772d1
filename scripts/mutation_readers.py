"""The readers that `mutate_readers.py` tries, each with a small right file in its own format."""

from __future__ import annotations

import bz2
import csv
import functools
import gzip
import io
import json
import lzma
import pickle
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mutation_pictures import annotated, read_boxes, read_masks
from mutation_tools import mutate
from PIL import Image

from kerasd2l.cluster import Cluster, ClusterError
from kerasd2l.data import Source, archive, idx, sequences, text
from kerasd2l.data.sets import (
    cifar10,
    diabetes,
    kaggle_house,
    names,
    ptb,
    shakespeare,
    time_machine,
    translation,
)
from kerasd2l.data.source import DataError
from kerasd2l.data.token_embedding import TokenEmbedding
from kerasd2l.data.vocab import Vocab
from kerasd2l.recipe import TensorSpec
from kerasd2l.run import RunError, open_run
from kerasd2l.serving.inputs import InputError, parse

Files = dict[str, bytes]
Pack = Callable[[bytes], bytes]
HEAVY = ("checkpoint", "tensors", "cifar pictures")  # they import TensorFlow

_EVIL_NAMES = [
    *("../x", "/tmp/kerasd2l-x", "a/../../x", "..\\x", "a\0b", "\0", "a/" * 600, ".", " "),
    *("C:x", "~/x", "n" * 300, "a/b", "A/B", "a/b/c", "a//b", "a\u202eb", ".kerasd2l-unpacked"),
]
_EVIL_PICKLE = b"cposix\nsystem\n(S'touch kerasd2l-x'\ntR"


@dataclass(frozen=True)
class Reader:
    """A reader: `make` gives mutated files (right ones without a seed), `read` reads a folder."""

    make: Callable[[random.Random | None], Files]
    read: Callable[[Path], Any]
    known: tuple[type[Exception], ...] = (DataError,)


def changed(files: Mapping[str, bytes], pack: Pack | None = None, evil: bytes = b""):
    """Return a `make` that changes one of the files, before or after it is packed.

    Args:
        files: name -> right content, not packed.
        pack: packs a content.
        evil: now and then put into the content as it is.
    """

    def make(rng: random.Random | None) -> Files:
        if rng is None:
            return {name: pack(content) if pack else content for name, content in files.items()}
        chosen, inside = rng.choice(list(files)), pack is None or rng.random() < 0.5
        made = {}
        for name, content in files.items():
            if name == chosen and evil and rng.random() < 0.2:
                place = rng.randrange(len(content))
                content = content[:place] + evil + content[place:]
            elif name == chosen and inside:
                content = mutate(rng, content)
            packed = content if pack is None else pack(content)
            made[name] = packed if name != chosen or inside else mutate(rng, packed)
        return made

    return make


def tar(files: Mapping[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    """Return a plain tar, of links or other things if `kind` says so."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "../x"
            info.size = len(content) if kind == tarfile.REGTYPE else 0
            made.addfile(info, io.BytesIO(content))
    return out.getvalue()


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip; a NUL in a name, which zipfile does not write, is put there afterwards."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        for name, content in files.items():
            made.writestr(zipfile.ZipInfo(name.replace("\0", "\x01")), content, method)
    has_nul = any("\0" in name for name in files)
    return out.getvalue().replace(b"\x01", b"\0") if has_nul else out.getvalue()


def evil_archive(rng: random.Random | None) -> Files:
    """Make an archive whose names, kinds of members and methods are chosen to do harm."""
    if rng is None:
        return {"a": tar(_MEMBERS)}
    chosen = {rng.choice(_EVIL_NAMES): b"x" * rng.choice((0, 1, 2000)) for _ in range(3)}
    if rng.random() < 0.3:
        method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
        chosen["bomb"] = bytes(rng.choice((1, 30)) << 20)
        return {"a": zipped(chosen, method)}
    if rng.random() < 0.5:
        return {"a": zipped(chosen)}
    kinds = (tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE)
    return {"a": tar(chosen, rng.choice(kinds))}


def unpack(folder: Path) -> Any:
    """Read an archive both ways."""
    list(archive.read_members(folder / "a"))
    return archive.unpack(folder / "a", folder / "out")


def _idx(array: np.ndarray) -> bytes:
    return (
        bytes((0, 0, 8, array.ndim))
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )


def _csv(rows: list[list[Any]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


def _npz(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, allow_pickle=True, **arrays)
    return out.getvalue()


def _houses() -> Files:
    return {
        name: table.to_csv(index=False, na_rep="NA").encode()
        for name, table in zip(kaggle_house.FILES, kaggle_house.generate(8, 3), strict=True)
    }


def _read_houses(folder: Path) -> Any:
    known, unknown = (
        kaggle_house.read(folder / name, labelled=labelled)
        for name, labelled in zip(kaggle_house.FILES, (True, False), strict=True)
    )
    encoding = kaggle_house.Encoding.of(known)
    for encoded in (encoding(known), encoding(unknown), known[["SalePrice"]].to_numpy(np.float32)):
        if not np.isfinite(encoded).all():
            raise AssertionError("infinite features")


def _read_names(folder: Path) -> Any:
    rows = names.read(folder / "n")
    return text.pad_batch([names.encode(name) for name, _ in rows], 0)


def _read_corpus(lines: list[str]) -> Any:
    return sequences.corpus_ids(lines, text.Tokenizer("word", text.LETTERS))


def _read_pairs(folder: Path, corpus: Any) -> Any:
    pairs = translation.pairs(Source("files", folder), corpus=corpus)
    text.check_size(side for split in pairs.values() for pair in split for side in pair)
    return {split: translation.tokenize_pairs(found) for split, found in pairs.items()}


def _read_vectors(folder: Path) -> Any:
    embedding = TokenEmbedding.read(folder / "v")
    if not np.isfinite(embedding.idx_to_vec).all():
        raise AssertionError("infinite numbers")


def _cifar() -> tuple[Files, Files]:
    """Return the batches as pickles and in binary, two pictures each."""
    x = np.random.RandomState(0).randint(0, 256, (2, 3072)).astype(np.uint8)
    batches = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    packed = pickle.dumps({b"data": x, b"labels": [3, 9]}, protocol=4)
    binary = b"".join(bytes([3]) + row.tobytes() for row in x)
    return {name: packed for name in batches}, {f"{name}.bin": binary for name in batches}


def _cifar_pictures(rng: random.Random | None) -> Files:
    """Make CIFAR-10 as pictures in two tars, the one for training changed."""
    out = io.BytesIO()
    Image.fromarray(np.arange(3072, dtype=np.uint8).reshape(32, 32, 3)).save(out, "PNG")
    train, test = (
        {f"{split}/{name}/0001.png": out.getvalue() for name in cifar10.CLASS_NAMES}
        for split in ("train", "test")
    )
    return _in_one("train.tar.gz", train)(rng) | {"test.tar.gz": gzip.compress(tar(test), 1)}


def _in_one(name: str, files: Files, evil: bytes = b"") -> Callable[[random.Random | None], Files]:
    """Return a `make` of one packed tar, of which itself or a file in it is changed."""
    inner = changed(files, evil=evil)

    def make(rng: random.Random | None) -> Files:
        if rng is None or rng.random() < 0.5:
            return {name: gzip.compress(tar(inner(rng)), 1)}
        return {name: mutate(rng, gzip.compress(tar(files), 1))}

    return make


def _parse_input(folder: Path, name: str, signature: Mapping[str, TensorSpec]) -> Any:
    return parse([str(folder / name)], signature)


def _parse_config(folder: Path) -> Any:
    return Cluster.parse((folder / "c").read_bytes().decode("utf8", "surrogateescape"))


def _read_checkpoint(folder: Path) -> Any:
    from kerasd2l.training.checkpoint import Checkpoints

    return Checkpoints(folder).newest()  # None if damaged


def _read_tensors(folder: Path) -> Any:
    from kerasd2l.scratch.tensor_files import load_tensors

    return load_tensors(folder / "t")


_CLUSTER = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 0}}
_CONFIG = {"recipe": "c/f", "arguments": {"batch_size": 4}, "seed": 0, "strategy": "one"}
_HOUSE = {"area": TensorSpec((None,)), "rooms": TensorSpec((None,), "int32")}
_HOUSE |= {"street": TensorSpec((None,), "string")}
_VECTOR = {"x": TensorSpec((None, 3))}
_MEMBERS = {f"d/{i}.txt": b"some text\n" * (i * 30) for i in range(6)}
_PLAIN = {"position": np.frombuffer(b'{"step": 1}', np.uint8), "0000:kernel": np.ones((3, 4))}
_OBJECT = np.array([1], object)
_TEXT = ("The Time Machine, by H. G. Wells.\n\n" + "It was a dark night\n" * 20).encode()
_PAIRS = "".join(f"Go {i}.\tVa {i} !\tCC-BY\n" for i in range(30)).encode()
_VECTORS = b"".join(b"w%d 0.25 -1.5e-2 %d\n" % (i, i) for i in range(30))
_PTB = {"ptb/ptb.train.txt": _TEXT, "ptb/ptb.test.txt": b"a b\n"}
_ENGLISH = {f"multi30k/{n}.{s}.gz": b"a dog .\n" * 9 for n in ("train", "val", "test_2016_flickr")
            for s in ("en", "fr")}  # fmt: skip


def readers() -> dict[str, Reader]:
    """Return all readers by name."""
    images = np.arange(4 * 784, dtype=np.uint8).reshape(4, 28, 28)
    digits = {"x": _idx(images), "y": _idx(np.arange(4, dtype=np.uint8))}
    surnames = _csv([["Li", "Chinese"], ["O'Neal, A", "Irish"]] * 10)
    sick = _csv([[0.1, -0.2, 0, 0, 0, 0.5, 0.25, 1, i % 2] for i in range(30)])
    pickles, binary = _cifar()
    read_pair = lambda folder: idx.read_pair(folder / "x", folder / "y")  # noqa: E731
    config = json.dumps(_CLUSTER).encode()
    found = {
        "idx": Reader(changed(digits), read_pair),
        "idx.gz": Reader(changed(digits, gzip.compress), read_pair),
        "text": Reader(
            changed({"timemachine.txt": _TEXT}),
            lambda folder: _read_corpus(time_machine.lines(Source("files", folder))),
        ),
        "text.gz": Reader(
            changed({"names/shakespeare.txt.gz": _TEXT}, gzip.compress),
            lambda folder: _read_corpus([shakespeare.text(Source("files", folder))]),
        ),
        "pairs": Reader(
            changed({"fra-eng/fra.txt": _PAIRS}), lambda folder: _read_pairs(folder, "fra")
        ),
        "pairs.gz": Reader(
            changed(_ENGLISH, gzip.compress), lambda folder: _read_pairs(folder, "multi30k")
        ),
        "ptb": Reader(
            changed({"ptb/ptb.zip": zipped(_PTB)}),
            lambda folder: ptb.sentences(Source("files", folder), min_freq=1),
            (DataError, ValueError),
        ),
        "vectors": Reader(changed({"v": _VECTORS}), _read_vectors),
        "vectors.gz": Reader(changed({"v": b"30 3\n" + _VECTORS}, gzip.compress), _read_vectors),
        "vectors zip": Reader(changed({"v": zipped({"a.txt": _VECTORS})}), _read_vectors),
        "names": Reader(changed({"n": surnames}, gzip.compress), _read_names),
        "diabetes": Reader(
            changed({"d": sick}, gzip.compress), lambda folder: diabetes.read(folder / "d")
        ),
        "houses": Reader(changed(_houses()), _read_houses),
        "vocabulary": Reader(
            changed({"v": b'["<unk>", "a", "b"]'}), lambda folder: Vocab.load(folder / "v")
        ),
        "zip": Reader(changed({"a": zipped(_MEMBERS)}), unpack),
        "tar": Reader(changed({"a": tar(_MEMBERS)}), unpack),
        "evil archive": Reader(evil_archive, unpack),
        "cifar pickles": Reader(
            changed({f"cifar-10-batches-py/{k}": v for k, v in pickles.items()}, evil=_EVIL_PICKLE),
            lambda folder: cifar10.read(folder, tuple(f"cifar-10-batches-py/{k}" for k in pickles)),
        ),
        "cifar python": Reader(
            _in_one(cifar10.PYTHON, pickles, _EVIL_PICKLE),
            lambda folder: cifar10.read(folder, (cifar10.PYTHON,)),
        ),
        "cifar binary": Reader(
            _in_one(cifar10.BINARY, binary),
            lambda folder: cifar10.read(folder, (cifar10.BINARY,)),
        ),
        "cifar pictures": Reader(
            _cifar_pictures, lambda folder: cifar10.read(folder, cifar10.PICTURES)
        ),
        "TF_CONFIG": Reader(changed({"c": config}), _parse_config, (ClusterError,)),
        "config.json": Reader(
            changed({"config.json": json.dumps(_CONFIG).encode()}), open_run, (RunError,)
        ),
        "checkpoint": Reader(
            changed({"step-000000001.npz": _npz(**_PLAIN)}, evil=_npz(x=_OBJECT)), _read_checkpoint
        ),
        "tensors": Reader(
            changed({"t": _npz(**_PLAIN, structure=np.frombuffer(b'["0000:kernel"]', np.uint8))}),
            _read_tensors,
            (ValueError, OSError),
        ),
    }
    for name, pack in (("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)):
        found[f"tar.{name}"] = Reader(changed({"a": tar(_MEMBERS)}, pack), unpack)
    for name, files in annotated().items():
        found[name] = Reader(changed(files), read_masks if name == "masks" else read_boxes)
    array = io.BytesIO()
    np.save(array, np.ones((2, 3), "float32"))
    for name, content, signature in (
        ("a.csv", b"area,rooms,street\n1.5,3,Main\nNA,4,\n", _HOUSE),
        ("a.json", b'[{"area": 1.5, "rooms": 3, "street": "Main"}]', _HOUSE),
        ("a.npy", array.getvalue(), _VECTOR),
    ):
        read = functools.partial(_parse_input, name=name, signature=signature)
        found[f"predict {name[1:]}"] = Reader(changed({name: content}), read, (InputError,))
    return found
