"""The 784-512-256-128-64-10 network of the lesson on many classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras

from kerasd2l.models.tabular.uniform_dense import hidden_layers, next_seed, uniform_dense
from kerasd2l.models.vision.image_network import check_classes


def mnist_mlp(
    input_shape: tuple[int, ...] = (28, 28, 1),
    num_classes: int = 10,
    *,
    hidden_units: Sequence[int] = (512, 256, 128, 64),
    activation: str | Callable = "relu",
    mean: float = 0.1307,
    stddev: float = 0.3081,
    seed: int | None = None,
    name: str = "mnist_mlp",
) -> keras.Model:
    """Build the 784-512-256-128-64-10 network of the lesson on many classes.

    x = (pixels - mean) / stddev, then Dense layers with ReLU. Section: "softmax-mnist-mlp".

    The normalisation is a layer of the model: whoever serves it gives plain pixels. 575,050
    parameters.

    Args:
        input_shape: tuple of int, shape of one example.
        num_classes: int >= 2, classes K.
        hidden_units: sequence of int > 0, units of each hidden layer.
        activation: str or callable, nonlinearity after each hidden layer.
        mean: float, of the training pixels. Default: that of MNIST.
        stddev: float > 0, of the training pixels. Default: that of MNIST.
        seed: int or None. Layer i draws weights and bias with seed + 2 i and seed + 2 i + 1.
        name: str, name of the model.

    Call arguments:
        inputs: (B, *input_shape) float in [0, 1].

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: fewer than two classes, a layer without units, or no positive deviation.

    Example:
        >>> mnist_mlp().count_params()
        575050
    """
    check_classes(num_classes)
    if not stddev > 0:
        raise ValueError(f"`stddev` must be positive. Received: stddev={stddev}.")
    pixels = keras.Input(input_shape, name="pixels")
    x = keras.layers.Rescaling(1 / stddev, -mean / stddev, name="normalize")(pixels)
    x = keras.layers.Flatten(data_format="channels_last", name="flatten")(x)  # (B, H * W * C)
    x = hidden_layers(x, hidden_units, activation, seed)  # (B, 64)
    logits = uniform_dense(
        x, num_classes, next_seed(seed, 2 * len(hidden_units)), "logits", dtype="float32"
    )
    return keras.Model(pixels, logits, name=name)
