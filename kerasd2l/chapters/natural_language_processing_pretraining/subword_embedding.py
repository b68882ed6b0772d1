"""14.6 Subword embedding."""

from __future__ import annotations

from kerasd2l import data
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult, Recipe
from kerasd2l.tasks.word_vectors import Descent, Windows, word_vectors

models = lazy("kerasd2l.models")

FREQUENCIES = {"fast_": 4, "faster_": 3, "tall_": 5, "taller_": 4}


def subword_embedding(
    *, num_merges: int = 10, words: tuple[str, ...] = ("tallest_", "fatter_")
) -> Demo:
    """Join letters into symbols by byte pair encoding, and cut words into n-grams as fastText.

    Section: "subword-embedding". fast_ 4 times, faster_ 3, tall_ 5, taller_ 4; ten merges.
    Expected: the book's merges ta, tal, tall, fa, fas, fast, er, er_, tall_, fast_; tallest_
    becomes "tall e s t _", fatter_ "fa t t er_".
    Command: kerasd2l run subword_embedding
    """
    if num_merges < 0:
        raise ValueError(f"`num_merges` must be at least 0. Received: num_merges={num_merges}.")
    return Demo("subword-embedding", lambda: _show(num_merges, words))


def _show(num_merges: int, words: tuple[str, ...]) -> DemoResult:
    pairs, symbols, token_freqs = data.bpe.learn_bpe(FREQUENCIES, num_merges)
    values = {f"merge {i}": " + ".join(pair) for i, pair in enumerate(pairs, 1)}
    values["words"] = ", ".join(token_freqs)
    for word, cut in zip(words, data.bpe.segment_BPE(words, symbols), strict=True):
        values[f"{word} in symbols"] = cut
    values["where in 3-grams"] = " ".join(data.subwords.Subwords(3, 3).ngrams("where"))
    return DemoResult(values)


def fasttext(
    *,
    embed_size: int = 100,
    min_n: int = 3,
    max_n: int = 6,
    buckets: int = 20_000,
    windows: Windows = Windows(),
    descent: Descent = Descent(),
) -> Recipe:
    """Train vectors of words and of their character n-grams on Penn Treebank, as fastText does.

    Section: "subword-embedding". Skip-gram whose word in the middle is the mean of its own vector
    and those of its n-grams of 3 to 6 characters, hashed into 20,000 buckets as fastText hashes
    (it has 2 million); all else as word2vec. A word that was never seen has the vector of its
    n-grams. The builtin stand-in are Python's help texts.
    Expected: no figure in the book.
    The export answers kerasd2l predict savedmodels/fasttext microchips
    Command: kerasd2l train fasttext --data files --export
    """
    parts = data.subwords.Subwords(min_n, max_n, buckets)
    return word_vectors(
        "subword-embedding",
        lambda vocab_size: models.CBOW(
            vocab_size, embed_size=embed_size, num_extra=buckets, name="fasttext"
        ),
        inputs="subwords",
        windows=windows,
        descent=descent,
        parts=parts,
    )
