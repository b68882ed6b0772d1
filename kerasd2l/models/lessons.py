"""The networks of the course lessons: logistic regression, the diabetes MLP, the MNIST MLP.

All start as the course's framework starts a linear layer: weights and bias from
U(-1 / sqrt(n), 1 / sqrt(n)) for n inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import keras


def logistic_regression(
    num_features: int = 1, *, seed: int | None = None, name: str = "logistic_regression"
) -> keras.Model:
    """Build logistic regression: one affine map to the logit of "yes".

    z = w^T x + b; sigmoid(z) is the probability, z = 0 the boundary of the decision.
    Section: "logistic-regression".

    Args:
        num_features: int > 0, D.
        seed: int or None, seed of the initial weights.
        name: str, name of the model.

    Call arguments:
        inputs: (B, D) float.

    Returns:
        A functional `keras.Model` that maps to the logit z (B, 1) float32.

    Raises:
        ValueError: fewer than one feature.

    Example:
        >>> logistic_regression(1).count_params()
        2
    """
    features = keras.Input((_positive("num_features", num_features),), name="features")
    return keras.Model(features, _linear(features, 1, seed, "logits", dtype="float32"), name=name)


def diabetes_mlp(
    num_features: int = 8,
    *,
    hidden_units: Sequence[int] = (6, 4),
    activation: str | Callable = "sigmoid",
    seed: int | None = None,
    name: str = "diabetes_mlp",
) -> keras.Model:
    """Build the 8-6-4-1 network for two classes.

    z = W3 act(W2 act(W1 x + b1) + b2) + b3. Section: "multi-dimensional-input".

    Follows the course: a sigmoid after each layer, the last of which belongs to the loss (which
    takes logits) and to the endpoint. 87 parameters.

    Args:
        num_features: int > 0, D.
        hidden_units: sequence of int > 0, units of each hidden layer.
        activation: str or callable, nonlinearity after each hidden layer.
        seed: int or None. Layer i draws weights and bias with seed + 2 i and seed + 2 i + 1.
        name: str, name of the model.

    Call arguments:
        inputs: (B, D) float.

    Returns:
        A functional `keras.Model` that maps to the logit (B, 1) float32 of the second class.

    Raises:
        ValueError: a layer without units.

    Example:
        >>> diabetes_mlp().count_params()
        87
    """
    features = keras.Input((_positive("num_features", num_features),), name="features")
    hidden = _hidden(features, hidden_units, activation, seed)  # (B, 4)
    logits = _linear(hidden, 1, _next(seed, 2 * len(hidden_units)), "logits", dtype="float32")
    return keras.Model(features, logits, name=name)


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
    if num_classes < 2:
        raise ValueError(f"`num_classes` must be at least 2. Received: num_classes={num_classes}.")
    if not stddev > 0:
        raise ValueError(f"`stddev` must be positive. Received: stddev={stddev}.")
    pixels = keras.Input(input_shape, name="pixels")
    x = keras.layers.Rescaling(1 / stddev, -mean / stddev, name="normalize")(pixels)
    x = keras.layers.Flatten(name="flatten")(x)  # (B, H * W * C)
    x = _hidden(x, hidden_units, activation, seed)  # (B, 64)
    logits = _linear(x, num_classes, _next(seed, 2 * len(hidden_units)), "logits", dtype="float32")
    return keras.Model(pixels, logits, name=name)


def _hidden(x, hidden_units: Sequence[int], activation: str | Callable, seed: int | None):
    """Stack Dense layers with an activation."""
    for i, units in enumerate(hidden_units):
        _positive("hidden_units", units)
        x = _linear(x, units, _next(seed, 2 * i), f"hidden_{i + 1}", activation=activation)
    return x


def _linear(x, units: int, seed: int | None, name: str, **options):
    """Apply a Dense layer that starts from U(-1 / sqrt(n), 1 / sqrt(n)), n inputs."""
    limit = 1 / math.sqrt(x.shape[-1])
    uniform = keras.initializers.RandomUniform
    return keras.layers.Dense(
        units,
        kernel_initializer=uniform(-limit, limit, seed=seed),
        bias_initializer=uniform(-limit, limit, seed=_next(seed, 1)),
        name=name,
        **options,
    )(x)


def _next(seed: int | None, step: int) -> int | None:
    return None if seed is None else seed + step


def _positive(name: str, value: int) -> int:
    if value < 1:
        raise ValueError(f"`{name}` must be positive. Received: {value}.")
    return value
