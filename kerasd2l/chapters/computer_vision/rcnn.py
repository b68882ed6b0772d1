"""13.8 Region-based convolutional neural networks: R-CNN and its successors."""

from __future__ import annotations

from dataclasses import dataclass

from kerasd2l import data
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Recipe
from kerasd2l.tasks.augmentation import Changes
from kerasd2l.tasks.descent import FadingAdam
from kerasd2l.tasks.detection import Detections, detection

models = lazy("kerasd2l.models")


@dataclass(frozen=True)
class Regions:
    """Where a detector looks, and how many regions of a picture it learns from.

    Args:
        sizes: of the boxes laid around each place, as parts of the picture's height.
        ratios: their width over their height.
        num_samples: int >= 1, regions of a picture that are learned from.
        positive_share: float in (0, 1], most of them that have an object.
    """

    sizes: tuple[float, ...] = (0.125, 0.25, 0.5)
    ratios: tuple[float, ...] = (1.0, 2.0, 0.5)
    num_samples: int = 64
    positive_share: float = 0.25


def rcnn(
    *,
    pictures: data.BoxSet = data.BoxSet(),
    depths: tuple[int, ...] = (1, 1, 1),
    width: float = 0.5,
    crop: int = 48,
    grid: int = 8,
    l2: float = 1e-4,
    regions: Regions = Regions(num_samples=32),
    changes: Changes = Changes(),
    detections: Detections = Detections(),
    descent: FadingAdam = FadingAdam(0.001, batch_size=8, epochs=10),
) -> Recipe:
    """Train R-CNN on bananas (1000 + 100 pictures of 256 x 256, one box each).

    Section: "rcnn". The section describes it and trains nothing. Boxes around the cells of a grid
    are cut out of the picture, a small residual network looks at each, then an SVM for each class
    and a linear map for the box. Data as for `tiny_ssd`: one's own with --set dataset=box_folder
    --data-dir FOLDER; for smaller objects --set sizes=0.07,0.15,0.3 --set grid=16.
    Expected: not published.
    The export answers kerasd2l predict savedmodels/rcnn PICTURE --out boxes.png
    Command: kerasd2l train rcnn --data files --export
    """
    return detection(
        "rcnn",
        lambda num_classes: models.RCNN(
            num_classes,
            depths=depths,
            width=width,
            crop=crop,
            grid=grid,
            l2=l2,
            **vars(regions),
        ),
        pictures=pictures,
        descent=descent,
        changes=changes,
        detections=detections,
    )


def fast_rcnn(
    *,
    pictures: data.BoxSet = data.BoxSet(),
    depths: tuple[int, ...] = (2, 2, 2),
    width: float = 1.0,
    grid: int = 8,
    head_units: int = 1024,
    regions: Regions = Regions(),
    changes: Changes = Changes(),
    detections: Detections = Detections(),
    descent: FadingAdam = FadingAdam(0.0005, batch_size=8, epochs=20),
) -> Recipe:
    """Train Fast R-CNN on bananas (1000 + 100 pictures of 256 x 256, one box each).

    Section: "rcnn". The section describes it and trains nothing. One pass of ResNet-18 up to 1/16
    of the size for the whole picture, RoI pooling of the boxes around the cells of a grid, two
    dense layers, classes and boxes at once. Data and small objects as for `rcnn`.
    Expected: not published.
    The export answers kerasd2l predict savedmodels/fast_rcnn PICTURE --out boxes.png
    Command: kerasd2l train fast_rcnn --data files --export
    """
    return detection(
        "rcnn",
        lambda num_classes: models.FastRCNN(
            num_classes,
            depths=depths,
            width=width,
            grid=grid,
            head_units=head_units,
            **vars(regions),
        ),
        pictures=pictures,
        descent=descent,
        changes=changes,
        detections=detections,
    )


def faster_rcnn(
    *,
    pictures: data.BoxSet = data.BoxSet(),
    depths: tuple[int, ...] = (2, 2, 2),
    width: float = 1.0,
    num_proposals: int = 300,
    head_units: int = 1024,
    regions: Regions = Regions(num_samples=128),
    changes: Changes = Changes(),
    detections: Detections = Detections(),
    descent: FadingAdam = FadingAdam(0.0005, batch_size=8, epochs=20),
) -> Recipe:
    """Train Faster R-CNN on bananas (1000 + 100 pictures of 256 x 256, one box each).

    Section: "rcnn". The section describes it and trains nothing. As `fast_rcnn`, but a small
    network says where to look, trained at once with the rest, and RoIAlign in place of pooling.
    depths=2,2 looks at maps of 1/8 of the size: for small objects. Data as for `tiny_ssd`.
    Expected: not published.
    The export answers kerasd2l predict savedmodels/faster_rcnn PICTURE --out boxes.png
    Command: kerasd2l train faster_rcnn --data files --export
    """
    return detection(
        "rcnn",
        lambda num_classes: models.FasterRCNN(
            num_classes,
            depths=depths,
            width=width,
            num_proposals=num_proposals,
            head_units=head_units,
            **vars(regions),
        ),
        pictures=pictures,
        descent=descent,
        changes=changes,
        detections=detections,
    )
