"""The 8-6-4-1 network of the lesson on inputs of several dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras

from kerasd2l.models.tabular.uniform_dense import hidden_layers, next_seed, positive, uniform_dense


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
    features = keras.Input((positive("num_features", num_features),), name="features")
    hidden = hidden_layers(features, hidden_units, activation, seed)  # (B, 4)
    logits = uniform_dense(
        hidden, 1, next_seed(seed, 2 * len(hidden_units)), "logits", dtype="float32"
    )
    return keras.Model(features, logits, name=name)
