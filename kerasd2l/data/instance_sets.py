"""The sets of pictures with a mask of each object, for recipes that take any of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from kerasd2l.data import instance_masks
from kerasd2l.data.sets import instance_folder
from kerasd2l.data.source import Source
from kerasd2l.recipe import Data

InstanceDataset = Annotated[str, f"one of {instance_folder.NAME}"]


@dataclass(frozen=True)
class InstanceSet:
    """The pictures with boxes and masks of a recipe: which set, at what size.

    Args:
        dataset: "instance_folder", one's own pictures; built in are drawn shapes.
        resize: int, pixels of a side that pictures are stretched to.
        max_objects: int, objects of a picture, of more the largest; None: the most that there are.
        mask_size: int, m, pixels of a mask's side, which is cut to its box.

    Raises:
        ValueError: an unknown data set, or a number out of range.

    Example:
        >>> InstanceSet(resize=128).shape
        (128, 128, 3)
    """

    dataset: str = instance_folder.NAME
    resize: int = 256
    max_objects: int | None = None
    mask_size: int = instance_masks.SIZE

    def __post_init__(self):
        if self.dataset != instance_folder.NAME:
            raise ValueError(
                f"`dataset` must be {instance_folder.NAME}. Received: dataset={self.dataset}."
            )
        if min(self.resize, self.max_objects or 1) < 1 or self.max_objects == 0:
            raise ValueError(
                "`resize` and `max_objects` must be at least 1. "
                f"Received: resize={self.resize}, max_objects={self.max_objects}."
            )
        if self.mask_size < 2:
            raise ValueError(f"`mask_size` must be at least 2. Received: {self.mask_size}.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a picture."""
        return self.resize, self.resize, 3

    def load(self, source: Source | str | None, *, batch_size: int) -> Data:
        """Load the set.

        Returns:
            Data: x (B, resize, resize, 3) float32 in [0, 1]; y["boxes"] (B, G, 5) float32: class,
            x1, y1, x2, y2 in parts of the picture, -1 where there is no object; y["masks"]
            (B, G, m, m) float32, 1 where the object is within its box; assets["class_names"].

        Raises:
            DataError: the pictures are not to be had or not right.
        """
        return instance_folder.load(
            source,
            batch_size=batch_size,
            resize=self.resize,
            max_objects=self.max_objects,
            mask_size=self.mask_size,
        )
