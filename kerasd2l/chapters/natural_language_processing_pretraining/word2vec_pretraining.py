"""14.4 Pre-training word2vec."""

from __future__ import annotations

from typing import Any, Literal

from kerasd2l._lazy import lazy
from kerasd2l.recipe import Expected, Recipe
from kerasd2l.tasks.word_vectors import Descent, Windows, word_vectors

models = lazy("kerasd2l.models")


def word2vec(
    *,
    method: Literal["skip_gram", "cbow"] = "skip_gram",
    embed_size: int = 100,
    windows: Windows = Windows(),
    descent: Descent = Descent(),
) -> Recipe:
    """Train vectors of words from their neighbours on Penn Treebank (343,000 words kept).

    Section: "word2vec-pretraining". The book's sizes: vectors of 100, windows of at most 5 words on
    each side, words that come 10 times (6,719), 5 noise words for each neighbour, Adam at 0.002,
    batches of 512, 5 epochs. method=cbow predicts the word in the middle from the mean of its
    neighbours; outputs=tree is hierarchical softmax. Noise words and window sizes are drawn anew in
    each epoch, the book's once. The builtin stand-in are Python's help texts.
    Expected: book 0.410, the mean of the five epochs' train losses (skip-gram with noise words);
    near "chip": microprocessor 0.773.
    The export answers kerasd2l predict savedmodels/word2vec chip
    Command: kerasd2l train word2vec --data files --export
    """

    def build(vocab_size: int) -> Any:
        make = {"skip_gram": models.SkipGram, "cbow": models.CBOW}[method]
        return make(vocab_size, embed_size=embed_size)

    book = (method, embed_size, windows) == ("skip_gram", 100, Windows())
    published = Expected("train_loss", 0.41, 0.41, "d2l PyTorch, mean of 5 epochs")
    return word_vectors(
        "word2vec-pretraining",
        build,
        inputs="center" if method == "skip_gram" else "contexts",
        windows=windows,
        descent=descent,
        expected=published if book else None,
    )
