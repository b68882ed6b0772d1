"""Data made from a known truth: linear, polynomial and high-dimensional linear regression.

A `data_seed` fixes the examples; the source's seed only orders the training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kerasd2l.data import pipeline
from kerasd2l.data.source import Source, builtin_only
from kerasd2l.recipe import Data, TensorSpec

POLYNOMIAL_WEIGHTS = (5.0, 1.2, -3.4, 5.6)  # of 1, x, x^2/2!, x^3/3!; all higher ones are 0


def linear_examples(
    weights: Sequence[float],
    bias: float,
    num_examples: int,
    *,
    noise: float = 0.01,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw examples of a linear function: the book's `synthetic_data`.

    y = X w + b + e, X from N(0, 1), e from N(0, noise^2). Section: "linear-regression-scratch".

    Args:
        weights: (D,) the true w.
        bias: float, the true b.
        num_examples: int, n.
        noise: float, standard deviation of e. Default: 0.01.
        seed: int, of numpy's frozen RandomState.

    Returns:
        X (n, D) and y (n, 1), float32.

    Example:
        >>> x, y = linear_examples([2, -3.4], 4.2, 5)
        >>> x.shape, y.shape
        ((5, 2), (5, 1))
    """
    random = np.random.RandomState(seed)
    x = random.normal(size=(num_examples, len(weights)))  # (n, D)
    y = x @ np.asarray(weights, float) + bias + noise * random.normal(size=num_examples)
    return x.astype(np.float32), y[:, None].astype(np.float32)


def polynomial_features(x: Any, num_features: int) -> Any:
    """Turn numbers into the powers x^i / i! for i = 0 .. num_features - 1.

    Works on numpy arrays and, in the graph of an export, on tensors. Dividing by i! (the book's
    Gamma(i + 1)) keeps the high powers from drowning the others. Section: "underfit-overfit".

    Args:
        x: (...,) float32 array or tensor.
        num_features: int, D.

    Returns:
        (..., D), of the kind of `x`.

    Example:
        >>> polynomial_features(np.float32([2]), 4)[0].round(3).tolist()
        [1.0, 2.0, 2.0, 1.3329999446868896]
    """
    powers = np.arange(num_features, dtype=np.float32)
    factorials = np.array([math.gamma(i + 1) for i in range(num_features)], np.float32)
    return x[..., None] ** powers / factorials


def linear(
    source: Source | str | None = None,
    *,
    batch_size: int = 10,
    weights: Sequence[float] = (2.0, -3.4),
    bias: float = 4.2,
    noise: float = 0.01,
    num_train: int = 1000,
    num_test: int = 1000,
    data_seed: int = 0,
) -> Data:
    """Make the data of linear regression with two inputs: 1000 + 1000 examples.

    Section: "linear-regression-scratch".

    Args:
        source: Source or the name of its kind, "auto" or "builtin"; its seed orders the training.
        batch_size: int, the global batch.
        weights: (D,) the true weights.
        bias: float, the true bias.
        noise: float, standard deviation of the label noise.
        num_train: int, training examples.
        num_test: int, test examples.
        data_seed: int, other examples of the same function.

    Returns:
        Data: x (B, D) float32, y (B, 1) float32; assets with the true weights and bias.

    Raises:
        DataError: asked for files or a download, which do not exist.

    Example:
        >>> linear(batch_size=10).size
        {'train': 1000, 'test': 1000}
    """
    x, y = linear_examples(weights, bias, num_train + num_test, noise=noise, seed=data_seed)
    truth = {"true_weights": [float(w) for w in weights], "true_bias": float(bias)}
    return _regression(source, "linear", x, y, num_train, batch_size, truth)


def polynomial(
    source: Source | str | None = None,
    *,
    num_features: int = 4,
    batch_size: int = 10,
    noise: float = 0.1,
    num_train: int = 100,
    num_test: int = 100,
    data_seed: int = 0,
) -> Data:
    """Make the data of polynomial regression: 100 + 100 points of a noisy cubic.

    y = 5 + 1.2 x - 3.4 x^2/2! + 5.6 x^3/3! + e, x from N(0, 1). Section: "underfit-overfit".

    Args:
        source: Source or the name of its kind, "auto" or "builtin"; its seed orders the training.
        num_features: int 1-20, how many powers of x the model sees: 4 is the truth, 2 too few,
            20 more than 100 points can determine well.
        batch_size: int, the global batch.
        noise: float, standard deviation of the label noise.
        num_train: int, training examples.
        num_test: int, test examples.
        data_seed: int, other examples of the same function.

    Returns:
        Data: x (B, num_features) float32, y (B, 1) float32; assets with the 20 true weights.

    Raises:
        DataError: asked for files or a download, which do not exist.
        ValueError: `num_features` out of range.

    Example:
        >>> polynomial(num_features=2).features["features"].shape
        (2,)
    """
    if not 1 <= num_features <= 20:
        raise ValueError(f"`num_features` must be 1-20. Received: num_features={num_features}.")
    random = np.random.RandomState(data_seed)
    x = random.normal(size=num_train + num_test).astype(np.float32)
    features = polynomial_features(x, 20)  # (n, 20)
    true_weights = np.zeros(20)
    true_weights[:4] = POLYNOMIAL_WEIGHTS
    y = features.astype(float) @ true_weights + noise * random.normal(size=len(x))
    return _regression(
        source,
        "polynomial",
        features[:, :num_features],
        y[:, None].astype(np.float32),
        num_train,
        batch_size,
        {"true_weights": true_weights.tolist()},
    )


def high_dimensional(
    source: Source | str | None = None,
    *,
    batch_size: int = 5,
    num_inputs: int = 200,
    num_train: int = 20,
    num_test: int = 100,
    data_seed: int = 0,
) -> Data:
    """Make the data of the weight-decay section: 200 inputs, but only 20 training examples.

    y = 0.05 + sum 0.01 x_i + e, e from N(0, 0.01^2). Section: "weight-decay".

    Args:
        source: Source or the name of its kind, "auto" or "builtin"; its seed orders the training.
        batch_size: int, the global batch.
        num_inputs: int, D.
        num_train: int, training examples; fewer than D, so that many functions fit them all.
        num_test: int, test examples.
        data_seed: int, other examples of the same function.

    Returns:
        Data: x (B, D) float32, y (B, 1) float32; assets with the true weights and bias.

    Raises:
        DataError: asked for files or a download, which do not exist.

    Example:
        >>> high_dimensional().size
        {'train': 20, 'test': 100}
    """
    weights = [0.01] * num_inputs
    x, y = linear_examples(weights, 0.05, num_train + num_test, seed=data_seed)
    truth = {"true_weights": weights, "true_bias": 0.05}
    return _regression(source, "high_dimensional", x, y, num_train, batch_size, truth)


def _regression(
    source: Source | str | None,
    name: str,
    x: np.ndarray,
    y: np.ndarray,
    num_train: int,
    batch_size: int,
    truth: dict[str, Any],
) -> Data:
    """Split examples into training and test, and batch them."""
    source = _generated(source, name)
    training = pipeline.from_arrays(
        (x[:num_train], y[:num_train]), batch_size=batch_size, seed=source.seed
    )
    evaluation = pipeline.from_arrays((x[num_train:], y[num_train:]), batch_size=batch_size)
    return pipeline.make_data(
        training,
        test=evaluation,
        features={"features": TensorSpec((x.shape[1],))},
        assets=truth,
    )


def _generated(source: Source | str | None, name: str) -> Source:
    """Return the source; generated data has neither files nor a download."""
    source = builtin_only(source, f"the {name} data is generated")
    return source
