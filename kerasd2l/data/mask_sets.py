"""The segmentation sets by name, for recipes that take any of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from kerasd2l.data.sets import camvid, mask_folder, voc2012
from kerasd2l.data.source import Source
from kerasd2l.recipe import Data

_CHOICES = "voc2012, camvid, or mask_folder"
_SETS = {"voc2012": voc2012, "camvid": camvid, "mask_folder": mask_folder}
MaskDataset = Annotated[str, f"one of {_CHOICES}"]


@dataclass(frozen=True)
class MaskSet:
    """The pictures with masks of a recipe: which set, and how large a part of each.

    Args:
        dataset: "voc2012", "camvid" or "mask_folder".
        crop: (height, width) that is cut out of each picture.

    Raises:
        ValueError: an unknown data set, or a size below 1.

    Example:
        >>> MaskSet("camvid", crop=(64, 96)).shape
        (64, 96, 3)
    """

    dataset: str = "voc2012"
    crop: tuple[int, int] = mask_folder.CROP

    def __post_init__(self):
        if self.dataset not in _SETS:
            raise ValueError(
                f"`dataset` must be one of {_CHOICES}. Received: dataset={self.dataset}."
            )
        if len(self.crop) != 2 or min(self.crop) < 1:
            raise ValueError(f"`crop` must be (height, width). Received: crop={self.crop}.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of what is cut out."""
        return *self.crop, 3

    def load(self, source: Source | str | None, *, batch_size: int) -> Data:
        """Load the set.

        Returns:
            Data: x (B, height, width, 3) float32 in [0, 1]; y (B, height, width) int32, 255 is no
            class; assets["class_names"], ["ignore"] and maybe ["colours"].

        Raises:
            DataError: the pictures are not to be had or not right.
            ValueError: skipping broken pictures of a published set.
        """
        source = Source.of(source)
        if source.skip_broken and self.dataset != mask_folder.NAME:
            raise ValueError(
                "`skip_broken` is for pictures of one's own; published sets are read whole or not "
                f"at all. Received: a source with skip_broken=True, dataset={self.dataset}. "
                f"Use dataset={mask_folder.NAME}."
            )
        return _SETS[self.dataset].load(source, batch_size=batch_size, crop=self.crop)
