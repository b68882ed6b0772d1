"""Network in network: blocks whose dense layers are 1 x 1 convolutions."""

from __future__ import annotations

from typing import Any

import keras

from kerasd2l.models.vision.image_network import ImageNetwork, scaled


def nin(
    input_shape: tuple[int, int, int] = (224, 224, 1),
    num_classes: int = 10,
    *,
    dropout_rate: float = 0.5,
    width: float = 1.0,
    seed: int | None = None,
    name: str = "nin",
) -> keras.Model:
    """Build NiN: a small network at every pixel (1 x 1 convolutions), and no dense layer.

    block(c, k) = conv c@kxk, c@1x1, c@1x1, each with ReLU; blocks of 96, 256, 384 and K filters
    with pooling between them, then the mean of each map. Section: "nin".

    Follows the book: Xavier-uniform weights, 1,992,166 parameters, a ReLU at the very end, so
    that no logit is negative. Biases start at zero.

    Args:
        input_shape: (height, width, channels), at least 67 x 67 pixels.
        num_classes: int >= 2, classes K.
        dropout_rate: float in [0, 1), before the last block.
        width: float > 0, factor on the filters of all blocks but the last.
        seed: int or None. Layer i draws its weights with seed + i.
        name: str, name of the model.

    Call arguments:
        inputs: (B, H, W, C) float in [0, 1].

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: too small a picture, a width that is not positive, fewer than two classes.

    Example:
        >>> nin().count_params()
        1992166

    Reference:
        Lin, Chen, Yan, Network in network, 2013.
    """
    net = ImageNetwork(input_shape, num_classes, seed)

    def block(x: Any, filters: int, kernel_size: int, number: int, **options: int) -> Any:
        names = [f"block_{number}_conv_{i}" for i in (1, 2, 3)]
        x = net.conv(x, filters, kernel_size, activation="relu", name=names[0], **options)
        x = net.conv(x, filters, 1, activation="relu", name=names[1])
        return net.conv(x, filters, 1, activation="relu", name=names[2])

    x = block(net.pixels, scaled(96, width), 11, 1, strides=4)  # (B, 54, 54, 96)
    x = net.max_pool(x, name="pool_1")  # (B, 26, 26, 96)
    x = block(x, scaled(256, width), 5, 2, padding=2)
    x = net.max_pool(x, name="pool_2")  # (B, 12, 12, 256)
    x = block(x, scaled(384, width), 3, 3, padding=1)
    x = net.max_pool(x, name="pool_3")  # (B, 5, 5, 384)
    x = net.dropout(x, dropout_rate, name="dropout")
    x = block(x, num_classes, 3, 4, padding=1)  # (B, 5, 5, K)
    logits = keras.layers.GlobalAveragePooling2D(
        data_format="channels_last", dtype="float32", name="logits"
    )(x)  # (B, K)
    return keras.Model(net.pixels, logits, name=name)
