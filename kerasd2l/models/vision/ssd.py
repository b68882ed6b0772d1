"""SSD on a residual network. Section: "ssd"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kerasd2l.models.vision.image_network import LAST, ImageNetwork, scaled
from kerasd2l.models.vision.resnet import FILTERS, residual_block, stem
from kerasd2l.models.vision.single_shot import RATIOS, SIZES, SingleShotDetector


@keras.saving.register_keras_serializable("kerasd2l")
class SSD(SingleShotDetector):
    """A single-shot detector whose maps are those of ResNet's stages, and two more after them.

    Stages 2, 3 and 4 of ResNet, at 1/8, 1/16 and 1/32 of the picture; a block at 1/64, and the
    global maximum: 32, 16, 8, 4 and 1 pixels a side of a picture of 256, with the anchors of
    `TinySSD`. Section: "ssd".

    Args:
        num_classes: int >= 1, K, without the background.
        depths: four ints >= 1, blocks of the stages; (2, 2, 2, 2) is ResNet-18, (3, 4, 6, 3)
            ResNet-34.
        width: float > 0, factor on the filters 64, 128, 256, 512 of the stages.
        sizes: for each of the five maps the sizes of its anchors, see `layers.multibox_prior`.
        ratios: for each map the ratios of its anchors.
        focal_gamma: float >= 0, of the focal loss; 0 (default): the cross-entropy.
        smooth_beta: float >= 0, of the smooth L1 loss; 0 (default): L1.
        seed: int or None, of the weights.
        name: str, name of the model.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: (B, H, W, 3) float in [0, 1]; at least 64 x 64.
        training: bool.

    Returns:
        As `TinySSD`.

    Raises:
        ValueError: a number out of range, or pictures that are too small.

    Example:
        >>> outputs = SSD(1, width=0.125)(keras.ops.zeros((2, 64, 64, 3)))
        >>> tuple(outputs["anchors"].shape)
        (1, 344, 4)

    Reference:
        Liu et al., SSD: single shot multibox detector, 2016; He et al., 2015.
    """

    least = 64

    def __init__(
        self,
        num_classes: int,
        *,
        depths: Sequence[int] = (2, 2, 2, 2),
        width: float = 1.0,
        sizes: Sequence[Sequence[float]] = SIZES,
        ratios: Sequence[Sequence[float]] = RATIOS,
        focal_gamma: float = 0.0,
        smooth_beta: float = 0.0,
        seed: int | None = None,
        name: str = "ssd",
        **kwargs: Any,
    ):
        if len(depths) != len(FILTERS) or min(depths) < 1:
            raise ValueError(
                f"`depths` must be blocks of {len(FILTERS)} stages, all at least 1. "
                f"Received: depths={tuple(depths)}."
            )
        super().__init__(
            _backbone(depths, width, seed),
            num_classes,
            sizes=sizes,
            ratios=ratios,
            focal_gamma=focal_gamma,
            smooth_beta=smooth_beta,
            seed=seed,
            name=name,
            **kwargs,
        )
        self.depths, self.width = list(depths), width

    def get_config(self):
        return {**super().get_config(), "depths": self.depths, "width": self.width}


def _backbone(depths: Sequence[int], width: float, seed: int | None) -> keras.Model:
    """Return pixels -> five maps."""
    net = ImageNetwork((None, None, 3), 2, seed)  # it has no classes of its own
    x = stem(net, scaled(FILTERS[0], width))  # (B, H / 4, W / 4, 64)
    maps = []
    for i, (depth, number) in enumerate(zip(depths, FILTERS, strict=True)):
        for j in range(depth):
            first = j == 0 and i > 0
            name = f"stage_{i + 1}_block_{j + 1}"
            x = residual_block(
                net, x, scaled(number, width), project=first, strides=2 if first else 1, name=name
            )
        maps.append(x)  # (B, H / 8, W / 8, 128), ...
    x = residual_block(
        net, x, scaled(FILTERS[2], width), project=True, strides=2, name="extra_block"
    )  # (B, H / 64, W / 64, 256)
    last = keras.layers.GlobalMaxPooling2D(data_format=LAST, keepdims=True, name="extra_pool")
    return keras.Model(net.pixels, [*maps[1:], x, last(x)], name="backbone")
