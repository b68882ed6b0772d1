"""Sentence pairs, English to French: Multi30k, Tatoeba's fra.txt; built in: dates and amounts.

Section: "machine-translation-and-dataset". Sentences are cleaned and cut into words as in the book;
each side has its own vocabulary with `<pad>` 1, `<bos>` 2 and `<eos>` 3.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data import archive, downloads, files, pipeline, text
from kerasd2l.data.source import DataError, Source, file_in, resolve
from kerasd2l.data.text import PUNCTUATION, Tokenizer
from kerasd2l.data.vocab import Vocab, known_or_counted
from kerasd2l.recipe import Data, TensorSpec

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")
dates, units = lazy("babel.dates"), lazy("babel.units")

Pairs = list[tuple[str, str]]
RESERVED = ("<pad>", "<bos>", "<eos>")
PAD, BOS, EOS = 1, 2, 3
TOKENIZER = Tokenizer("word", PUNCTUATION)
MULTI30K = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw/"
_HASHES = {
    "train.en.gz": "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
    "train.fr.gz": "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c",
    "val.en.gz": "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
    "val.fr.gz": "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9",
    "test_2016_flickr.en.gz": "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
    "test_2016_flickr.fr.gz": "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90",
}
_SPLITS = {"train": "train", "valid": "val", "test": "test_2016_flickr"}
FRA_URL = "https://d2l-data.s3-accelerate.amazonaws.com/fra-eng.zip"
FRA_SHA1 = "94646ad1522d915e7b0f9296181140edcf86a4f5"


def load(
    source: Source | str | None = None,
    *,
    corpus: Literal["multi30k", "fra"] = "multi30k",
    batch_size: int = 64,
    num_steps: int = 10,
    num_examples: int | None = 600,
    num_test: int = 128,
    min_freq: int = 2,
    longer: Literal["cut", "drop"] = "cut",
    weights: Literal["tokens", "steps"] | None = "tokens",
) -> Data:
    """Load sentence pairs as padded numbers, ready for teacher forcing.

    Args:
        source: Source, or the name of its kind: "auto" (default), "builtin", "files", "download".
        corpus: "multi30k" (29000 + 1014 + 1000 captions of pictures) or "fra" (the book's); the
            built-in pairs stand in for both.
        batch_size: int B, the global batch.
        num_steps: int T, words of a sentence including `<eos>`.
        num_examples: int, train on exactly the first so many pairs; None: on all.
        num_test: int, pairs of the test set where the corpus has none of its own.
        min_freq: int, words that are rarer in the training pairs become `<unk>`. Default: 2.
        longer: "cut" sentences longer than T, as the book does (they lose their end and `<eos>`),
            or "drop" such pairs from the training set before counting; tests are always cut.
        weights: what the third element, one weight (B, T) for each label, makes of the mean that a
            Keras loss takes over all B x T labels: with "tokens" the mean over the real ones, on
            any number of replicas; with "steps" the book's sum over real tokens divided by B x T.
            None: no weights; the loss must leave out labels equal to 1, `<pad>`.

    Returns:
        Data: x {"source" (B, T) int32, "source_lengths" (B,) int32, "decoder_input" (B, T) int32,
        which is `<bos>` and the labels but the last}, y (B, T) int32, padded with `<pad>` = 1,
        and the weights; assets["source_vocabulary"], ["target_vocabulary"], ["tokenizer"],
        ["num_steps"].

    Raises:
        DataError: a file is missing or not right; the message has its name and line.
        ValueError: a number out of range, or no pairs left.

    Example:
        >>> data = load("builtin", num_steps=8)
        >>> data.assets["target_vocabulary"][:4]
        ['<unk>', '<pad>', '<bos>', '<eos>']
    """
    if longer not in ("cut", "drop"):
        raise ValueError(f"`longer` must be cut or drop. Received: longer={longer!r}.")
    if weights not in ("tokens", "steps", None):
        raise ValueError(f"`weights` must be tokens, steps or None. Received: {weights!r}.")
    if num_steps < 2:
        raise ValueError(f"`num_steps` must be at least 2. Received: num_steps={num_steps}.")
    source = Source.of(source)
    limit = num_steps - 1 if longer == "drop" else None
    splits = pairs(
        source, corpus=corpus, num_examples=num_examples, num_test=num_test, max_words=limit
    )
    text.check_size(side for found in splits.values() for pair in found for side in pair)
    tokens = {split: tokenize_pairs(found) for split, found in splits.items()}
    if not tokens["train"][0]:
        raise ValueError(f"no pair has at most {limit} words. Use a larger num_steps.")
    vocabs = [
        known_or_counted(
            source.known(f"{side}_vocabulary"), t, min_freq=min_freq, reserved_tokens=RESERVED
        )
        for side, t in zip(("source", "target"), tokens["train"], strict=True)
    ]
    batches = {}
    for split, sides in tokens.items():
        (x, x_lengths), (y, y_lengths) = (
            build_array(lines, vocab, num_steps) for lines, vocab in zip(sides, vocabs, strict=True)
        )
        shifted = np.concatenate([np.full_like(y[:, :1], BOS), y[:, :-1]], axis=1)
        arrays = ({"source": x, "source_lengths": x_lengths, "decoder_input": shifted}, y)
        batches[split] = pipeline.from_arrays(
            (*arrays, y_lengths),
            batch_size=batch_size,
            seed=source.seed if split == "train" else None,
            transform=_weigh(weights),
        )
    return pipeline.make_data(
        batches["train"],
        valid=batches.get("valid"),
        test=batches.get("test"),
        features={
            "source": TensorSpec((num_steps,), "int32"),
            "source_lengths": TensorSpec((), "int32"),
            "decoder_input": TensorSpec((num_steps,), "int32"),
        },
        assets={
            "source_vocabulary": vocabs[0].tokens,
            "target_vocabulary": vocabs[1].tokens,
            "tokenizer": TOKENIZER.to_assets(),
            "num_steps": num_steps,
        },
    )


def pairs(
    source: Source | str | None = None,
    *,
    corpus: Literal["multi30k", "fra"] = "multi30k",
    num_examples: int | None = None,
    num_test: int = 128,
    max_words: int | None = None,
) -> dict[str, Pairs]:
    """Read the sentence pairs themselves, e.g. as references of a BLEU score.

    Args:
        source: Source or the name of its kind. Files: DIR/multi30k/train.en.gz and so on;
            DIR/fra-eng/fra.txt, `English<tab>French` in each line, more columns are ignored.
        corpus: "multi30k" or "fra".
        num_examples: int, exactly so many training pairs from the beginning; None: all.
        num_test: int, of a corpus without a test set: the pairs that follow those of the training
            and whose English is not among theirs.
        max_words: int, training pairs must not have more words on either side; None: any number.

    Returns:
        "train", "valid" (Multi30k only), "test" -> list of (English, French), raw.

    Raises:
        DataError: as `load`.
    """
    if corpus not in ("multi30k", "fra"):
        raise ValueError(f"`corpus` must be multi30k or fra. Received: corpus={corpus!r}.")
    for name, value in (("num_examples", num_examples), ("num_test", num_test)):
        if value is not None and value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")
    source = Source.of(source)
    splits = _read_multi30k(source) if corpus == "multi30k" else _read_fra(source)
    train = splits["train"]
    if max_words is not None:
        train = [p for p in train if all(len(TOKENIZER(side)) <= max_words for side in p)]
    splits["train"] = train[:num_examples]
    if "test" not in splits:
        seen = {english for english, _ in splits["train"]}
        rest = [pair for pair in train[len(splits["train"]) :] if pair[0] not in seen]
        if rest:
            splits["test"] = rest[:num_test]
    return splits


def tokenize_pairs(found: Sequence[tuple[str, str]]) -> tuple[list[list[str]], list[list[str]]]:
    """Clean pairs and cut them into words; return (source lines, target lines).

    Example:
        >>> tokenize_pairs([("Go.", "Va !")])
        ([['go', '.']], [['va', '!']])
    """
    return [TOKENIZER(english) for english, _ in found], [TOKENIZER(french) for _, french in found]


def build_array(
    lines: Sequence[Sequence[str]], vocab: Vocab, num_steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Turn lines of tokens into numbers with `<eos>`, cut or padded to T, and their lengths.

    Args:
        lines: B lists of tokens.
        vocab: with `<pad>` and `<eos>`.
        num_steps: int, T.

    Returns:
        ((B, T) int32, (B,) int32); a length counts what is not padding, `<eos>` included.
    """
    ids = [[*vocab[list(line)], vocab["<eos>"]] for line in lines]
    return text.pad_batch(ids, vocab["<pad>"], num_steps)


def read_parallel(source_path: Path, target_path: Path) -> Pairs:
    """Read two files of UTF-8 sentences whose lines belong together, plain or gzipped.

    Raises:
        DataError: different numbers of lines, or an empty line; with file and line.
    """
    sides = text.read_lines(source_path), text.read_lines(target_path)
    if len(sides[0]) != len(sides[1]):
        raise DataError(
            f"{source_path} has {len(sides[0])} lines, {target_path} has {len(sides[1])}. "
            "Line n of one must be the translation of line n of the other."
        )
    for path, lines in zip((source_path, target_path), sides, strict=True):
        _refuse_empty(path, lines)
    return list(zip(*sides, strict=True))


def read_tabbed(path: Path) -> Pairs:
    """Read a file of `source<tab>target[<tab>anything]` in each line, as Tatoeba's exports.

    Raises:
        DataError: a line without tab, with an empty sentence, or no lines; with file and line.
    """
    lines = text.read_lines(path)
    _refuse_empty(path, lines)
    found = []
    for number, line in enumerate(lines, 1):
        columns = line.split("\t")
        if len(columns) < 2 or not columns[0].strip() or not columns[1].strip():
            raise DataError(
                f"{path}, line {number}: expected a sentence, a tab and its translation, "
                f"received {line[:60]!r}."
            )
        found.append((columns[0], columns[1]))
    return found


def builtin() -> dict[str, Pairs]:
    """Make pairs of dates, amounts and times from CLDR through Babel; every tenth is for the test.

    No pair is twice. The same on every machine with the same CLDR (Babel's release decides).
    """
    return {split: list(found) for split, found in _made().items()}


@functools.cache
def _made() -> dict[str, Pairs]:
    rng = np.random.RandomState(0)  # numpy's frozen stream
    first = datetime.date(1950, 1, 1)
    found: dict[tuple[str, str], None] = {}
    for days in rng.randint(0, 365 * 100, 4000):
        day = first + datetime.timedelta(days=int(days))
        layout = ("full", "long", "MMMM y", "EEEE d MMMM")[rng.randint(4)]
        found[_both(dates.format_date, day, layout)] = None
    for number in range(2, 100):  # a singular would be there once only, too rare to be learned
        for unit in _UNITS:
            found[_both(units.format_unit, number, unit)] = None
    for unit, seconds in _TIMES.items():
        for number in range(2, 61):
            for sign in (1, -1):
                delta = datetime.timedelta(seconds=sign * number * seconds)
                options = {"granularity": unit, "threshold": 1e9, "add_direction": True}
                found[_both(dates.format_timedelta, delta, **options)] = None
    known = list(found)
    mixed = [known[i] for i in rng.permutation(len(known))]
    is_test = [place % 10 == 0 for place in range(len(mixed))]
    return {
        "train": [pair for pair, held in zip(mixed, is_test, strict=True) if not held],
        "test": [pair for pair, held in zip(mixed, is_test, strict=True) if held],
    }


_UNITS = (
    "length-kilometer",
    "length-meter",
    "length-mile",
    "mass-kilogram",
    "mass-gram",
    "volume-liter",
    "duration-day",
    "duration-week",
    "temperature-celsius",
    "area-hectare",
)
_TIMES = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 7 * 86400}


def _both(write, *values, **options) -> tuple[str, str]:
    """Return what a function of Babel writes in English and in French."""
    return tuple(write(*values, locale=locale, **options) for locale in ("en", "fr"))


def _read_multi30k(source: Source) -> dict[str, Pairs]:
    folder = resolve(
        source,
        "multi30k",
        tuple(_HASHES),
        lambda folder: downloads.fetch(folder, _HASHES, (MULTI30K,), source, max_bytes=1 << 24),
    )
    if folder is None:
        return builtin()
    return {
        split: read_parallel(*(file_in(folder, f"{name}.{side}.gz") for side in ("en", "fr")))
        for split, name in _SPLITS.items()
    }


def _read_fra(source: Source) -> dict[str, Pairs]:
    def fetch(folder: Path) -> None:
        packed = downloads.download(
            FRA_URL,
            folder.parent / "fra-eng.zip",
            FRA_SHA1,
            max_bytes=1 << 26,
            timeout=source.timeout,
            retries=source.retries,
        )
        members = archive.read_members(packed, max_files=10, max_bytes=1 << 28)
        wanted = [content for name, content in members if name == "fra-eng/fra.txt"]
        if not wanted:
            raise DataError(f"{packed} has no fra-eng/fra.txt")
        folder.mkdir(parents=True, exist_ok=True)
        files.write_whole(folder / "fra.txt", wanted[0])

    folder = resolve(source, "fra-eng", ("fra.txt",), fetch)
    return builtin() if folder is None else {"train": read_tabbed(folder / "fra.txt")}


def _refuse_empty(path: Path, lines: Sequence[str]) -> None:
    if not lines:
        raise DataError(f"{path} is empty. Get the file anew.")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise DataError(f"{path}, line {number}: an empty line where a sentence should be.")


def _weigh(weights: str | None):
    """Return what batches go through: the lengths of the labels become weights, or nothing."""

    def transform(x: Mapping[str, tf.Tensor], y: tf.Tensor, lengths: tf.Tensor) -> tuple:
        if weights is None:
            return x, y
        real = tf.sequence_mask(lengths, y.shape[1], tf.float32)  # (B, T)
        if weights == "tokens":
            # of the whole batch: replicas that share it then agree on the number of tokens
            real *= tf.cast(tf.size(real), tf.float32) / tf.reduce_sum(real)
        return x, y, real

    return transform
