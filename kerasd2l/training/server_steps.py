"""Asynchronous training: variables on parameter servers, workers that never wait for each other.

`ParameterServerStrategy` and its `ClusterCoordinator`, under which Keras 3 trains (measured: TF
2.21, Keras 3.15). The chief reads the data, hands each batch to a worker that is idle, evaluates,
and writes the run folder. A worker takes the weights as they are at that moment, and its gradient
meets weights that others have changed meanwhile. So figures differ from run to run, and a run that
is resumed goes on well, but not to the bit.

Sums of training metrics are read and written by all workers: now and then one is lost. Counts of
examples, and what is evaluated, are exact.
"""

from __future__ import annotations

import time
from typing import Any

import tensorflow as tf

from kerasd2l.training.around_keras import atomic_additions
from kerasd2l.training.errors import LoopError
from kerasd2l.training.replicas import batch_size
from kerasd2l.training.steps import Steps
from kerasd2l.training.strategy import is_parameter_server

_IN_FLIGHT = 50  # steps handed out at most until all are waited for: SIGTERM must not wait long


def steps_of(strategy: tf.distribute.Strategy | None) -> type[Steps]:
    """Return the class of steps that a strategy goes."""
    return ServerSteps if strategy and is_parameter_server(strategy) else Steps


class ServerSteps(Steps):
    """The steps of the chief: hands batches to workers, and waits for them where someone looks."""

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        if self.accumulate > 1:
            raise LoopError(
                "gradients cannot be accumulated by workers that do not wait for each other. "
                "Train without --accumulate, or with --strategy multi_worker."
            )
        self.coordinator = tf.distribute.coordinator.ClusterCoordinator(self.strategy)
        self._out, self._examples = 0, 0

    def __enter__(self) -> ServerSteps:
        super().__enter__()
        self._stack.enter_context(atomic_additions())
        with self.strategy.scope():  # on a parameter server, as the rest
            self._bad_step = tf.Variable(-1, dtype=tf.int64, trainable=False)
        return self

    def train(self, iterator, n: int, step: int) -> None:
        """Hand out n batches, the first of which is step `step` + 1."""
        start = time.perf_counter()
        for i in range(n):
            batch = self._next(iterator, "train", self.per_epoch)
            self._examples += int(batch_size(batch))
            self.coordinator.schedule(self._step, args=(batch, tf.constant(step + i + 1)))
            self._out += 1
        if self._out >= _IN_FLIGHT:
            self.wait()
        self.train_calls.ran(n, time.perf_counter() - start)

    def test(self, iterator, n: int, split: str, steps: int) -> None:
        """Score n batches, here: every example once, whatever happens to the workers."""
        self.wait()
        start = time.perf_counter()
        for _ in range(n):
            batch = self._next(iterator, split, steps)
            self._examples += int(batch_size(batch))
            self._score(batch)
        self.test_calls.ran(n, time.perf_counter() - start)

    def wait(self) -> None:
        """Wait until the workers have done what was handed out."""
        self.coordinator.join()
        self._out = 0

    def reset(self) -> None:
        """Set the metrics and the count of examples to zero."""
        self.wait()
        self.model.reset_metrics()
        self._examples = 0

    def results(self) -> dict[str, float]:
        """Read the model's metrics."""
        self.wait()
        return super().results()

    def examples(self) -> int:
        """Return how many examples were used since the last reset."""
        return self._examples

    def any_worker(self, *flags: bool) -> list[bool]:
        """Return the flags, which are the chief's; whoever sets one wants all steps done."""
        if any(flags):
            self.wait()
        return [bool(flag) for flag in flags]

    def first_bad_step(self) -> int | None:
        """Return a step whose loss was NaN or infinite, or None."""
        self.wait()
        return super().first_bad_step()

    def _make_functions(self) -> None:
        def on_worker(batch, step):
            logs = self.strategy.run(self.model.train_step, args=(batch,))
            self._watch(logs, tf.cast(step, tf.int64))

        def on_chief(batch):
            with self.strategy.scope():
                self.model.test_step(batch)

        self._step = tf.function(on_worker, autograph=False)
        self._score = tf.function(on_chief, autograph=False)
        # Read from here one by one: a function of this process has no variables of others.
        self._weights_finite = self._check_weights
        self._results = lambda: self.model.get_metrics_result()

    def _next(self, iterator, split: str, steps: int):
        try:
            return next(iterator)
        except (StopIteration, tf.errors.OutOfRangeError):
            raise LoopError(f"the {split} data ended before its {steps} batches.") from None
