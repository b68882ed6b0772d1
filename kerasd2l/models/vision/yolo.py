"""YOLO with anchors on three maps, as its third version. Section: "ssd"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasd2l.detection_losses import giou_loss
from kerasd2l.layers import Conv2D, box_iou
from kerasd2l.layers.cells import (
    cell_boxes,
    cell_offsets,
    cell_priors,
    cell_target,
    real_objects,
    with_one_more,
)
from kerasd2l.layers.suppression import take_rows
from kerasd2l.losses import sigmoid_losses
from kerasd2l.models.sequence.recurrent_stack import check_sizes
from kerasd2l.models.vision.darknet import DARKNET_53, FILTERS, Darknet, darknet_maps
from kerasd2l.models.vision.detector import Detector
from kerasd2l.models.vision.image_network import LAST, scaled
from kerasd2l.models.vision.single_shot import uniform

_MAPS = 3
# The paper's nine shapes, found in COCO: pixels of pictures of 416 x 416.
_PAPER = (10, 13, 16, 30, 33, 23, 30, 61, 62, 45, 59, 119, 116, 90, 156, 198, 373, 326)
SHAPES = tuple((w / 416, h / 416) for w, h in zip(_PAPER[::2], _PAPER[1::2], strict=True))
_RARE = -4.6  # logit of 0.01: at first hardly any box is an object


@keras.saving.register_keras_serializable("kerasd2l")
class YOLO(Detector):
    """A detector whose boxes lie in the cells of three grids, with an "objectness" of their own.

    loss = mean over pictures of the sums of: the error of boxes that have an object; the
    cross-entropy of "is there one?" of all boxes; that of the K classes of boxes that have one,
    each class a question of its own. Section: "ssd", which does not have it.

    Follows YOLOv3: residual blocks, maps at 1/8, 1/16 and 1/32 of the picture, the coarser one
    enlarged and put beside the finer one, three shapes a cell. An object belongs to the prior whose
    shape is likest (`layers.cell_target`). Boxes that have none, but overlap an object by more than
    `ignore_iou`, are not blamed for it; as in the authors' program it is the predicted box that
    counts, in the paper's words the prior. The default of the boxes' error, 1 - GIoU, is younger
    than the paper, whose squared error is `box_loss="squared"`. Momentum 0.9, epsilon 1e-5,
    He-normal weights; at first each box is an object with probability 0.01. With 80 classes
    61,949,149 trainable parameters.

    Args:
        num_classes: int >= 1, K.
        depths: five ints >= 1, blocks of the stages; (1, 2, 8, 8, 4), the default, is Darknet-53.
        width: float > 0, factor on the filters of the stages, 64 to 1024, and those after them.
        shapes: 3 n pairs of floats > 0, width and height as parts of the picture's, the smallest
            first: n for each map, the finest first. Default: the paper's nine.
        box_loss: "giou" or "squared", the error of boxes.
        ignore_iou: float in [0, 1]. Default: 0.5.
        seed: int or None, of the weights.
        name: str, name of the model.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: (B, H, W, 3) float in [0, 1]; H and W are multiples of 32.
        training: bool.

    Returns:
        {"priors": (1, A, 6) float, see `layers.cell_priors`, "offsets": (B, A, 4) float,
        "objectness": (B, A) float, logits, "classes": (B, A, K) float, logits}.

    Raises:
        ValueError: a number out of range, or a side that is no multiple of 32.

    Example:
        >>> outputs = YOLO(2, depths=(1,) * 5, width=0.125)(ops.zeros((2, 64, 64, 3)))
        >>> {name: tuple(value.shape) for name, value in outputs.items() if name != "priors"}
        {'offsets': (2, 252, 4), 'objectness': (2, 252), 'classes': (2, 252, 2)}

    Reference:
        Redmon, Farhadi, YOLOv3: an incremental improvement, 2018.
    """

    part_names: tuple[str, ...] = ("box_error", "objectness_error", "class_error")

    def __init__(
        self,
        num_classes: int,
        *,
        depths: Sequence[int] = DARKNET_53,
        width: float = 1.0,
        shapes: Sequence[Sequence[float]] = SHAPES,
        box_loss: str = "giou",
        ignore_iou: float = 0.5,
        seed: int | None = None,
        name: str = "yolo",
        **kwargs: Any,
    ):
        check_sizes(num_classes=num_classes)
        if box_loss not in ("giou", "squared") or not 0 <= ignore_iou <= 1:
            raise ValueError(
                "`box_loss` must be giou or squared, `ignore_iou` in [0, 1]. "
                f"Received: box_loss={box_loss}, ignore_iou={ignore_iou}."
            )
        super().__init__(name=name, **kwargs)
        self.num_classes, self.depths, self.width = num_classes, list(depths), width
        self.shapes = checked_shapes(shapes)
        self.box_loss, self.ignore_iou, self.seed = box_loss, ignore_iou, seed
        boxes = len(self.shapes) // _MAPS
        self.network = _network(depths, width, seed, boxes, 5 + num_classes)

    def build(self, input_shape):
        sides = [side for side in input_shape[1:3] if side is not None]
        if any(side % 32 for side in sides):
            near = " x ".join(str(max(32, round(side / 32) * 32)) for side in sides)
            raise ValueError(
                f"{self.name} needs pictures whose sides are multiples of 32. "
                f"Received: {' x '.join(map(str, sides))}. Use a `resize` such as {near}."
            )

    def call(self, inputs, training=False):
        maps = self.network(inputs, training=training)
        boxes = len(self.shapes) // _MAPS
        priors = [
            cell_priors(x, self.shapes[i * boxes : (i + 1) * boxes]) for i, x in enumerate(maps)
        ]
        size, batch = 5 + self.num_classes, ops.shape(inputs)[0]
        numbers = ops.concatenate([ops.reshape(x, (batch, -1, size)) for x in maps], axis=1)
        return {
            "priors": ops.concatenate(priors, axis=1),  # (1, A, 6)
            "offsets": numbers[..., :4],  # (B, A, 4)
            "objectness": numbers[..., 4],  # (B, A)
            "classes": numbers[..., 5:],  # (B, A, K)
        }

    def losses_of(self, labels, outputs, training=True):
        """Return the loss of each picture in three parts.

        Args:
            labels: (B, G, 5), class and corners of each object.
            outputs: what the model gives.
            training: not looked at.

        Returns:
            Three times (B,) float: of boxes, of objectness, of classes.
        """
        priors, offsets, objectness = (outputs[k] for k in ("priors", "offsets", "objectness"))
        number = ops.stop_gradient(cell_target(priors, labels))  # (B, A)
        mine = number >= 0
        objects, _ = real_objects(ops.cast(ops.convert_to_tensor(labels), "float32"))
        boxes = cell_boxes(priors, offsets)
        overlap = ops.max(box_iou(ops.stop_gradient(boxes), objects[..., 1:]), axis=-1, initial=0.0)
        counts = mine | (overlap <= self.ignore_iou)
        objects = take_rows(with_one_more(objects), ops.maximum(number, 0))  # (B, A, 5)
        if self.box_loss == "giou":
            box_losses = giou_loss(objects[..., 1:], boxes)
        else:
            places = ops.concatenate((ops.sigmoid(offsets[..., :2]), offsets[..., 2:]), axis=-1)
            errors = places - cell_offsets(priors, objects[..., 1:])
            box_losses = ops.sum(ops.square(errors), axis=-1)
        classes = ops.one_hot(ops.cast(objects[..., 0], "int32"), self.num_classes)
        class_losses = ops.sum(sigmoid_losses(classes, outputs["classes"]), axis=-1)
        return (
            _sum_where(mine, box_losses),
            _sum_where(counts, sigmoid_losses(ops.cast(mine, "float32"), objectness)),
            _sum_where(mine, class_losses),
        )

    def candidates(self, inputs: Any) -> tuple[Any, Any]:
        """Return all boxes that the model thinks of, before suppression.

        Args:
            inputs: (B, H, W, C) float, pictures.

        Returns:
            boxes (B, A, 1, 4) float, corners as parts of the picture; scores (B, A, K) float,
            P(object) P(class).
        """
        outputs = self(inputs, training=False)
        boxes = cell_boxes(outputs["priors"], outputs["offsets"])
        scores = ops.sigmoid(outputs["objectness"])[..., None] * ops.sigmoid(outputs["classes"])
        return boxes[:, :, None], scores

    def get_config(self):
        names = ("num_classes", "depths", "width", "shapes", "box_loss", "ignore_iou", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def checked_shapes(shapes: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return shapes of boxes as lists; there must be as many for each of the three maps."""
    sizes = np.asarray(shapes, "float64")
    pairs = sizes.ndim == 2 and sizes.shape[1] == 2 and bool(np.all(sizes > 0))
    if not pairs or len(sizes) % _MAPS or not np.all(np.isfinite(sizes)):
        raise ValueError(
            f"`shapes` must be pairs of positive numbers, {_MAPS} of them, {2 * _MAPS} or so on. "
            f"Received: shapes={shapes}."
        )
    return [[float(w), float(h)] for w, h in sizes]


def _sum_where(condition: Any, losses: Any) -> Any:
    return ops.sum(ops.where(condition, losses, ops.zeros_like(losses)), axis=-1)


def _network(
    depths: Sequence[int], width: float, seed: int | None, boxes: int, size: int
) -> keras.Model:
    """Return pixels -> three maps (B, h, w, boxes * size), the finest first."""
    net = Darknet(seed)
    finer = darknet_maps(net, depths, width)[-_MAPS:]
    x, maps = finer[-1], []
    for i, number in enumerate(FILTERS[: -_MAPS - 1 : -1], 1):  # 1024, 512, 256
        filters = scaled(number // 2, width)
        name = f"map_{_MAPS + 1 - i}"
        if i > 1:
            x = net.conv_bn(x, filters, 1, name=f"{name}_before")
            x = keras.layers.UpSampling2D(2, data_format=LAST, name=f"{name}_enlarge")(x)
            x = keras.layers.Concatenate(name=f"{name}_beside")([x, finer[-i]])
        x = net.squeeze(x, filters, 5, name=f"{name}_squeeze")
        y = net.conv_bn(x, 2 * filters, 3, name=f"{name}_wide")
        head = Conv2D(
            boxes * size,
            1,
            kernel_initializer=uniform(net.next_seed()),  # as PyTorch does: small
            bias_initializer=keras.initializers.Constant(
                [0.0, 0.0, 0.0, 0.0, _RARE, *[0.0] * (size - 5)] * boxes
            ),
            dtype="float32",
            name=f"{name}_numbers",
        )
        maps.append(head(y))
    return keras.Model(net.pixels, maps[::-1], name="network")
