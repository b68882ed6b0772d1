"""The first YOLO: a grid, a few boxes a cell, one class a cell. Section: "ssd"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kerasd2l.layers import AdaptiveAveragePooling2D, Conv2D, box_center_to_corner, box_iou
from kerasd2l.layers.boxes import box_corner_to_center
from kerasd2l.layers.cells import cell_priors, in_cells, real_objects, with_one_more
from kerasd2l.layers.suppression import take_rows
from kerasd2l.models.sequence.recurrent_stack import check_sizes
from kerasd2l.models.vision.darknet import FILTERS, Darknet, darknet_maps
from kerasd2l.models.vision.detector import Detector, check_sides
from kerasd2l.models.vision.image_network import scaled
from kerasd2l.models.vision.single_shot import uniform


@keras.saving.register_keras_serializable("kerasd2l")
class YOLOv1(Detector):
    """A detector of S x S cells, each with N boxes, how sure it is of them, and K classes.

    loss = mean over pictures of the sums of squared errors: coord_weight times that of x, y,
    sqrt w, sqrt h, that of the confidence and that of the classes where the cell has an object,
    and noobj_weight times that of the confidence of all other boxes. Section: "ssd", whose notes
    name it. Of the boxes of a cell with an object only the one that overlaps it most, of alike ones
    the first, is responsible; its confidence shall be that overlap (IoU), all others' 0. Of objects
    with their centre in the same cell the first one counts.

    Follows the paper in what is predicted and in the loss, the numbers 5 and 0.5 as well. The
    network is another one, which trains without ImageNet: residual blocks with normalisation,
    convolutions in place of the two dense layers, no dropout. As in the authors' program the
    roots of width and height are predicted themselves, so that no size is negative.

    Args:
        num_classes: int >= 1, K.
        grid: int >= 1, S. A map at 1/32 of the picture is averaged to it: take 1/32 of the side.
        boxes: int >= 1, N.
        depths: five ints >= 1, blocks of the stages, see `darknet_maps`.
        width: float > 0, factor on the filters of the stages, 64 to 1024.
        coord_weight: float >= 0, the paper's lambda_coord. Default: 5.
        noobj_weight: float >= 0, the paper's lambda_noobj. Default: 0.5.
        seed: int or None, of the weights.
        name: str, name of the model.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: (B, H, W, 3) float in [0, 1]; at least 32 x 32, and more than 32 (S - 1) a side.
        training: bool.

    Returns:
        {"boxes": (B, S * S, N, 4) float: the centre in parts of the cell, sqrt w and sqrt h,
        "confidence": (B, S * S, N) float, "classes": (B, S * S, K) float}; the last two are in
        [0, 1] where the network is right, but nothing keeps them there.

    Raises:
        ValueError: a number out of range, or pictures that are too small.

    Example:
        >>> outputs = YOLOv1(3, grid=2, depths=(1,) * 5, width=0.125)(ops.zeros((2, 64, 64, 3)))
        >>> {name: tuple(value.shape) for name, value in outputs.items()}
        {'boxes': (2, 4, 2, 4), 'confidence': (2, 4, 2), 'classes': (2, 4, 3)}

    Reference:
        Redmon et al., You only look once: unified, real-time object detection, 2016.
    """

    part_names: tuple[str, ...] = ("box_error", "confidence_error", "class_error")

    def __init__(
        self,
        num_classes: int,
        *,
        grid: int = 7,
        boxes: int = 2,
        depths: Sequence[int] = (1, 1, 2, 2, 1),
        width: float = 1.0,
        coord_weight: float = 5.0,
        noobj_weight: float = 0.5,
        seed: int | None = None,
        name: str = "yolo_v1",
        **kwargs: Any,
    ):
        check_sizes(num_classes=num_classes, grid=grid, boxes=boxes)
        if coord_weight < 0 or noobj_weight < 0:
            raise ValueError(
                "`coord_weight` and `noobj_weight` must be at least 0. "
                f"Received: coord_weight={coord_weight}, noobj_weight={noobj_weight}."
            )
        super().__init__(name=name, **kwargs)
        self.num_classes, self.grid, self.boxes = num_classes, grid, boxes
        self.depths, self.width, self.seed = list(depths), width, seed
        self.coord_weight, self.noobj_weight = coord_weight, noobj_weight
        self.network = _network(depths, width, grid, boxes, num_classes, seed)

    def build(self, input_shape):
        least = max(32, 32 * (self.grid - 1) + 1)  # the map has a pixel for each cell
        remedy = "Use a larger `resize` or a smaller `grid`."
        check_sides(f"{self.name} with grid={self.grid}", input_shape, least, remedy)

    def call(self, inputs, training=False):
        numbers = self.network(inputs, training=training)  # (B, S, S, 5 N + K)
        batch, cells, last = ops.shape(inputs)[0], self.grid**2, 5 * self.boxes
        of_boxes = ops.reshape(numbers[..., :last], (batch, cells, self.boxes, 5))
        return {
            "boxes": of_boxes[..., :4],
            "confidence": of_boxes[..., 4],
            "classes": ops.reshape(numbers[..., last:], (batch, cells, self.num_classes)),
        }

    def losses_of(self, labels, outputs, training=True):
        """Return the loss of each picture in three parts, weighted.

        Args:
            labels: (B, G, 5), class and corners of each object.
            outputs: what the model gives.
            training: not looked at.

        Returns:
            Three times (B,) float: of boxes, of confidence, of classes.
        """
        priors = self._priors()
        labels = ops.cast(ops.convert_to_tensor(labels), "float32")
        objects, real = real_objects(with_one_more(labels))
        here = in_cells(priors[0], objects[..., 1:]) & real[..., None]  # (B, G, S * S)
        mine = ops.cast(ops.any(here, axis=1), "float32")  # (B, S * S)
        first = ops.argmax(ops.cast(here, "int32"), axis=1)
        objects = take_rows(objects, first)  # (B, S * S, 5)
        truth = objects[..., None, 1:]  # (B, S * S, 1, 4)
        overlap = box_iou(self._corners(outputs["boxes"]), truth)[..., 0]  # (B, S * S, N)
        overlap = ops.stop_gradient(overlap)
        best = ops.one_hot(ops.argmax(overlap, axis=-1), self.boxes)
        responsible = best * mine[..., None]
        center = box_corner_to_center(truth)
        places = (center[..., :2] - priors[0, :, None, :2]) * self.grid
        wished = ops.concatenate((places, ops.sqrt(center[..., 2:])), axis=-1)
        errors = ops.sum(ops.square(outputs["boxes"] - wished), axis=-1)
        confidence = outputs["confidence"]
        sure = responsible * ops.square(confidence - overlap)
        unsure = (1 - responsible) * ops.square(confidence)
        classes = ops.one_hot(ops.cast(objects[..., 0], "int32"), self.num_classes)
        class_errors = ops.sum(ops.square(outputs["classes"] - classes), axis=-1)
        return (
            self.coord_weight * ops.sum(responsible * errors, axis=(1, 2)),
            ops.sum(sure + self.noobj_weight * unsure, axis=(1, 2)),
            ops.sum(mine * class_errors, axis=1),
        )

    def candidates(self, inputs: Any) -> tuple[Any, Any]:
        """Return all boxes that the model thinks of, before suppression.

        Args:
            inputs: (B, H, W, C) float, pictures.

        Returns:
            boxes (B, A, 1, 4) float, corners as parts of the picture, A = S * S * N; scores
            (B, A, K) float, the confidence times what the cell says of the class, in [0, 1].
        """
        outputs = self(inputs, training=False)
        count = self.grid**2 * self.boxes
        boxes = ops.reshape(self._corners(outputs["boxes"]), (-1, count, 1, 4))
        sure = ops.clip(outputs["confidence"], 0.0, 1.0)[..., None]  # (B, S * S, N, 1)
        classes = ops.clip(outputs["classes"], 0.0, 1.0)[:, :, None]  # (B, S * S, 1, K)
        return boxes, ops.reshape(sure * classes, (-1, count, self.num_classes))

    def _priors(self) -> Any:
        return cell_priors(ops.zeros((1, self.grid, self.grid, 1)), [[1.0, 1.0]])

    def _corners(self, boxes: Any) -> Any:
        """Return what is predicted, (B, S * S, N, 4), as corners."""
        cells = self._priors()[0, :, None, :2]  # (S * S, 1, 2)
        centers = cells + boxes[..., :2] / self.grid
        return box_center_to_corner(ops.concatenate((centers, ops.square(boxes[..., 2:])), -1))

    def get_config(self):
        sizes = ("num_classes", "grid", "boxes", "depths", "width", "seed")
        names = (*sizes, "coord_weight", "noobj_weight")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _network(
    depths: Sequence[int], width: float, grid: int, boxes: int, num_classes: int, seed: int | None
) -> keras.Model:
    """Return pixels -> (B, S, S, 5 N + K); at first boxes in the cell's middle, of N sizes."""
    net = Darknet(seed)
    x = darknet_maps(net, depths, width)[-1]
    x = net.conv_bn(x, scaled(FILTERS[-1], width), 3, name="wide_1")
    x = AdaptiveAveragePooling2D(grid, name="grid")(x)
    x = net.conv_bn(x, scaled(FILTERS[-1], width), 3, name="wide_2")
    roots = [(j + 1) / (boxes + 1) for j in range(boxes)]
    first = [number for root in roots for number in (0.5, 0.5, root, root, 0.0)]
    head = Conv2D(
        5 * boxes + num_classes,
        1,
        kernel_initializer=uniform(net.next_seed()),
        bias_initializer=keras.initializers.Constant(first + [1 / num_classes] * num_classes),
        dtype="float32",
        name="numbers",
    )
    return keras.Model(net.pixels, head(x), name="network")
