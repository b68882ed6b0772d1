"""The training loop: `model.train_step` under any `tf.distribute` strategy.

Keras 3's own `fit` fails under MultiWorkerMirroredStrategy (keras issue 20585). This loop runs the
same compiled model on one device, many GPUs or many machines with the same numbers, and stops and
resumes at any step. `train` is the story; `steps.Loop` holds the compiled steps and the position.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import keras
import tensorflow as tf

from kerasd2l.recipe import Data
from kerasd2l.training.callback_state import CallbackState
from kerasd2l.training.checkpoint import Checkpoints
from kerasd2l.training.steps import Loop, LoopError, NonFiniteLoss

__all__ = ["LoopError", "NonFiniteLoss", "Preempted", "evaluate", "train"]


class Preempted(Exception):
    """The training was asked to stop and has saved its state."""

    exit_code = 143  # as after SIGTERM


def train(
    model: keras.Model,
    data: Data,
    *,
    epochs: int,
    strategy: tf.distribute.Strategy | None = None,
    callbacks: Iterable[keras.callbacks.Callback] = (),
    checkpoints: Checkpoints | None = None,
    resume: bool = False,
    limit_steps: int | None = None,
    save_seconds: float = 600.0,
    should_stop: Callable[[], bool] = lambda: False,
    on_epoch: Callable[[list[dict[str, Any]]], None] = lambda history: None,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """Train a compiled model, evaluating after every epoch.

    N replicas that share a global batch compute what one device computes with it, short last
    batches and BatchNormalization included. (A last batch with fewer examples than replicas is
    left out; losses are means over examples, as Keras' are.)

    Args:
        model: a compiled `keras.Model`, made inside `strategy.scope()`.
        data: a `Data`; `data.epoch(n)` gives the batches of epoch n.
        epochs: int, passes over the training data in all.
        strategy: where to train; None: one device.
        callbacks: Keras callbacks, e.g. EarlyStopping, TensorBoard. They see `loss`, `accuracy`,
            `val_loss`... as under `model.fit`; `val_` is the validation set, or the test set of
            data without one.
        checkpoints: where states are saved after every epoch, every `save_seconds` and before
            Preempted; None: nowhere.
        resume: bool, go on from the newest checkpoint.
        limit_steps: int or None, train and evaluate at most this many batches of each epoch.
        save_seconds: float, seconds between saved states within an epoch.
        should_stop: asked at every step boundary, of evaluations too; True saves and raises
            Preempted.
        on_epoch: called with the history after every epoch.
        progress: bool, show a progress bar on stdout.

    Returns:
        One dict per epoch: epoch, step, train_loss, test_loss, ..., learning_rate, train_examples,
        test_examples, seconds, compile_seconds, examples_per_second.

    Raises:
        NonFiniteLoss: the loss of a step or of an evaluation, or a weight, is NaN or infinite.
        Preempted: `should_stop` said so; the state is saved.
        LoopError: fewer examples than replicas, data that ends too early, a model that cannot be
            trained on several replicas.
        CheckpointError: `resume` finds the checkpoint of another model.
    """
    with Loop(model, data, strategy=strategy, limit_steps=limit_steps) as loop:
        callback_list = keras.callbacks.CallbackList(
            list(callbacks),
            add_history=True,
            add_progbar=progress,
            model=model,
            epochs=epochs,
            steps=loop.steps,
            verbose=1 if progress else 0,
        )
        remembered = CallbackState(callback_list)
        found = checkpoints.newest() if checkpoints and resume else None
        history = found.position["history"] if found else []

        def save() -> None:
            if checkpoints:
                checkpoints.save(loop.state, *_position(loop, remembered, history))

        boundary = _Boundary(loop, save, save_seconds, should_stop)
        model.stop_training = bool(history and history[-1].get("stopped_early"))
        skip = _begin(loop, callback_list, remembered, found)
        while loop.epoch < epochs and not model.stop_training:
            if not skip:
                callback_list.on_epoch_begin(loop.epoch)
            loop.event = loop.event or loop.train_epoch(skip, callback_list, boundary)
            event = loop.event | loop.evaluate_splits(boundary)
            loop.event, skip = None, 0
            callback_list.on_epoch_end(loop.epoch, _keras_logs(event))
            history.append(event | {"stopped_early": bool(model.stop_training)})
            loop.epoch, loop.step_in_epoch = loop.epoch + 1, 0
            if checkpoints and _is_best(history):
                checkpoints.save_best(loop.state, _position(loop, remembered, history)[0])
            save()
            on_epoch(history)
            if loop.epoch < epochs and not model.stop_training:
                boundary()
        if model.optimizer is not None:
            model.optimizer.finalize_variable_values(model.trainable_weights)
        callback_list.on_train_end()
    return history


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
    with Loop(model, data, strategy=strategy, limit_steps=limit_steps) as loop:
        return loop.evaluate(split)


class _Boundary:
    """Decides at each step boundary whether to save, stop, or go on - on all workers alike."""

    def __init__(self, loop, save, save_seconds, should_stop):
        self.loop, self.save, self.should_stop = loop, save, should_stop
        self.save_seconds, self.saved = save_seconds, time.monotonic()

    def __call__(self) -> None:
        due = time.monotonic() - self.saved > self.save_seconds
        stop, due, slow = self.loop.any_worker(self.should_stop(), due, self.loop.slow)
        if slow:
            self.loop.halve_calls()
        if not (stop or due):
            return
        self.loop.check_finite()  # a ruined state is not worth keeping
        self.save()
        self.saved = time.monotonic()
        if stop:
            raise Preempted(f"stopped at step {self.loop.step}; the state is saved")


def _begin(loop, callback_list, remembered, found) -> int:
    """Begin, or go back to the checkpoint that was found; return the batches to skip."""
    if found:
        found.assign(loop.state)  # first: nothing begins on the checkpoint of another model
        loop.step, loop.epoch = found.position["step"], found.position["epoch"]
        loop.step_in_epoch = found.position["step_in_epoch"]
        loop.event = found.position.get("event")
    loop.check_agreement()
    callback_list.on_train_begin()
    remembered.begin()
    if not found:
        return 0
    if found.position["step_in_epoch"]:
        callback_list.on_epoch_begin(loop.epoch)
    # Again: what callbacks do when a training or this epoch begins was done before the checkpoint.
    found.assign(loop.state)
    remembered.restore(found.position["callbacks"], found.extra)
    return found.position["step_in_epoch"]


def _position(loop, remembered, history) -> tuple[dict[str, Any], dict[str, Any]]:
    """Describe where the training is: plain data, and arrays."""
    callbacks, arrays = remembered.save()
    position = {
        "epoch": loop.epoch,
        "step": loop.step,
        "step_in_epoch": loop.step_in_epoch,
        "event": loop.event,
        "history": history,
        "callbacks": callbacks,
    }
    return position, arrays


def _is_best(history: list[dict[str, Any]]) -> bool:
    """Whether the last epoch has the smallest validation loss (training loss without that set)."""
    monitor = "valid_loss" if "valid_loss" in history[-1] else "train_loss"
    return monitor in history[-1] and history[-1][monitor] == min(e[monitor] for e in history)


def _keras_logs(event: dict[str, Any]) -> dict[str, Any]:
    """Name the figures of an epoch as Keras callbacks know them: loss, val_loss, ..."""
    other = "valid_" if any(key.startswith("valid_") for key in event) else "test_"
    logs = {}
    for key, value in event.items():
        if key.startswith("train_"):
            logs[key.removeprefix("train_")] = value
        elif key.startswith(other):
            logs["val_" + key.removeprefix(other)] = value
    return {key: value for key, value in logs.items() if not key.endswith("examples")}
