"""Model and tensor parallelism by hand: parameters that no device has all of.

Section: "multiple-gpus". Model parallelism gives whole layers to devices: what one computes goes to
the next one. Tensor parallelism cuts each matrix: by columns every device has some of the outputs,
by rows some of the inputs of a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kerasd2l.scratch.data_parallel import allreduce, split_batch, sum_of_losses

Stage = Callable[[Any, Any], Any]


def in_stages(
    X: Any, stages: Sequence[Stage], stage_params: Sequence[Any], devices: Sequence[str]
) -> Any:
    """Compute a network whose layers live on several devices, one stage after the other.

    Section: "multiple-gpus". Gradients go back the same way.

    Args:
        X: (B, ...), the input.
        stages: (X, params) -> X of each device.
        stage_params: the parameters of each stage, on its device.
        devices: names of devices.
    """
    for stage, params, device in zip(stages, stage_params, devices, strict=True):
        with tf.device(device):
            X = stage(tf.identity(X), params)  # the copy to the device
    return X


def pipeline_gradients(
    X: Any,
    y: Any,
    stages: Sequence[Stage],
    stage_params: Sequence[Any],
    devices: Sequence[str],
    *,
    pieces: int = 1,
) -> tuple[tf.Tensor, list[list[tf.Tensor]]]:
    """Return loss and gradients of a batch that goes through the stages in pieces.

    While the second device works on one piece, the first one may begin the next; in a graph they
    do. The sum over the pieces is that of the whole batch. Section: "multiple-gpus".

    Args:
        X: (B, ...), the batch.
        y: (B,) int classes.
        stages: (X, params) -> X of each device.
        stage_params: the variables of each stage, on its device.
        devices: names of devices.
        pieces: int >= 1, pieces of the batch.

    Returns:
        The loss, summed over the batch, and its gradients, stage by stage.
    """
    with tf.GradientTape() as tape:
        losses = []
        for X_piece, y_piece in zip(*split_batch(X, y, [devices[0]] * pieces), strict=True):
            logits = in_stages(X_piece, stages, stage_params, devices)
            with tf.device(devices[-1]):
                losses.append(sum_of_losses(y_piece, logits))
        with tf.device(devices[-1]):
            loss = tf.add_n(losses)
    return loss, tape.gradient(loss, [list(params) for params in stage_params])


def bubble(num_stages: int, pieces: int) -> float:
    """Return the share of time that devices of a pipeline of equal stages do nothing.

    (p - 1) / (m + p - 1) for p stages and m pieces of a batch. Section: "multiple-gpus".

    Example:
        >>> bubble(2, 1), bubble(4, 12)
        (0.5, 0.2)
    """
    return (num_stages - 1) / (pieces + num_stages - 1)


def split_kernel(W: Any, devices: Sequence[str], axis: int) -> list[tf.Variable]:
    """Cut a matrix (or a bias) over devices: axis 1 by columns, axis 0 by rows.

    Section: "multiple-gpus".

    Args:
        W: array.
        devices: names of devices; their number divides the axis.
        axis: int, what is cut.

    Raises:
        ValueError: an axis that cannot be cut into equal parts.
    """
    W = np.asarray(W)
    if W.shape[axis] % len(devices):
        raise ValueError(
            f"the axis to cut must be divisible by the devices. Received: {W.shape[axis]} numbers, "
            f"{len(devices)} devices."
        )
    parts = []
    for part, device in zip(np.split(W, len(devices), axis), devices, strict=True):
        with tf.device(device):
            parts.append(tf.Variable(part))
    return parts


def column_parallel(
    X: Any, W_parts: Sequence[Any], b_parts: Sequence[Any], devices: Sequence[str]
) -> list[tf.Tensor]:
    """Compute X W + b where each device has some columns of W and of b.

    Every device gets all of X and gives its own part of the outputs. Section: "multiple-gpus".

    Args:
        X: (B, D), on any device.
        W_parts: (D, units / n) on each device.
        b_parts: (units / n,) on each device.
        devices: names of devices.

    Returns:
        (B, units / n) on each device; `all_gather` puts them together.
    """
    outputs = []
    for W, b, device in zip(W_parts, b_parts, devices, strict=True):
        with tf.device(device):
            outputs.append(tf.matmul(X, W) + b)
    return outputs


def all_gather(parts: Sequence[Any], devices: Sequence[str]) -> list[tf.Tensor]:
    """Give all parts to every device, put together along the last axis. Section: "multiple-gpus".

    Example:
        >>> whole = all_gather([tf.ones((1, 2)), tf.zeros((1, 1))], ["CPU:0", "CPU:0"])
        >>> whole[1].numpy().tolist()
        [[1.0, 1.0, 0.0]]
    """
    whole = []
    for device in devices:
        with tf.device(device):
            whole.append(tf.concat(list(parts), axis=-1))
    return whole


def row_parallel(
    X_parts: Sequence[Any], W_parts: Sequence[Any], b: Any, devices: Sequence[str]
) -> list[tf.Tensor]:
    """Compute X W + b where each device has some rows of W, and the columns of X that they meet.

    Every device has a summand of the whole: an all-reduce adds them up. Section: "multiple-gpus".

    Args:
        X_parts: (B, D / n) on each device.
        W_parts: (D / n, units) on each device.
        b: (units,), added once.
        devices: names of devices.

    Returns:
        (B, units) on each device, all alike.
    """
    outputs = []
    for X, W, device in zip(X_parts, W_parts, devices, strict=True):
        with tf.device(device):
            outputs.append(tf.matmul(X, W))
    allreduce(outputs)
    for i, device in enumerate(devices):
        with tf.device(device):
            outputs[i] = outputs[i] + b
    return outputs
