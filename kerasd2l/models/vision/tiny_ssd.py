"""TinySSD: the book's small single-shot detector. Section: "ssd"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kerasd2l.layers import BatchNormalization, Conv2D
from kerasd2l.models.sequence.recurrent_stack import drawn
from kerasd2l.models.vision.image_network import LAST
from kerasd2l.models.vision.single_shot import RATIOS, SIZES, SingleShotDetector, uniform


def down_sample_blk(filters: int, *, seed: int | None = None, name: str | None = None) -> Any:
    """Make a block that halves height and width: twice conv 3 x 3, BN, ReLU; then the maximum.

    Section: "ssd". The kernels are of 3 x 3, so that only the pooling changes the size.

    Args:
        filters: int >= 1, channels of the result.
        seed: int or None, of the weights.
        name: str, name of the block.

    Returns:
        A layer (B, H, W, C) -> (B, H / 2, W / 2, filters).

    Example:
        >>> down_sample_blk(10)(keras.ops.zeros((2, 20, 20, 3))).shape
        TensorShape([2, 10, 10, 10])
    """
    layers: list[Any] = []
    for i in (0, 1):
        kernel = uniform(drawn(seed, i))
        layers += [
            Conv2D(filters, 3, padding="same", kernel_initializer=kernel, name=f"conv_{i}"),
            BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"bn_{i}"),
            keras.layers.Activation("relu", name=f"relu_{i}"),
        ]
    layers.append(keras.layers.MaxPooling2D(2, data_format=LAST, name="pool"))
    return keras.Sequential(layers, name=name)


def base_net(
    filters: Sequence[int] = (16, 32, 64), *, seed: int | None = None, name: str | None = None
) -> Any:
    """Make the first part: a halving for each number of channels. Section: "ssd".

    Args:
        filters: ints >= 1, channels after each halving.
        seed: int or None, of the weights.
        name: str, name of the block.

    Returns:
        A layer (B, H, W, C) -> (B, H / 8, W / 8, 64).

    Example:
        >>> base_net()(keras.ops.zeros((2, 256, 256, 3))).shape
        TensorShape([2, 32, 32, 64])
    """
    blocks = [
        down_sample_blk(number, seed=drawn(seed, 10 * i), name=f"halve_{i}")
        for i, number in enumerate(filters)
    ]
    return keras.Sequential(blocks, name=name)


def get_blk(i: int, *, seed: int | None = None) -> Any:
    """Make block i of five: the base, a halving to 128 channels, two more, the global maximum.

    Section: "ssd".

    Args:
        i: int, 0 to 4.
        seed: int or None, of the weights.

    Returns:
        A layer.

    Raises:
        ValueError: there is no such block.

    Example:
        >>> get_blk(4)(keras.ops.zeros((2, 4, 4, 128))).shape
        TensorShape([2, 1, 1, 128])
    """
    if not 0 <= i <= 4:
        raise ValueError(f"`i` must be 0 to 4. Received: i={i}.")
    seed, name = drawn(seed, 100 * i), f"block_{i}"
    if i == 0:
        return base_net(seed=seed, name=name)
    if i == 4:
        return keras.layers.GlobalMaxPooling2D(data_format=LAST, keepdims=True, name=name)
    return down_sample_blk(128, seed=seed, name=name)


@keras.saving.register_keras_serializable("kerasd2l")
class TinySSD(SingleShotDetector):
    """The book's detector: five maps of 32, 16, 8, 4 and 1 pixels a side of a picture of 256.

    Four anchors a pixel, 5444 in all; with one class 1,010,376 trainable parameters. Section:
    "ssd". Follows the book: its blocks, anchors and loss, weights drawn as PyTorch does, momentum
    0.9 and epsilon 1e-5. The pixels are in [0, 1]; the book's are 0 to 255, which the first
    normalisation undoes.

    Args:
        num_classes: int >= 1, K, without the background.
        sizes: for each of the five maps the sizes of its anchors, see `layers.multibox_prior`.
        ratios: for each map the ratios of its anchors.
        focal_gamma: float >= 0, of the focal loss; 0 (default): the cross-entropy.
        smooth_beta: float >= 0, of the smooth L1 loss, the book's 1 / sigma^2; 0 (default): L1.
        seed: int or None, of the weights.
        name: str, name of the model.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: (B, H, W, 3) float in [0, 1]; at least 64 x 64.
        training: bool.

    Returns:
        {"anchors": (1, A, 4) float, corners as parts of the picture, "classes": (B, A, K + 1)
        float, logits, the background first, "offsets": (B, A, 4) float}.

    Raises:
        ValueError: a number out of range, or pictures that are too small.

    Example:
        >>> outputs = TinySSD(1)(keras.ops.zeros((2, 256, 256, 3)))
        >>> {name: tuple(value.shape) for name, value in outputs.items()}
        {'anchors': (1, 5444, 4), 'classes': (2, 5444, 2), 'offsets': (2, 5444, 4)}

    Reference:
        Liu et al., SSD: single shot multibox detector, 2016.
    """

    least = 64

    def __init__(
        self,
        num_classes: int,
        *,
        sizes: Sequence[Sequence[float]] = SIZES,
        ratios: Sequence[Sequence[float]] = RATIOS,
        focal_gamma: float = 0.0,
        smooth_beta: float = 0.0,
        seed: int | None = None,
        name: str = "tiny_ssd",
        **kwargs: Any,
    ):
        x = pixels = keras.Input((None, None, 3), name="pixels")
        maps = []
        for i in range(5):
            x = get_blk(i, seed=seed)(x)
            maps.append(x)
        super().__init__(
            keras.Model(pixels, maps, name="backbone"),
            num_classes,
            sizes=sizes,
            ratios=ratios,
            focal_gamma=focal_gamma,
            smooth_beta=smooth_beta,
            seed=seed,
            name=name,
            **kwargs,
        )
