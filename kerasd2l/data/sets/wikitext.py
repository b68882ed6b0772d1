"""WikiText-2: paragraphs of Wikipedia to pre-train BERT on; built in: Python's own help texts.

Section: "bert-dataset". Pairs of sentences, half of which follow each other, with words masked.
"""

from __future__ import annotations

import array
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kerasd2l.data import archive, bert_inputs, downloads, files, pipeline, text
from kerasd2l.data.sets import time_machine
from kerasd2l.data.source import DataError, Source, resolve
from kerasd2l.data.text import LETTERS, Tokenizer
from kerasd2l.data.vocab import Vocab, known_or_counted
from kerasd2l.recipe import Data

Split = Literal["train", "valid", "test"]
Paragraphs = list[list[str]]
URL = "https://s3.amazonaws.com/research.metamind.io/wikitext/wikitext-2-v1.zip"
SHA1 = "3c914d17d80b1459be871a5039ac23e752a53cbe"
_SPLITS = ("train", "valid", "test")
_CHUNK = 1024  # pairs made at once
_END = re.compile(r"(?<=[.!?:;])\s+")


def paragraphs(source: Source | str | None = None, *, split: Split = "train") -> Paragraphs:
    """Read the paragraphs of a split that have two sentences or more, in the order of the file.

    Args:
        source: Source or the name of its kind. Files: DIR/wikitext-2/wiki.train.tokens (or
            train.txt) and likewise valid and test.
        split: "train", "valid" or "test". Built in, every tenth paragraph is for the test, the
            one before it for validation.

    Returns:
        Each a list of sentences, lower case, words between spaces; without the full stops in
        between, as in the book.

    Raises:
        DataError: the file is not to be had or not right.

    Example:
        >>> len(paragraphs("builtin")[0]) >= 2
        True
    """
    if split not in _SPLITS:
        raise ValueError(f"`split` must be train, valid or test. Received: split={split!r}.")
    path = _file(Source.of(source), split)
    if path is None:
        place = _SPLITS.index(split)
        held = [(0, 0), (8, 9), (9, 10)][place]
        inside = range(*held) if place else range(8)
        return [p for i, p in enumerate(_help_paragraphs()) if i % 10 in inside]
    lines, found = text.read_lines(path), []
    lines.reverse()
    while lines:  # each is let go when it is cut: the text is not held twice
        sentences = lines.pop().strip().lower().split(" . ")
        if len(sentences) >= 2:
            found.append(sentences)
    if len(found) < 2:
        raise DataError(
            f"{path} has {len(found)} paragraphs of two sentences or more, one a line, sentences "
            "ended by ' . '. Expected: WikiText's file of tokens."
        )
    return found


def load(
    source: Source | str | None = None,
    *,
    batch_size: int = 512,
    max_len: int = 64,
    min_freq: int = 5,
    max_pairs: int | None = None,
    train: Split = "train",
    test: Split = "valid",
) -> Data:
    """Load pairs of sentences with masked words, as BERT is pre-trained on.

    The pairs are made once: sentence and next one, or in half of the cases a sentence of another
    paragraph. Words are masked anew in each epoch (the book masks once), always the same for the
    same seed and epoch; those of the test set are always the same.

    Args:
        source: Source, or the name of its kind: "auto" (default), "builtin", "files", "download".
        batch_size: int B, the global batch.
        max_len: int T, tokens of a pair with its three signs; longer pairs are left out.
        min_freq: int, rarer words of the training become `<unk>`. Default: 5.
        max_pairs: int, train on so many pairs, drawn at random; None: on all.
        train: the split to train on.
        test: the split to test on.

    Returns:
        Data: x {"tokens" (B, T), "segments" (B, T), "valid_lens" (B,), "pred_positions" (B, P)},
        y {"mlm" (B, P), "nsp" (B,)}, all int32, P = round(0.15 T); 1: the second sentence follows.
        Labels of places without a prediction are `<pad>`, 1; weights for the labels make a mean
        that of the real ones. assets["vocabulary"], ["tokenizer"], ["max_len"].

    Raises:
        DataError: a file is missing or not right. ValueError: a number out of range, no pairs.

    Example:
        >>> data = load("builtin", batch_size=4, max_len=32, min_freq=2)
        >>> data.assets["vocabulary"][:5]
        ['<unk>', '<pad>', '<mask>', '<cls>', '<sep>']
    """
    bert_inputs.check_max_len(max_len)
    if max_pairs is not None and max_pairs < 1:
        raise ValueError(f"`max_pairs` must be at least 1. Received: max_pairs={max_pairs}.")
    if train == test:
        raise ValueError(f"`train` and `test` must be two splits. Received: both {train!r}.")
    source = Source.of(source)
    texts = {"train": paragraphs(source, split=train), "test": paragraphs(source, split=test)}
    text.check_size(sentence for found in texts.values() for p in found for sentence in p)
    vocab = known_or_counted(
        source.known("vocabulary"),
        _tokens(texts["train"]),
        min_freq=min_freq,
        reserved_tokens=bert_inputs.RESERVED,
    )
    splits = {
        split: sentence_pairs(texts.pop(split), vocab, max_len, seed=seed)
        for split, seed in (("train", source.seed), ("test", 0))
    }
    if max_pairs is not None and max_pairs < len(splits["train"]["nsp"]):
        drawn = np.random.default_rng([source.seed, 1]).permutation(len(splits["train"]["nsp"]))
        kept = drawn[:max_pairs]
        splits["train"] = {key: array[kept] for key, array in splits["train"].items()}
    num_preds = bert_inputs.most_predictions(max_len)
    return pipeline.make_data(
        _training(splits["train"], batch_size, source.seed, len(vocab), num_preds),
        test=_evaluation(splits["test"], batch_size, len(vocab), num_preds),
        features=bert_inputs.features(max_len, num_preds),
        assets={
            "vocabulary": vocab.tokens,
            "tokenizer": bert_inputs.TOKENIZER.to_assets(),
            "max_len": max_len,
        },
    )


def sentence_pairs(
    found: Paragraphs, vocab: Vocab, max_len: int, *, seed: int
) -> dict[str, np.ndarray]:
    """Make the pairs of neighbouring sentences, and put another second one into half of them.

    Args:
        found: paragraphs of two sentences or more, two paragraphs at least.
        vocab: with the reserved tokens of `bert_inputs`.
        max_len: int T; pairs that are longer, three signs included, are left out.
        seed: int, decides which second sentences are replaced, and by which.

    Returns:
        tokens (N, T) int32, first (N,) and second (N,) int32, the tokens of each sentence, and nsp
        (N,) int32, 1 where the second one follows.

    Raises:
        ValueError: no pair is short enough.
    """
    counts = np.array([len(sentences) for sentences in found])  # sentences of each paragraph
    ids, sizes = array.array("i"), array.array("i")  # compact: a text has millions of words
    for words in _tokens(found):
        ids.extend(vocab[words])
        sizes.append(len(words))
    flat, lengths = np.asarray(ids, np.int32), np.asarray(sizes, np.int64)
    several = len(found)
    del found, ids  # the words are not needed any more
    starts = np.concatenate([[0], np.cumsum(lengths)])[:-1]
    paragraph = np.repeat(np.arange(several), counts)
    begins = np.concatenate([[0], np.cumsum(counts)])[:-1]
    a = np.flatnonzero(paragraph[:-1] == paragraph[1:])  # all sentences but a paragraph's last
    rng = np.random.default_rng([seed, 0])
    follows = rng.random(len(a)) < 0.5
    elsewhere = rng.integers(0, several - 1, len(a))
    elsewhere += elsewhere >= paragraph[a]  # never the same paragraph: it might be the next one
    other = begins[elsewhere] + (rng.random(len(a)) * counts[elsewhere]).astype(int)
    b = np.where(follows, a + 1, other)
    short = np.flatnonzero(lengths[a] + lengths[b] + 3 <= max_len)
    if not len(short):
        raise ValueError(
            f"no pair of sentences has at most {max_len} tokens. Use a larger max_len."
        )
    a, b = a[short], b[short]
    tokens = np.empty((len(a), max_len), np.int32)
    for start in range(0, len(a), _CHUNK):
        some = slice(start, start + _CHUNK)
        one, two = ((starts[side[some], None], lengths[side[some], None]) for side in (a, b))
        tokens[some] = _lay_out(flat, one, two, max_len)
    return {
        "tokens": tokens,
        "first": lengths[a].astype(np.int32),
        "second": lengths[b].astype(np.int32),
        "nsp": follows[short].astype(np.int32),
    }


def _lay_out(flat: np.ndarray, first: tuple, second: tuple, max_len: int) -> np.ndarray:
    """Return `<cls>` first `<sep>` second `<sep>` `<pad>` ... of sentences (start, length)."""
    (start_a, long_a), (start_b, long_b) = first, second
    place = np.arange(max_len)[None]
    in_b = place - long_a - 2
    source = np.where(in_b < 0, start_a + place - 1, start_b + in_b)
    row = flat[np.clip(source, 0, len(flat) - 1)]
    row = np.where((in_b == -1) | (in_b == long_b), bert_inputs.SEP, row)
    row = np.where(in_b > long_b, bert_inputs.PAD, row)
    row[:, 0] = bert_inputs.CLS
    return row


def _training(
    pairs: dict[str, np.ndarray], batch_size: int, seed: int, vocab_size: int, num_preds: int
) -> pipeline.Batches:
    def augment(pair: dict, seed: Any) -> tuple:
        numbers = {"vocab_size": vocab_size, "num_preds": num_preds}
        return bert_inputs.weigh(*bert_inputs.mask(_inputs(pair), seed, **numbers), pair["nsp"])

    return pipeline.from_arrays((pairs,), batch_size=batch_size, seed=seed, augment=augment)


def _evaluation(
    pairs: dict[str, np.ndarray], batch_size: int, vocab_size: int, num_preds: int
) -> pipeline.Batches:
    numbers = {"vocab_size": vocab_size, "num_preds": num_preds}
    masked = bert_inputs.mask(_inputs(pairs), [0, 0], **numbers)
    arrays = (*masked, pairs["nsp"])
    return pipeline.from_arrays(arrays, batch_size=batch_size, transform=bert_inputs.weigh)


def _inputs(pair: dict) -> dict:
    """Return tokens, segments and lengths of pairs whose sentences have so many tokens."""
    place = np.arange(pair["tokens"].shape[1], dtype=np.int32)[None]
    start, end = pair["first"][:, None] + 2, pair["first"][:, None] + pair["second"][:, None] + 3
    inside = bert_inputs.tf.cast((place >= start) & (place < end), "int32")
    return {"tokens": pair["tokens"], "segments": inside, "valid_lens": end[:, 0]}


def _tokens(found: Paragraphs) -> Iterator[list[str]]:
    """Return the words of all sentences; one object for each different word."""
    return ([sys.intern(word) for word in s.split()] for sentences in found for s in sentences)


def _help_paragraphs() -> Paragraphs:
    """Return Python's help texts: letters only, lower case, cut where a sentence or clause ends."""
    topics = time_machine.help_topics()
    clean = Tokenizer("word", LETTERS).clean
    found = []
    for topic in topics:
        sentences = [clean(part) for part in _END.split(topic)]
        sentences = [sentence for sentence in sentences if " " in sentence]
        # eight sentences to a paragraph: the texts' own ones are too short
        found += [sentences[i : i + 8] for i in range(0, len(sentences), 8)]
    return [sentences for sentences in found if len(sentences) >= 2]


def _file(source: Source, split: str) -> Path | None:
    """Return the file of a split under either name, or None for the stand-in."""
    usual, short = f"wiki.{split}.tokens", f"{split}.txt"
    folder = None if source.data_dir is None else Path(source.data_dir) / "wikitext-2"
    if source.kind in ("auto", "files") and folder and not (folder / usual).is_file():
        if (folder / short).is_file():
            return folder / short
        there = [s for s in _SPLITS if _named(folder, s)]
        if there:
            raise DataError(
                f"{folder} lacks {usual} (or {short}); it has the splits {', '.join(there)}. Get "
                f"the file, or take others: --set train={there[0]}"
                + (f" --set test={there[1]}." if len(there) > 1 else ".")
            )

    def fetch(cache: Path) -> None:
        packed = downloads.download(
            URL,
            cache.parent / "wikitext-2-v1.zip",
            SHA1,
            max_bytes=1 << 24,
            timeout=source.timeout,
            retries=source.retries,
        )
        members = dict(archive.read_members(packed, max_files=10, max_bytes=1 << 26))
        cache.mkdir(parents=True, exist_ok=True)
        for name in (f"wiki.{s}.tokens" for s in _SPLITS):
            if f"wikitext-2/{name}" not in members:
                raise DataError(f"{packed} has no wikitext-2/{name}")
            files.write_whole(cache / name, members[f"wikitext-2/{name}"])

    found = resolve(source, "wikitext-2", (usual,), fetch)
    return None if found is None else found / usual


def _named(folder: Path, split: str) -> bool:
    return any((folder / name).is_file() for name in (f"wiki.{split}.tokens", f"{split}.txt"))
