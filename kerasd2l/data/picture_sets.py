"""The picture classification sets by name, for recipes that take any of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from kerasd2l.data import tfds_sets
from kerasd2l.data.sets import cifar10, fashion_mnist, hotdog, image_folder, mnist
from kerasd2l.data.source import DataError, Source
from kerasd2l.recipe import Data

_CHOICES = "fashion_mnist, mnist, cifar10, hotdog, image_folder, or tfds:NAME"
Dataset = Annotated[str, f"one of {_CHOICES}"]

_SHAPES = {
    "fashion_mnist": (28, 28, 1),
    "mnist": (28, 28, 1),
    "cifar10": (32, 32, 3),
    "hotdog": (224, 224, 3),  # what its pictures are stretched to
    "image_folder": (96, 96, 3),  # one's own pictures have no size of their own
}


def picture_shape(dataset: str, resize: int | None = None) -> tuple[int, int, int]:
    """Return (height, width, channels) of the pictures that `load_pictures` gives.

    Args:
        dataset: "fashion_mnist", "mnist", "cifar10", "hotdog", "image_folder", or "tfds:NAME".
        resize: int, pixels of a side, or None for the set's own size.

    Raises:
        ValueError: an unknown data set, or a size below 1.

    Example:
        >>> picture_shape("cifar10", 64)
        (64, 64, 3)
    """
    if dataset.startswith(tfds_sets.PREFIX):
        return _tfds_shape(dataset.removeprefix(tfds_sets.PREFIX), resize)
    if dataset not in _SHAPES:
        raise ValueError(f"`dataset` must be one of {_CHOICES}. Received: dataset={dataset}.")
    if resize is not None and resize < 1:
        raise ValueError(f"`resize` must be at least 1. Received: resize={resize}.")
    height, width, channels = _SHAPES[dataset]
    return (height, width, channels) if resize is None else (resize, resize, channels)


def _tfds_shape(name: str, resize: int | None) -> tuple[int, int, int]:
    """Return the shape of the pictures of a set of TFDS."""
    try:
        height, width, channels = tfds_sets.picture_shape(name)
    except DataError as error:
        raise ValueError(f"`dataset`: {error}") from error
    if resize is not None:
        return resize, resize, channels
    if height is None or width is None:
        raise ValueError(
            f"`resize` must be given: the pictures of {name} have different sizes. "
            "Received: resize=None."
        )
    return height, width, channels


def load_pictures(
    dataset: str,
    source: Source | str | None = None,
    *,
    batch_size: int = 128,
    resize: int | None = None,
    splits: bool = True,
) -> Data:
    """Load a picture classification set by its name; with "image_folder", one's own pictures.

    Args:
        dataset: "fashion_mnist", "mnist", "cifar10", "hotdog", "image_folder", or "tfds:NAME".
        source: Source, or the name of its kind.
        batch_size: int, the global batch.
        resize: int, pixels of a side, or None for the set's own size.
        splits: bool, of one's own pictures: whether folders called train and test are splits.

    Returns:
        Data: x (B, *picture_shape(dataset, resize)) float32 in [0, 1], y (B,) int32;
        assets["class_names"].

    Raises:
        DataError: the pictures are not to be had or not right.
        ValueError: as `picture_shape`, or skipping broken pictures of a published set.

    Example:
        >>> load_pictures("cifar10", "builtin", batch_size=8).size
        {'train': 1000, 'test': 250}
    """
    shape = picture_shape(dataset, resize)
    if dataset == "image_folder":
        return image_folder.load(
            source,
            batch_size=batch_size,
            resize=shape[:2],
            channels=shape[2],
            splits=splits,
        )
    if Source.of(source).skip_broken:
        raise ValueError(
            "`skip_broken` is for pictures of one's own; published sets are read whole or not at "
            f"all. Received: a source with skip_broken=True, dataset={dataset}. "
            f"Use dataset={image_folder.NAME}."
        )
    if dataset.startswith(tfds_sets.PREFIX):
        name = dataset.removeprefix(tfds_sets.PREFIX)
        return tfds_sets.load(name, source, batch_size=batch_size, resize=resize)
    modules = {
        "fashion_mnist": fashion_mnist,
        "mnist": mnist,
        "cifar10": cifar10,
        "hotdog": hotdog,
    }
    return modules[dataset].load(source, batch_size=batch_size, resize=resize)


@dataclass(frozen=True)
class PictureSet:
    """The pictures of a recipe: which set, at what size.

    Args:
        dataset: "fashion_mnist", "mnist", "cifar10", "hotdog", "image_folder", or "tfds:NAME".
        resize: int, pixels of a side, or None for the set's own size.
        least: int, the smallest side that the network does not shrink to nothing.
        splits: bool, of one's own pictures: whether folders called train and test are splits.

    Raises:
        ValueError: as `picture_shape`; pictures that are too small; splits=False for a set that has
            its own.

    Example:
        >>> PictureSet("mnist", resize=32, least=16).shape
        (32, 32, 1)
    """

    dataset: str
    resize: int | None = None
    least: int = 1
    splits: bool = True

    def __post_init__(self):
        height, width, _ = self.shape
        if not self.splits and self.dataset != "image_folder":
            raise ValueError(
                "`splits` is for pictures of one's own; published sets have theirs. "
                f"Received: splits={self.splits}, dataset={self.dataset}."
            )
        if min(height, width) < self.least:
            raise ValueError(
                f"`resize` must be at least {self.least}: the network shrinks smaller pictures "
                f"below one pixel. Received: resize={self.resize}, dataset={self.dataset} "
                f"({height} x {width} pixels)."
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a picture."""
        return picture_shape(self.dataset, self.resize)

    def load(self, source: Source | str | None, *, batch_size: int) -> Data:
        """Load the pictures as `load_pictures` does."""
        return load_pictures(
            self.dataset,
            source,
            batch_size=batch_size,
            resize=self.resize,
            splits=self.splits,
        )
