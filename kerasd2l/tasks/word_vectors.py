"""Word vectors: a text in, the loss of neighbours, and words near a word out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from kerasd2l import data, endpoints
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Expected, Recipe
from kerasd2l.tasks.descent import PlainAdam

losses = lazy("kerasd2l.losses")
optimizers = lazy("kerasd2l.optimizers")


@dataclass(frozen=True)
class Windows:
    """Which words learn from which.

    Args:
        max_window: int >= 1, words on each side at most; each window is drawn from 1 to this.
        min_freq: int >= 1, a rarer word is left out.
        threshold: float > 0; a smaller one leaves out more of the frequent words. None: the book's
            1e-4; 1e-2 of the builtin text, which is short.
        outputs: how a neighbour is told from all words: "noise" (from some drawn words) or "tree"
            (hierarchical softmax).
        num_noise_words: int >= 1, drawn for each neighbour.
        divide_by: the loss is the mean over "centers" of each one's mean, as in the book, or over
            all "entries".
    """

    max_window: int = 5
    min_freq: int = 10
    threshold: float | None = None
    outputs: Literal["noise", "tree"] = "noise"
    num_noise_words: int = 5
    divide_by: Literal["centers", "entries"] = "centers"


@dataclass(frozen=True)
class Descent(PlainAdam):
    """The book's Adam on the book's loss, which is a sum over the batch, not a mean.

    Args:
        learning_rate: float > 0.
        batch_size: int >= 1, the global batch.
        epochs: int >= 1, passes over the data.
    """

    learning_rate: float = 0.002
    batch_size: int = 512
    epochs: int = 5

    def optimizer(self) -> Any:
        """Make the optimizer: a mean has gradients as much smaller, and so is its epsilon."""
        return optimizers.Adam(self.learning_rate, epsilon=1e-8 / self.batch_size)


def word_vectors(
    section: str,
    build: Callable[[int], Any],
    *,
    inputs: Literal["center", "contexts", "subwords"],
    windows: Windows,
    descent: Descent,
    parts: Any = None,
    expected: Expected | None = None,
) -> Recipe:
    """Make the recipe of vectors that are learned from windows of words.

    Args:
        section: str, the book's label.
        build: (vocab_size) -> keras.Model with `vectors(words)`.
        inputs: what predicts, see `data.ptb.load`.
        windows: the data.
        descent: the optimizer's numbers.
        parts: data.subwords.Subwords, how words are cut.
        expected: the published figure, or None.
    """
    return Recipe(
        section=section,
        dataset="ptb",
        data=lambda source: data.ptb.load(
            source,
            batch_size=descent.batch_size,
            max_window=windows.max_window,
            num_noise_words=windows.num_noise_words,
            min_freq=windows.min_freq,
            threshold=windows.threshold,
            inputs=inputs,
            outputs=windows.outputs,
            weights=windows.divide_by,
            parts=parts,
        ),
        model=lambda d: build(len(d.assets["vocabulary"])),
        optimizer=descent.optimizer,
        # the weights that come with the labels leave out what is empty
        loss=lambda: losses.SigmoidBCELoss(),
        metrics=lambda: [],
        epochs=descent.epochs,
        batch_size=descent.batch_size,
        endpoints=endpoints.word_neighbours(),
        expected=expected,
        small_steps=True,
    )
