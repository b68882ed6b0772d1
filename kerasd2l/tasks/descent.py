"""How sequence models descend: the optimizer's numbers, how large a batch, how long."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Protocol

from kerasd2l._lazy import lazy

keras = lazy("keras")
optimizers = lazy("kerasd2l.optimizers")


class Descending(Protocol):
    """What all of these have: a rate, a batch, how long, and what makes the optimizer."""

    @property
    def learning_rate(self) -> float: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def epochs(self) -> int: ...

    def optimizer(self) -> Any: ...


@dataclass(frozen=True)
class ClippedDescent:
    """Stochastic gradient descent with clipped gradients.

    Args:
        learning_rate: float > 0.
        clip_norm: float > 0, the longest gradient: the norm over all weights.
        batch_size: int >= 1, the global batch.
        epochs: int >= 1, passes over the text.
    """

    learning_rate: float = 1.0
    clip_norm: float = 1.0
    batch_size: int = 32
    epochs: int = 500

    def optimizer(self) -> Any:
        """Make the optimizer."""
        return keras.optimizers.SGD(self.learning_rate, global_clipnorm=self.clip_norm)


@dataclass(frozen=True)
class ClippedAdam:
    """Adam with clipped gradients.

    Args:
        learning_rate: float > 0.
        clip_norm: float > 0, the longest gradient: the norm over all weights.
        batch_size: int >= 1, the global batch.
        epochs: int >= 1, passes over the data.
    """

    learning_rate: float = 0.005
    clip_norm: float = 1.0
    batch_size: int = 64
    epochs: int = 300

    def optimizer(self) -> Any:
        """Make the optimizer."""
        return keras.optimizers.Adam(
            self.learning_rate, epsilon=1e-8, global_clipnorm=self.clip_norm
        )


@dataclass(frozen=True)
class PlainAdam:
    """Adam by the book's formula, gradients as they are.

    Args:
        learning_rate: float > 0.
        batch_size: int >= 1, the global batch.
        epochs: int >= 1, passes over the data.
    """

    learning_rate: float = 0.001
    batch_size: int = 64
    epochs: int = 5

    def optimizer(self) -> Any:
        """Make the optimizer."""
        return optimizers.Adam(self.learning_rate)


@dataclass(frozen=True)
class FadingAdam(PlainAdam):
    """Adam by the book's formula whose rate falls epoch by epoch, along half a cosine.

    At the end weights hardly move any more, so that the running means of batch normalisation fit
    them: with a constant rate they lag behind, which detectors trained from nothing do not bear.

    Args:
        learning_rate: float > 0, of the first epoch.
        batch_size: int >= 1, the global batch.
        epochs: int >= 1, passes over the data.
    """

    def fit(self, training: Any) -> list[dict[str, Any]]:
        """Train with the falling rate: the `fit` of a recipe."""

        def rate(epoch: int) -> float:
            return self.learning_rate * (1 + math.cos(math.pi * epoch / training.epochs)) / 2

        schedule = keras.callbacks.LearningRateScheduler(rate)
        return dataclasses.replace(training, callbacks=(*training.callbacks, schedule)).run()


@dataclass(frozen=True)
class DecayedDescent:
    """Stochastic gradient descent with weight decay.

    Args:
        learning_rate: float > 0.
        weight_decay: float >= 0, each step shrinks all weights by learning_rate times this.
        batch_size: int >= 1, the global batch.
        epochs: int >= 1, passes over the data.
    """

    learning_rate: float = 0.1
    weight_decay: float = 0.0
    batch_size: int = 32
    epochs: int = 10

    def optimizer(self) -> Any:
        """Make the optimizer; without momentum the decay is PyTorch's."""
        return keras.optimizers.SGD(self.learning_rate, weight_decay=self.weight_decay or None)


@dataclass(frozen=True)
class SummedDescent:
    """Stochastic gradient descent on the sum of the losses of a batch, as the book's chapter 13.

    The loss that is reported is the mean over the batch, so the optimizer's rate is learning_rate
    times batch_size, and its decay weight_decay / batch_size.

    Args:
        learning_rate: float > 0, for the sum of the losses.
        weight_decay: float >= 0, times a weight, added to the gradient of that sum.
        momentum: float in [0, 1), share of the last step that the next one keeps.
        batch_size: int >= 1, the global batch.
        epochs: int >= 1, passes over the data.
    """

    learning_rate: float = 0.001
    weight_decay: float = 0.001
    momentum: float = 0.0
    batch_size: int = 32
    epochs: int = 5

    def optimizer(self) -> Any:
        """Make the optimizer."""
        return optimizers.SGD(
            self.learning_rate * self.batch_size,
            self.momentum,
            l2_decay=self.weight_decay / self.batch_size,
        )


@dataclass(frozen=True)
class Fall:
    """A rate that falls now and then.

    Args:
        lr_period: int >= 1, epochs after which the rate falls.
        lr_decay: float in (0, 1], what it is multiplied by.

    Raises:
        ValueError: a number out of range.
    """

    lr_period: int
    lr_decay: float = 0.9

    def __post_init__(self):
        if self.lr_period < 1 or not 0 < self.lr_decay <= 1:
            raise ValueError(
                "`lr_period` must be at least 1 epoch and `lr_decay` within 0 and 1. "
                f"Received: lr_period={self.lr_period}, lr_decay={self.lr_decay}."
            )

    def callback(self, learning_rate: float) -> Any:
        """Make the callback that sets the rate of each epoch, `learning_rate` at first."""
        return keras.callbacks.LearningRateScheduler(
            lambda epoch: learning_rate * self.lr_decay ** (epoch // self.lr_period)
        )
