"""The object detection sets by name, for recipes that take any of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from kerasd2l.data import tfds_boxes, tfds_sets
from kerasd2l.data.sets import bananas, box_folder
from kerasd2l.data.source import Source
from kerasd2l.recipe import Data

_CHOICES = "bananas, box_folder, or tfds:NAME"
BoxDataset = Annotated[str, f"one of {_CHOICES}"]


@dataclass(frozen=True)
class BoxSet:
    """The pictures with boxes of a recipe: which set, at what size.

    Args:
        dataset: "bananas", "box_folder", or "tfds:NAME" (`tfds:voc/2007`).
        resize: int, pixels of a side that pictures are stretched to.
        max_objects: int, objects of a picture, of more the largest; None: the most that there are.

    Raises:
        ValueError: an unknown data set, or a number below 1.

    Example:
        >>> BoxSet("bananas", resize=128).shape
        (128, 128, 3)
    """

    dataset: str = "bananas"
    resize: int = 256
    max_objects: int | None = None

    def __post_init__(self):
        if self.dataset not in ("bananas", "box_folder") and not self.dataset.startswith(
            tfds_sets.PREFIX
        ):
            raise ValueError(
                f"`dataset` must be one of {_CHOICES}. Received: dataset={self.dataset}."
            )
        for name, value in (("resize", self.resize), ("max_objects", self.max_objects)):
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a picture."""
        return self.resize, self.resize, 3

    def load(self, source: Source | str | None, *, batch_size: int) -> Data:
        """Load the set.

        Returns:
            Data: x (B, resize, resize, 3) float32 in [0, 1]; y (B, G, 5) float32: class, x1, y1,
            x2, y2 in parts of the picture, -1 where there is no object; assets["class_names"].

        Raises:
            DataError: the pictures are not to be had or not right.
            ValueError: skipping broken pictures of a published set.
        """
        source = Source.of(source)
        options: dict[str, Any] = {
            "batch_size": batch_size,
            "resize": self.resize,
            "max_objects": self.max_objects,
        }
        if self.dataset == box_folder.NAME:
            return box_folder.load(source, **options)
        if source.skip_broken:
            raise ValueError(
                "`skip_broken` is for pictures of one's own; published sets are read whole or not "
                f"at all. Received: a source with skip_broken=True, dataset={self.dataset}. "
                f"Use dataset={box_folder.NAME}."
            )
        if self.dataset.startswith(tfds_sets.PREFIX):
            name = self.dataset.removeprefix(tfds_sets.PREFIX)
            return tfds_boxes.load(name, source, **options)
        return bananas.load(source, **options)
