"""R-CNN: each region is cut out of the picture and looked at on its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kerasd2l.layers import RoIAlign
from kerasd2l.layers.anchors import check_prior
from kerasd2l.models.sequence.recurrent_stack import check_sizes, drawn
from kerasd2l.models.vision.detector import check_sides
from kerasd2l.models.vision.fast_rcnn import RATIOS, SIZES, grid_regions, residual_backbone
from kerasd2l.models.vision.image_network import LAST
from kerasd2l.models.vision.region_detector import RegionDetector

_LEAST = 16  # pixels of a side, of pictures and of what is cut out of them


@keras.saving.register_keras_serializable("kerasd2l")
class RCNN(RegionDetector):
    """R-CNN: features of every region by a network of its own pass, one linear SVM a class.

    Each region is cut out of the pixels and stretched to one size; a residual network makes a
    vector of it. s_k = w_k x + b_k, loss = sum_k max(0, 1 - t_k s_k) with t_k = 1 for the class of
    its object and -1 else, and L2 of the weights; a linear map gives the offsets of the boxes.
    Section: "rcnn". Regions as in `FastRCNN`; network, SVMs and boxes are trained at once, in the
    paper one after the other. As each region has a pass of its own, it is the slowest.

    Args:
        num_classes: int >= 1, K, without the background.
        depths: ints >= 1, blocks of the network's stages.
        width: float > 0, factor on the filters 64, 128, 256 of the stages.
        crop: int >= 16, pixels of a side that regions are stretched to.
        sizes: of the regions, see `layers.multibox_prior`.
        ratios: of the regions.
        grid: int >= 1, cells in a row and in a column.
        num_samples: int >= 1, M, regions of a picture that are learned from.
        positive_share: float in (0, 1], most of them that have an object.
        l2: float >= 0, of the SVMs' weights.
        smooth_beta: float >= 0, the offset's error where the loss becomes a line.
        seed: int or None, of weights and of what is drawn.
        name: str, name of the model.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: (B, H, W, 3) float in [0, 1]; at least 16 x 16.
        training: bool.

    Returns:
        {"features": the inputs, "proposals": (B, P, 4) float, corners as parts of the picture,
        "there": (B, P) bool, "classes": (B, P, K) float, s, "offsets": (B, P, K, 4) float}.

    Raises:
        ValueError: a number out of range, or pictures that are too small.

    Example:
        >>> model = RCNN(2, width=0.125, crop=32, grid=2)
        >>> model(keras.ops.zeros((1, 64, 64, 3)))["classes"].shape
        TensorShape([1, 20, 2])

    Reference:
        Girshick et al., Rich feature hierarchies for accurate object detection and semantic
        segmentation, 2014.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        depths: Sequence[int] = (1, 1, 1),
        width: float = 0.5,
        crop: int = 48,
        sizes: Sequence[float] = SIZES,
        ratios: Sequence[float] = RATIOS,
        grid: int = 8,
        num_samples: int = 32,
        positive_share: float = 0.25,
        l2: float = 1e-4,
        smooth_beta: float = 1.0,
        seed: int | None = None,
        name: str = "rcnn",
        **kwargs: Any,
    ):
        check_sizes(grid=grid)
        check_prior(sizes, ratios)
        if crop < _LEAST or l2 < 0:
            raise ValueError(
                f"`crop` must be at least {_LEAST} pixels, `l2` at least 0. "
                f"Received: crop={crop}, l2={l2}."
            )
        super().__init__(
            num_classes,
            num_samples=num_samples,
            positive_share=positive_share,
            smooth_beta=smooth_beta,
            seed=seed,
            name=name,
            **kwargs,
        )
        self.depths, self.width, self.crop, self.grid = list(depths), width, crop, grid
        self.sizes, self.ratios = list(map(float, sizes)), list(map(float, ratios))
        self.l2 = l2
        self.class_head = keras.layers.Dense(  # one SVM a class
            num_classes,
            kernel_initializer=keras.initializers.RandomNormal(0.0, 0.01, drawn(seed, 1)),
            kernel_regularizer=keras.regularizers.L2(l2),
            dtype="float32",
            name="classes",
        )
        self.cut = RoIAlign(crop, name="cut")
        self.backbone = residual_backbone(depths, width, seed)
        self.average = keras.layers.GlobalAveragePooling2D(data_format=LAST, name="average")

    def build(self, input_shape):
        check_sides(self.name, input_shape, _LEAST)
        size = self.backbone.output.shape[-1]
        self.class_head.build((None, None, size))
        self.box_head.build((None, None, size))

    def regions(self, inputs, training):
        proposals, there = grid_regions(inputs, self.grid, self.sizes, self.ratios)
        pixels = ops.cast(inputs, "float32")
        return {"features": pixels, "proposals": proposals, "there": there}

    def describe(self, features, boxes, training):
        batch, count = ops.shape(boxes)[:2]
        pictures = ops.reshape(self.cut(features, boxes), (-1, self.crop, self.crop, 3))
        x = self.average(self.backbone(pictures, training=training))  # (B R, D)
        return ops.reshape(x, (batch, count, x.shape[-1]))

    def class_losses(self, labels, logits):
        targets = 2.0 * ops.one_hot(labels - 1, self.num_classes) - 1.0  # no class for 0 - 1
        return ops.sum(ops.relu(1.0 - targets * logits), axis=-1)

    def scores(self, logits):
        return ops.sigmoid(logits)  # 0.5 at the border of the SVM

    def get_config(self):
        names = ("depths", "width", "crop", "sizes", "ratios", "grid", "l2")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
