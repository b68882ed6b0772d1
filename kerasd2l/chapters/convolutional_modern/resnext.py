"""7.7 Residual networks with groups (ResNeXt)."""

from __future__ import annotations

from kerasd2l._lazy import lazy
from kerasd2l.recipe import Recipe
from kerasd2l.tasks.image_classification import Descent, Pictures, image_classification

models = lazy("kerasd2l.models")


def resnext(
    *,
    pictures: Pictures = Pictures(resize=96),
    depths: tuple[int, ...] = (2, 2, 2, 2),
    group_width: int = 16,
    bottleneck: float = 1.0,
    width: float = 1.0,
    descent: Descent = Descent(0.05),
) -> Recipe:
    """Train a ResNeXt with the stages of ResNet-18 on Fashion-MNIST (60,000 + 10,000, at 96 x 96).

    Section: "resnext". The book gives the block (grouped convolutions) and trains no network with
    it; learning rate and batch are ResNet's. The builtin digits train in seconds with --set
    resize=32 --set width=0.25. One's own pictures: --set dataset=image_folder --data files
    --data-dir FOLDER.
    Expected: nothing is published.
    Command: kerasd2l train resnext --data files --export
    """
    return image_classification(
        "resnext",
        lambda shape, num_classes: models.resnext(
            shape,
            num_classes,
            depths=depths,
            group_width=group_width,
            bottleneck=bottleneck,
            width=width,
        ),
        pictures=pictures,
        descent=descent,
    )
