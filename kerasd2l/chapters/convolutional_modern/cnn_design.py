"""7.9 Designing network architectures (AnyNet, RegNet)."""

from __future__ import annotations

from kerasd2l._lazy import lazy
from kerasd2l.recipe import Recipe
from kerasd2l.tasks.image_classification import Descent, Pictures, image_classification

models = lazy("kerasd2l.models")


def regnet(
    *,
    pictures: Pictures = Pictures(resize=96),
    depths: tuple[int, int] = (4, 6),
    width: float = 1.0,
    descent: Descent = Descent(0.05, batch_size=128),
) -> Recipe:
    """Train the RegNetX of the book on Fashion-MNIST (60,000 + 10,000, 28 x 28 grey, at 96 x 96).

    Section: "cnn-design". 32 and 80 channels in groups of 16, SGD, cross-entropy; Xavier weights,
    where the book's newer edition leaves PyTorch's own. The builtin digits train in seconds with
    --set resize=32 --set width=0.5. One's own pictures: --set dataset=image_folder --data files
    --data-dir FOLDER.
    Expected: the book shows a curve and prints no figure.
    Command: kerasd2l train regnet --data files --export
    """
    return image_classification(
        "cnn-design",
        lambda shape, num_classes: models.regnet(shape, num_classes, depths=depths, width=width),
        pictures=pictures,
        descent=descent,
    )
