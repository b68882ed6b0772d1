"""Penn Treebank: a million words of the Wall Street Journal, for word vectors.

Sections: "word-embedding-dataset", "glove". Built in: English that CPython ships.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data import archive, downloads, pipeline, subwords, text, word_windows
from kerasd2l.data.huffman import huffman_paths
from kerasd2l.data.sets.time_machine import help_texts
from kerasd2l.data.source import DataError, Source, resolve
from kerasd2l.data.text import Tokenizer
from kerasd2l.data.vocab import Vocab, known_or_counted
from kerasd2l.data.word_windows import Sentences
from kerasd2l.recipe import Data, TensorSpec

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

FILE, TRAIN = "ptb.zip", "ptb.train.txt"
SHA1 = "319d85e578af0cdc590547f26231e4e31cdf1e42"
URL = "https://d2l-data.s3-accelerate.amazonaws.com/ptb.zip"
TOKENIZER = Tokenizer("word")


def lines(source: Source | str | None = None) -> list[str]:
    """Read the training text, a sentence a line.

    Args:
        source: Source or the name of its kind. Files: DIR/ptb/ptb.zip, the book's archive, or
            DIR/ptb/ptb.train.txt.

    Returns:
        42068 lines; built in: some 3,000 lines of Python's own help texts.

    Raises:
        DataError: the file is not to be had or not right.
    """
    source = Source.of(source)
    plain = Path(source.data_dir or ".") / "ptb" / TRAIN
    if source.kind in ("auto", "files") and source.data_dir and plain.is_file():
        return _some(plain, text.read_lines(plain))
    options: dict[str, Any] = {"timeout": source.timeout, "retries": source.retries}
    folder = resolve(
        source,
        "ptb",
        (FILE,),
        lambda folder: downloads.download(URL, folder / FILE, SHA1, max_bytes=1 << 26, **options),
    )
    if folder is None:
        return help_texts()
    path = folder / FILE
    with archive.opened_member(path, lambda name: name.endswith(TRAIN)) as (name, file):
        return _some(path, text.lines_of(file, f"{path}, {name}"))


def read_ptb(source: Source | str | None = None) -> list[list[str]]:
    """Read the sentences as lists of words. Section: "word-embedding-dataset".

    42068 of them; the book has an empty one more, for what follows the last line's end.
    """
    return [TOKENIZER(line) for line in lines(source)]


def sentences(source: Source | str | None = None, *, min_freq: int = 10) -> tuple[Sentences, Vocab]:
    """Read the text as numbers, and its vocabulary. Section: "word-embedding-dataset".

    Args:
        source: Source or the name of its kind; the words of an earlier run keep their numbers.
        min_freq: int >= 1, rarer words become `<unk>`.

    Raises:
        DataError: as `lines`. ValueError: no word is as frequent as `min_freq`.
    """
    source = Source.of(source)
    found = lines(source)
    text.check_size(found)
    # cut twice: a list of all words takes more memory than the text
    vocab = known_or_counted(source.known("vocabulary"), map(TOKENIZER, found), min_freq=min_freq)
    lengths = np.zeros(len(found), np.int64)

    def words():
        for number, line in enumerate(found):
            line_words = TOKENIZER(line)
            lengths[number] = len(line_words)
            yield line_words

    ids = np.fromiter(vocab.numbers(itertools.chain.from_iterable(words())), np.int32)
    return Sentences(ids, lengths), vocab


def load(
    source: Source | str | None = None,
    *,
    batch_size: int = 512,
    max_window: int = 5,
    num_noise_words: int = 5,
    min_freq: int = 10,
    threshold: float | None = None,
    inputs: Literal["center", "contexts", "subwords"] = "center",
    outputs: Literal["noise", "tree"] = "noise",
    weights: Literal["centers", "entries"] = "centers",
    parts: subwords.Subwords | None = None,
) -> Data:
    """Load batches of words and their neighbours. Section: "word-embedding-dataset".

    Args:
        source: Source, or the name of its kind: "auto" (default), "builtin", "files", "download".
        batch_size: int B, words in the middle of a window.
        max_window: int W >= 1, the largest window; each is drawn from 1 to W.
        num_noise_words: int K >= 1, noise words for each neighbour.
        min_freq: int >= 1, rarer words are left out.
        threshold: float > 0, a smaller one leaves out more of the frequent words. None: the book's
            1e-4; 1e-2 of the built-in text, of which the book's would leave nothing to learn.
        inputs: what predicts: "center" (skip-gram: the word in the middle predicts each neighbour),
            "contexts" (CBOW: the neighbours predict the word in the middle), "subwords" (fastText:
            the word in the middle and its character n-grams).
        outputs: what is predicted of a word: "noise" (it, and not K noise words) or "tree" (the
            turns on the way to it in Huffman's tree).
        weights: the loss is the mean over "centers" of each one's mean, as in the book, or over all
            real "entries" of the global batch.
        parts: how words are cut, of "subwords".

    Returns:
        Data: x {"inputs" (B,) or (B, C) int32, "outputs" (B, M) int32}, labels (B, M) float32, 1
        where an output is right, and weights (B, M) float32, 0 where nothing is (number 0). M is
        2 W (1 + K) with noise words. assets["vocabulary"], ["tokenizer"], with subwords
        ["subwords"].

    Raises:
        DataError: as `lines`. ValueError: a number out of range, or no pair of words left.
    """
    source = Source.of(source)
    if threshold is None:
        threshold = 1e-2 if source.kind == "builtin" else 1e-4
    numbers = {"max_window": max_window, "num_noise_words": num_noise_words, "min_freq": min_freq}
    _check(**numbers)
    _check_positive("threshold", threshold)
    whole, vocab = sentences(source, min_freq=min_freq)
    thinned, counts = word_windows.subsample(
        whole, len(vocab), threshold=threshold, seed=source.seed
    )
    if not len(thinned.ids):
        raise ValueError("no sentence keeps two words. Use a smaller min_freq or more text.")
    parts = parts or subwords.Subwords()
    table = parts.table(vocab.tokens) if inputs == "subwords" else None
    predicted = _tree(counts) if outputs == "tree" else _noise(counts, num_noise_words)
    ids = thinned.ids

    def windows(place, first, end, seed):
        seeds = tf.random.split(seed)
        contexts = word_windows.draw_contexts(
            ids, place, first, end, max_window=max_window, seed=seeds[0]
        )
        centers = tf.gather(ids, place)
        targets = centers[:, None] if inputs == "contexts" else contexts
        given = {"center": centers, "contexts": contexts}.get(inputs)
        given = tf.gather(table, centers) if given is None else given
        found, labels = predicted(targets, seeds[1])
        x = {"inputs": given, "outputs": found}
        return x, labels, word_windows.weigh(found > 0, weights)

    batches = pipeline.from_arrays(
        thinned.places(), batch_size=batch_size, seed=source.seed, augment=windows
    )
    spec = batches.dataset.element_spec[0]
    assets = {"vocabulary": vocab.tokens, "tokenizer": TOKENIZER.to_assets()}
    return pipeline.make_data(
        batches,
        features={name: TensorSpec(tuple(spec[name].shape[1:]), "int32") for name in spec},
        assets=assets | ({"subwords": parts.to_assets()} if inputs == "subwords" else {}),
    )


def load_cooccurrences(
    source: Source | str | None = None,
    *,
    batch_size: int = 1024,
    window: int = 5,
    min_freq: int = 10,
    largest: float = 100.0,
    power: float = 0.75,
) -> Data:
    """Load the pairs of words that stand near each other, and how often. Section: "glove".

    Args:
        source: as `load`.
        batch_size: int B, pairs.
        window: int >= 1, words apart at most; d words apart count 1 / d.
        min_freq: int >= 1, rarer words are left out.
        largest: float > 0, c: a count from which on pairs weigh the same.
        power: float >= 0, the exponent below.

    Returns:
        Data: x {"inputs" (B,) int32, "outputs" (B,) int32}, labels (B, 1) float32, the logarithm
        of the count x, and weights (B,) float32, h(x) = min(x / c, 1)^power.

    Raises:
        DataError: as `lines`. ValueError: a number out of range, or no pair of words.
    """
    _check(window=window, min_freq=min_freq)
    _check_positive("largest", largest)
    source = Source.of(source)
    whole, vocab = sentences(source, min_freq=min_freq)
    words, contexts, counts = word_windows.cooccurrences(whole, len(vocab), window=window)
    if not len(words):
        raise ValueError("no two known words stand near each other. Use a smaller min_freq.")
    weights = (np.minimum(counts / largest, 1) ** power).astype(np.float32)
    batches = pipeline.from_arrays(
        ({"inputs": words, "outputs": contexts}, np.log(counts)[:, None], weights),
        batch_size=batch_size,
        seed=source.seed,
    )
    return pipeline.make_data(
        batches,
        features={name: TensorSpec((), "int32") for name in ("inputs", "outputs")},
        assets={"vocabulary": vocab.tokens, "tokenizer": TOKENIZER.to_assets()},
    )


def _noise(counts: np.ndarray, number: int) -> Callable:
    """Return targets (B, C) -> targets and noise words (B, C + C K), labels."""
    noise = word_windows.Noise(counts)

    def predicted(targets, seed):
        negatives = word_windows.draw_negatives(noise, targets, number, seed)
        labels = tf.concat([tf.cast(targets > 0, tf.float32), tf.zeros(tf.shape(negatives))], 1)
        return tf.concat([targets, negatives], axis=1), labels

    return predicted


def _tree(counts: np.ndarray) -> Callable:
    """Return targets (B, C) -> nodes on the way to them (B, C L), the turns to take."""
    nodes, turns = huffman_paths(counts)

    def predicted(targets, seed):
        size = (-1, targets.shape[1] * nodes.shape[1])
        labels = tf.cast(tf.gather(turns, targets), tf.float32)
        return tf.reshape(tf.gather(nodes, targets), size), tf.reshape(labels, size)

    return predicted


def _check(**least_one: int) -> None:
    for name, value in least_one.items():
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")


def _check_positive(name: str, value: float) -> None:
    if not 0 < value < float("inf"):
        raise ValueError(f"`{name}` must be a positive number. Received: {name}={value}.")


def _some(path: Path, found: Sequence[str]) -> list[str]:
    if not any(line.strip() for line in found):
        raise DataError(f"{path} is empty. Get the file anew.")
    return list(found)
