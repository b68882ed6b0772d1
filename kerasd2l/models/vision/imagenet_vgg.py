"""VGG-16 and VGG-19 as they are trained on ImageNet: torchvision's and Keras' layers."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kerasd2l.layers import AdaptiveAveragePooling2D
from kerasd2l.models.vision.image_network import IMAGENET_MEAN, IMAGENET_STD, HeNetwork, scaled

FILTERS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_TOP = 7  # rows and columns of the map that the dense layers take


def imagenet_vgg(
    input_shape: tuple[int | None, int | None, int] = (None, None, 3),
    num_classes: int = 1000,
    *,
    num_layers: int = 19,
    width: float = 1.0,
    dense_units: Sequence[int] = (4096, 4096),
    dropout_rate: float = 0.5,
    include_top: bool = True,
    pixel_mean: Sequence[float] = IMAGENET_MEAN,
    pixel_std: Sequence[float] = IMAGENET_STD,
    seed: int | None = None,
    name: str | None = None,
) -> keras.Model:
    """Build a VGG whose weights may come from torchvision or `keras.applications`.

    x = (pixels - mean) / std; five blocks of 3 x 3 convolutions with ReLU that each end in halving
    the map, then dense layers on a map of 7 x 7. Section: "neural-style".

    The convolutions are called `block_1_conv_1` to `block_5_conv_4`, and their outputs are after
    the ReLU; `vgg_feature` finds the name of a layer of torchvision. He-normal weights. The network
    normalises the pixels itself, so that training and serving cannot differ.

    Args:
        input_shape: (height, width, channels); height and width may be None.
        num_classes: int >= 2, classes K.
        num_layers: 16 or 19.
        width: float > 0, factor on the filters of the convolutions.
        dense_units: sequence of int, units of the hidden dense layers.
        dropout_rate: float in [0, 1), after each of them.
        include_top: bool; False ends with the last map, (B, H / 32, W / 32, 512).
        pixel_mean: what is subtracted from each channel of the pixels in [0, 1].
        pixel_std: what the difference is divided by.
        seed: int or None. Layer i draws its weights with seed + i.
        name: str, name of the model. Default: "vgg19" and so on.

    Call arguments:
        inputs: (B, H, W, C) float in [0, 1].

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32, or to a map.

    Raises:
        ValueError: another number of layers, pictures of less than 32 x 32 pixels, a mean that has
            not the pictures' channels.

    Example:
        >>> imagenet_vgg(num_layers=19, include_top=False).count_params()
        20024384

    Reference:
        Simonyan, Zisserman, Very deep convolutional networks for large-scale image recognition,
        2014.
    """
    _check_layers(num_layers)
    net = HeNetwork(input_shape, num_classes, seed)
    x = net.standardise(pixel_mean, pixel_std)
    blocks = zip(CONVOLUTIONS[num_layers], FILTERS, strict=True)
    for i, (convolutions, filters) in enumerate(blocks, 1):
        for j in range(1, convolutions + 1):
            x = net.conv(
                x,
                scaled(filters, width),
                3,
                padding=1,
                activation="relu",
                name=f"block_{i}_conv_{j}",
            )
        x = net.max_pool(x, 2, 2, name=f"block_{i}_pool")  # (B, H / 2^i, W / 2^i, filters)
    name = name or f"vgg{num_layers}"
    if not include_top:
        return keras.Model(net.pixels, x, name=name)
    x = AdaptiveAveragePooling2D(_TOP, name="pool")(x)  # (B, 7, 7, 512)
    return net.model(net.dense_layers(x, dense_units, dropout_rate), name)


def vgg_feature(number: int, num_layers: int = 19) -> str:
    """Return our name of a convolution of torchvision's `vgg.features`. Section: "neural-style".

    Args:
        number: int, its place there: 0 is the first convolution, 28 of VGG-19 the one of block 5.
        num_layers: 16 or 19.

    Raises:
        ValueError: another number of layers, or there is no convolution at that place.

    Example:
        >>> [vgg_feature(number) for number in (0, 5, 25)]
        ['block_1_conv_1', 'block_2_conv_1', 'block_4_conv_4']
    """
    places = vgg_places(num_layers)
    if number not in places:
        raise ValueError(
            f"VGG-{num_layers} has convolutions at {', '.join(map(str, places))}. "
            f"Received: {number}."
        )
    return places[number]


def vgg_places(num_layers: int) -> dict[int, str]:
    """Return place in torchvision's `vgg.features` -> our name, of every convolution.

    Raises:
        ValueError: another number of layers.
    """
    _check_layers(num_layers)
    places, place = {}, 0
    for i, convolutions in enumerate(CONVOLUTIONS[num_layers], 1):
        for j in range(1, convolutions + 1):
            places[place] = f"block_{i}_conv_{j}"
            place += 2  # the ReLU is a layer of its own there
        place += 1  # the pooling
    return places


def _check_layers(num_layers: int) -> None:
    if num_layers not in CONVOLUTIONS:
        raise ValueError(
            f"`num_layers` must be one of {', '.join(map(str, CONVOLUTIONS))}. "
            f"Received: num_layers={num_layers}."
        )
