"""The lessons' network with residual blocks."""

from __future__ import annotations

from typing import Any

import keras

from kerasd2l.models.vision.image_network import MNIST_MEAN, MNIST_STD, ImageNetwork


def mnist_resnet(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    num_classes: int = 10,
    *,
    seed: int | None = None,
    name: str = "mnist_resnet",
) -> keras.Model:
    """Build the lessons' CNN with a residual block after each pooling.

    16@5x5 - pool - ReLU - residual - 32@5x5 - ReLU - pool - residual - K, residual: z = ReLU(x +
    conv(ReLU(conv(x)))), 3 x 3. Section: "residual-cnn-mnist". Normalisation and weights as in
    `mnist_cnn`.

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
        >>> mnist_resnet().get_layer("flatten").output.shape
        (None, 512)
    """
    net = ImageNetwork(input_shape, num_classes, seed)
    x = net.pool_relu(
        net.conv(net.normalise(MNIST_MEAN, MNIST_STD), 16, 5, name="conv_1"), 1
    )  # (B, 12, 12, 16)
    x = _residual(net, x, name="residual_1")
    x = net.conv(x, 32, 5, activation="relu", name="conv_2")  # (B, 8, 8, 32)
    x = _residual(net, net.max_pool(x, 2, 2, name="pool_2"), name="residual_2")  # (B, 4, 4, 32)
    return net.model(net.flatten(x), name)  # (B, 512)


def _residual(net: ImageNetwork, x: Any, *, name: str) -> Any:
    """Add to x what two 3 x 3 convolutions make of it."""
    y = net.conv(x, x.shape[-1], 3, padding=1, activation="relu", name=f"{name}_conv_1")
    y = net.conv(y, x.shape[-1], 3, padding=1, name=f"{name}_conv_2")
    return keras.layers.Activation("relu", name=name)(keras.layers.Add(name=f"{name}_add")([x, y]))
