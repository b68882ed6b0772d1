"""Fast R-CNN: one pass over the picture, then each region is cut out of the maps."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kerasd2l.layers import RoIPooling, multibox_prior
from kerasd2l.layers.anchors import check_prior
from kerasd2l.models.sequence.recurrent_stack import check_sizes, drawn
from kerasd2l.models.vision.detector import check_sides
from kerasd2l.models.vision.image_network import ImageNetwork
from kerasd2l.models.vision.region_detector import RegionDetector
from kerasd2l.models.vision.resnet import residual_block, residual_maps, stem

SIZES, RATIOS = (0.125, 0.25, 0.5), (1.0, 2.0, 0.5)


class OnMaps(RegionDetector):
    """What Fast and Faster R-CNN share: maps of a residual network, 7 x 7 of them for each region.

    Two dense layers make a vector of those. Section: "rcnn". A subclass gives `regions` and says by
    `make_pool` how regions are cut out of the maps.

    Args:
        num_classes: int >= 1, K, without the background.
        depths: ints >= 1, blocks of the stages.
        width: float > 0, factor on the filters of the stages.
        sizes: of the regions, see `layers.multibox_prior`.
        ratios: of the regions.
        head_units: int >= 1, of the two dense layers.
        **kwargs: of `RegionDetector`.

    Raises:
        ValueError: a number out of range.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        depths: Sequence[int],
        width: float,
        sizes: Sequence[float],
        ratios: Sequence[float],
        head_units: int,
        **kwargs: Any,
    ):
        check_sizes(head_units=head_units)
        check_prior(sizes, ratios)
        super().__init__(num_classes, **kwargs)
        self.depths, self.width, self.head_units = list(depths), width, head_units
        self.sizes, self.ratios = list(map(float, sizes)), list(map(float, ratios))
        self.backbone = residual_backbone(depths, width, self.seed)
        self.pool = self.make_pool()
        self.hidden = [
            keras.layers.Dense(
                head_units,
                "relu",
                kernel_initializer=keras.initializers.HeUniform(drawn(self.seed, 20 + i)),
                name=f"hidden_{i}",
            )
            for i in (1, 2)
        ]

    def make_pool(self) -> keras.layers.Layer:
        """Make the layer that cuts regions out of the maps."""
        raise NotImplementedError

    def build(self, input_shape):
        check_sides(self.name, input_shape, 2 ** (len(self.depths) + 1))  # a pixel of the last map
        size = 49 * self.backbone.output.shape[-1]
        for layer in self.hidden:
            layer.build((None, None, size))
            size = self.head_units
        self.class_head.build((None, None, size))
        self.box_head.build((None, None, size))

    def describe(self, features, boxes, training):
        x = self.pool(features, boxes)  # (B, R, 7, 7, C)
        x = ops.reshape(x, (*ops.shape(boxes)[:2], 49 * features.shape[-1]))
        for layer in self.hidden:
            x = layer(x)
        return x  # (B, R, D)

    def get_config(self):
        names = ("depths", "width", "sizes", "ratios", "head_units")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("kerasd2l")
class FastRCNN(OnMaps):
    """Fast R-CNN on a residual network.

    Maps of ResNet, out of which `RoIPooling` cuts 7 x 7 numbers a channel for each region; two
    dense layers lead to classes and boxes. Section: "rcnn". The regions are boxes of several sizes
    and ratios around the cells of a grid, the same for all pictures, where the paper has those of
    selective search.

    Args:
        num_classes: int >= 1, K, without the background.
        depths: ints >= 1, blocks of the stages; (2, 2, 2) is ResNet-18 up to 1/16 of the size,
            (2, 2) to 1/8, for small objects.
        width: float > 0, factor on the filters 64, 128, 256 of the stages.
        sizes: of the regions, see `layers.multibox_prior`.
        ratios: of the regions.
        grid: int >= 1, cells in a row and in a column.
        num_samples: int >= 1, M, regions of a picture that are learned from.
        positive_share: float in (0, 1], most of them that have an object.
        head_units: int >= 1, of the two dense layers.
        smooth_beta: float >= 0, the offset's error where the loss becomes a line.
        seed: int or None, of weights and of what is drawn.
        name: str, name of the model.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: (B, H, W, 3) float in [0, 1]; at least 16 x 16 with three stages.
        training: bool.

    Returns:
        {"features": (B, h, w, C) float, "proposals": (B, P, 4) float, corners as parts of the
        picture, "there": (B, P) bool, "classes": (B, P, K + 1) float, logits, the background
        first, "offsets": (B, P, K, 4) float}.

    Raises:
        ValueError: a number out of range, or pictures that are too small.

    Example:
        >>> model = FastRCNN(2, width=0.125, grid=2, head_units=16)
        >>> model(keras.ops.zeros((1, 64, 64, 3)))["classes"].shape
        TensorShape([1, 20, 3])

    Reference:
        Girshick, Fast R-CNN, 2015.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        depths: Sequence[int] = (2, 2, 2),
        width: float = 1.0,
        sizes: Sequence[float] = SIZES,
        ratios: Sequence[float] = RATIOS,
        grid: int = 8,
        num_samples: int = 64,
        positive_share: float = 0.25,
        head_units: int = 1024,
        smooth_beta: float = 1.0,
        seed: int | None = None,
        name: str = "fast_rcnn",
        **kwargs: Any,
    ):
        check_sizes(grid=grid)
        super().__init__(
            num_classes,
            depths=depths,
            width=width,
            sizes=sizes,
            ratios=ratios,
            head_units=head_units,
            num_samples=num_samples,
            positive_share=positive_share,
            smooth_beta=smooth_beta,
            seed=seed,
            name=name,
            **kwargs,
        )
        self.grid = grid

    def make_pool(self):
        return RoIPooling(7, name="pool")

    def regions(self, inputs, training):
        features = self.backbone(inputs, training=training)
        proposals, there = grid_regions(inputs, self.grid, self.sizes, self.ratios)
        features = ops.cast(features, "float32")
        return {"features": features, "proposals": proposals, "there": there}

    def get_config(self):
        return {**super().get_config(), "grid": self.grid}


def residual_backbone(depths: Sequence[int], width: float, seed: int | None) -> keras.Model:
    """Return pixels -> the last map of a residual network without its head."""
    net = ImageNetwork((None, None, 3), 2, seed)  # it has no classes of its own
    begin = functools.partial(stem, pixels=net.pixels)
    maps = residual_maps(net, residual_block, depths, width, project_first=False, begin=begin)
    return keras.Model(net.pixels, maps[-1], name="backbone")


def grid_regions(
    inputs: Any, grid: int, sizes: Sequence[float], ratios: Sequence[float]
) -> tuple[Any, Any]:
    """Return regions around the cells of a grid, cut at the edges, the same for each picture.

    Args:
        inputs: (B, H, W, C), the pictures.
        grid: int >= 1, cells in a row and in a column.
        sizes: of the regions, see `layers.multibox_prior`.
        ratios: of the regions.

    Returns:
        (B, P, 4) float32, corners; and (B, P) bool, all True.
    """
    boxes = ops.clip(multibox_prior(ops.zeros((1, grid, grid, 1)), sizes, ratios), 0.0, 1.0)
    boxes = ops.broadcast_to(boxes, (ops.shape(inputs)[0], *boxes.shape[1:]))
    return boxes, ops.ones_like(boxes[..., 0], "bool")
