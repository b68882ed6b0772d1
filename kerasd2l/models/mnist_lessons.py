"""The three convolutional networks of the course lessons on MNIST."""

from __future__ import annotations

from typing import Any

import keras

from kerasd2l.models.symmetric import ImageNetwork

MEAN, STD = 0.1307, 0.3081  # of MNIST's training pixels


def mnist_cnn(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    num_classes: int = 10,
    *,
    seed: int | None = None,
    name: str = "mnist_cnn",
) -> keras.Model:
    """Build the basic CNN of the lessons: two convolutions, ReLU *after* the pooling, one dense.

    10@5x5 - pool - ReLU - 20@5x5 - pool - ReLU - K. Section: "cnn-basic-mnist".

    8,490 parameters. The pixels are normalised inside, (x - 0.1307) / 0.3081, so the model takes
    pictures as they are. Xavier-uniform weights and zero biases where the lessons have PyTorch's
    defaults.

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
        >>> sum(w.shape.num_elements() for w in mnist_cnn().trainable_variables)
        8490
    """
    net = ImageNetwork(input_shape, num_classes, seed)
    x = _pool_relu(net, net.conv(_normalise(net), 10, 5, name="conv_1"), 1)  # (B, 12, 12, 10)
    x = _pool_relu(net, net.conv(x, 20, 5, name="conv_2"), 2)  # (B, 4, 4, 20)
    return net.model(keras.layers.Flatten(name="flatten")(x), name)  # (B, 320)


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
    x = _pool_relu(net, net.conv(_normalise(net), 10, 5, name="conv_1"), 1)  # (B, 12, 12, 10)
    x = _inception(net, x, name="inception_1")  # (B, 12, 12, 88)
    x = _pool_relu(net, net.conv(x, 20, 5, name="conv_2"), 2)  # (B, 4, 4, 20)
    x = _inception(net, x, name="inception_2")  # (B, 4, 4, 88)
    return net.model(keras.layers.Flatten(name="flatten")(x), name)  # (B, 1408)


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
    x = _pool_relu(net, net.conv(_normalise(net), 16, 5, name="conv_1"), 1)  # (B, 12, 12, 16)
    x = _residual(net, x, name="residual_1")
    x = net.conv(x, 32, 5, activation="relu", name="conv_2")  # (B, 8, 8, 32)
    x = _residual(net, net.max_pool(x, 2, 2, name="pool_2"), name="residual_2")  # (B, 4, 4, 32)
    return net.model(keras.layers.Flatten(name="flatten")(x), name)  # (B, 512)


def _normalise(net: ImageNetwork) -> Any:
    return keras.layers.Rescaling(1 / STD, -MEAN / STD, name="normalise")(net.pixels)


def _pool_relu(net: ImageNetwork, x: Any, number: int) -> Any:
    x = net.max_pool(x, 2, 2, name=f"pool_{number}")
    return keras.layers.Activation("relu", name=f"relu_{number}")(x)


def _inception(net: ImageNetwork, x: Any, *, name: str) -> Any:
    """Stack four views of the map: 16 + 24 + 24 + 24 = 88 channels, linear."""
    one = net.conv(x, 16, 1, name=f"{name}_path_1")
    five = net.conv(x, 16, 1, name=f"{name}_path_2_reduce")
    five = net.conv(five, 24, 5, padding=2, name=f"{name}_path_2")
    three = net.conv(x, 16, 1, name=f"{name}_path_3_reduce")
    three = net.conv(three, 24, 3, padding=1, name=f"{name}_path_3_first")
    three = net.conv(three, 24, 3, padding=1, name=f"{name}_path_3")
    # Padding counts as zero in the mean, as in PyTorch; Keras' "same" leaves it out.
    pooled = keras.layers.ZeroPadding2D(1, name=f"{name}_pool_padding")(x)
    pooled = keras.layers.AveragePooling2D(3, 1, name=f"{name}_pool")(pooled)
    pooled = net.conv(pooled, 24, 1, name=f"{name}_path_4")
    return keras.layers.Concatenate(name=name)([one, five, three, pooled])


def _residual(net: ImageNetwork, x: Any, *, name: str) -> Any:
    """Add to x what two 3 x 3 convolutions make of it."""
    y = net.conv(x, x.shape[-1], 3, padding=1, activation="relu", name=f"{name}_conv_1")
    y = net.conv(y, x.shape[-1], 3, padding=1, name=f"{name}_conv_2")
    return keras.layers.Activation("relu", name=name)(keras.layers.Add(name=f"{name}_add")([x, y]))
