"""A network that sees pixels with mean 0 and deviation 1, whatever it is built of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras


def normalised(network: keras.Model, mean: Sequence[float], std: Sequence[float]) -> keras.Model:
    """Put a normalisation of the pixels before a network, so that it is saved and served with it.

    y = network((x - mean) / std), channel by channel. Section: "kaggle-cifar10".

    Args:
        network: a functional model of pictures (B, H, W, C).
        mean: C floats.
        std: C floats > 0.

    Call arguments:
        inputs: (B, H, W, C) float in [0, 1].

    Returns:
        A functional `keras.Model` of the network's name and outputs.

    Raises:
        ValueError: not a number for each channel, or a deviation that is not positive.

    Example:
        >>> from kerasd2l.models import lenet
        >>> normalised(lenet(), mean=(0.5,), std=(0.25,)).output_shape
        (None, 10)
    """
    shape = network.input_shape[1:]
    if len(mean) != shape[-1] or len(std) != shape[-1] or min(std) <= 0:
        raise ValueError(
            f"`mean` and `std` must be {shape[-1]} numbers each, deviations above 0. "
            f"Received: mean={tuple(mean)}, std={tuple(std)}."
        )
    pixels = keras.Input(shape, name="pixels")
    variance = [deviation**2 for deviation in std]
    layer = keras.layers.Normalization(mean=list(mean), variance=variance, name="normalise")
    x: Any = layer(pixels)
    return keras.Model(pixels, network(x), name=network.name)
