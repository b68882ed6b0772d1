"""14.5 Word embedding with global vectors (GloVe)."""

from __future__ import annotations

from kerasd2l import data, endpoints
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Recipe
from kerasd2l.tasks.word_vectors import Descent

keras = lazy("keras")
models = lazy("kerasd2l.models")


def glove(
    *,
    embed_size: int = 100,
    window: int = 5,
    min_freq: int = 10,
    largest: float = 100.0,
    power: float = 0.75,
    descent: Descent = Descent(learning_rate=0.002, batch_size=2048, epochs=10),
) -> Recipe:
    """Train vectors of words from how often they stand together in Penn Treebank.

    Section: "glove". log x_ij is predicted by u_j . v_i + b_i + c_j, the squared error weighs
    (x_ij / 100)^0.75, at most 1; x_ij counts neighbours at most 5 words apart, d apart as 1 / d:
    1.6 million pairs of 6,719 words. Adam; the authors take AdaGrad. A word's vector is v + u. The
    builtin stand-in are Python's help texts.
    Expected: no figure in the book.
    The export answers kerasd2l predict savedmodels/glove chip
    Command: kerasd2l train glove --data files --export
    """
    return Recipe(
        section="glove",
        dataset="ptb",
        data=lambda source: data.ptb.load_cooccurrences(
            source,
            batch_size=descent.batch_size,
            window=window,
            min_freq=min_freq,
            largest=largest,
            power=power,
        ),
        model=lambda d: models.GloVe(len(d.assets["vocabulary"]), embed_size=embed_size),
        optimizer=descent.optimizer,
        loss=lambda: keras.losses.MeanSquaredError(),
        metrics=lambda: [],
        epochs=descent.epochs,
        batch_size=descent.batch_size,
        endpoints=endpoints.word_neighbours(),
        small_steps=True,
    )
