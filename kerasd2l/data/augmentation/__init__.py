"""Augmentation: random changes of pictures, the same ones again for the same seed.

Each change has the arguments, the ranges and the formulas of torchvision's transform of that name,
on float pictures in [0, 1]. Keras' own layers (RandomFlip, RandomColorJitter, ...) draw from a
state that the threads of tf.data change in any order, so that a resumed run would see other
pictures; and their ranges and formulas are others. Hence `tf.random.stateless_*` here, with a seed
for each batch that `pipeline` makes of seed, epoch and place.
"""

from kerasd2l.data.augmentation.augment import Augmentation
from kerasd2l.data.augmentation.colour import ColorJitter, GaussianBlur, RandomErasing
from kerasd2l.data.augmentation.geometry import (
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomVerticalFlip,
)
from kerasd2l.data.augmentation.transform import Transform

__all__ = [
    "Augmentation",
    "ColorJitter",
    "GaussianBlur",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomVerticalFlip",
    "Transform",
]
