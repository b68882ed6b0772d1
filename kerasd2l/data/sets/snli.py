"""Pairs of sentences and what the first says of the second: SNLI, SICK; built in: journeys.

Sections: "natural-language-inference-and-dataset", "natural-language-inference-bert".
"""

from __future__ import annotations

import logging
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data import archive, bert_inputs, downloads, pipeline, word_pieces
from kerasd2l.data.sets import entailment_files, journeys
from kerasd2l.data.sets.entailment_files import CLASS_NAMES, Pair
from kerasd2l.data.source import DataError, Source, resolve
from kerasd2l.data.text import PROSE, Tokenizer
from kerasd2l.data.words import WordTable
from kerasd2l.recipe import Data, TensorSpec

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

Corpus = Literal["snli", "snli_parts", "sick"]
FOLDER = "snli"
ARCHIVE = "snli_1.0.zip"
URL = "https://nlp.stanford.edu/projects/snli/"
SHA1 = "9fcde07509c7e87ec61c640c1b2753d9041758e4"
TOKENIZERS = {"clean": Tokenizer("word", PROSE), "book": Tokenizer("word", lower=False)}
FEATURES = ("premise", "premise_lengths", "hypothesis", "hypothesis_lengths")
_SPLITS = {
    "snli": {"train": "snli_1.0_train", "valid": "snli_1.0_dev", "test": "snli_1.0_test"},
    "snli_parts": {"train": "snli_1.0_dev.part", "test": "snli_1.0_test.part"},
}
_ENDINGS = (".txt", ".txt.gz", ".jsonl", ".jsonl.gz")

_log = logging.getLogger(__name__)


def load(
    source: Source | str | None = None,
    *,
    corpus: Corpus = "snli",
    batch_size: int = 256,
    num_steps: int = 50,
    min_freq: int = 5,
    words: Literal["clean", "book"] = "clean",
) -> Data:
    """Load pairs of sentences as padded words with their lengths.

    The files are read a line at a time; of each sentence its first words are kept, as numbers.

    Args:
        source: Source, or the name of its kind: "auto" (default), "builtin", "files", "download".
        corpus: see `pairs`; the built-in pairs stand in for all.
        batch_size: int B, the global batch.
        num_steps: int T, words of a sentence; what is longer loses its end.
        min_freq: int, words that are rarer in the training pairs become `<unk>`.
        words: "clean" (lower case, signs apart: a served model cuts sentences in the same way) or
            "book" (the words of SNLI's parses as they are; a served model cuts at white space).

    Returns:
        Data: x {"premise": (B, T) int32, "premise_lengths": (B,) int32, "hypothesis" and
        "hypothesis_lengths" alike}, y (B,) int32: 0 entailment, 1 contradiction, 2 neutral. Padding
        is `<pad>` = 1; a batch has the T of its longest sentence. assets["class_names"],
        ["vocabulary"], ["tokenizer"], ["num_steps"].

    Raises:
        DataError: the files are not to be had or not right; with file and line.
        ValueError: a number out of range, or another corpus or other words.

    Example:
        >>> load("builtin", batch_size=4).features["premise"].shape
        (None,)
    """
    if words not in TOKENIZERS:
        raise ValueError(f"`words` must be clean or book. Received: words={words!r}.")
    source = Source.of(source)
    table = WordTable(TOKENIZERS[words], num_steps)
    splits = _numbers(source, corpus, table, parsed=words == "book")
    vocab = table.vocabulary(source.known("vocabulary"), min_freq=min_freq)
    batches = {}
    for split, (premises, hypotheses, labels) in splits.items():
        padded = (*table.pad(premises, vocab), *table.pad(hypotheses, vocab))
        batches[split] = pipeline.from_arrays(
            (dict(zip(FEATURES, padded, strict=True)), np.array(labels, np.int32)),
            batch_size=batch_size,
            seed=source.seed if split == "train" else None,
            transform=_cut,
        )
    specs = (TensorSpec((None,), "int32"), TensorSpec((), "int32"))
    return pipeline.make_data(
        batches["train"],
        valid=batches.get("valid"),
        test=batches["test"],
        features=dict(zip(FEATURES, specs * 2, strict=True)),
        assets={
            "class_names": list(CLASS_NAMES),
            "vocabulary": vocab.tokens,
            "tokenizer": TOKENIZERS[words].to_assets(),
            "num_steps": num_steps,
        },
    )


def load_for_bert(
    source: Source | str | None = None,
    *,
    corpus: Corpus = "snli",
    batch_size: int = 512,
    max_len: int = 128,
    min_freq: int = 5,
    vocabulary: Sequence[str] | None = None,
    tokenizer: Tokenizer | None = None,
) -> Data:
    """Load pairs of sentences as BERT reads them. Section: "natural-language-inference-bert".

    Args:
        source: Source, or the name of its kind: "auto" (default), "builtin", "files", "download".
        corpus: see `pairs`; the built-in pairs stand in for all.
        batch_size: int B, the global batch.
        max_len: int, the most tokens of a pair, its three signs included; of what is longer the
            longer sentence loses its last words first.
        min_freq: int, words that are rarer in the training pairs become `<unk>`.
        vocabulary: the tokens of a pre-trained model; None: those of the training pairs.
        tokenizer: that of a pre-trained model; None: `bert_inputs.TOKENIZER`.

    Returns:
        Data: x {"tokens" (B, T), "segments" (B, T), "valid_lens" (B,)} int32, y (B,) int32: 0
        entailment, 1 contradiction, 2 neutral; a batch has the T of its longest pair.
        assets["class_names"], ["vocabulary"], ["tokenizer"], ["max_len"].

    Raises:
        DataError: the files are not to be had or not right; with file and line.
        ValueError: a number out of range, or another corpus.

    Example:
        >>> load_for_bert("builtin", batch_size=4).assets["vocabulary"][:3]
        ['<unk>', '<pad>', '<mask>']
    """
    bert_inputs.check_max_len(max_len)
    source = Source.of(source)
    known, tokenizer = bert_inputs.reading(source, vocabulary, tokenizer)
    table = WordTable(word_pieces.reader(tokenizer, known), max_len)
    splits = _numbers(source, corpus, table)
    vocab = table.vocabulary(known, min_freq=min_freq, reserved_tokens=bert_inputs.RESERVED)

    def join(premise: tuple, hypothesis: tuple, label: tf.Tensor) -> tuple[dict, tf.Tensor]:
        return bert_inputs.join(premise, hypothesis, max_len), label

    batches = {
        split: pipeline.from_arrays(
            (table.pad(premises, vocab), table.pad(hypotheses, vocab), np.array(labels, np.int32)),
            batch_size=batch_size,
            seed=source.seed if split == "train" else None,
            transform=join,
        )
        for split, (premises, hypotheses, labels) in splits.items()
    }
    return pipeline.make_data(
        batches["train"],
        valid=batches.get("valid"),
        test=batches["test"],
        features=bert_inputs.features(None),
        assets={
            "class_names": list(CLASS_NAMES),
            "vocabulary": vocab.tokens,
            "tokenizer": tokenizer.to_assets(),
            "max_len": max_len,
        },
    )


def _numbers(
    source: Source, corpus: Corpus, table: WordTable, *, parsed: bool = False
) -> dict[str, tuple[list[array], list[array], list[int]]]:
    """Return the premises, hypotheses and labels of each split, in the numbers of a table."""
    splits = {}
    for split, found in pairs(source, corpus=corpus, parsed=parsed).items():
        sides: tuple[list[array], list[array], list[int]] = ([], [], [])
        for premise, hypothesis, label in found:
            sides[0].append(table.encode(premise, count=split == "train"))
            sides[1].append(table.encode(hypothesis, count=split == "train"))
            sides[2].append(label)
        splits[split] = sides
    return splits


def _cut(x: Mapping[str, tf.Tensor], y: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """Leave out what is padding in the whole batch: of 50 words most pairs have 10 to 20."""
    cut = dict(x)
    for side in ("premise", "hypothesis"):
        longest = tf.maximum(tf.reduce_max(x[f"{side}_lengths"]), 1)
        cut[side] = x[side][:, :longest]
    return cut, y


def pairs(
    source: Source | str | None = None, *, corpus: Corpus = "snli", parsed: bool = False
) -> dict[str, Iterator[Pair]]:
    """Read the pairs of each split, one at a time: (premise, hypothesis, label).

    Args:
        source: Source or the name of its kind. Files, in DIR/snli: snli_1.0_train, _dev and _test,
            each as .txt or .jsonl, plain or .gz, there or in DIR/snli/snli_1.0; or SICK.txt.
        corpus: "snli"; "snli_parts" (snli_1.0_dev.part to train on, snli_1.0_test.part to test on);
            or "sick", which has no splits: every fifth block of ten pair_IDs is for the test,
            since neighbours share sentences.
        parsed: bool, the words of SNLI's binary parses, without parentheses, as the book reads
            them, instead of the sentences.

    Returns:
        "train", "test" and with SNLI's own files "valid". Pairs without a gold label, `-`, are left
        out; the log says how many.

    Raises:
        DataError: the files are not to be had; and while reading, with file and line.
        ValueError: another corpus.
    """
    if corpus not in (*_SPLITS, "sick"):
        raise ValueError(f"`corpus` must be snli, snli_parts or sick. Received: corpus={corpus!r}.")
    source = Source.of(source)
    if source.kind == "builtin":
        return {split: iter(found) for split, found in journeys.pairs().items()}
    if corpus == "sick":
        path = (resolve(source, FOLDER, ("SICK.txt",)) or Path()) / "SICK.txt"
        return {split: _told(path, entailment_files.read_sick(path, split)) for split in _SICK}
    paths = _own(source, corpus)
    if paths is None:
        paths = _fetched(source, corpus)
    return {
        split: _told(path, entailment_files.read_snli(path, parsed=parsed))
        for split, path in paths.items()
    }


_SICK = ("train", "test")


def _told(path: Path, found: Iterator[Pair | None]) -> Iterator[Pair]:
    """Yield the pairs that have a label, and say how many have none."""
    kept = dropped = 0
    for pair in found:
        if pair is None:
            dropped += 1
        else:
            kept += 1
            yield pair
    if not kept:
        raise DataError(f"{path} has no pair with a label. Get the file anew.")
    if dropped:
        _log.info("%s: %d pairs without a gold label are left out", path.name, dropped)


def _own(source: Source, corpus: str) -> dict[str, Path] | None:
    """Return the user's own file of each split, whatever its format, or None."""
    if source.kind not in ("auto", "files") or source.data_dir is None:
        return None
    for folder in (Path(source.data_dir) / FOLDER, Path(source.data_dir) / FOLDER / "snli_1.0"):
        found = _files(folder, corpus)
        if found is not None:
            return found
    return None


def _files(folder: Path, corpus: str) -> dict[str, Path] | None:
    found = {}
    for split, name in _SPLITS[corpus].items():
        there = [folder / (name + end) for end in _ENDINGS if (folder / (name + end)).is_file()]
        if not there:
            return None
        found[split] = there[0]
    return found


def _fetched(source: Source, corpus: str) -> dict[str, Path]:
    """Return the files of a download; or say how to get them."""
    if corpus == "snli_parts":
        names = [f"{name}.txt" for name in _SPLITS[corpus].values()]
        resolve(source, FOLDER, names, builtin=True)  # raises: they are not there
    names = [f"snli_1.0/{name}.txt" for name in _SPLITS[corpus].values()]

    def fetch(folder: Path) -> None:
        beside = folder.parent
        downloads.fetch(beside, {ARCHIVE: SHA1}, (URL,), source, max_bytes=1 << 28)
        archive.unpack(beside / ARCHIVE, folder, only=names)

    folder = resolve(source, FOLDER, names, fetch)
    if folder is None:  # built in, which `pairs` has asked already
        raise DataError(f"{FOLDER} has no files.")
    return dict(zip(_SPLITS[corpus], (folder / name for name in names), strict=True))
