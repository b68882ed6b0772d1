"""Hours of learning and whether the exam was passed: the four points of logistic regression."""

from __future__ import annotations

import numpy as np

from kerasd2l.data import pipeline
from kerasd2l.data.source import Source, builtin_only
from kerasd2l.recipe import Data, TensorSpec

CLASS_NAMES = ("fail", "pass")
TRAIN = ((1.0, 0), (2.0, 0), (3.0, 1), (4.0, 1))  # of the lesson
TEST = ((0.5, 0), (1.5, 0), (3.5, 1), (5.0, 1))  # ours: other hours, the same rule


def load(source: Source | str | None = None, *, batch_size: int = 4, passes: int = 1) -> Data:
    """Make the data: 1 and 2 hours failed, 3 and 4 passed; four other hours for test.

    Section: "logistic-regression".

    Args:
        source: Source or the name of its kind, "auto" or "builtin".
        batch_size: 1, 2 or 4, the global batch; the points come in their order.
        passes: int, how often an epoch goes through the four points: an epoch of one step would
            spend all its time on evaluating and saving.

    Returns:
        Data: x (B, 1) float32 hours, y (B, 1) float32, 1 is passed; assets["class_names"].

    Raises:
        DataError: asked for files or a download, which do not exist.
        ValueError: a number out of range.

    Example:
        >>> load().size
        {'train': 4, 'test': 4}
    """
    source = builtin_only(source, "the four points of hours come with the library")
    if batch_size not in (1, 2, 4) or passes < 1:
        raise ValueError(
            "`batch_size` must be 1, 2 or 4 and `passes` at least 1. "
            f"Received: batch_size={batch_size}, passes={passes}."
        )
    (x, y), (x_test, y_test) = (np.hsplit(np.array(s, np.float32), 2) for s in (TRAIN, TEST))
    training = pipeline.from_arrays((x, y), batch_size=batch_size)
    evaluation = pipeline.from_arrays((x_test, y_test), batch_size=batch_size)
    return Data(
        train=training.dataset.repeat(passes),
        valid=None,
        test=evaluation.dataset,
        features={"hours": TensorSpec((1,))},
        assets={"class_names": list(CLASS_NAMES)},
        size={"train": training.size * passes, "test": evaluation.size},
    )
