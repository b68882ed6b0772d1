"""The convolutional network of the course lessons on MNIST."""

from __future__ import annotations

import keras

from kerasd2l.models.vision.image_network import MNIST_MEAN, MNIST_STD, ImageNetwork


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
    x = net.pool_relu(
        net.conv(net.normalise(MNIST_MEAN, MNIST_STD), 10, 5, name="conv_1"), 1
    )  # (B, 12, 12, 10)
    x = net.pool_relu(net.conv(x, 20, 5, name="conv_2"), 2)  # (B, 4, 4, 20)
    return net.model(net.flatten(x), name)  # (B, 320)
