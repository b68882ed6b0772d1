"""Random changes one after the other, of pictures and of what is known of their places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from kerasd2l._lazy import lazy
from kerasd2l.data.augmentation.transform import Transform

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

Kind = Literal["classes", "boxes", "masks", "cut_masks"]


class Augmentation:
    """Change the pictures of a batch at random: the `augment` of `data.pipeline`.

    Args:
        transforms: the changes, in their order.
        targets: what belongs to the pictures, and is moved with them: "classes" (nothing to move),
            "boxes": (B, G, 5) class, x1, y1, x2, y2 in parts of the picture, class -1 for none,
            "masks": (B, H, W) whole numbers, "cut_masks": a dict of "boxes" (B, G, 5) and "masks"
            (B, G, m, m), each of which is cut to its box.
        least_area: float, part of a box that must be left in the picture; else it is dropped: its
            class becomes -1, and its mask 0.

    Call arguments:
        x: (B, H, W, C) float32 in [0, 1]; H, W, C are known.
        y: the targets.
        *more: what stays as it is, e.g. weights.
        seed: (2,) int64; the same seed gives the same pictures.
        rows: (first, count) where x is a part of a batch of `count` pictures, from `first` on: they
            are changed as in the whole batch. Default: x is the whole batch.

    Returns:
        (x, y, *more), x of the size that the last crop has.

    Raises:
        ValueError: other targets, or a part that is none.

    Example:
        >>> from kerasd2l.data.augmentation import RandomHorizontalFlip
        >>> flip = Augmentation([RandomHorizontalFlip(p=1.0)])
        >>> x, y = flip(tf.constant([[[[0.0], [1.0]]]]), tf.constant([3]), seed=(0, 0))
        >>> x[0, 0, :, 0].numpy().tolist()
        [1.0, 0.0]
    """

    by_rows = True  # each picture is changed by itself

    def __init__(
        self,
        transforms: Sequence[Transform],
        targets: Kind = "classes",
        *,
        least_area: float = 0.1,
    ):
        if targets not in get_args(Kind):
            raise ValueError(
                f"`targets` must be one of {', '.join(get_args(Kind))}. Received: {targets!r}."
            )
        if not 0 <= least_area <= 1:
            raise ValueError(f"`least_area` must be within 0 and 1. Received: {least_area}.")
        self.transforms, self.targets, self.least_area = tuple(transforms), targets, least_area

    def __call__(
        self, x: tf.Tensor, y: Any = None, *more: Any, seed: Any, rows: Any = None
    ) -> tuple:
        boxes, masks = self._targets(y)
        height, width, channels = x.shape[1:]
        first, count = (0, tf.shape(x)[0]) if rows is None else rows
        end = first + tf.shape(x)[0]
        cuts = y["masks"] if self.targets == "cut_masks" else None
        left = None if boxes is None else tf.ones(tf.shape(boxes)[:2])
        drawn = []
        for place, transform in enumerate(self.transforms):
            own = tf.random.experimental.stateless_fold_in(tf.cast(seed, tf.int64), place)
            whole = transform.draw((height, width, channels), count, own)
            drawn.append(tf.nest.map_structure(lambda t: t[first:end], whole))
            height, width = transform.size(height, width)
            if boxes is not None:
                moved = transform.boxes(boxes, drawn[-1])
                if cuts is not None:
                    cuts = transform.cut_masks(cuts, moved, drawn[-1])
                boxes = tf.clip_by_value(moved, 0.0, 1.0)
                left *= tf.math.divide_no_nan(_area(boxes), _area(moved))
        x, masks = self._changed(x, masks, drawn, (height, width))
        return x, self._moved(y, boxes, masks if cuts is None else cuts, left), *more

    def _changed(self, x: Any, masks: Any, drawn: list, size: tuple[int, int]) -> tuple[Any, Any]:
        """Change picture by picture: each goes through all changes while it is in the cache."""
        both = (x,) if masks is None else (x, masks)

        def change(parts: tuple) -> tuple:
            (picture, *mask), drawn = parts
            for transform, mine in zip(self.transforms, drawn, strict=True):
                picture = transform.picture(picture, mine)
                mask = [transform.mask(one, mine) for one in mask]
            return picture, *mask

        if not self.transforms:
            return x, masks
        specs = tuple(tf.TensorSpec((*size, part.shape[-1]), part.dtype) for part in both)
        changed = tf.map_fn(change, (both, drawn), fn_output_signature=specs)
        return changed if len(changed) > 1 else (changed[0], None)

    def _targets(self, y: Any) -> tuple[tf.Tensor | None, tf.Tensor | None]:
        """Return boxes (B, G, 4) and masks (B, H, W, 1), or None."""
        if self.targets == "boxes":
            return y[..., 1:], None
        if self.targets == "cut_masks":
            return y["boxes"][..., 1:], None
        if self.targets == "masks":
            return None, y[..., None]
        return None, None

    def _moved(self, y: Any, boxes: Any, masks: Any, left: Any) -> Any:
        """Return the targets as they came, moved."""
        if self.targets == "masks":
            return masks[..., 0]
        if boxes is None:
            return y
        labels = y if self.targets == "boxes" else y["boxes"]
        kept = (labels[..., 0] >= 0) & (left >= self.least_area) & (_area(boxes) > 0)
        moved = tf.concat([labels[..., :1], boxes], axis=-1)
        labels = tf.where(kept[..., None], moved, -1.0)
        if self.targets == "boxes":
            return labels
        return {"boxes": labels, "masks": tf.where(kept[..., None, None], masks, 0.0)}


def _area(boxes: tf.Tensor) -> tf.Tensor:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
