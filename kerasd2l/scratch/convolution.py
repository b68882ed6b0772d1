"""Cross-correlation, pooling and a convolutional layer by hand, and how to learn a kernel.

Pictures are channels-last here as everywhere: X is (H, W) or (H, W, C), K is (h, w), (h, w, C) or
(h, w, C, F).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops


def corr2d(X: Any, K: Any) -> Any:
    """Slide a kernel over a picture; each output is the sum of the products under it.

    Y[i, j] = sum over a, b of X[i + a, j + b] K[a, b]. Section: "conv-layer". A convolution in the
    mathematical sense is the same with K turned by 180 degrees.

    Args:
        X: (H, W), the picture.
        K: (h, w), the kernel.

    Returns:
        (H - h + 1, W - w + 1), same dtype as X.

    Raises:
        ValueError: X or K is not a matrix, or K is larger than X.

    Example:
        >>> X = ops.reshape(ops.arange(9.0), (3, 3))
        >>> corr2d(X, ops.convert_to_tensor([[0.0, 1.0], [2.0, 3.0]])).numpy().tolist()
        [[19.0, 25.0], [37.0, 43.0]]
    """
    return _slide(X, "K", ops.shape(K), lambda window: ops.sum(window * K))


def corr2d_multi_in(X: Any, K: Any) -> Any:
    """Sum the cross-correlations of every input channel with its own kernel.

    Section: "channels".

    Args:
        X: (H, W, C).
        K: (h, w, C).

    Returns:
        (H - h + 1, W - w + 1).

    Raises:
        ValueError: X and K have not the same number of channels.
    """
    if X.shape[-1] != K.shape[-1]:
        raise ValueError(
            "X and K must have the same number of channels. "
            f"Received: X.shape={tuple(X.shape)}, K.shape={tuple(K.shape)}."
        )
    return sum(corr2d(X[..., c], K[..., c]) for c in range(X.shape[-1]))


def corr1d(X: Any, K: Any) -> Any:
    """Slide a kernel along a sequence; each output is the sum of the products under it.

    Y[t] = sum over i of X[t + i] K[i]. Section: "sentiment-analysis-cnn".

    Args:
        X: (T,), the sequence.
        K: (k,), the kernel.

    Returns:
        (T - k + 1,), same dtype as X.

    Raises:
        ValueError: X or K has not one axis, or K is longer than X.

    Example:
        >>> corr1d(ops.arange(7.0), ops.array([1.0, 2.0])).numpy().tolist()
        [2.0, 5.0, 8.0, 11.0, 14.0, 17.0]
    """
    if len(X.shape) != 1 or len(K.shape) != 1:
        raise ValueError(
            f"X and K must have one axis. Received: shapes {tuple(X.shape)}, {tuple(K.shape)}."
        )
    return corr2d(X[:, None], K[:, None])[:, 0]


def corr1d_multi_in(X: Any, K: Any) -> Any:
    """Sum the cross-correlations of every channel of a sequence with its own kernel.

    Section: "sentiment-analysis-cnn". It is a cross-correlation in two dimensions whose kernel is
    as wide as there are channels.

    Args:
        X: (T, C).
        K: (k, C).

    Returns:
        (T - k + 1,).

    Raises:
        ValueError: X and K have not the same number of channels.
    """
    if X.shape[-1] != K.shape[-1]:
        raise ValueError(
            "X and K must have the same number of channels. "
            f"Received: X.shape={tuple(X.shape)}, K.shape={tuple(K.shape)}."
        )
    return sum(corr1d(X[:, c], K[:, c]) for c in range(X.shape[-1]))


def corr2d_multi_in_out(X: Any, K: Any) -> Any:
    """Stack the results of several kernels as output channels. Section: "channels".

    Args:
        X: (H, W, C).
        K: (h, w, C, F).

    Returns:
        (H - h + 1, W - w + 1, F).
    """
    return ops.stack([corr2d_multi_in(X, K[..., f]) for f in range(K.shape[-1])], axis=-1)


def corr2d_multi_in_out_1x1(X: Any, K: Any) -> Any:
    """Convolve with 1 x 1 kernels as one matrix product over the pixels. Section: "channels".

    Args:
        X: (H, W, C).
        K: (1, 1, C, F).

    Returns:
        (H, W, F), the same as `corr2d_multi_in_out(X, K)`.

    Raises:
        ValueError: K is not 1 x 1.
    """
    height, width, channels = X.shape
    if tuple(K.shape[:3]) != (1, 1, channels):
        raise ValueError(
            f"K must be (1, 1, {channels}, filters) for {channels} channels. "
            f"Received: K.shape={tuple(K.shape)}."
        )
    Y = ops.matmul(ops.reshape(X, (-1, channels)), ops.reshape(K, (channels, -1)))  # (H * W, F)
    return ops.reshape(Y, (height, width, -1))


def pool2d(X: Any, pool_size: tuple[int, int], mode: str = "max") -> Any:
    """Slide a window over a picture; each output is the maximum or the mean under it.

    Section: "pooling".

    Args:
        X: (H, W).
        pool_size: (rows, columns) of the window.
        mode: "max" or "avg".

    Returns:
        (H - rows + 1, W - columns + 1), same dtype as X.

    Raises:
        ValueError: an unknown mode, or a window larger than X.

    Example:
        >>> pool2d(ops.reshape(ops.arange(9.0), (3, 3)), (2, 2)).numpy().tolist()
        [[4.0, 5.0], [7.0, 8.0]]
    """
    reduce = {"max": ops.max, "avg": ops.mean}.get(mode)
    if reduce is None:
        raise ValueError(f'`mode` must be "max" or "avg". Received: mode={mode!r}.')
    return _slide(X, "the window", pool_size, reduce)


def _slide(X: Any, name: str, window_shape: tuple[int, ...], function: Callable) -> Any:
    """Apply `function` to every window of X and lay the numbers out as a matrix."""
    window_shape = tuple(map(int, window_shape))
    if len(X.shape) != 2 or len(window_shape) != 2:
        raise ValueError(
            f"X and {name} must have two axes. Received: shapes {tuple(X.shape)}, {window_shape}."
        )
    (h, w), (height, width) = window_shape, X.shape
    if not (1 <= h <= height and 1 <= w <= width):
        raise ValueError(
            f"{name} must have at least one row and column and must not be larger than X. "
            f"Received: shape {window_shape} for X of shape {tuple(X.shape)}."
        )
    rows = [
        ops.stack([function(X[i : i + h, j : j + w]) for j in range(width - w + 1)])
        for i in range(height - h + 1)
    ]
    return ops.stack(rows)


@keras.saving.register_keras_serializable(package="kerasd2l")
class Conv2DScratch(keras.layers.Layer):
    """A convolutional layer by hand: one cross-correlation a channel pair, plus a bias.

    y[..., f] = sum over c of corr2d(x[..., c], K[..., c, f]) + b[f], for all examples at once: the
    twin of keras.layers.Conv2D(filters, kernel_size). Section: "conv-layer". Follows the book:
    weights from U(0, 1), biases 0.

    Args:
        kernel_size: int or (int, int), rows and columns of the kernel.
        filters: int >= 1, channels that come out. Default: 1.
        use_bias: bool, add b. Default: True.
        seed: int or None, of the initial weights.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: (B, H, W, C) float.

    Returns:
        (B, H - h + 1, W - w + 1, filters), same dtype as inputs.

    Raises:
        ValueError: `filters` or `kernel_size` below 1, or a kernel larger than the picture.

    Example:
        >>> Conv2DScratch((1, 2))(ops.ones((1, 6, 8, 1))).shape
        TensorShape([1, 6, 7, 1])
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        filters: int = 1,
        use_bias: bool = True,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        pair = (kernel_size,) * 2 if isinstance(kernel_size, int) else tuple(kernel_size)
        if len(pair) != 2 or min(pair) < 1 or filters < 1:
            raise ValueError(
                "`kernel_size` must be one or two whole numbers of at least 1, and so must "
                f"`filters`. Received: kernel_size={kernel_size}, filters={filters}."
            )
        self.kernel_size = pair
        self.filters = filters
        self.use_bias = use_bias
        self.seed = seed
        self.bias = None

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "kernel_size": self.kernel_size,
            "filters": self.filters,
            "use_bias": self.use_bias,
            "seed": self.seed,
        }

    def build(self, input_shape):
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*self.kernel_size, input_shape[-1], self.filters),
            initializer=keras.initializers.RandomUniform(0.0, 1.0, seed=self.seed),
        )
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")

    def compute_output_shape(self, input_shape):
        batch, *sizes, _ = input_shape
        if any(n is not None and n < k for n, k in zip(sizes, self.kernel_size, strict=True)):
            raise ValueError(
                "The kernel must not be larger than the picture. Received: "
                f"kernel_size={self.kernel_size}, inputs.shape={tuple(input_shape)}."
            )
        out = (
            None if n is None else n - k + 1 for n, k in zip(sizes, self.kernel_size, strict=True)
        )
        return batch, *out, self.filters

    def call(self, inputs):
        self.compute_output_shape(inputs.shape)
        (h, w), shape = self.kernel_size, ops.shape(inputs)
        height, width = shape[1] - h + 1, shape[2] - w + 1
        outputs = 0.0
        for a in range(h):  # all windows at once: the pixels that lie under K[a, b]
            for b in range(w):
                under = inputs[:, a : a + height, b : b + width, :]
                outputs = outputs + ops.matmul(under, self.kernel[a, b])
        return outputs if self.bias is None else outputs + self.bias


def learn_kernel(
    X: Any,
    Y: Any,
    kernel: Any,
    *,
    learning_rate: float = 0.03,
    steps: int = 10,
    halved: bool = False,
) -> tuple[Any, list[float]]:
    """Find the kernel that turns X into Y by gradient descent on the summed squared error.

    K <- K - learning_rate * d/dK sum((corr2d(X, K) - Y)^2). Section: "conv-layer".

    Args:
        X: (H, W) float32, the picture.
        Y: (H - h + 1, W - w + 1) float32, what the kernel should make of it.
        kernel: (h, w) numbers to start from.
        learning_rate: float > 0.
        steps: int, updates.
        halved: bool, take half of the squared error; doubling the rate then gives the same kernels.

    Returns:
        The learned kernel (h, w) float32, and the loss before each update.

    Raises:
        ValueError: Y has not the shape that the kernel gives.
    """
    weights = tf.Variable(kernel, dtype="float32")
    X, Y = tf.convert_to_tensor(X, "float32"), tf.convert_to_tensor(Y, "float32")
    losses = []
    for _ in range(steps):
        with tf.GradientTape() as tape:
            error = corr2d(X, weights)
            if error.shape != Y.shape:
                raise ValueError(
                    f"Y must have the shape {tuple(error.shape)} that a kernel of "
                    f"{tuple(weights.shape)} gives. Received: Y.shape={tuple(Y.shape)}."
                )
            loss = tf.reduce_sum((error - Y) ** 2) * (0.5 if halved else 1.0)
        weights.assign_sub(learning_rate * tape.gradient(loss, weights))
        losses.append(float(loss))
    return weights.numpy(), losses
