"""Train another model beside that of a run: a fold of a cross-validation, a part held out."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from kerasd2l.recipe import Data, Recipe
from kerasd2l.training.fit import compile_model
from kerasd2l.training.loop import Training


def train_apart(recipe: Recipe, whole: Training, data: Data) -> list[dict[str, Any]]:
    """Train a new model of a recipe on other data than that of the run; return its history.

    It takes no part in the run's checkpoints: after an interruption it is trained again, to the
    same figures.

    Args:
        recipe: makes the model.
        whole: the training of the run, whose options it has.
        data: what to train on.
    """
    with (whole.strategy or tf.distribute.get_strategy()).scope():
        model = recipe.model(data)
        compile_model(recipe, model)
    training = dataclasses.replace(
        whole,
        model=model,
        data=data,
        checkpoints=None,
        resume=False,
        on_epoch=lambda history: None,
    )
    with _without_retracing_warnings():
        return training.run()


@contextlib.contextmanager
def _without_retracing_warnings() -> Iterator[None]:
    """Hold back TensorFlow's advice against tracing again: every model apart is a new one."""
    logger = logging.getLogger("tensorflow")

    def other(record: logging.LogRecord) -> bool:
        return "triggered tf.function retracing" not in record.getMessage()

    logger.addFilter(other)
    try:
        yield
    finally:
        logger.removeFilter(other)
