"""The multilayer perceptron."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras

from kerasd2l.models.vision.image_network import check_classes


def mlp(
    input_shape: tuple[int, ...] = (28, 28, 1),
    num_classes: int = 10,
    *,
    hidden_units: Sequence[int] = (256,),
    activation: str | Callable = "relu",
    dropout_rates: Sequence[float] = (),
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
        dropout_rates: sequence of float in [0, 1), share of the units of each hidden layer that
            are dropped while training; empty: no dropout.
        stddev: float > 0, standard deviation of the initial weights.
        seed: int or None. Layer i draws its weights, and its dropout, with seed + i.
        name: str, name of the model.

    Call arguments:
        inputs: (B, *input_shape) float.

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: fewer than two classes, a hidden layer without units, a dropout rate out of
            range, or not as many rates as hidden layers.

    Example:
        >>> mlp().count_params()
        203530
    """
    check_classes(num_classes)
    if any(units < 1 for units in hidden_units):
        raise ValueError(f"`hidden_units` must be positive. Received: {tuple(hidden_units)}.")
    _check_dropout(dropout_rates, len(hidden_units))

    def layer_seed(layer: int) -> int | None:
        return None if seed is None else seed + layer

    def normal(layer: int) -> keras.initializers.Initializer:
        return keras.initializers.RandomNormal(stddev=stddev, seed=layer_seed(layer))

    pixels = keras.Input(input_shape, name="pixels")
    x = keras.layers.Flatten(data_format="channels_last", name="flatten")(pixels)  # (B, H * W * C)
    for i, units in enumerate(hidden_units):
        x = keras.layers.Dense(
            units, activation, kernel_initializer=normal(i), name=f"hidden_{i + 1}"
        )(x)  # (B, units)
        if dropout_rates:
            x = keras.layers.Dropout(dropout_rates[i], seed=layer_seed(i), name=f"dropout_{i + 1}")(
                x
            )
    logits = keras.layers.Dense(
        num_classes, kernel_initializer=normal(len(hidden_units)), dtype="float32", name="logits"
    )(x)  # (B, K)
    return keras.Model(pixels, logits, name=name)


def _check_dropout(rates: Sequence[float], hidden_layers: int) -> None:
    if rates and len(rates) != hidden_layers:
        raise ValueError(
            "`dropout_rates` must have one rate for each hidden layer. "
            f"Received: {tuple(rates)} for {hidden_layers} layers."
        )
    if not all(0 <= rate < 1 for rate in rates):
        raise ValueError(
            "`dropout_rates` must be in [0, 1): the share of units that are dropped. "
            f"Received: {tuple(rates)}."
        )
