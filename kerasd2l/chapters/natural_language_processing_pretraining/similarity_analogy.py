"""14.7 Word similarity and analogy."""

from __future__ import annotations

from typing import Any

from kerasd2l import data, figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")


def similarity_analogy(
    *,
    file: str = "",
    words: tuple[str, ...] = ("chip", "baby", "beautiful"),
    analogy: tuple[str, str, str] = ("man", "woman", "son"),
    k: int = 3,
    max_words: int = 400_000,
) -> Demo:
    """Find the words nearest to a word, and the one that is to "son" as "woman" is to "man".

    Section: "similarity-analogy". Vectors from a file of GloVe, word2vec or fastText (text; plain,
    gz or zip); without one, from the counts of Python's help texts: the largest parts of a singular
    value decomposition of log counts, which is what GloVe approximates. Words that have no vector
    are said; then the demo takes the most frequent ones it has.
    Expected: with the book's glove.6B.50d.zip 400,001 words, near "chip" chips 0.856 intel 0.749,
    "baby" babies 0.839 boy 0.800, man : woman :: son : daughter.
    Command: kerasd2l run similarity_analogy --set words=statement,integer
    """
    if k < 1 or max_words < 20 or not words:
        raise ValueError(
            "`k` must be at least 1, `max_words` at least 20, `words` not empty. "
            f"Received: k={k}, max_words={max_words}, {len(words)} words."
        )
    return Demo("similarity-analogy", lambda: _show(file, words, analogy, k, max_words))


def _show(file: str, words: Any, analogy: Any, k: int, max_words: int) -> DemoResult:
    embedding = data.TokenEmbedding.read(file, max_words=max_words) if file else _from_counts()
    values: dict[str, Any] = {"words": len(embedding), "width": embedding.idx_to_vec.shape[1]}
    missing = [word for word in (*words, *analogy) if word not in embedding]
    if missing:
        values["without a vector"] = " ".join(missing)
    asked = [word for word in words if word in embedding] or embedding.idx_to_token[10:13]
    similar = {word: data.get_similar_tokens(word, k, embedding) for word in asked}
    for word, found in similar.items():
        values[f"near {word!r}"] = ", ".join(f"{token} {cosine:.3f}" for token, cosine in found)
    if all(word in embedding for word in analogy):
        a, b, c = analogy
        for exclude in (False, True):
            answer = data.get_analogy(a, b, c, embedding, exclude=exclude)
            values[f"{a} : {b} :: {c} : ?{', none of the three' * exclude}"] = answer
    shown = list(dict.fromkeys(w for word in asked for w in (word, *(t for t, _ in similar[word]))))
    rows = embedding[shown[:20]]
    centered = rows - rows.mean(0)
    plane = centered @ np.linalg.svd(centered, full_matrices=False)[2][:2].T
    figure, panels = figures.new_figure(width=5, height=4)
    axes = panels[0, 0]
    axes.scatter(*plane.T[:2], s=8)
    for word, place in zip(shown, plane, strict=False):
        axes.annotate(word, place[:2], fontsize=8)
    axes.set(title="Words in the plane of their largest differences", xticks=[], yticks=[])
    return DemoResult(values, {"words": figure})


def _from_counts(width: int = 25) -> Any:
    """Make vectors of the words of the built-in text from how often they stand together."""
    text, vocab = data.ptb.sentences("builtin", min_freq=5)
    words, contexts, counts = data.word_windows.cooccurrences(text, len(vocab), window=5)
    table = np.zeros((len(vocab), len(vocab)))
    table[words, contexts] = counts
    total = table.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        shared = np.log(table * total / np.outer(table.sum(1), table.sum(0)))
    left, sizes, _ = np.linalg.svd(np.nan_to_num(np.maximum(shared, 0), posinf=0, neginf=0))
    return data.TokenEmbedding(vocab.tokens, left[:, :width] * np.sqrt(sizes[:width]))
