"""LeNet with batch normalisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from kerasd2l.models.vision.image_network import ImageNetwork


def batch_norm_lenet(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    num_classes: int = 10,
    *,
    batch_norm: Callable[..., keras.layers.Layer] | None = None,
    seed: int | None = None,
    name: str = "batch_norm_lenet",
) -> keras.Model:
    """Build LeNet with batch normalisation before each sigmoid, and no padding.

    conv 6@5x5 - BN - pool - conv 16@5x5 - BN - pool - 120 - BN - 84 - BN - K, sigmoid after each
    BN, average pooling. Section: "batch-norm".

    Follows the book: Xavier-uniform weights, momentum 0.9, epsilon 1e-5; 44,878 trainable
    parameters. Keras' moving variance is that of the batch; PyTorch's is n / (n - 1) times it.

    Args:
        input_shape: (height, width, channels), at least 16 x 16 pixels.
        num_classes: int >= 2, classes K.
        batch_norm: (name=...) -> layer, e.g. `scratch.BatchNorm`. None: Keras' layer.
        seed: int or None. Layer i draws its weights with seed + i.
        name: str, name of the model.

    Call arguments:
        inputs: (B, H, W, C) float in [0, 1].

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: too small a picture, or fewer than two classes.

    Example:
        >>> sum(w.shape.num_elements() for w in batch_norm_lenet().trainable_variables)
        44878

    Reference:
        Ioffe, Szegedy, Batch normalization, 2015.
    """
    net = ImageNetwork(input_shape, num_classes, seed)

    def normalise(x: Any, number: int) -> Any:
        layer = f"batch_norm_{number}"
        x = net.batch_norm(x, name=layer) if batch_norm is None else batch_norm(name=layer)(x)
        return keras.layers.Activation("sigmoid", name=f"sigmoid_{number}")(x)

    x = normalise(net.conv(net.pixels, 6, 5, name="conv_1"), 1)  # (B, 24, 24, 6)
    x = net.average_pool(x, name="pool_1")  # (B, 12, 12, 6)
    x = normalise(net.conv(x, 16, 5, name="conv_2"), 2)  # (B, 8, 8, 16)
    x = net.average_pool(x, name="pool_2")  # (B, 4, 4, 16)
    x = net.flatten(x)  # (B, 256)
    x = normalise(net.dense(x, 120, name="dense_1"), 3)
    x = normalise(net.dense(x, 84, name="dense_2"), 4)
    return net.model(x, name)
