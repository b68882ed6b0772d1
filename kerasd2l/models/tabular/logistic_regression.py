"""Logistic regression."""

from __future__ import annotations

import keras

from kerasd2l.models.tabular.uniform_dense import positive, uniform_dense


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
    features = keras.Input((positive("num_features", num_features),), name="features")
    return keras.Model(
        features, uniform_dense(features, 1, seed, "logits", dtype="float32"), name=name
    )
