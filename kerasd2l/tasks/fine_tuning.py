"""Fine-tuning an image classifier: weights of another training, a new head, two learning rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kerasd2l._lazy import lazy
from kerasd2l.recipe import Expected, Recipe
from kerasd2l.tasks.augmentation import Changes
from kerasd2l.tasks.image_classification import Pictures, image_classification
from kerasd2l.tasks.transfer import Weights

models = lazy("kerasd2l.models")
optimizers = lazy("kerasd2l.optimizers")


@dataclass(frozen=True)
class TwoRates:
    """Stochastic gradient descent with a rate of its own for the head.

    Args:
        learning_rate: float > 0, of the body.
        head_rate: float >= 0, what the head's rate is, in those of the body.
        l2_decay: float >= 0, of the body: PyTorch's `weight_decay`.
        head_decay: float >= 0, of the head.
        momentum: float in [0, 1).
        batch_size: int >= 1, the global batch.
        epochs: int >= 1, passes over the training data.
    """

    learning_rate: float = 0.0064
    head_rate: float = 10.0
    l2_decay: float = 0.001 / 128
    head_decay: float = 0.001 / 128
    momentum: float = 0.0
    batch_size: int = 128
    epochs: int = 5

    def optimizer(self, heads: tuple[str, ...] = ("logits",)) -> Any:
        """Make the optimizer; `heads` are the layers of the head."""
        group = {"rate": self.head_rate, "l2_decay": self.head_decay}
        return optimizers.SGD(
            self.learning_rate, self.momentum, self.l2_decay, {name: group for name in heads}
        )


@dataclass(frozen=True)
class Body:
    """The network that is fine-tuned, where no weights say which.

    Args:
        num_layers: 18, 34 or 50: the ResNet.
        depths: blocks of each stage; empty: those of the ResNet.
        width: float > 0, factor on its filters.
        small_stem: bool, begin with 3 x 3, for pictures of 32 x 32.
    """

    num_layers: int = 18
    depths: tuple[int, ...] = ()
    width: float = 1.0
    small_stem: bool = False

    def build(self, shape: Any, num_classes: int) -> Any:
        """Build the network, with random weights."""
        return models.imagenet_resnet(
            shape,
            num_classes,
            num_layers=self.num_layers,
            depths=self.depths or None,
            width=self.width,
            small_stem=self.small_stem,
        )


def fine_tuning(
    section: str,
    *,
    pictures: Pictures,
    changes: Changes,
    weights: Weights | None,
    body: Body,
    descent: TwoRates,
    frozen: tuple[str, ...] = (),
    expected: Expected | None = None,
) -> Recipe:
    """Make the recipe of a network that is fine-tuned for other classes.

    Args:
        section: str, the book's label.
        pictures: the data.
        changes: random changes of the training pictures.
        weights: what to begin from; None: random weights of `body`.
        body: the network without weights.
        descent: the optimizer's numbers.
        frozen: layers that are not trained, as in `models.with_new_head`.
        expected: the published figure, or None.
    """

    def build(shape: Any, num_classes: int) -> Any:
        before = weights.model() if weights else body.build(shape, num_classes)
        if weights is None and not frozen:
            return before
        return models.with_new_head(before, shape, num_classes, frozen=frozen)

    return image_classification(
        section,
        build,
        pictures=pictures,
        descent=descent,
        augment=changes.augment,
        expected=expected,
    )
