"""Multilayer perceptrons: Dense layers with a nonlinearity between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras


def mlp(
    input_shape: tuple[int, ...] = (28, 28, 1),
    num_classes: int = 10,
    *,
    hidden_units: Sequence[int] = (256,),
    activation: str | Callable = "relu",
    stddev: float = 0.01,
    seed: int | None = None,
    name: str = "mlp",
) -> keras.Model:
    """Build a multilayer perceptron: flatten, hidden Dense layers, logits.

    H = act(X W1 + b1), O = H W2 + b2. Section: "mlp-concise".

    Follows the book: weights from N(0, stddev^2), biases zero. 203,530 parameters for the
    784-256-10 network of the book.

    Args:
        input_shape: tuple of int, shape of one example.
        num_classes: int >= 2, classes K.
        hidden_units: sequence of int > 0, units of each hidden layer.
        activation: str or callable, nonlinearity after each hidden layer.
        stddev: float > 0, standard deviation of the initial weights.
        seed: int or None. Layer i draws its weights with seed + i.
        name: str, name of the model.

    Call arguments:
        inputs: (B, *input_shape) float.

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: fewer than two classes, or a hidden layer without units.

    Example:
        >>> mlp().count_params()
        203530
    """
    if num_classes < 2:
        raise ValueError(f"`num_classes` must be at least 2. Received: num_classes={num_classes}.")
    if any(units < 1 for units in hidden_units):
        raise ValueError(f"`hidden_units` must be positive. Received: {tuple(hidden_units)}.")

    def normal(layer: int) -> keras.initializers.Initializer:
        layer_seed = None if seed is None else seed + layer
        return keras.initializers.RandomNormal(stddev=stddev, seed=layer_seed)

    pixels = keras.Input(input_shape, name="pixels")
    x = keras.layers.Flatten(name="flatten")(pixels)  # (B, H * W * C)
    for i, units in enumerate(hidden_units):
        x = keras.layers.Dense(
            units, activation, kernel_initializer=normal(i), name=f"hidden_{i + 1}"
        )(x)  # (B, units)
    logits = keras.layers.Dense(
        num_classes, kernel_initializer=normal(len(hidden_units)), dtype="float32", name="logits"
    )(x)  # (B, K)
    return keras.Model(pixels, logits, name=name)
