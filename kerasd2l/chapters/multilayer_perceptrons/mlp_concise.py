"""4.4 Concise multilayer perceptrons."""

from __future__ import annotations

from typing import Literal

from kerasd2l import scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Recipe
from kerasd2l.tasks.image_classification import Descent, Pictures, image_classification, published

models = lazy("kerasd2l.models")


def mlp(
    *,
    pictures: Pictures = Pictures(),
    implementation: Literal["concise", "scratch"] = "concise",
    hidden_units: tuple[int, ...] = (256,),
    activation: Literal["relu", "sigmoid", "tanh"] = "relu",
    descent: Descent = Descent(0.1),
) -> Recipe:
    """Train a multilayer perceptron 784-256-10 on Fashion-MNIST (60,000 + 10,000, 28 x 28 grey).

    Section: "mlp-concise". ReLU, weights from N(0, 0.01^2), SGD, cross-entropy. "scratch" is
    section "mlp-scratch": own matrices, own ReLU, own loss and optimizer. One's own pictures:
    --set dataset=image_folder --set resize=28 --data files --data-dir FOLDER.
    Expected: the book asserts train loss < 0.5 and test accuracy in (0.7, 1].
    Command: kerasd2l train mlp --data files
    """
    by_hand = implementation == "scratch"
    if by_hand and activation != "relu":
        raise ValueError(
            "`activation` must be relu with implementation=scratch, which writes ReLU out. "
            f"Received: activation={activation}."
        )
    if not all(units >= 1 for units in hidden_units):
        raise ValueError(f"`hidden_units` must be positive. Received: {hidden_units}.")
    return image_classification(
        f"mlp-{implementation}",
        lambda shape, classes: (
            scratch.MLPScratch(classes, hidden_units)
            if by_hand
            else models.mlp(shape, classes, hidden_units=hidden_units, activation=activation)
        ),
        pictures=pictures,
        descent=descent,
        expected=published(pictures, 0.7, 1.0, "asserted by the book"),
        by_hand=by_hand,
    )
