"""The lessons' network with Inception blocks."""

from __future__ import annotations

from typing import Any

import keras

from kerasd2l.models.vision.image_network import MNIST_MEAN, MNIST_STD, ImageNetwork


def mnist_inception(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    num_classes: int = 10,
    *,
    seed: int | None = None,
    name: str = "mnist_inception",
) -> keras.Model:
    """Build the lessons' CNN with an Inception block of 88 channels after each pooling.

    10@5x5 - pool - ReLU - Inception - 20@5x5 - pool - ReLU - Inception - K.
    Section: "inception-cnn-mnist". Normalisation and weights as in `mnist_cnn`. The lessons' block
    has average pooling, no ReLU, and two 3 x 3 convolutions in one path.

    Args:
        input_shape: (height, width, channels), at least 16 x 16 pixels.
        num_classes: int >= 2, classes K.
        seed: int or None. Layer i draws its weights with seed + i.
        name: str, name of the model.

    Call arguments:
        inputs: (B, H, W, C) float in [0, 1].

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: too small a picture, or fewer than two classes.

    Example:
        >>> mnist_inception().get_layer("flatten").output.shape
        (None, 1408)
    """
    net = ImageNetwork(input_shape, num_classes, seed)
    x = net.pool_relu(
        net.conv(net.normalise(MNIST_MEAN, MNIST_STD), 10, 5, name="conv_1"), 1
    )  # (B, 12, 12, 10)
    x = _inception(net, x, name="inception_1")  # (B, 12, 12, 88)
    x = net.pool_relu(net.conv(x, 20, 5, name="conv_2"), 2)  # (B, 4, 4, 20)
    x = _inception(net, x, name="inception_2")  # (B, 4, 4, 88)
    return net.model(net.flatten(x), name)  # (B, 1408)


def _inception(net: ImageNetwork, x: Any, *, name: str) -> Any:
    """Stack four views of the map: 16 + 24 + 24 + 24 = 88 channels, linear."""
    one = net.conv(x, 16, 1, name=f"{name}_path_1")
    five = net.conv(x, 16, 1, name=f"{name}_path_2_reduce")
    five = net.conv(five, 24, 5, padding=2, name=f"{name}_path_2")
    three = net.conv(x, 16, 1, name=f"{name}_path_3_reduce")
    three = net.conv(three, 24, 3, padding=1, name=f"{name}_path_3_first")
    three = net.conv(three, 24, 3, padding=1, name=f"{name}_path_3")
    # Padding counts as zero in the mean, as in PyTorch; Keras' "same" leaves it out.
    pooled = net.zeros(x, 1, name=f"{name}_pool_padding")
    pooled = net.average_pool(pooled, 3, 1, name=f"{name}_pool")
    pooled = net.conv(pooled, 24, 1, name=f"{name}_path_4")
    return keras.layers.Concatenate(name=name)([one, five, three, pooled])
