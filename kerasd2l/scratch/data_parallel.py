"""Data parallelism by hand: every device has all parameters and a piece of each batch.

Section: "multiple-gpus". A step: cut the batch, compute gradients on every device, add them up,
give the sum to all (`allreduce`), update every copy alike. Where copies are equal before a step,
they are equal after it, and equal to one device that took the whole batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasd2l.scratch.linear_regression import sgd
from kerasd2l.scratch.softmax_regression import accuracy


def lenet_params(
    input_shape: tuple[int, int, int] = (28, 28, 1), num_classes: int = 10, *, seed: int = 0
) -> list[np.ndarray]:
    """Draw the weights of the section's LeNet from N(0, 0.01^2); biases are 0.

    conv 20@3x3 - pool 2 - conv 50@5x5 - pool 2 - 128 - K. Section: "multiple-gpus".

    Args:
        input_shape: (height, width, channels), at least 14 x 14 pixels.
        num_classes: int, K.
        seed: int.

    Returns:
        W1 (3, 3, C, 20), b1, W2 (5, 5, 20, 50), b2, W3 (800, 128), b3, W4 (128, K), b4: sizes are
        those of pictures 28 x 28.

    Raises:
        ValueError: too small pictures.

    Example:
        >>> [w.shape for w in lenet_params()][::2]
        [(3, 3, 1, 20), (5, 5, 20, 50), (800, 128), (128, 10)]
    """
    height, width, channels = input_shape
    if min(height, width) < 14:
        raise ValueError(
            f"`input_shape` must be at least 14 x 14 pixels. Received: input_shape={input_shape}."
        )
    places = [((side - 2) // 2 - 4) // 2 for side in (height, width)]
    flat = places[0] * places[1] * 50
    shapes = [(3, 3, channels, 20), (5, 5, 20, 50), (flat, 128), (128, num_classes)]
    random = np.random.default_rng(seed)
    params = []
    for shape in shapes:
        params.append(random.normal(0, 0.01, shape).astype(np.float32))
        params.append(np.zeros(shape[-1], np.float32))
    return params


def lenet(X: Any, params: Sequence[Any]) -> tf.Tensor:
    """Map pictures (B, H, W, C) to logits (B, K), with parameters from `lenet_params`.

    Section: "multiple-gpus". ReLU and average pooling.
    """
    return lenet_dense(lenet_convolutions(X, params[:4]), params[4:])


def lenet_convolutions(X: Any, params: Sequence[Any]) -> tf.Tensor:
    """Compute the first half of `lenet`: (B, 28, 28, C) to (B, 800)."""
    W1, b1, W2, b2 = params
    H = tf.nn.relu(tf.nn.conv2d(X, W1, 1, "VALID") + b1)  # (B, 26, 26, 20)
    H = tf.nn.avg_pool2d(H, 2, 2, "VALID")  # (B, 13, 13, 20)
    H = tf.nn.relu(tf.nn.conv2d(H, W2, 1, "VALID") + b2)  # (B, 9, 9, 50)
    H = tf.nn.avg_pool2d(H, 2, 2, "VALID")  # (B, 4, 4, 50)
    return tf.reshape(H, (tf.shape(H)[0], W2.shape[-1] * H.shape[1] * H.shape[2]))  # (B, 800)


def lenet_dense(H: Any, params: Sequence[Any]) -> tf.Tensor:
    """Compute the second half of `lenet`: (B, 800) to (B, K)."""
    W3, b3, W4, b4 = params
    H = tf.nn.relu(tf.matmul(H, W3) + b3)  # (B, 128)
    return tf.matmul(H, W4) + b4  # (B, K)


def sum_of_losses(y: Any, logits: Any) -> tf.Tensor:
    """Return the cross-entropy summed over the batch: a mean would depend on how it is cut."""
    return tf.reduce_sum(keras.ops.sparse_categorical_crossentropy(y, logits, from_logits=True))


def get_params(params: Iterable[Any], device: str) -> list[tf.Variable]:
    """Copy parameters to a device. Section: "multiple-gpus".

    Args:
        params: arrays, tensors or variables.
        device: str, "GPU:0" or "CPU:1".

    Returns:
        Variables of their own on the device.
    """
    with tf.device(device):
        return [tf.Variable(np.array(p)) for p in params]


def allreduce(data: list[Any]) -> None:
    """Add up and give the sum to all, in place: afterwards every entry is the sum.

    Everything goes to the first one's device and back; `collectives` has better ways. Section:
    "multiple-gpus".

    Args:
        data: a tensor for each device, changed in place; each sum lies where the tensor lay.
            Variables keep being variables and are assigned.

    Example:
        >>> data = [tf.ones((1, 2)) * (i + 1) for i in range(2)]
        >>> allreduce(data)
        >>> [d.numpy().tolist() for d in data]
        [[[3.0, 3.0]], [[3.0, 3.0]]]
    """
    with tf.device(data[0].device):
        total = tf.add_n([tf.convert_to_tensor(d) for d in data])
    for i, one in enumerate(data):
        with tf.device(one.device):
            if isinstance(one, tf.Variable):
                one.assign(total)
            else:
                data[i] = tf.identity(total)


def split_batch(X: Any, y: Any, devices: Sequence[str]) -> tuple[list[Any], list[Any]]:
    """Cut a batch into pieces, one on each device; their sizes differ by one at most.

    Section: "multiple-gpus".

    Args:
        X: (B, ...), the examples.
        y: (B, ...), what belongs to them.
        devices: names of devices.

    Returns:
        Lists of the pieces of X and y.

    Raises:
        ValueError: X and y of different length, or fewer examples than devices.

    Example:
        >>> pieces, _ = split_batch(tf.reshape(tf.range(20), (4, 5)), tf.range(4), ["CPU:0"] * 2)
        >>> [piece.shape[0] for piece in pieces]
        [2, 2]
    """
    size, n = len(X), len(devices)
    if len(y) != size or size < n:
        raise ValueError(
            "`X` and `y` must have the same length, at least an example for each device. "
            f"Received: {size} and {len(y)} examples, {n} devices."
        )
    X_pieces, y_pieces = [], []
    for i, device in enumerate(devices):
        rows = slice(i * size // n, (i + 1) * size // n)
        with tf.device(device):
            X_pieces.append(tf.identity(X[rows]))
            y_pieces.append(tf.identity(y[rows]))
    return X_pieces, y_pieces


def train_batch(
    X: Any,
    y: Any,
    device_params: Sequence[list[tf.Variable]],
    devices: Sequence[str],
    lr: float,
    *,
    net: Callable[[Any, Any], Any] = lenet,
) -> tf.Tensor:
    """Do a step of data-parallel SGD. Section: "multiple-gpus".

    Args:
        X: (B, ...), the whole batch.
        y: (B,) int classes.
        device_params: for each device its own parameters, all alike.
        devices: names of devices.
        lr: float, learning rate of the mean over the whole batch.
        net: (X, params) -> logits.

    Returns:
        The loss, summed over the batch.
    """
    grads, losses = [], []
    pieces = zip(*split_batch(X, y, devices), device_params, devices, strict=True)
    for X_piece, y_piece, params, device in pieces:
        with tf.device(device):
            with tf.GradientTape() as tape:
                loss = sum_of_losses(y_piece, net(X_piece, params))
            grads.append(tape.gradient(loss, params))
            losses.append(loss)
    for i in range(len(device_params[0])):
        column = [grad[i] for grad in grads]
        allreduce(column)
        for grad, total in zip(grads, column, strict=True):
            grad[i] = total
    for params, grad, device in zip(device_params, grads, devices, strict=True):
        with tf.device(device):
            sgd(params, grad, lr, len(X))
    with tf.device(devices[0]):
        return tf.add_n(losses)


def train_data_parallel(
    epochs: Iterable[Iterable[tuple[Any, Any]]],
    test: Iterable[tuple[Any, Any]],
    params: Iterable[Any],
    devices: Sequence[str],
    lr: float,
    *,
    net: Callable[[Any, Any], Any] = lenet,
) -> tuple[list[list[tf.Variable]], list[dict[str, float]]]:
    """Train on several devices and score on the first one: the book's `train`.

    Section: "multiple-gpus".

    Args:
        epochs: for each epoch its batches.
        test: batches to score on after each epoch.
        params: initial parameters.
        devices: names of devices.
        lr: float, learning rate.
        net: (X, params) -> logits.

    Returns:
        The parameters of every device, and for each epoch "train_loss", "test_accuracy" and
        "seconds" of its training.
    """
    params = list(params)
    device_params = [get_params(params, device) for device in devices]

    @tf.function
    def step(X, y):
        return train_batch(X, y, device_params, devices, lr, net=net)

    predict = tf.function(lambda X: net(X, device_params[0]))
    history = []
    for batches in epochs:
        losses, size, start = [], 0, time.perf_counter()
        for X, y in batches:
            losses.append(step(X, y))
            size += len(X)
        loss = float(tf.add_n(losses)) / size  # waits for the devices
        seconds = time.perf_counter() - start
        right, size = 0.0, 0
        with tf.device(devices[0]):
            for X, y in test:
                right += accuracy(predict(X), y)
                size += len(X)
        history.append({"train_loss": loss, "test_accuracy": right / size, "seconds": seconds})
    return device_params, history
