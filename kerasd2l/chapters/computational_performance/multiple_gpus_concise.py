"""12.6 Concise implementation for multiple GPUs."""

from __future__ import annotations

from kerasd2l._lazy import lazy
from kerasd2l.recipe import Recipe
from kerasd2l.tasks.image_classification import (
    Pictures,
    ScaledDescent,
    image_classification,
    published,
)

models = lazy("kerasd2l.models")


def resnet18_replicas(
    *,
    pictures: Pictures = Pictures(),
    depths: tuple[int, ...] = (2, 2, 2, 2),
    width: float = 1.0,
    descent: ScaledDescent = ScaledDescent(0.1),
) -> Recipe:
    """Train ResNet-18 on Fashion-MNIST (60,000 + 10,000, 28 x 28) on all GPUs of a machine.

    Section: "multiple-gpus-concise". A stem of 3 x 3 without pooling, weights from N(0, 0.01^2).
    The learning rate is 0.1 for a batch of 256 and grows with the batch, as in the book: one GPU
    takes 256 at 0.1, two take 512 at 0.2, with --batch-size 512 --strategy mirrored. Machines
    without GPUs count their CPU several times: --replicas 2. N replicas compute what one does with
    the same batch, batch normalisation included.
    Expected: test accuracy 0.91-0.93 after 10 epochs on one GPU (d2l notebooks; 0.67-0.73 on two).
    Command: kerasd2l train resnet18_replicas --data files --strategy mirrored --batch-size 512
    """
    as_published = (depths, width, descent) == ((2, 2, 2, 2), 1.0, ScaledDescent(0.1))
    return image_classification(
        "multiple-gpus-concise",
        lambda shape, num_classes: models.resnet18(
            shape, num_classes, depths=depths, width=width, small_stem=True, stddev=0.01
        ),
        pictures=pictures,
        descent=descent,
        expected=published(pictures, 0.91, 0.93, "d2l notebooks") if as_published else None,
    )
