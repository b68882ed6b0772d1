#!/usr/bin/env python
"""Operators of computer vision beside PyTorch's and torchvision's, on random cases.

`python scripts/torch_operators.py` prints the largest difference of each: regions of features with
gradients, suppression (boxes that differ), transposed convolution, bilinear enlarging, losses.
Edges are among the cases: boxes out of the picture, without area, the same twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import numpy as np

from kerasd2l.cli import use_tensorflow


def _boxes(random: np.random.Generator, count: int) -> np.ndarray:
    """Return corners, some out of [0, 1], some without area, some twice."""
    start = random.uniform(-0.3, 1.0, (count, 2))
    boxes = np.concatenate([start, start + random.uniform(0.0, 0.8, (count, 2))], axis=1)
    flat = random.random(count) < 0.1
    boxes[flat, 2:] = boxes[flat, :2]
    boxes[-1] = boxes[0]
    x1, x2 = np.sort(boxes[:, ::2]).T
    y1, y2 = np.sort(boxes[:, 1::2]).T
    return np.stack([x1, y1, x2, y2], axis=1).astype("float32")


def _largest(ours: Any, theirs: Any) -> float:
    return float(np.max(np.abs(np.asarray(ours) - np.asarray(theirs)), initial=0.0))


def roi(kind: str) -> Callable[[np.random.Generator], float]:
    """Compare RoIAlign or RoIPooling: values and the gradient of the features."""
    import tensorflow as tf
    import torch
    import torchvision

    from kerasd2l import layers

    def compare(random: np.random.Generator) -> float:
        height, width, channels = (int(n) for n in random.integers((2, 2, 1), (14, 14, 4)))
        bins, samples = int(random.integers(1, 5)), int(random.integers(1, 4))
        x = random.normal(size=(1, height, width, channels)).astype("float32")
        boxes = _boxes(random, 6)
        scale = np.array([width, height, width, height], "float32")
        rows = torch.from_numpy(np.concatenate([np.zeros((6, 1), "float32"), boxes * scale], 1))
        theirs_x = torch.from_numpy(np.moveaxis(x, -1, 1).copy()).requires_grad_()
        if kind == "align":
            layer: Any = layers.RoIAlign(bins, samples)
            options: dict[str, Any] = {"sampling_ratio": samples, "aligned": True}
            theirs = torchvision.ops.roi_align(theirs_x, rows, bins, 1.0, **options)
        else:
            layer = layers.RoIPooling(bins)
            theirs = torchvision.ops.roi_pool(theirs_x, rows, bins, 1.0)
        with tf.GradientTape() as tape:
            ours_x = tf.constant(x)
            tape.watch(ours_x)
            ours = layer(ours_x, boxes[None])[0]
            weights = random.normal(size=ours.shape).astype("float32")
            total = tf.reduce_sum(ours * weights)
        (theirs * torch.from_numpy(np.moveaxis(weights, -1, 1).copy())).sum().backward()
        found = _largest(ours, np.moveaxis(theirs.detach().numpy(), 1, -1))
        gradient = np.moveaxis(theirs_x.grad.numpy(), 1, -1)
        return max(found, _largest(tape.gradient(total, ours_x), gradient))

    return compare


def suppression(random: np.random.Generator) -> float:
    """Count the boxes that one of the two keeps and the other does not."""
    import torch
    import torchvision

    from kerasd2l import layers

    boxes, scores = _boxes(random, 40), random.permutation(40).astype("float32") / 40
    threshold = float(random.choice([0.0, 0.3, 0.5, 0.7]))
    ours = set(np.asarray(layers.nms(boxes, scores, threshold)).tolist())
    arrays = (torch.from_numpy(boxes), torch.from_numpy(scores))
    return float(len(ours ^ set(torchvision.ops.nms(*arrays, threshold).tolist())))


def transposed(random: np.random.Generator) -> float:
    """Compare transposed convolutions of any kernel, stride and padding."""
    import torch
    from torch.nn import functional as F

    from kerasd2l import layers

    kernel = int(random.integers(1, 6))
    stride, padding = int(random.integers(1, 4)), int(random.integers(0, (kernel + 1) // 2))
    height, width, channels = (int(n) for n in random.integers((2, 2, 1), (8, 8, 4)))
    x = random.normal(size=(2, height, width, channels)).astype("float32")
    if min((side - 1) * stride + kernel - 2 * padding for side in (height, width)) < 1:
        return 0.0
    layer = layers.TransposedConv2D(3, kernel, strides=stride, padding=padding)
    ours = layer(x)
    weights = torch.from_numpy(np.transpose(np.asarray(layer.kernel), (3, 2, 0, 1)).copy())
    pixels = torch.from_numpy(np.moveaxis(x, -1, 1).copy())
    theirs = F.conv_transpose2d(pixels, weights, stride=stride, padding=padding)
    return _largest(ours, np.moveaxis(theirs.numpy(), 1, -1))


def enlarging(random: np.random.Generator) -> float:
    """Compare bilinear enlarging, with corners aligned or not."""
    import torch
    from torch.nn import functional as F

    from kerasd2l import layers

    factor = int(random.integers(1, 5))
    height, width, channels = (int(n) for n in random.integers((1, 1, 1), (8, 8, 4)))
    x = random.normal(size=(2, height, width, channels)).astype("float32")
    aligned = bool(random.integers(2))
    ours = layers.BilinearUpSampling2D(factor, aligned)(x)
    pixels = torch.from_numpy(np.moveaxis(x, -1, 1).copy())
    options: dict[str, Any] = {"mode": "bilinear", "align_corners": aligned}
    theirs = F.interpolate(pixels, scale_factor=factor, **options)
    return _largest(ours, np.moveaxis(theirs.numpy(), 1, -1))


def smooth(random: np.random.Generator) -> float:
    """Compare smooth L1."""
    import torch
    from torch.nn import functional as F

    from kerasd2l.detection_losses import smooth_l1

    x, y = random.normal(size=(2, 20)).astype("float32")
    beta = float(random.choice([0.0, 0.1, 1.0, 2.5]))
    theirs = F.smooth_l1_loss(torch.from_numpy(x), torch.from_numpy(y), reduction="none", beta=beta)
    return _largest(smooth_l1(y, x, beta), theirs)


def overlap(random: np.random.Generator) -> float:
    """Compare the loss of generalized IoU where both have an area: torchvision adds 1e-7."""
    import torch
    import torchvision

    from kerasd2l.detection_losses import giou_loss

    a, b = _boxes(random, 20), _boxes(random, 20)
    both = (np.prod(a[:, 2:] - a[:, :2], 1) > 1e-3) & (np.prod(b[:, 2:] - b[:, :2], 1) > 1e-3)
    arrays = (torch.from_numpy(x[both]) for x in (a, b))
    return _largest(giou_loss(b[both], a[both]), torchvision.ops.generalized_box_iou_loss(*arrays))


@click.command()
@click.option("--cases", type=click.IntRange(min=1), default=1000, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def main(cases: int, seed: int) -> None:
    """Print the largest difference of each operator over random cases."""
    use_tensorflow()
    comparisons = {
        "RoIAlign, values and gradients": roi("align"),
        "RoIPooling, values and gradients": roi("pool"),
        "nms, boxes that differ": suppression,
        "TransposedConv2D": transposed,
        "BilinearUpSampling2D": enlarging,
        "smooth_l1": smooth,
        "giou_loss": overlap,
    }
    for name, compare in comparisons.items():
        differences = [compare(np.random.default_rng((seed, i))) for i in range(cases)]
        click.echo(f"{name}: {max(differences):.2g} at most, {cases} cases")


if __name__ == "__main__":
    main()
