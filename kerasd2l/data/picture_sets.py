"""The picture classification sets by name, for recipes that take any of them."""

from __future__ import annotations

from kerasd2l.data import cifar10, fashion_mnist, image_folder, mnist
from kerasd2l.data.source import Source
from kerasd2l.recipe import Data

_SHAPES = {
    "fashion_mnist": (28, 28, 1),
    "mnist": (28, 28, 1),
    "cifar10": (32, 32, 3),
    "image_folder": (96, 96, 3),  # one's own pictures have no size of their own
}


def picture_shape(dataset: str, resize: int | None = None) -> tuple[int, int, int]:
    """Return (height, width, channels) of the pictures that `load_pictures` gives.

    Args:
        dataset: "fashion_mnist", "mnist", "cifar10" or "image_folder".
        resize: int, pixels of a side, or None for the set's own size.

    Raises:
        ValueError: an unknown data set, or a size below 1.

    Example:
        >>> picture_shape("cifar10", 64)
        (64, 64, 3)
    """
    if dataset not in _SHAPES:
        raise ValueError(f"`dataset` must be one of {', '.join(_SHAPES)}. Received: {dataset!r}.")
    if resize is not None and resize < 1:
        raise ValueError(f"`resize` must be at least 1. Received: resize={resize}.")
    height, width, channels = _SHAPES[dataset]
    return (height, width, channels) if resize is None else (resize, resize, channels)


def load_pictures(
    dataset: str,
    source: Source | str | None = None,
    *,
    batch_size: int = 128,
    resize: int | None = None,
    skip_broken: bool = False,
) -> Data:
    """Load a picture classification set by its name; with "image_folder", one's own pictures.

    Args:
        dataset: "fashion_mnist", "mnist", "cifar10" or "image_folder".
        source: Source, or the name of its kind.
        batch_size: int, the global batch.
        resize: int, pixels of a side, or None for the set's own size.
        skip_broken: bool, leave out what cannot be read of "image_folder"; the published sets are
            read whole or not at all.

    Returns:
        Data: x (B, *picture_shape(dataset, resize)) float32 in [0, 1], y (B,) int32;
        assets["class_names"].

    Raises:
        DataError: the pictures are not to be had or not right. ValueError: as `picture_shape`.

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
            skip_broken=skip_broken,
        )
    module = {"fashion_mnist": fashion_mnist, "mnist": mnist, "cifar10": cifar10}[dataset]
    return module.load(source, batch_size=batch_size, resize=resize)
