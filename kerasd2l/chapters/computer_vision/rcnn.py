"""13.8 Region-based convolutional neural networks: R-CNN and its successors."""

from __future__ import annotations

from dataclasses import dataclass

from kerasd2l import data, figures, layers
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult, Recipe
from kerasd2l.tasks.augmentation import Changes
from kerasd2l.tasks.descent import FadingAdam
from kerasd2l.tasks.detection import Detections, detection
from kerasd2l.tasks.instances import instance_segmentation

models = lazy("kerasd2l.models")
np = lazy("numpy")

# The section's example: regions in pixels of a picture of 40 x 40, a map of a tenth of its size.
_REGIONS, _PICTURE, _MAP = ((0, 0, 20, 20), (0, 10, 30, 30)), 40, 4


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


def mask_rcnn(
    *,
    pictures: data.InstanceSet = data.InstanceSet(),
    depths: tuple[int, ...] = (2, 2, 2),
    width: float = 1.0,
    num_proposals: int = 300,
    head_units: int = 1024,
    mask_filters: tuple[int, ...] = (256, 256, 256, 256),
    regions: Regions = Regions(num_samples=128),
    changes: Changes = Changes(),
    detections: Detections = Detections(),
    descent: FadingAdam = FadingAdam(0.0005, batch_size=8, epochs=20),
) -> Recipe:
    """Train Mask R-CNN on one's own pictures with a mask of each object.

    Section: "rcnn". The section describes it and trains nothing. As `faster_rcnn`, and a small
    fully convolutional network draws a mask of 28 x 28 in each box. Data: a folder in the layout of
    COCO (polygons or runs) or of Pascal VOC (SegmentationObject), --data files --data-dir FOLDER;
    the builtin stand-in is drawn shapes on photographs. depths=2,2 is for small objects.
    Expected: not published.
    The export answers kerasd2l predict savedmodels/mask_rcnn PICTURE --out masks.png
    Command: kerasd2l train mask_rcnn --data builtin --export
    """
    return instance_segmentation(
        "rcnn",
        lambda num_classes: models.MaskRCNN(
            num_classes,
            depths=depths,
            width=width,
            num_proposals=num_proposals,
            head_units=head_units,
            mask_filters=mask_filters,
            **vars(regions),
        ),
        pictures=pictures,
        descent=descent,
        changes=changes,
        detections=detections,
    )


def roi_pooling() -> Demo:
    """Cut two regions out of a map of 4 x 4 numbers, by RoI pooling and by RoIAlign.

    Section: "rcnn". Pooling takes the largest of whole pixels; RoIAlign takes the mean of four
    interpolated values, at places that nothing rounds. The figures show which.
    Expected: pooling gives 5, 6, 9, 10 and 9, 11, 13, 15 (the book's output).
    Command: kerasd2l run roi_pooling --out figures
    """
    return Demo("rcnn", _pool)


def _pool() -> DemoResult:
    x = np.arange(_MAP * _MAP, dtype="float32").reshape(1, _MAP, _MAP, 1)
    boxes = np.array([_REGIONS], "float32") / _PICTURE
    cut = {"RoI pooling": layers.RoIPooling(2), "RoIAlign": layers.RoIAlign(2)}
    values = {
        name: np.asarray(layer(x, boxes))[0, ..., 0].round(4).tolist()
        for name, layer in cut.items()
    }
    figure, panels = figures.new_figure(2, 2, width=3.4, height=3.4)
    for row, region in zip(panels, boxes[0] * _MAP, strict=True):
        for axes, name in zip(row, cut, strict=True):
            figures.heatmap(axes, x[0, ..., 0], title=name)
        # pixel 0 is drawn from -0.5 to 0.5
        figures.show_bboxes(row[0], [bin - 0.5 for bin in _bins(region)], colors=["orange"])
        places = [
            (np.arange(4) + 0.5) / 4 * (region[2 + i] - region[i]) + region[i] for i in (0, 1)
        ]
        row[1].plot(*(grid.ravel() - 0.5 for grid in np.meshgrid(*places)), "o", color="orange")
        for axes in row:
            figures.show_bboxes(axes, [region - 0.5], colors=["white"])
    figure.suptitle("white: the region; orange: the bins of pooling, the samples of RoIAlign")
    return DemoResult(values, {"roi_pooling": figure})


def _bins(region):
    """Return the four bins that RoI pooling takes of a region, in pixels of the map."""
    start, end = (np.floor(corner + 0.5) for corner in (region[:2], region[2:]))
    size = (end - start + 1) / 2
    return [
        np.concatenate([np.floor(place * size) + start, np.ceil((place + 1) * size) + start])
        for place in np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
    ]
