"""Backpropagation with pencil and paper: three small models, each a forward and a backward pass.

Every function computes the squared loss of one point (or, on arrays, of many points side by side)
and hands the derivative back from node to node, as the chain rule has it.
"""

from __future__ import annotations

from typing import Any


def proportional(x: Any, y: Any, w: Any) -> tuple[Any, dict[str, Any]]:
    """Return loss and gradient of y_hat = w x.

    dl/dw = 2 (y_hat - y) x. Section: "backprop-by-hand".
    """
    y_hat = w * x
    loss, d_y_hat = _squared(y_hat, y)
    return loss, {"w": d_y_hat * x}


def linear(x: Any, y: Any, w: Any, b: Any) -> tuple[Any, dict[str, Any]]:
    """Return loss and gradients of y_hat = w x + b.

    dl/dw = 2 (y_hat - y) x, dl/db = 2 (y_hat - y). Section: "backprop-by-hand".
    """
    product = w * x
    y_hat = product + b
    loss, d_y_hat = _squared(y_hat, y)
    d_product, d_b = d_y_hat, d_y_hat  # a sum hands on what it gets
    return loss, {"w": d_product * x, "b": d_b}


def quadratic(x: Any, y: Any, w_1: Any, w_2: Any, b: Any) -> tuple[Any, dict[str, Any]]:
    """Return loss and gradients of y_hat = w_1 x^2 + w_2 x + b.

    dl/dw_1 = 2 (y_hat - y) x^2, dl/dw_2 = 2 (y_hat - y) x, dl/db = 2 (y_hat - y).
    Section: "backprop-by-hand".
    """
    square = x * x
    y_hat = w_1 * square + w_2 * x + b
    loss, d_y_hat = _squared(y_hat, y)
    return loss, {"w_1": d_y_hat * square, "w_2": d_y_hat * x, "b": d_y_hat}


def _squared(y_hat: Any, y: Any) -> tuple[Any, Any]:
    """Return (y_hat - y)^2 and its derivative by y_hat."""
    error = y_hat - y
    return error * error, 2 * error
