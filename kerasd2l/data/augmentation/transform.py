"""What a random change of pictures is, and how it draws its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kerasd2l._lazy import lazy

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")


class Transform:
    """A random change of pictures, another one for each picture of a batch.

    `draw` makes the numbers of a whole batch from a seed; the other methods apply them, so that a
    picture, its boxes and its masks are changed alike. What a change leaves alone is not
    overridden.
    """

    def draw(self, shape: tuple[int, int, int], count: tf.Tensor, seed: tf.Tensor) -> Any:
        """Draw the numbers.

        Args:
            shape: (height, width, channels) of the pictures.
            count: int32, pictures B.
            seed: (2,) int64.

        Returns:
            What the other methods take: tensors whose first axis is B.
        """
        raise NotImplementedError

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of what becomes of a picture of this height and width."""
        return height, width

    def picture(self, x: tf.Tensor, drawn: Any) -> tf.Tensor:
        """Change one picture (H, W, C) float32 in [0, 1], by its own numbers."""
        return x

    def mask(self, mask: tf.Tensor, drawn: Any) -> tf.Tensor:
        """Move one mask (H, W, 1) of whole numbers, by the numbers of its picture."""
        return mask

    def cut_masks(self, masks: tf.Tensor, moved: tf.Tensor, drawn: Any) -> tf.Tensor:
        """Move the masks (B, G, m, m) of a batch, each of which is cut to its box.

        Args:
            masks: float.
            moved: (B, G, 4), where `boxes` has moved the boxes, maybe outside.
            drawn: the numbers of the batch.
        """
        return masks

    def boxes(self, boxes: tf.Tensor, drawn: Any) -> tf.Tensor:
        """Move the boxes of a batch (B, G, 4): x1, y1, x2, y2 in parts of the picture.

        They may end outside; who calls cuts them.
        """
        return boxes


def uniform(seed: tf.Tensor, number: int, shape: Any, low: Any = 0.0, high: Any = 1.0) -> tf.Tensor:
    """Draw float32 in [low, high); `number` tells apart what is drawn with one seed."""
    own = tf.random.experimental.stateless_fold_in(seed, number)
    return low + (high - low) * tf.random.stateless_uniform(shape, own)


def whole(seed: tf.Tensor, number: int, shape: Any, count: tf.Tensor) -> tf.Tensor:
    """Draw int32 in 0 ... count - 1, another count for each."""
    count = tf.cast(count, tf.float32)
    drawn = tf.floor(uniform(seed, number, shape) * count)
    return tf.cast(tf.minimum(drawn, count - 1.0), tf.int32)


def check_range(name: str, value: Any, low: float, high: float) -> None:
    """Require (least, most) within [low, high].

    Raises:
        ValueError: it is none.
    """
    pair = tuple(value) if isinstance(value, (tuple, list)) else ()
    if len(pair) != 2 or not low <= pair[0] <= pair[1] <= high:
        raise ValueError(
            f"`{name}` must be (least, most) within {low:g} and {high:g}. Received: {value}."
        )


def check_probability(value: float) -> None:
    """Require a probability.

    Raises:
        ValueError: it is none.
    """
    if not 0 <= value <= 1:
        raise ValueError(f"`p` must be a probability, 0 to 1. Received: p={value}.")
