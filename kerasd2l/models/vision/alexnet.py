"""AlexNet: five convolutions and three dense layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kerasd2l.models.vision.image_network import ImageNetwork, scaled


def alexnet(
    input_shape: tuple[int, int, int] = (224, 224, 1),
    num_classes: int = 10,
    *,
    dense_units: Sequence[int] = (4096, 4096),
    first_padding: int = 1,
    dropout_rate: float = 0.5,
    width: float = 1.0,
    seed: int | None = None,
    name: str = "alexnet",
) -> keras.Model:
    """Build AlexNet: five convolutions, three poolings, two wide dense layers with dropout.

    conv 96@11x11 stride 4 - pool - 256@5x5 - pool - 384@3x3 - 384@3x3 - 256@3x3 - pool - 4096 -
    4096 - K, ReLU throughout, pool 3 stride 2. Section: "alexnet".

    Follows the book: Xavier-uniform weights; 46,764,746 parameters. Biases start at zero.

    Args:
        input_shape: (height, width, channels), at least 65 x 65 pixels.
        num_classes: int >= 2, classes K.
        dense_units: sequence of int, units of the hidden dense layers. The smaller variant of the
            course notes is `dense_units=(4096,), first_padding=0` with 29,983,434 parameters.
        first_padding: int >= 0, zeros around the picture.
        dropout_rate: float in [0, 1), after each hidden dense layer.
        width: float > 0, factor on the filters of all convolutions.
        seed: int or None. Layer i draws its weights with seed + i.
        name: str, name of the model.

    Call arguments:
        inputs: (B, H, W, C) float in [0, 1].

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: too small a picture, a width that is not positive, fewer than two classes.

    Example:
        >>> alexnet().count_params()
        46764746

    Reference:
        Krizhevsky, Sutskever, Hinton, ImageNet classification with deep convolutional neural
        networks, 2012.
    """
    net = ImageNetwork(input_shape, num_classes, seed)
    options: dict[str, Any] = {"activation": "relu"}
    x = net.conv(
        net.pixels,
        scaled(96, width),
        11,
        strides=4,
        padding=first_padding,
        name="conv_1",
        **options,
    )  # (B, 54, 54, 96)
    x = net.max_pool(x, name="pool_1")  # (B, 26, 26, 96)
    x = net.conv(x, scaled(256, width), 5, padding=2, name="conv_2", **options)
    x = net.max_pool(x, name="pool_2")  # (B, 12, 12, 256)
    for i, filters in enumerate((384, 384, 256)):
        x = net.conv(x, scaled(filters, width), 3, padding=1, name=f"conv_{i + 3}", **options)
    x = net.max_pool(x, name="pool_3")  # (B, 5, 5, 256)
    return net.model(net.dense_layers(x, dense_units, dropout_rate), name)
