"""The multilayer perceptron with dropout."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kerasd2l.models.vision.mlp import mlp


def dropout_mlp(
    input_shape: tuple[int, ...] = (28, 28, 1),
    num_classes: int = 10,
    *,
    hidden_units: Sequence[int] = (256, 256),
    dropout_rates: Sequence[float] = (0.2, 0.5),
    stddev: float = 0.01,
    seed: int | None = None,
    name: str = "dropout_mlp",
) -> keras.Model:
    """Build the 784-256-256-10 network with dropout after each hidden ReLU.

    Section: "dropout". Follows the book: a smaller rate near the input, weights from
    N(0, stddev^2), biases zero. 269,322 parameters.

    Args:
        input_shape: tuple of int, shape of one example.
        num_classes: int >= 2, classes K.
        hidden_units: sequence of int > 0, units of each hidden layer.
        dropout_rates: sequence of float in [0, 1), one for each hidden layer.
        stddev: float > 0, standard deviation of the initial weights.
        seed: int or None. Layer i draws its weights, and its dropout, with seed + i.
        name: str, name of the model.

    Call arguments:
        inputs: (B, *input_shape) float.

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: see `mlp`.

    Example:
        >>> dropout_mlp().count_params()
        269322

    Reference:
        Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting, 2014.
    """
    return mlp(
        input_shape,
        num_classes,
        hidden_units=hidden_units,
        dropout_rates=dropout_rates,
        stddev=stddev,
        seed=seed,
        name=name,
    )
