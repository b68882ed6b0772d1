"""Backpropagation through time by hand: in full, truncated, at random; and gradient clipping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from keras import ops

Activation = Literal["tanh", "linear"]


def global_norm(gradients: Sequence[Any]) -> Any:
    """Return the length of all gradients as one vector; None counts as zero."""
    squares = [ops.sum(ops.square(gradient)) for gradient in gradients if gradient is not None]
    return ops.sqrt(sum(squares))


def grad_clipping(gradients: Sequence[Any], theta: float) -> list[Any]:
    """Shorten all gradients by one factor where their global norm is above theta.

    g <- min(1, theta / |g|) g, |g| over the gradients of all parameters together: the direction
    stays. Section: "rnn-scratch"; in an optimizer of Keras: `global_clipnorm=theta`.

    Args:
        gradients: tensors of any shapes, or None.
        theta: float > 0, largest norm. S1:3941 says 5 to 10 are usual; the book's recipes take 1.

    Returns:
        The gradients in the same order; None stays None.

    Raises:
        ValueError: theta is not positive, or there is no gradient at all.

    Example:
        >>> [float(g) for g in grad_clipping([np.float32(3), np.float32(-4)], 1.0)]
        [0.6000000238418579, -0.800000011920929]
    """
    if not theta > 0:
        raise ValueError(f"`theta` must be positive. Received: theta={theta}.")
    if all(gradient is None for gradient in gradients):
        raise ValueError("`gradients` must hold at least one gradient.")
    norm = global_norm(gradients)
    factor = ops.where(norm > theta, theta / norm, ops.ones_like(norm))
    return [None if gradient is None else gradient * factor for gradient in gradients]


def scale_gradient(H: Any, factor: float) -> Any:
    """Return H, whose gradient is multiplied by the factor: 1 passes it on, 0 stops it."""
    return factor * H + ops.stop_gradient((1 - factor) * H)


def truncation_factors(num_steps: int, length: int) -> np.ndarray:
    """Return (T,) factors that stop the gradient every `length` steps: truncated BPTT.

    Raises:
        ValueError: a number of steps or a length below 1.
    """
    if num_steps < 1 or length < 1:
        raise ValueError(
            f"steps and length must be positive. Received: num_steps={num_steps}, length={length}."
        )
    return np.where(np.arange(num_steps) % length == 0, 0.0, 1.0)


def random_factors(num_steps: int, keep: float, seed: int | None = None) -> np.ndarray:
    """Return (T,) factors that are 1 / keep with probability `keep`, else 0: the mean is 1.

    With them the gradient through time is right in the mean, however often it is cut.

    Raises:
        ValueError: `keep` is not in (0, 1].
    """
    if not 0 < keep <= 1:
        raise ValueError(f"`keep` must be in (0, 1]. Received: keep={keep}.")
    return (np.random.default_rng(seed).random(num_steps) < keep) / keep


def rnn_objective(
    X: Any,
    Y: Any,
    W_xh: Any,
    W_hh: Any,
    W_hq: Any,
    *,
    factors: Sequence[float] | None = None,
    activation: Activation = "tanh",
) -> Any:
    """Compute the objective of a small RNN with differentiable operations.

    H_t = f(X_t W_xh + H_{t-1} W_hh), O_t = H_t W_hq, L = 1/T sum_t |O_t - Y_t|^2 / 2, H_0 = 0.
    Section: "bptt".

    Args:
        X: (T, D) inputs.
        Y: (T, Q) targets.
        W_xh: (D, H).
        W_hh: (H, H).
        W_hq: (H, Q).
        factors: (T,) what the gradient from step t to the state before it is multiplied by, as
            `truncation_factors` and `random_factors` give. Default: ones, the full gradient.
        activation: "tanh" or "linear", f.

    Returns:
        L, a scalar tensor. Its value does not depend on the factors, its gradient does.

    Raises:
        ValueError: an unknown activation.
    """
    f = {"tanh": ops.tanh, "linear": lambda A: A}[_known(activation)]
    H, loss = 0 * (X[:1] @ W_xh), 0.0  # (1, H)
    for t in range(len(X)):
        past = H if factors is None else scale_gradient(H, float(factors[t]))
        H = f(X[t : t + 1] @ W_xh + past @ W_hh)
        loss = loss + ops.sum(ops.square(H @ W_hq - Y[t : t + 1])) / 2
    return loss / len(X)


def backpropagate_through_time(
    X: np.ndarray,
    Y: np.ndarray,
    W_xh: np.ndarray,
    W_hh: np.ndarray,
    W_hq: np.ndarray,
    *,
    factors: Sequence[float] | None = None,
    activation: Activation = "tanh",
) -> tuple[float, dict[str, np.ndarray]]:
    """Compute the objective of `rnn_objective` and its gradients by the chain rule, in numpy.

    Backwards from the last step: dL/dH_t = dL/dO_t W_hq^T + (factor of step t + 1) dL/dA_{t+1}
    W_hh^T with A the argument of f; dL/dW_hh = sum_t H_{t-1}^T dL/dA_t. Section: "bptt".

    Args:
        X: (T, D) inputs.
        Y: (T, Q) targets.
        W_xh: (D, H).
        W_hh: (H, H).
        W_hq: (H, Q).
        factors: (T,) as in `rnn_objective`.
        activation: "tanh" or "linear".

    Returns:
        (L, gradients of "W_xh", "W_hh", "W_hq" and of all states "H" (T, H)).

    Raises:
        ValueError: an unknown activation.
    """
    tanh = _known(activation) == "tanh"
    steps = len(X)
    passed = np.ones(steps) if factors is None else np.asarray(factors)
    H = np.zeros((steps + 1, len(W_hh)))  # H[t] is the state after t steps
    for t in range(steps):
        A = X[t] @ W_xh + H[t] @ W_hh
        H[t + 1] = np.tanh(A) if tanh else A
    error = H[1:] @ W_hq - Y
    dO = error / steps
    dH = dO @ W_hq.T  # what reaches each state from its own output
    dA = np.zeros_like(dH)
    for t in reversed(range(steps)):
        dA[t] = dH[t] * (1 - H[t + 1] ** 2) if tanh else dH[t]
        if t:
            dH[t - 1] += passed[t] * (dA[t] @ W_hh.T)
    gradients = {"W_xh": X.T @ dA, "W_hh": H[:-1].T @ dA, "W_hq": H[1:].T @ dO, "H": dH}
    return float(np.sum(error**2) / (2 * steps)), gradients


def gradient_by_powers(
    X: np.ndarray, Y: np.ndarray, W_xh: np.ndarray, W_hh: np.ndarray, W_hq: np.ndarray
) -> np.ndarray:
    """Compute dL/dW_hh of the linear RNN as the section writes it: a sum over powers of W_hh.

    dL/dW_hh = sum_t H_{t-1}^T dL/dH_t with dL/dH_t = sum_{i >= t} dL/dO_i W_hq^T (W_hh^T)^(i - t)
    and H_t = sum_{j <= t} X_j W_xh W_hh^(t - j). Section: "bptt". The powers let it vanish or
    explode: those of eigenvalues below 1 go to 0 with the lag i - t, those above 1 to infinity.

    Args:
        X: (T, D) inputs.
        Y: (T, Q) targets.
        W_xh: (D, H).
        W_hh: (H, H).
        W_hq: (H, Q).

    Returns:
        (H, H).
    """
    steps = len(X)
    power = [np.linalg.matrix_power(W_hh, k) for k in range(steps)]

    def state(t: int) -> np.ndarray:  # after t steps
        return sum((X[j] @ W_xh @ power[t - 1 - j] for j in range(t)), np.zeros(len(W_hh)))

    dO = [(state(i + 1) @ W_hq - Y[i]) / steps for i in range(steps)]
    total = np.zeros_like(W_hh)
    for t in range(steps):
        dH = sum(dO[i] @ W_hq.T @ power[i - t].T for i in range(t, steps))
        total += np.outer(state(t), dH)
    return total


def _known(activation: str) -> str:
    if activation not in ("tanh", "linear"):
        raise ValueError(f"`activation` must be tanh or linear. Received: {activation!r}.")
    return activation
