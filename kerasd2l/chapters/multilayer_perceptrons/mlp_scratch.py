"""4.3 Multilayer perceptrons from scratch."""

from __future__ import annotations

from kerasd2l import scratch
from kerasd2l.recipe import Recipe
from kerasd2l.tasks.image_classification import Descent, Pictures, image_classification, published


def mlp_scratch(
    *,
    pictures: Pictures = Pictures(),
    hidden_units: tuple[int, ...] = (256,),
    descent: Descent = Descent(0.1),
) -> Recipe:
    """Train 784-256-10 by hand on Fashion-MNIST (60,000 + 10,000, 28 x 28 grey).

    Section: "mlp-scratch". Own matrices from N(0, 0.01^2), own ReLU, own stable cross-entropy, own
    SGD; the same as `mlp` with implementation=scratch.
    Expected: the book asserts train loss < 0.5 and test accuracy in (0.7, 1].
    Command: kerasd2l train mlp_scratch --data files
    """
    if not all(units >= 1 for units in hidden_units):
        raise ValueError(f"`hidden_units` must be positive. Received: {hidden_units}.")
    return image_classification(
        "mlp-scratch",
        lambda shape, classes: scratch.MLPScratch(classes, hidden_units),
        pictures=pictures,
        descent=descent,
        expected=published(pictures, 0.7, 1.0, "asserted by the book"),
        by_hand=True,
    )
