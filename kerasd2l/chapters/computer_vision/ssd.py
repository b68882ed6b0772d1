"""13.7 Single-shot multibox detection: SSD, and YOLO, which the notes name beside it."""

from __future__ import annotations

from typing import Literal

from kerasd2l import data
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Expected, Recipe
from kerasd2l.tasks.augmentation import Changes
from kerasd2l.tasks.descent import DecayedDescent, PlainAdam
from kerasd2l.tasks.detection import NO_CHANGES, Anchors, BoxLoss, Detections, detection

models = lazy("kerasd2l.models")


def tiny_ssd(
    *,
    pictures: data.BoxSet = data.BoxSet(),
    anchors: Anchors = Anchors(),
    loss: BoxLoss = BoxLoss(),
    changes: Changes = NO_CHANGES,
    detections: Detections = Detections(),
    descent: DecayedDescent = DecayedDescent(0.2, 5e-4, batch_size=32, epochs=20),
) -> Recipe:
    """Train the book's small detector on bananas (1000 + 100 pictures of 256 x 256, one box each).

    Section: "ssd". Five maps, 5444 anchors, cross-entropy and L1, SGD at 0.2 with weight decay 5e-4
    as in the book; the pixels are in [0, 1], the book's 0 to 255. --set smooth_beta=0.01 and --set
    focal_gamma=2 are its exercises; --set smallest=0.07 --set largest=0.5 is for smaller objects.
    One's own pictures, in the layout of Pascal VOC, COCO, YOLO or a table: --set dataset=box_folder
    --data-dir FOLDER; of TFDS: --set dataset=tfds:voc/2007. The builtin stand-in is drawn shapes on
    photographs. `kerasd2l evaluate RUN` tells the average precision (AP50) as well.
    Expected: class error 3.22e-3 and box error 3.16e-3 of the training pictures after 20 epochs
    (d2l-zh; d2l-en 3.27e-3 and 3.08e-3).
    The export answers kerasd2l predict savedmodels/tiny_ssd PICTURE --out boxes.png
    Command: kerasd2l train tiny_ssd --data files --export
    """
    numbers = (pictures, anchors, loss, changes)
    book = numbers == (data.BoxSet(), Anchors(), BoxLoss(), NO_CHANGES)
    return detection(
        "ssd",
        lambda num_classes: models.TinySSD(
            num_classes,
            sizes=models.anchor_sizes(anchors.smallest, anchors.largest),
            focal_gamma=loss.focal_gamma,
            smooth_beta=loss.smooth_beta,
        ),
        pictures=pictures,
        descent=descent,
        changes=changes,
        detections=detections,
        expected=Expected("train_class_error", 3.22e-3, 3.27e-3, "d2l-zh and d2l-en notebooks")
        if book
        else None,
    )


def ssd_resnet(
    *,
    pictures: data.BoxSet = data.BoxSet(),
    depths: tuple[int, ...] = (2, 2, 2, 2),
    width: float = 1.0,
    anchors: Anchors = Anchors(),
    loss: BoxLoss = BoxLoss(),
    changes: Changes = Changes(),
    detections: Detections = Detections(),
    descent: PlainAdam = PlainAdam(0.001, batch_size=32, epochs=20),
) -> Recipe:
    """Train SSD on the stages of ResNet-18 on bananas (1000 + 100 pictures of 256 x 256).

    Section: "ssd". Not in the book: its anchors and losses on the maps of a residual network,
    pictures flipped at random, Adam. depths=3,4,6,3 is ResNet-34. Data as for `tiny_ssd`.
    Expected: not published.
    The export answers kerasd2l predict savedmodels/ssd_resnet PICTURE --out boxes.png
    Command: kerasd2l train ssd_resnet --data files --export
    """
    return detection(
        "ssd",
        lambda num_classes: models.SSD(
            num_classes,
            depths=depths,
            width=width,
            sizes=models.anchor_sizes(anchors.smallest, anchors.largest),
            focal_gamma=loss.focal_gamma,
            smooth_beta=loss.smooth_beta,
        ),
        pictures=pictures,
        descent=descent,
        changes=changes,
        detections=detections,
    )


def yolo(
    *,
    pictures: data.BoxSet = data.BoxSet(),
    depths: tuple[int, ...] = (1, 1, 2, 2, 1),
    width: float = 0.25,
    shapes: tuple[float, ...] = (),
    num_shapes: int = 9,
    box_loss: Literal["giou", "squared"] = "giou",
    ignore_iou: float = 0.5,
    changes: Changes = Changes(),
    detections: Detections = Detections(),
    descent: PlainAdam = PlainAdam(0.001, batch_size=16, epochs=20),
) -> Recipe:
    """Train YOLO with anchors on three maps on bananas (1000 + 100 pictures of 256 x 256).

    Section: "ssd". Not in the book, but in its notes: as YOLOv3, with a smaller network;
    depths=1,2,8,8,4 and width=1 are Darknet-53. The `num_shapes` usual shapes of boxes are found in
    the training data by k-means and told; `shapes` gives others: width, height, width, ... in parts
    of the picture, the smallest first, an equal number for each map. Data as for `tiny_ssd`;
    `resize` must be a multiple of 32.
    Expected: not published.
    The export answers kerasd2l predict savedmodels/yolo PICTURE --out boxes.png
    Command: kerasd2l train yolo --data files --export
    """
    if len(shapes) % 2:
        raise ValueError(
            f"`shapes` must be width, height, width, height and so on. Received: shapes={shapes}."
        )
    if not shapes and (num_shapes < 3 or num_shapes % 3):
        raise ValueError(
            "`num_shapes` must be 3, 6, 9 or so on, as many for each of three maps. "
            f"Received: num_shapes={num_shapes}."
        )
    own = tuple(zip(shapes[::2], shapes[1::2], strict=True))
    return detection(
        "ssd",
        lambda num_classes, usual=own: models.YOLO(
            num_classes,
            depths=depths,
            width=width,
            shapes=usual,
            box_loss=box_loss,
            ignore_iou=ignore_iou,
        ),
        pictures=pictures,
        descent=descent,
        changes=changes,
        detections=detections,
        shapes=0 if own else num_shapes,
    )


def yolo_v1(
    *,
    pictures: data.BoxSet = data.BoxSet(resize=224),
    grid: int = 7,
    boxes: int = 2,
    depths: tuple[int, ...] = (1, 1, 2, 2, 1),
    width: float = 0.25,
    coord_weight: float = 5.0,
    noobj_weight: float = 0.5,
    changes: Changes = Changes(),
    detections: Detections = Detections(score_threshold=0.2),
    descent: PlainAdam = PlainAdam(0.001, batch_size=16, epochs=20),
) -> Recipe:
    """Train the first YOLO on bananas (1000 + 100 pictures of 224 x 224).

    Section: "ssd". Not in the book, but in its notes: a grid of 7 x 7 cells, two boxes each, the
    sum of squared errors with the weights 5 and 0.5; a smaller network that begins from nothing.
    Scores are products of two numbers, hence the lower threshold. Data as for `tiny_ssd`; with
    another `resize` take `grid` = resize / 32.
    Expected: not published.
    The export answers kerasd2l predict savedmodels/yolo_v1 PICTURE --out boxes.png
    Command: kerasd2l train yolo_v1 --data files --export
    """
    return detection(
        "ssd",
        lambda num_classes: models.YOLOv1(
            num_classes,
            grid=grid,
            boxes=boxes,
            depths=depths,
            width=width,
            coord_weight=coord_weight,
            noobj_weight=noobj_weight,
        ),
        pictures=pictures,
        descent=descent,
        changes=changes,
        detections=detections,
    )
