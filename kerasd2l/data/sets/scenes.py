"""Drawn shapes on photographs: pictures whose boxes and masks are known to the pixel.

The photographs are those that come with scikit-learn.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data import box_batches, pictures, pipeline
from kerasd2l.data import masks as masks_
from kerasd2l.data.source import Source, builtin_only
from kerasd2l.recipe import Data

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

Image = lazy("PIL.Image")
ImageDraw = lazy("PIL.ImageDraw")
datasets = lazy("sklearn.datasets")

CLASS_NAMES = ("circle", "square", "triangle")
MASK_NAMES = ("background", *CLASS_NAMES)
SIZE = 128
MOST_OBJECTS = 4
COUNT = {"train": 800, "test": 200}
_MOST_BYTES = 200 << 20  # of pixels in another size than they are drawn
_TRIES = 20  # places for an object, until one does not hide another
_CORNERS = {"square": 4, "triangle": 3}


@dataclass(frozen=True)
class Scenes:
    """Pictures with objects.

    Args:
        x: (N, S, S, 3) uint8.
        class_ids: (G_i,) int32 of each picture.
        boxes: (G_i, 4) float32 of each picture: x1, y1, x2, y2 in parts of it, what is seen.
        objects: (N, S, S) uint8: 0 is background, k the k-th object of its picture.
    """

    x: np.ndarray
    class_ids: list[np.ndarray]
    boxes: list[np.ndarray]
    objects: np.ndarray

    @property
    def classes(self) -> np.ndarray:
        """(N, S, S) uint8: 0 is background, k + 1 the class k."""
        table = np.zeros((len(self.x), MOST_OBJECTS + 1), np.uint8)
        for row, ids in zip(table, self.class_ids, strict=True):
            row[1 : len(ids) + 1] = ids + 1
        return table[np.arange(len(table))[:, None, None], self.objects]


def make(count: int, *, seed: int = 0, size: int = SIZE) -> Scenes:
    """Draw pictures with one to four shapes each, the same ones for the same seed.

    Args:
        count: int >= 1, pictures.
        seed: int >= 0.
        size: int >= 16, pixels of a side.

    Raises:
        ValueError: a number out of range.

    Example:
        >>> make(2, seed=1).x.shape
        (2, 128, 128, 3)
    """
    if count < 1 or size < 16 or seed < 0:
        raise ValueError(
            "`count` must be at least 1, `size` 16 and `seed` 0. "
            f"Received: count={count}, size={size}, seed={seed}."
        )
    random = np.random.RandomState(seed)  # numpy's frozen stream
    drawn = [_draw(random, size) for _ in range(count)]
    x, class_ids, boxes, objects = zip(*drawn, strict=True)
    return Scenes(np.stack(x), list(class_ids), list(boxes), np.stack(objects))


@functools.cache
def scenes(split: str) -> Scenes:
    """Return the pictures of a split, always the same."""
    return make(COUNT[split], seed=list(COUNT).index(split))


@functools.lru_cache(maxsize=4)
def stretched(split: str, size: tuple[int, int]) -> np.ndarray:
    """Return the pixels of a split in another size; as they are where that took much memory."""
    x = scenes(split).x
    if size == x.shape[1:3] or len(x) * size[0] * size[1] * 3 > _MOST_BYTES:
        return x
    return np.stack([pictures.stretch(picture, size) for picture in x])


@functools.cache
def _photographs() -> tuple[np.ndarray, ...]:
    return tuple(datasets.load_sample_images().images)  # two of (427, 640, 3) uint8


def _draw(random: np.random.RandomState, size: int) -> tuple[np.ndarray, ...]:
    """Draw one picture: its pixels, classes, boxes and which pixel is of which object."""
    pixels = _background(random, size)
    objects = np.zeros((size, size), np.uint8)
    ids: list[int] = []
    for _ in range(random.randint(1, MOST_OBJECTS + 1)):
        for _ in range(_TRIES):
            name = CLASS_NAMES[random.randint(len(CLASS_NAMES))]
            shape = _shape(name, random, size)
            if not (objects[shape] > 0).any() and shape.any():
                break
        else:
            continue
        ids.append(CLASS_NAMES.index(name))
        objects[shape] = len(ids)
        pixels[shape] = _colour(pixels[shape].mean(0), random)
    noise = random.randint(-6, 7, pixels.shape, dtype=np.int8)
    boxes = np.array([_box(objects == k) for k in range(1, len(ids) + 1)], np.float32) / size
    return (
        np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8),
        np.array(ids, np.int32),
        boxes.reshape(-1, 4),
        objects,
    )


def _background(random: np.random.RandomState, size: int) -> np.ndarray:
    """Cut a square out of one of the photographs: (size, size, 3) float."""
    photograph = _photographs()[random.randint(2)]
    side = random.randint(size // 2, min(photograph.shape[:2]))
    top, left = (random.randint(0, edge - side + 1) for edge in photograph.shape[:2])
    cut = Image.fromarray(photograph[top : top + side, left : left + side])
    return np.asarray(cut.resize((size, size), Image.Resampling.BILINEAR), float)


def _shape(name: str, random: np.random.RandomState, size: int) -> np.ndarray:
    """Return (size, size) bool: the pixels of a shape of any place, size and direction."""
    radius = random.uniform(0.1, 0.28) * size
    x, y = random.uniform(radius, size - radius, 2)
    paper = Image.new("1", (size, size))
    pen = ImageDraw.Draw(paper)
    if name == "circle":
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1)
    else:
        angles = (
            random.uniform(0, 2 * math.pi)
            + 2 * np.pi * np.arange(_CORNERS[name]) / (_CORNERS[name])
        )
        corners = zip(x + radius * np.cos(angles), y + radius * np.sin(angles), strict=True)
        pen.polygon(list(corners), fill=1)
    return np.asarray(paper)


def _colour(behind: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """Return a colour that is seen on what is behind."""
    while True:
        colour = random.randint(0, 256, 3)
        if np.abs(colour - behind).sum() > 150:
            return colour


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def load_boxes(
    source: Source | str | None = None,
    *,
    batch_size: int = 32,
    resize: int | tuple[int, int] | None = None,
    max_objects: int | None = None,
) -> Data:
    """Load the drawn shapes for object detection: 800 pictures for training, 200 for test.

    Section: none; the built-in stand-in of bananas, and of one's own pictures with boxes.

    Args:
        source: Source or the name of its kind, "auto" or "builtin"; its seed orders the training.
        batch_size: int, the global batch.
        resize: int or (height, width); None: 128 x 128.
        max_objects: int, objects of a picture, of more the largest; None: the most that there are.

    Returns:
        Data: x (B, H, W, 3) float32 in [0, 1]; y (B, G, 5) float32: class, x1, y1, x2, y2, -1 where
        there is no object; assets["class_names"].

    Raises:
        DataError: asked for files or a download, which do not exist.
        ValueError: a number out of range.

    Example:
        >>> load_boxes(batch_size=8).size
        {'train': 800, 'test': 200}
    """
    source = builtin_only(source, "the shapes are drawn")
    size = pipeline.size_of(resize) or (SIZE, SIZE)
    most = max_objects or MOST_OBJECTS

    def batches(split: str, seed: int | None) -> pipeline.Batches:
        found, x = scenes(split), stretched(split, size)
        labels = box_batches.pad(found.class_ids, found.boxes, most)
        return box_batches.from_arrays(x, labels, resize=size, batch_size=batch_size, seed=seed)

    return pipeline.make_data(
        batches("train", source.seed),
        test=batches("test", None),
        features=box_batches.features(*size),
        assets={"class_names": list(CLASS_NAMES)},
    )


def load_masks(
    source: Source | str | None = None,
    *,
    batch_size: int = 32,
    crop: tuple[int, int] = (SIZE, SIZE),
) -> Data:
    """Load the drawn shapes for segmentation: 800 pictures for training, 200 for test.

    Section: none; the built-in stand-in of Pascal VOC 2012 and of one's own pictures with masks.

    Args:
        source: Source or the name of its kind, "auto" or "builtin"; its seed orders the training.
        batch_size: int, the global batch.
        crop: (height, width) that the whole pictures are stretched to.

    Returns:
        Data: x (B, height, width, 3) float32 in [0, 1]; y (B, height, width) int32: 0 is
        background; assets["class_names"], ["ignore"], ["colours"], ["stretched"]: pictures to be
        served are to be stretched to `crop`, too.

    Raises:
        DataError: asked for files or a download, which do not exist.

    Example:
        >>> load_masks(batch_size=8).assets["class_names"]
        ['background', 'circle', 'square', 'triangle']
    """
    source = builtin_only(source, "the shapes are drawn")

    def transform(x: tf.Tensor, classes: tf.Tensor) -> Any:
        return pipeline.scale_images(x, crop), tf.cast(nearest(classes, crop), tf.int32)

    train, test = (
        pipeline.from_arrays(
            (stretched(split, crop), scenes(split).classes),
            batch_size=batch_size,
            seed=source.seed if split == "train" else None,
            transform=transform,
        )
        for split in COUNT
    )
    return pipeline.make_data(
        train,
        test=test,
        features=box_batches.features(*crop),
        assets={
            "class_names": list(MASK_NAMES),
            "ignore": masks_.IGNORE,
            "colours": [list(colour) for colour in masks_.VOC_COLORMAP[: len(MASK_NAMES)]],
            "stretched": True,
        },
    )


def nearest(masks: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Resize (..., H, W) whole numbers to (height, width): each pixel is that of its middle."""
    for axis, after in ((-2, size[0]), (-1, size[1])):
        before = masks.shape[axis]
        if before != after:
            places = np.floor((np.arange(after) + 0.5) * before / after).astype(np.int32)
            masks = tf.gather(masks, places, axis=axis)
    return masks
