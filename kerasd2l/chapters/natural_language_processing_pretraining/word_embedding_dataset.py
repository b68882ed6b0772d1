"""14.3 The data set for pre-training word embeddings."""

from __future__ import annotations

from typing import Any

from kerasd2l import data, figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")


def word_embedding_dataset(
    *, source: data.Kind = "builtin", min_freq: int = 10, max_window: int = 5, seed: int = 0
) -> Demo:
    """Thin out the frequent words of Penn Treebank, and show windows and noise words.

    Section: "word-embedding-dataset". A word stays with probability sqrt(1e-4 / f); the histogram
    is of the words in a sentence before and after. The builtin stand-in are Python's help texts.
    Expected: the book's 42,068 sentences (42,069 with the empty one behind the last), 6,719 words,
    "the" 50,770 times and some 2,010 to 2,056 afterwards, "join" 45 and 45, some 1,503,420 pairs.
    Command: kerasd2l run word_embedding_dataset --set source=files --out figures
    """
    if max_window < 1:
        raise ValueError(f"`max_window` must be at least 1. Received: max_window={max_window}.")
    return Demo("word-embedding-dataset", lambda: _show(source, min_freq, max_window, seed))


def _show(source: str, min_freq: int, max_window: int, seed: int) -> DemoResult:
    windows = data.word_windows
    whole, vocab = data.ptb.sentences(source, min_freq=min_freq)
    threshold = 1e-2 if source == "builtin" else 1e-4  # the book's leaves nothing of a short text
    thinned, counts = windows.subsample(whole, len(vocab), threshold=threshold, seed=seed)
    left = thinned.counts(len(vocab))
    rarest = int(counts[1:].argmin()) + 1
    words = ["the", *(["join"] if "join" in vocab else []), vocab.to_tokens(rarest)]
    contexts = windows.draw_contexts(
        thinned.ids, *thinned.places(), max_window=max_window, seed=[seed, 0]
    )
    negatives = windows.draw_negatives(windows.Noise(counts), contexts[:1], 5, [seed, 1])
    values: dict[str, Any] = {
        "sentences": len(whole.lengths),
        "words": len(whole.ids),
        "words in the vocabulary": len(vocab),
        "words after thinning": len(thinned.ids),
        "pairs of a word and a neighbour": int(np.count_nonzero(contexts)),
        "a word": vocab.to_tokens(int(thinned.ids[0])),
        "its neighbours": " ".join(vocab.to_tokens([i for i in contexts[0].numpy() if i])),
        "noise words": " ".join(vocab.to_tokens([i for i in negatives[0].numpy() if i])),
    }
    for word in words:
        values[f'"{word}" before; after'] = [int(counts[vocab[word]]), int(left[vocab[word]])]
    figure, panels = figures.new_figure(width=5, height=3.2)
    axes = panels[0, 0]
    lengths = [whole.lengths, thinned.lengths]
    axes.hist(lengths, bins=12, label=["origin", "subsampled"])
    axes.set(title="Words in a sentence", xlabel="words", ylabel="sentences")
    axes.legend()
    return DemoResult(values, {"lengths": figure})
