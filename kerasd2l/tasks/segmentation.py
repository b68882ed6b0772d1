"""Segmentation: pictures in, cross-entropy of each pixel, masks out.

A recipe is `segmentation("fcn", build, stride=32, pictures=Masks(), descent=SummedDescent(0.001))`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kerasd2l import data, endpoints
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Data, Expected, Recipe
from kerasd2l.tasks.augmentation import Changes
from kerasd2l.tasks.descent import PlainAdam, SummedDescent

losses = lazy("kerasd2l.losses")
metrics = lazy("kerasd2l.metrics")
segmentation_metrics = lazy("kerasd2l.segmentation_metrics")


@dataclass(frozen=True)
class Masks:
    """Which pictures with masks, and how large a part of each.

    Args:
        dataset: str, "voc2012", "camvid" or "mask_folder": one's own pictures.
        crop: (height, width) that is cut out of each picture.
    """

    dataset: data.MaskDataset = "voc2012"
    crop: tuple[int, int] = (320, 480)


def segmentation(
    section: str,
    build: Callable[[tuple[int | None, int | None, int], int], Any],
    *,
    stride: int,
    pictures: Masks,
    descent: SummedDescent | PlainAdam,
    changes: Changes,
    expected: Expected | None = None,
) -> Recipe:
    """Make the recipe of a network that tells the class of every pixel.

    Pixels of no class are neither trained on nor scored. The loss of a picture is the mean over its
    pixels that have one.

    Args:
        section: str, the book's label.
        build: (input_shape, num_classes) -> keras.Model with logits (B, H, W, K); height and width
            are None, since pictures of any size are served.
        stride: int, what height and width must be multiples of.
        pictures: the data.
        descent: the optimizer's numbers.
        changes: random changes of the training pictures, masks in step.
        expected: the figure, or None.

    Raises:
        ValueError: a crop whose sides are no multiples of the stride, or a change out of range.
    """
    chosen = data.MaskSet(pictures.dataset, crop=pictures.crop)
    height, width = pictures.crop
    if height % stride or width % stride:
        near = [max(stride, round(side / stride) * stride) for side in (height, width)]
        raise ValueError(
            f"`crop` must be multiples of {stride}, by which the network shrinks pictures. "
            f"Received: crop={pictures.crop}. Try {near[0]},{near[1]}."
        )
    some = bool(changes.transforms(height, width))  # a wrong number stops here

    def load(source: Any) -> Data:
        loaded = chosen.load(source, batch_size=descent.batch_size)
        if not some:
            return loaded
        augment = changes.augment(height, width, targets="masks")
        return data.pipeline.augmented(loaded, augment, data.Source.of(source).seed)

    return Recipe(
        section=section,
        dataset=pictures.dataset,
        data=load,
        model=lambda d: build((None, None, 3), len(d.assets["class_names"])),
        optimizer=descent.optimizer,
        loss=lambda: losses.PixelCrossEntropy(ignore_id=data.masks.IGNORE),
        metrics=lambda: [
            metrics.TokenAccuracy(ignore_id=data.masks.IGNORE),
            segmentation_metrics.MeanIoU(),
        ],
        epochs=descent.epochs,
        batch_size=descent.batch_size,
        endpoints=endpoints.image_segmenter(height=height, width=width, stride=stride),
        expected=expected,
        score=iou_by_class,
    )


def iou_by_class(model: Any, batches: Any, assets: Mapping[str, Any]) -> dict[str, float]:
    """Return the intersection over union of each class that is there or is predicted.

    Args:
        model: with logits (B, H, W, K).
        batches: of (pictures, masks).
        assets: with `class_names`.

    Returns:
        "iou_NAME" -> number.
    """
    metric = segmentation_metrics.MeanIoU()
    for x, y in batches:
        metric.update_state(y, model.predict_on_batch(x))
    shares = zip(assets["class_names"], metric.by_class(), strict=False)
    return {f"iou_{name}": float(iou) for name, iou in shares if iou == iou}  # not NaN
