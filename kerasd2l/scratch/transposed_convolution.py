"""A transposed convolution by hand, as a sum and as a matrix. Section: "transposed-conv"."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops


def trans_conv(X: Any, K: Any, strides: int = 1, padding: int = 0) -> Any:
    """Add each pixel's value times the kernel to the output: the transpose of `corr2d`.

    Y[s i + a - p, s j + b - p] += X[i, j] K[a, b]. Section: "transposed-conv". The twin of
    `layers.TransposedConv2D` for one channel.

    Args:
        X: (H, W) float.
        K: (h, w) float.
        strides: int, s. Default: 1, as in the book.
        padding: int, p, rows and columns cut off on each side. Default: 0.

    Returns:
        (s (H - 1) + h - 2 p, s (W - 1) + w - 2 p).

    Raises:
        ValueError: not two axes, or a padding that leaves nothing.

    Example:
        >>> trans_conv([[0.0, 1], [2, 3]], [[0.0, 1], [2, 3]]).numpy().tolist()
        [[0.0, 0.0, 1.0], [0.0, 4.0, 6.0], [4.0, 12.0, 9.0]]
    """
    X, K = ops.convert_to_tensor(X), ops.convert_to_tensor(K)
    if len(X.shape) != 2 or len(K.shape) != 2:
        raise ValueError(
            f"X and K must have two axes. Received: shapes {tuple(X.shape)} and {tuple(K.shape)}."
        )
    (H, W), (h, w) = X.shape, K.shape
    height, width = strides * (H - 1) + h, strides * (W - 1) + w
    if min(height, width) <= 2 * padding:
        raise ValueError(
            f"The padding leaves nothing of {height} x {width} pixels. Received: padding={padding}."
        )
    Y = ops.zeros((height, width), X.dtype)
    for i in range(H):
        for j in range(W):
            top, left = strides * i, strides * j
            around = ((top, height - top - h), (left, width - left - w))
            Y = Y + X[i, j] * ops.pad(K, around)
    return Y[padding : height - padding, padding : width - padding]


def kernel2matrix(K: Any, size: int = 3) -> np.ndarray:
    """Write a kernel as the matrix that convolves a picture laid out as one long vector.

    conv(X) = W x; the transposed convolution of Y is W^T y. Section: "transposed-conv".

    Args:
        K: (h, w) numbers.
        size: int, rows and columns of the picture. Default: 3, as in the book.

    Returns:
        ((size - h + 1) (size - w + 1), size^2).

    Raises:
        ValueError: a kernel larger than the picture.

    Example:
        >>> kernel2matrix([[1, 2], [3, 4]])[0].tolist()
        [1.0, 2.0, 0.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0]
    """
    K = np.asarray(K, "float32")
    if K.ndim != 2 or max(K.shape) > size:
        raise ValueError(
            f"K must have two axes of at most {size} numbers. Received: shape {K.shape}."
        )
    rows, columns = size - K.shape[0] + 1, size - K.shape[1] + 1
    W = np.zeros((rows, columns, size, size), "float32")
    for i in range(rows):
        for j in range(columns):
            W[i, j, i : i + K.shape[0], j : j + K.shape[1]] = K
    return W.reshape(rows * columns, size * size)
