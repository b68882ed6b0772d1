"""Which random changes a recipe makes of its training pictures, as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kerasd2l._lazy import lazy

augmentation = lazy("kerasd2l.data.augmentation")


@dataclass(frozen=True)
class Changes:
    """Random changes of pictures, in the order of these numbers.

    Args:
        horizontal_flip: float, the probability that left and right are swapped.
        vertical_flip: float, the probability that top and bottom are swapped.
        crop_scale: float in (0, 1], least part of the area that is cut out; 1: nothing is cut.
        crop_ratio: (least, most) width over height of what is cut out.
        brightness: float >= 0, the factor is in 1 - x to 1 + x.
        contrast: float >= 0, as brightness.
        saturation: float >= 0, as brightness.
        hue: float in 0 to 0.5, the turn of the circle of colours is in -x to x.
        blur: float >= 0, most width in pixels of the blur; 0: none.
        erasing: float, the probability that a rectangle is made black.
    """

    horizontal_flip: float = 0.5
    vertical_flip: float = 0.0
    crop_scale: float = 1.0
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    blur: float = 0.0
    erasing: float = 0.0

    def transforms(self, height: int, width: int) -> list[Any]:
        """Return the changes that are wished for, of pictures of this size.

        Raises:
            ValueError: a number out of range.
        """
        found: list[Any] = []
        if self.horizontal_flip:
            found.append(augmentation.RandomHorizontalFlip(self.horizontal_flip))
        if self.vertical_flip:
            found.append(augmentation.RandomVerticalFlip(self.vertical_flip))
        if self.crop_scale != 1.0:
            scale = (self.crop_scale, 1.0)
            found.append(augmentation.RandomResizedCrop((height, width), scale, self.crop_ratio))
        jitter = (self.brightness, self.contrast, self.saturation, self.hue)
        if any(jitter):
            found.append(augmentation.ColorJitter(*jitter))
        if self.blur:
            found.append(augmentation.GaussianBlur(sigma=(min(0.1, self.blur), self.blur)))
        if self.erasing:
            found.append(augmentation.RandomErasing(self.erasing))
        return found

    def augment(self, height: int, width: int, targets: str = "classes") -> Any:
        """Return the changes as an `Augmentation`, the `augment` of `data.pipeline`.

        Args:
            height: int, pixels.
            width: int, pixels.
            targets: what belongs to the pictures, as `Augmentation` takes it.
        """
        return augmentation.Augmentation(self.transforms(height, width), targets)
