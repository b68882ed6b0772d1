"""The training loop: `model.train_step` under any `tf.distribute` strategy.

Keras 3's own `fit` fails under MultiWorkerMirroredStrategy (keras issue 20585). This loop runs the
same compiled model on one device, many GPUs or many machines with the same numbers, and stops and
resumes at any step. `Loop.run` is the story: prepare, then train, evaluate and save each epoch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from kerasd2l.recipe import Data
from kerasd2l.training.callback_state import CallbackState, has_batch_hooks
from kerasd2l.training.checkpoint import Checkpoints
from kerasd2l.training.errors import LoopError
from kerasd2l.training.history import is_best, keras_logs
from kerasd2l.training.server_steps import steps_of
from kerasd2l.training.steps import Calls, Steps

__all__ = ["Loop", "LoopError", "NonFiniteLoss", "Preempted", "Training", "evaluate", "train"]

_SAVING_PAUSE = 20  # times as long as a state takes to save, nothing is saved
_CHECK_EVERY = 50  # steps between two looks at the loss: a look makes the host wait for the device


class Preempted(Exception):
    """The training was asked to stop and has saved its state."""

    exit_code = 143  # as after SIGTERM


class NonFiniteLoss(ArithmeticError):
    """The loss became NaN or infinite; `step`, `epoch` (from 1) and `learning_rate` say when."""

    def __init__(self, step: int, epoch: int, learning_rate: float, what: str = "the loss"):
        self.step, self.epoch, self.learning_rate = step, epoch, learning_rate
        super().__init__(
            f"{what} is not finite at step {step} (epoch {epoch}, learning rate "
            f"{learning_rate:g}). Try a smaller learning rate, or look for NaN in the data."
        )


@dataclass(frozen=True)
class Training:
    """A model, its data, and how to train it: what `Recipe.fit` gets.

    Args:
        model: a compiled `keras.Model`, made inside `strategy.scope()`.
        data: a `Data`; `data.epoch(n)` gives the batches of epoch n.
        epochs: int, passes over the training data in all.
        strategy: where to train; None: one device.
        callbacks: Keras callbacks, e.g. EarlyStopping, TensorBoard. They see `loss`, `accuracy`,
            `val_loss`... as under `model.fit`; `val_` is the validation set, or the test set of
            data without one.
        checkpoints: where states are saved every `save_seconds`, at the end and before Preempted;
            None: nowhere.
        resume: bool, go on from the newest checkpoint.
        limit_steps: int or None, train and evaluate at most this many batches of each epoch.
        accumulate: int, each training batch is computed in this many pieces, one after the other,
            in less memory; the weights are those of the whole batch, BatchNormalization apart.
        save_seconds: float, states are saved no oftener than this, at ends of epochs and within
            them, nor so often that saving takes 5 % of the time. 0: at the end of every epoch.
        should_stop: asked at every step boundary, of evaluations too; True saves and raises
            Preempted.
        on_epoch: called with the history after every epoch.
        progress: bool, show a progress bar on stdout.
    """

    model: keras.Model
    data: Data
    epochs: int
    strategy: tf.distribute.Strategy | None = None
    callbacks: Iterable[keras.callbacks.Callback] = ()
    checkpoints: Checkpoints | None = None
    resume: bool = False
    limit_steps: int | None = None
    accumulate: int = 1
    save_seconds: float = 10.0
    should_stop: Callable[[], bool] = lambda: False
    on_epoch: Callable[[list[dict[str, Any]]], None] = lambda history: None
    progress: bool = False

    def run(self) -> list[dict[str, Any]]:
        """Train; return and raise what `train` does."""
        return Loop(self).run()


def train(model: keras.Model, data: Data, *, epochs: int, **options: Any) -> list[dict[str, Any]]:
    """Train a compiled model, evaluating after every epoch.

    N replicas that share a global batch compute what one device computes with it, short last
    batches and BatchNormalization included. (A last batch with fewer examples than replicas is
    left out; losses are means over examples, as Keras' are.)

    Args:
        model: a compiled `keras.Model`, made inside `strategy.scope()`.
        data: a `Data`.
        epochs: int, passes over the training data in all.
        **options: the other fields of `Training`: strategy, callbacks, checkpoints, resume, ...

    Returns:
        One dict per epoch: epoch, step, train_loss, test_loss, ..., learning_rate, train_examples,
        test_examples, seconds, compile_seconds, examples_per_second (None for an epoch of a single
        step that was compiled meanwhile: nothing to measure).

    Raises:
        NonFiniteLoss: the loss of a step or of an evaluation, or a weight, is NaN or infinite.
        Preempted: `should_stop` said so; the state is saved.
        LoopError: fewer examples than replicas, data that ends too early, a model that cannot be
            trained on several replicas.
        CheckpointError: `resume` finds the checkpoint of another model.
    """
    return Training(model, data, epochs, **options).run()


def evaluate(
    model: keras.Model,
    data: Data,
    split: str = "test",
    *,
    strategy: tf.distribute.Strategy | None = None,
    limit_steps: int | None = None,
) -> dict[str, Any]:
    """Evaluate a compiled model; every example counts exactly once, however many replicas.

    Args:
        model: a compiled `keras.Model`.
        data: a `Data` with that split.
        split: str, "train", "valid" or "test".
        strategy: where to evaluate; None: one device.
        limit_steps: int or None, at most this many batches.

    Returns:
        dict of `{split}_loss`, the metrics as `{split}_...`, and `{split}_examples`.

    Raises:
        LoopError: the data has no such split.
    """
    if getattr(data, split, None) is None:
        raise LoopError(f"the data has no {split!r} split. It has: {', '.join(data.size)}.")
    make = steps_of(strategy)
    with make(model, data, strategy=strategy, limit_steps=limit_steps) as steps:
        return _evaluate(steps, split, lambda calls: None)


@dataclass
class Place:
    """Where a training is: all that a checkpoint needs besides variables and callbacks."""

    epoch: int = 0  # whole ones
    step: int = 0  # of all epochs
    step_in_epoch: int = 0
    event: dict[str, Any] | None = None  # of an epoch that is trained, not yet evaluated
    history: list[dict[str, Any]] = field(default_factory=list)


class Loop:
    """One training, from its first step or from a checkpoint on; `run` runs it once."""

    def __init__(self, training: Training):
        self.training, self.place = training, Place()
        self.steps = steps_of(training.strategy)(
            training.model,
            training.data,
            strategy=training.strategy,
            limit_steps=training.limit_steps,
            accumulate=training.accumulate,
        )
        self._saved, self._took = time.monotonic(), 0.0

    def run(self) -> list[dict[str, Any]]:
        """Train as `Training` says; return the history."""
        place = self.place
        with self.steps:
            skip = self.prepare()
            while self._goes_on():
                event = place.event or self.train_epoch(skip)
                place.event = event
                event = event | self._evaluate_splits()
                skip = 0
                self._end_epoch(event)
            self._end()
        return place.history

    # Prepare

    def prepare(self) -> int:
        """Begin, or go back to the newest checkpoint; return the batches to skip."""
        training, model = self.training, self.training.model
        self.callbacks = keras.callbacks.CallbackList(
            list(training.callbacks),
            add_history=True,
            add_progbar=training.progress,
            model=model,
            epochs=training.epochs,
            steps=self.steps.per_epoch,
            verbose=1 if training.progress else 0,
        )
        self.remembered = CallbackState(self.callbacks)
        newest = training.checkpoints and training.resume and training.checkpoints.newest()
        if newest:
            newest.assign(self.steps.state)  # first: nothing begins on another model's checkpoint
            position = newest.position
            self.place.history = position["history"]
            self.place.step, self.place.epoch = position["step"], position["epoch"]
            self.place.step_in_epoch, self.place.event = (
                position["step_in_epoch"],
                position.get("event"),
            )
        history, skip = self.place.history, self.place.step_in_epoch
        model.stop_training = bool(history and history[-1].get("stopped_early"))
        self.steps.check_agreement(self.place.step)
        self.callbacks.on_train_begin()
        self.remembered.begin()
        if newest:
            if skip:
                self.callbacks.on_epoch_begin(self.place.epoch)
            # Again: what callbacks do at a beginning was done before the checkpoint.
            newest.assign(self.steps.state)
            self.remembered.restore(newest.position["callbacks"], newest.extra)
        return skip

    def _goes_on(self) -> bool:
        return self.place.epoch < self.training.epochs and not self.training.model.stop_training

    # Train

    def train_epoch(self, skip: int = 0) -> dict[str, Any]:
        """Train the rest of an epoch, from its batch `skip` on.

        Args:
            skip: int, batches already done before a resume; their sums are in the metrics.

        Returns:
            dict with the epoch's number, step, learning rate, figures and times.
        """
        steps, place, calls = self.steps, self.place, self.steps.train_calls
        if not skip:
            self.callbacks.on_epoch_begin(place.epoch)
            steps.reset()
        iterator = steps.iterate("train", place.epoch, skip)
        hooks = has_batch_hooks(self.callbacks)
        place.step_in_epoch, compiling, start = skip, 0.0, time.perf_counter()
        while place.step_in_epoch < steps.per_epoch:
            first, new = place.step_in_epoch, not calls.compiled
            n = 1 if hooks else calls.next(steps.per_epoch - first)
            if hooks:
                self.callbacks.on_train_batch_begin(first)
            steps.train(iterator, n, place.step)
            place.step, place.step_in_epoch = place.step + n, first + n
            if new:
                compiling = time.perf_counter() - start
            if hooks:
                self.callbacks.on_train_batch_end(first, steps.results())
            if place.step_in_epoch // _CHECK_EVERY > first // _CHECK_EVERY:
                self._check_finite()
            if self.training.model.stop_training:  # a callback's wish
                break
            if place.step_in_epoch < steps.per_epoch:
                self._boundary(calls)
        self._check_finite()
        figures = {f"train_{name}": value for name, value in steps.results().items()}
        seconds, examples = time.perf_counter() - start - compiling, steps.examples()
        done = examples * (place.step_in_epoch - skip - bool(compiling)) / place.step_in_epoch
        return {
            "epoch": place.epoch + 1,
            "step": place.step,
            **figures,
            "learning_rate": steps.learning_rate(),
            "train_examples": examples,
            "seconds": seconds,
            "compile_seconds": compiling,
            "examples_per_second": done / seconds if done else None,  # a single step: compiled
        }

    def _boundary(self, calls: Calls) -> None:
        """Decide between two steps to save, stop, or go on - on all workers alike."""
        due = bool(self.training.save_seconds) and self._is_due()
        stop, due, slow = self.steps.any_worker(self.training.should_stop(), due, calls.slow)
        if slow:
            calls.halve()
        if not (stop or due):
            return
        self._check_finite()  # a ruined state is not worth keeping
        self._save()
        if stop:
            raise self._preempted()

    def _check_finite(self) -> None:
        """Raise NonFiniteLoss if a step since the beginning had a loss that is no number.

        Or if a weight is none: the next step's loss would be the first to tell.
        """
        bad, whole = self.steps.first_bad_step(), self.steps.weights_are_finite()
        bad_loss, bad_weight = self.steps.any_worker(bad is not None, not whole)
        if bad_loss:
            raise self._not_finite(self.place.step if bad is None else bad, "the loss")
        if bad_weight:
            raise self._not_finite(self.place.step, "a weight")

    def _not_finite(self, step: int, what: str) -> NonFiniteLoss:
        rate = self.steps.learning_rate(steps_ago=self.place.step - step + 1)
        return NonFiniteLoss(step, self.place.epoch + 1, rate or 0.0, what)

    # Evaluate

    def _evaluate_splits(self) -> dict[str, Any]:
        """Evaluate on the validation and the test set, as far as the data has them.

        Raises:
            NonFiniteLoss: the last step has ruined the model, which its own loss could not tell.
        """
        figures: dict[str, Any] = {}
        for split in ("valid", "test"):
            if getattr(self.training.data, split) is not None:
                figures |= _evaluate(self.steps, split, self._boundary)
                if not math.isfinite(figures.get(f"{split}_loss", 0.0)):
                    raise self._not_finite(self.place.step, f"the {split} loss")
        return figures

    # Save

    def _end_epoch(self, event: dict[str, Any]) -> None:
        """Tell the callbacks, and save what is new and what is best, if it is time to."""
        training, place, checkpoints = self.training, self.place, self.training.checkpoints
        place.event = None
        self.callbacks.on_epoch_end(place.epoch, keras_logs(event))
        place.history.append(event | {"stopped_early": bool(training.model.stop_training)})
        place.epoch, place.step_in_epoch = place.epoch + 1, 0
        if checkpoints and is_best(place.history):
            checkpoints.keep_best(self.steps.state, self._position()[0])
        training.on_epoch(place.history)
        calls, last = self.steps.train_calls, not self._goes_on()
        stop, due, slow = self.steps.any_worker(
            not last and training.should_stop(), last or self._is_due(), calls.slow
        )
        if slow:
            calls.halve()
        if stop or due:
            self._save()
        if stop:
            raise self._preempted()

    def _is_due(self) -> bool:
        """Whether it is time to save: who writes decides, whose clock and disk it is."""
        checkpoints = self.training.checkpoints
        if checkpoints is None or not checkpoints.writes:
            return False
        seconds = self.training.save_seconds
        pause = max(seconds, _SAVING_PAUSE * self._took) if seconds else 0.0
        return time.monotonic() - self._saved >= pause

    def _save(self) -> None:
        began = time.monotonic()
        if self.training.checkpoints:
            self.training.checkpoints.save(self.steps.state, *self._position())
        self._saved = time.monotonic()
        self._took = self._saved - began

    def _preempted(self) -> Preempted:
        return Preempted(f"stopped at step {self.place.step}; the state is saved")

    def _position(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Describe where the training is: plain data, and arrays."""
        callbacks, arrays = self.remembered.save()
        return {**vars(self.place), "callbacks": callbacks}, arrays

    def _end(self) -> None:
        model = self.training.model
        if model.optimizer is not None:
            model.optimizer.finalize_variable_values(model.trainable_weights)
        self.callbacks.on_train_end()


def _evaluate(steps: Steps, split: str, boundary: Callable[[Calls], None]) -> dict[str, Any]:
    """Score one split; `boundary` is called between calls and may raise to end the training."""
    total, done = steps.count(split), 0
    steps.reset()
    iterator = steps.iterate(split)
    while done < total:
        n = steps.test_calls.next(total - done)
        steps.test(iterator, n, split, total)
        done += n
        if done < total:
            boundary(steps.test_calls)
    figures = {f"{split}_{name}": value for name, value in steps.results().items()}
    return {**figures, f"{split}_examples": steps.examples()}
