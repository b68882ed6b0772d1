"""The compiled steps of the loop, and the position of a training in its data."""

from __future__ import annotations

import contextlib
import math
import time
from typing import Any

import keras
import tensorflow as tf
from keras.optimizers.schedules import LearningRateSchedule

from kerasd2l.recipe import Data
from kerasd2l.training.callbacks import has_batch_hooks
from kerasd2l.training.checkpoint import state_of
from kerasd2l.training.replicas import FairShare, batch_size, share, synchronized_batch_norm
from kerasd2l.training.small_steps import in_pieces
from kerasd2l.training.strategy import is_multi_worker

_CHECK_EVERY = 50  # steps between two looks at the loss: a look makes the host wait for the device
_STEPS_PER_CALL = 10  # steps in one graph call where nobody looks in between; measured: the best
_CALL_SECONDS = 1.0  # a longer call is cut in halves: SIGTERM must not wait for ten slow steps


class LoopError(ValueError):
    """A model or data that the loop cannot train; the message says what would go."""


class NonFiniteLoss(ArithmeticError):
    """The loss became NaN or infinite; `step`, `epoch` (from 1) and `learning_rate` say when."""

    def __init__(self, step: int, epoch: int, learning_rate: float, what: str = "the loss"):
        self.step, self.epoch, self.learning_rate = step, epoch, learning_rate
        super().__init__(
            f"{what} is not finite at step {step} (epoch {epoch}, learning rate "
            f"{learning_rate:g}). Try a smaller learning rate, or look for NaN in the data."
        )


class Loop:
    """One compiled model, its data and its strategy; a context manager for the training.

    Args:
        model: a compiled `keras.Model`, made inside `strategy.scope()`.
        data: a `Data`.
        strategy: a `tf.distribute.Strategy`, or None for one device.
        limit_steps: int or None, at most this many batches of each epoch.
    """

    def __init__(
        self,
        model: keras.Model,
        data: Data,
        *,
        strategy: tf.distribute.Strategy | None = None,
        limit_steps: int | None = None,
    ):
        self.model, self.data = model, data
        self.strategy = strategy or tf.distribute.get_strategy()
        self.replicas = self.strategy.num_replicas_in_sync
        self.limit_steps = limit_steps
        self.steps_per_call, self.slow, self.compiled = _STEPS_PER_CALL, False, False
        self.tests_per_call, self.tested = _STEPS_PER_CALL, False
        self.event: dict[str, Any] | None = None  # of an epoch that is trained, not yet evaluated
        self.epoch = self.step = self.step_in_epoch = 0
        self.jit = model.jit_compile is True
        if self.jit and self.replicas > 1:
            raise LoopError(
                "jit_compile=True cannot train on more than one replica. "
                "Compile the model with jit_compile=False, or train with --strategy one."
            )
        self._check_accumulation()
        self.steps = self._count_steps(data.train, "train")
        if not self.steps:
            raise LoopError(
                f"the training data has {data.size.get('train', 0)} examples, too few for "
                f"{self.replicas} replicas."
            )
        self._bad_step = tf.Variable(-1, dtype=tf.int64, trainable=False)
        self._fair_share = FairShare(model) if self.replicas > 1 else None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Loop:
        """Create every variable and compiled step: Keras would do it inside a replica."""
        one = self._sample_batch()
        with self.strategy.scope():
            self.model._symbolic_build(data_batch=one)
            if self.model.optimizer is not None and not self.model.optimizer.built:
                self.model.optimizer.build(self.model.trainable_variables)
            self._seen = keras.metrics.Sum(name="examples", dtype="float64")
        if self._fair_share:
            self._stack.enter_context(self._fair_share.installed())
        self._stack.enter_context(synchronized_batch_norm(self.model, self.replicas))
        if self.replicas == 1 and not self.jit:
            batch = self.data.size.get("train", 0) // int(self.data.train.cardinality())
            self._stack.enter_context(in_pieces(self.model, batch))
        self.state = [*state_of(self.model), *self._seen.variables]
        self._make_functions()
        return self

    def __exit__(self, *error) -> None:
        self._stack.close()

    def train_epoch(self, skip: int, callback_list, boundary) -> dict[str, Any]:
        """Train the rest of an epoch, from its batch `skip` on.

        Args:
            skip: int, batches already done before a resume; their sums are in the metrics.
            callback_list: a Keras CallbackList, for its batch hooks.
            boundary: called between steps; may raise to end the training.

        Returns:
            dict with the epoch's number, step, learning rate, figures and times.
        """
        if not skip:
            self.reset()
        dataset = self.data.epoch(self.epoch)
        iterator = self._iterate(dataset.skip(skip) if skip else dataset, training=True)
        hooks = has_batch_hooks(callback_list)
        self.step_in_epoch, compiling, start = skip, 0.0, time.perf_counter()
        while self.step_in_epoch < self.steps:
            first = self.step_in_epoch
            # The first step of a run is on its own, so that compiling can be told from training.
            n = 1 if hooks or not self.compiled else min(self.steps_per_call, self.steps - first)
            if hooks:
                callback_list.on_train_batch_begin(first)
            self._run_steps(iterator, n)
            if not self.compiled:
                compiling, self.compiled = time.perf_counter() - start, True
            if hooks:
                callback_list.on_train_batch_end(first, self.results())
            if self.step_in_epoch // _CHECK_EVERY > first // _CHECK_EVERY:
                self.check_finite()
            if self.model.stop_training:  # a callback's wish
                break
            if self.step_in_epoch < self.steps:
                boundary()
        self.check_finite()
        figures = {f"train_{name}": value for name, value in self.results().items()}
        seconds = time.perf_counter() - start - compiling
        examples = int(self._seen.result())
        done = examples * (self.step_in_epoch - skip - bool(compiling)) / self.step_in_epoch
        return {
            "epoch": self.epoch + 1,
            "step": self.step,
            **figures,
            "learning_rate": self.learning_rate(),
            "train_examples": examples,
            "seconds": seconds,
            "compile_seconds": compiling,
            "examples_per_second": done / seconds,
        }

    def evaluate_splits(self, boundary) -> dict[str, Any]:
        """Evaluate on the validation and the test set, as far as the data has them.

        Args:
            boundary: called between steps; may raise to end the training.

        Raises:
            NonFiniteLoss: the last step has ruined the model, which its own loss could not tell.
        """
        figures: dict[str, Any] = {}
        for split in ("valid", "test"):
            if getattr(self.data, split) is not None:
                figures |= self.evaluate(split, boundary)
                if not math.isfinite(figures.get(f"{split}_loss", 0.0)):
                    raise self._not_finite(self.step, f"the {split} loss")
        return figures

    def evaluate(self, split: str, boundary=lambda: None) -> dict[str, Any]:
        """Evaluate on one split; every example counts once."""
        dataset = getattr(self.data, split)
        steps = self._count_steps(dataset, split)
        self.reset()
        iterator, done = self._iterate(dataset, training=False), 0
        while done < steps:
            n = min(self.tests_per_call, steps - done) if self.tested else 1
            start = time.perf_counter()
            try:
                self._test_steps(iterator, tf.constant(n))
            except tf.errors.OutOfRangeError:
                raise _ended_early(split, steps) from None
            self.slow = n > 1 and time.perf_counter() - start > _CALL_SECONDS
            self.tested, done = True, done + n
            if done < steps:
                boundary()
        self.slow = False
        figures = {f"{split}_{name}": value for name, value in self.results().items()}
        return {**figures, f"{split}_examples": int(self._seen.result())}

    def results(self) -> dict[str, float]:
        """Read the model's metrics, summed over all replicas and workers."""
        return {name: float(value) for name, value in self._results().items()}

    def reset(self) -> None:
        """Set the metrics and the count of examples to zero."""
        self.model.reset_metrics()
        self._seen.reset_state()

    def learning_rate(self, steps_ago: int = 0) -> float | None:
        """Return the optimizer's present learning rate, or that of some steps ago."""
        optimizer = self.model.optimizer or next(iter(self._optimizers()), None)
        if optimizer is None:
            return None
        rate = optimizer.learning_rate
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        if steps_ago and isinstance(inner._learning_rate, LearningRateSchedule):
            rate = inner._learning_rate(int(inner.iterations) - steps_ago)
        return float(keras.ops.convert_to_numpy(rate))

    def check_finite(self) -> None:
        """Raise NonFiniteLoss if a step since the beginning had a loss that is no number.

        Or if a weight is none: the next step's loss would be the first to tell.
        """
        bad, whole = int(self._bad_step), bool(self._weights_finite())
        bad_loss, bad_weight = self.any_worker(bad >= 0, not whole)
        if bad_loss:
            raise self._not_finite(bad if bad >= 0 else self.step, "the loss")
        if bad_weight:
            raise self._not_finite(self.step, "a weight")

    def _not_finite(self, step: int, what: str) -> NonFiniteLoss:
        rate = self.learning_rate(steps_ago=self.step - step + 1)
        return NonFiniteLoss(step, self.epoch + 1, rate or 0.0, what)

    def any_worker(self, *flags: bool) -> list[bool]:
        """Return for each flag whether it is set on any worker: all workers get the same answer."""
        if not is_multi_worker(self.strategy):
            return [bool(flag) for flag in flags]
        total = self._sum_over_workers(tf.constant([float(flag) for flag in flags]))
        return [bool(value > 0) for value in total.numpy()]

    def check_agreement(self) -> None:
        """Check that all workers start at the same step, else they would wait for each other.

        Raises:
            LoopError: a worker resumed from another checkpoint.
        """
        if is_multi_worker(self.strategy):
            mine = tf.constant([float(self.step)])
            if float(self._sum_over_workers(mine)[0]) != self.step * self.replicas:
                raise LoopError(
                    f"this worker would start at step {self.step}, another one elsewhere. "
                    "All workers must read the same run folder (--out on a shared disk)."
                )

    def _sample_batch(self):
        """Return a batch of the right shapes; a real one where they are not known beforehand."""
        spec = self.data.train.element_spec
        if any(None in tuple(s.shape[1:]) for s in tf.nest.flatten(spec)):
            return next(iter(self.data.train.take(1)))
        return tf.nest.map_structure(lambda s: tf.zeros([1, *s.shape[1:]], s.dtype), spec)

    def _check_accumulation(self) -> None:
        for optimizer in self._optimizers():
            inner = getattr(optimizer, "inner_optimizer", optimizer)
            if self.replicas > 1 and inner.gradient_accumulation_steps:
                raise LoopError(
                    "gradient_accumulation_steps cannot train on more than one replica: Keras adds "
                    "gradients inside a condition there. Use a larger batch, or --strategy one."
                )

    def _optimizers(self) -> list[keras.optimizers.Optimizer]:
        return [v for v in vars(self.model).values() if isinstance(v, keras.optimizers.Optimizer)]

    def halve_calls(self) -> None:
        """Run fewer steps in a call. All workers do it at the same step, or they would part."""
        if self.event is None:
            self.steps_per_call = max(self.steps_per_call // 2, 1)
        else:
            self.tests_per_call = max(self.tests_per_call // 2, 1)
        self.slow = False

    def _run_steps(self, iterator, n: int) -> None:
        start = time.perf_counter()
        try:
            self._train_steps(iterator, tf.constant(n), tf.constant(self.step, tf.int64))
        except tf.errors.OutOfRangeError:
            raise _ended_early("train", self.steps) from None
        self.slow = self.compiled and n > 1 and time.perf_counter() - start > _CALL_SECONDS
        self.step += n
        self.step_in_epoch += n

    def _iterate(self, dataset: tf.data.Dataset, *, training: bool):
        options = tf.data.Options()
        # TensorFlow 2.21's tuning thread lets the end of an epoch wait for its next turn, up to as
        # long as the epoch took; the pipelines here read no slower without it (measured).
        options.autotune.enabled = False
        dataset = dataset.with_options(options)
        if self.replicas > 1:
            dataset = share(self.strategy, dataset, training=training)
        return iter(dataset)

    def _count_steps(self, dataset: tf.data.Dataset, split: str) -> int:
        """Return the number of batches of an epoch; it must be known before the epoch."""
        steps = int(dataset.cardinality())
        if steps < 0:
            raise LoopError(
                f"the {split} data does not know its number of batches. "
                "Apply tf.data.experimental.assert_cardinality to it."
            )
        size = self.data.size.get(split)
        if split == "train" and self.replicas > 1 and size and steps:
            first = next(iter(dataset.take(1)))
            last = size - (steps - 1) * int(batch_size(first))
            steps -= 0 < last < self.replicas  # `share` leaves that batch out
        return min(steps, self.limit_steps) if self.limit_steps else steps

    def _make_functions(self) -> None:
        """Compile the steps; each runs many batches in one graph call."""
        self.compiled = False
        # Only autograph is left out: Keras' train_step is written for plain tracing.
        graph = (lambda f: f) if self.model.run_eagerly else tf.function(autograph=False)
        on_replica = tf.function(self._train_on_replica, jit_compile=True, autograph=False)

        def train_steps(iterator, n, step):
            def body(i):
                batch = next(iterator)
                logs = self._run(on_replica if self.jit else self._train_on_replica, batch)
                self._watch(logs, step + tf.cast(i, tf.int64) + 1)
                return i + 1

            tf.while_loop(lambda i: i < n, body, [0])

        def test_steps(iterator, n):
            def body(i):
                self._run(self._test_on_replica, next(iterator))
                return i + 1

            tf.while_loop(lambda i: i < n, body, [0])

        self._train_steps, self._test_steps = graph(train_steps), graph(test_steps)
        self._weights_finite = graph(self._check_weights)
        self._results = graph(lambda: self.model.get_metrics_result())
        self._sum_over_workers = tf.function(self._all_reduce, autograph=False)

    def _run(self, function, batch):
        if self.replicas == 1:
            return function(batch)
        return self.strategy.run(function, args=(batch,))

    def _train_on_replica(self, batch):
        if self._fair_share:
            total, batch = batch
            self._fair_share.enter(batch, total)
        self._seen.update_state(batch_size(batch))
        return self.model.train_step(batch)

    def _test_on_replica(self, batch):
        share = self._fair_share
        if not share:
            self._seen.update_state(batch_size(batch))
            return self.model.test_step(batch)
        total, batch = batch
        n = batch_size(batch)

        def score():
            share.enter(batch, total)
            self._seen.update_state(n)
            self.model.test_step(batch)
            return n

        # A replica may have no example of a last batch: nothing to score, not a mean of nothing.
        return tf.cond(n > 0, score, lambda: n)

    def _watch(self, logs, step) -> None:
        """Remember the first step whose loss is NaN or infinite."""
        losses = [value for name, value in logs.items() if "loss" in name] or list(logs.values())
        values = [v for loss in losses for v in self.strategy.experimental_local_results(loss)]
        values = [tf.cast(value, tf.float32) for value in values]
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(value)) for value in values])
        first = tf.where(self._bad_step < 0, step, self._bad_step)
        self._bad_step.assign(tf.where(finite, self._bad_step, first))

    def _check_weights(self):
        floats = [w for w in self.model.trainable_weights if "float" in w.dtype]
        values = [tf.convert_to_tensor(weight.value) for weight in floats]
        return tf.reduce_all([True, *(tf.reduce_all(tf.math.is_finite(v)) for v in values)])

    def _all_reduce(self, values):
        mine = self.strategy.run(lambda: values * 1.0)  # a tensor of each replica, not a constant
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, mine, axis=None)


def _ended_early(split: str, steps: int) -> LoopError:
    return LoopError(
        f"the {split} data ended before its {steps} batches. Its cardinality says more than it has."
    )
