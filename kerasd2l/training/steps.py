"""The compiled steps of the loop: many batches in one graph call, on one device or on replicas.

`Steps` knows the model, the data and the strategy, and nothing of epochs: `loop.py` has the story.
"""

from __future__ import annotations

import contextlib
import time

import keras
import tensorflow as tf
from keras.optimizers.schedules import LearningRateSchedule

from kerasd2l.recipe import Data
from kerasd2l.training.accumulation import AddedGradients, check_accumulation, check_losses
from kerasd2l.training.around_keras import FairShare, optimizers_of
from kerasd2l.training.checkpoint import state_of
from kerasd2l.training.errors import LoopError
from kerasd2l.training.replicas import batch_size, share
from kerasd2l.training.small_steps import in_pieces
from kerasd2l.training.strategy import is_multi_worker

_STEPS_PER_CALL = 10  # steps in one graph call where nobody looks in between; measured: the best
_CALL_SECONDS = 1.0  # a longer call is cut in halves: SIGTERM must not wait for ten slow steps


def check_backend() -> None:
    """Refuse another backend of Keras, in the words of the command line.

    Raises:
        LoopError: Keras computes with something else than TensorFlow.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise LoopError(
            f"KERAS_BACKEND={backend}: training and evaluation are with TensorFlow. Unset "
            "KERAS_BACKEND, and `backend` in keras.json. (The models themselves run on other "
            "backends when imported.)"
        )


class Calls:
    """How many steps go into one graph call; the first is on its own, to be told from compiling."""

    def __init__(self):
        self.most, self.compiled, self.slow = _STEPS_PER_CALL, False, False

    def next(self, left: int) -> int:
        """Return the number of steps of the next call."""
        return min(self.most, left) if self.compiled else 1

    def ran(self, n: int, seconds: float) -> None:
        """Note a call; a slow one wishes for shorter ones."""
        self.slow = self.compiled and n > 1 and seconds > _CALL_SECONDS
        self.compiled = True

    def halve(self) -> None:
        """Run fewer steps in a call. All workers do it at the same step, or they would part."""
        self.most, self.slow = max(self.most // 2, 1), False


class Steps:
    """One compiled model, its data and its strategy; a context manager for the training.

    Args:
        model: a compiled `keras.Model`, made inside `strategy.scope()`.
        data: a `Data`.
        strategy: a `tf.distribute.Strategy`, or None for one device.
        limit_steps: int or None, at most this many batches of each epoch.
        accumulate: int, training computes each batch in this many pieces, one after the other.

    Raises:
        LoopError: a model that replicas cannot train, too few examples for them, or another
            backend of Keras.
    """

    def __init__(
        self,
        model: keras.Model,
        data: Data,
        *,
        strategy: tf.distribute.Strategy | None = None,
        limit_steps: int | None = None,
        accumulate: int = 1,
    ):
        check_backend()
        self.model, self.data, self.limit_steps = model, data, limit_steps
        self.accumulate = accumulate
        self.strategy = strategy or tf.distribute.get_strategy()
        self.replicas = self.strategy.num_replicas_in_sync
        self.train_calls, self.test_calls = Calls(), Calls()
        self._jit = model.jit_compile is True
        self._check_replicas()
        check_accumulation(model, accumulate)
        if self.replicas > 1 or accumulate > 1:
            check_losses(model, data.train.element_spec)
        self.per_epoch = self.count("train")
        if not self.per_epoch:
            raise LoopError(
                f"the training data has {data.size.get('train', 0)} examples, too few for "
                f"{self.replicas} replicas."
            )
        self._bad_step = tf.Variable(-1, dtype=tf.int64, trainable=False)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Steps:
        """Create every variable and compiled step: Keras would do it inside a replica."""
        one = self._sample_batch()
        with self.strategy.scope():
            self.model._symbolic_build(data_batch=one)
            if self.model.optimizer is not None and not self.model.optimizer.built:
                self.model.optimizer.build(self.model.trainable_variables)
            self._seen = keras.metrics.Sum(name="examples", dtype="float64")
            if self.accumulate > 1:
                self._gradients = AddedGradients(self.model)
        self._fair_share = FairShare(self.model, self._gradients if self.accumulate > 1 else None)
        if self.replicas > 1 or self.accumulate > 1:
            self._stack.enter_context(self._fair_share.installed())
        if self.replicas == 1 and not self._jit:
            batch = self.data.size.get("train", 0) // int(self.data.train.cardinality())
            self._stack.enter_context(in_pieces(self.model, batch // self.accumulate))
        self.state = [*state_of(self.model), *self._seen.variables]
        self._make_functions()
        return self

    def __exit__(self, *error) -> None:
        self._stack.close()

    def count(self, split: str) -> int:
        """Return the number of batches of a split; it must be known before the epoch."""
        dataset = getattr(self.data, split)
        steps = int(dataset.cardinality())
        if steps < 0:
            raise LoopError(
                f"the {split} data does not know its number of batches. "
                "Apply tf.data.experimental.assert_cardinality to it."
            )
        size = self.data.size.get(split)
        if split == "train" and self.replicas > 1 and size and steps:
            rows = self.data.rows_of(split)
            first = next(iter((rows.batches(0) if rows else dataset).take(1)))
            last = size - (steps - 1) * int(batch_size(first))
            steps -= 0 < last < self.replicas  # `share` leaves that batch out
        return min(steps, self.limit_steps) if self.limit_steps else steps

    def iterate(self, split: str, epoch: int | None = None, skip: int = 0):
        """Return an iterator over the batches of a split, on replicas over everyone's pieces.

        Args:
            split: "train", "valid" or "test".
            epoch: int, whose order to train in; None: to evaluate.
            skip: int, batches to leave out at the beginning.
        """
        rows = self.data.rows_of(split) if is_multi_worker(self.strategy) else None
        if rows:
            dataset = rows.batches(epoch or 0)
        else:
            dataset = getattr(self.data, split) if epoch is None else self.data.epoch(epoch)
        dataset = dataset.skip(skip) if skip else dataset
        options = tf.data.Options()
        # TensorFlow 2.21's tuning thread lets the end of an epoch wait for its next turn, up to as
        # long as the epoch took; the pipelines here read no slower without it (measured).
        options.autotune.enabled = False
        dataset = dataset.with_options(options)
        if self.replicas > 1:
            dataset = share(
                self.strategy, dataset, training=epoch is not None, load=rows.load if rows else None
            )
        return iter(dataset)

    def train(self, iterator, n: int, step: int) -> None:
        """Train n batches, the first of which is step `step` + 1.

        Raises:
            LoopError: the data ends too early.
        """
        start = time.perf_counter()
        try:
            self._train_steps(iterator, tf.constant(n), tf.constant(step, tf.int64))
        except (tf.errors.OutOfRangeError, StopIteration):  # the latter without a graph
            raise _ended_early("train", self.per_epoch) from None
        self.train_calls.ran(n, time.perf_counter() - start)

    def test(self, iterator, n: int, split: str, steps: int) -> None:
        """Score n batches of the `steps` of a split.

        Raises:
            LoopError: the data ends too early.
        """
        start = time.perf_counter()
        try:
            self._test_steps(iterator, tf.constant(n))
        except (tf.errors.OutOfRangeError, StopIteration):  # the latter without a graph
            raise _ended_early(split, steps) from None
        self.test_calls.ran(n, time.perf_counter() - start)

    def reset(self) -> None:
        """Set the metrics and the count of examples to zero."""
        self.model.reset_metrics()
        self._seen.reset_state()

    def results(self) -> dict[str, float]:
        """Read the model's metrics, summed over all replicas and workers."""
        return {name: float(value) for name, value in self._results().items()}

    def examples(self) -> int:
        """Return how many examples were used since the last reset, by all replicas."""
        return int(self._seen.result())

    def first_bad_step(self) -> int | None:
        """Return a step whose loss was NaN or infinite on this worker, or None."""
        bad = int(self._bad_step)
        return bad if bad >= 0 else None

    def weights_are_finite(self) -> bool:
        """Whether every trainable weight is a number: the next loss would be the first to tell."""
        return bool(self._weights_finite())

    def learning_rate(self, steps_ago: int = 0) -> float | None:
        """Return the optimizer's present learning rate, or that of some steps ago."""
        optimizer = self.model.optimizer or next(iter(optimizers_of(self.model)), None)
        if optimizer is None:
            return None
        rate = optimizer.learning_rate
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        if steps_ago and isinstance(inner._learning_rate, LearningRateSchedule):
            rate = inner._learning_rate(int(inner.iterations) - steps_ago)
        return float(keras.ops.convert_to_numpy(rate))

    def any_worker(self, *flags: bool) -> list[bool]:
        """Return for each flag whether it is set on any worker: all workers get the same answer."""
        if not is_multi_worker(self.strategy):
            return [bool(flag) for flag in flags]
        total = self._sum_over_workers(tf.constant([float(flag) for flag in flags]))
        return [bool(value > 0) for value in total.numpy()]

    def check_agreement(self, step: int) -> None:
        """Check that all workers start at the same step, else they would wait for each other.

        Raises:
            LoopError: a worker resumed from another checkpoint.
        """
        if is_multi_worker(self.strategy):
            mine = tf.constant([float(step)])
            if float(self._sum_over_workers(mine)[0]) != step * self.replicas:
                raise LoopError(
                    f"this worker would start at step {step}, another one elsewhere. "
                    "All workers must read the same run folder (--out on a shared disk)."
                )

    def _sample_batch(self):
        """Return a batch of the right shapes; a real one where they are not known beforehand."""
        spec = self.data.train.element_spec
        if any(None in tuple(s.shape[1:]) for s in tf.nest.flatten(spec)):
            return next(iter(self.data.train.take(1)))
        return tf.nest.map_structure(lambda s: tf.zeros([1, *s.shape[1:]], s.dtype), spec)

    def _check_replicas(self) -> None:
        """Refuse what cannot train on several replicas."""
        if self.replicas == 1:
            return
        if self._jit:
            raise LoopError(
                "jit_compile=True cannot train on more than one replica. "
                "Compile the model with jit_compile=False, or train with --strategy one."
            )
        for optimizer in optimizers_of(self.model):
            inner = getattr(optimizer, "inner_optimizer", optimizer)
            if inner.gradient_accumulation_steps:
                raise LoopError(
                    "gradient_accumulation_steps cannot train on more than one replica: Keras adds "
                    "gradients inside a condition there. Use a larger batch, or --strategy one."
                )

    def _make_functions(self) -> None:
        """Compile the steps; each runs many batches in one graph call."""
        # Only autograph is left out: Keras' train_step is written for plain tracing.
        graph = (lambda f: f) if self.model.run_eagerly else tf.function(autograph=False)
        on_replica = tf.function(self._train_on_replica, jit_compile=True, autograph=False)

        def train_steps(iterator, n, step):
            def body(i):
                batch, number = next(iterator), step + tf.cast(i, tf.int64) + 1
                if self.accumulate > 1:
                    self._train_in_pieces(batch, number)
                else:
                    function = on_replica if self._jit else self._train_on_replica
                    self._watch(self._run(function, batch), number)
                return [i + 1]

            tf.while_loop(lambda i: i < n, body, [0])

        def test_steps(iterator, n):
            def body(i):
                self._run(self._test_on_replica, next(iterator))
                return [i + 1]

            tf.while_loop(lambda i: i < n, body, [0])

        self._train_steps, self._test_steps = graph(train_steps), graph(test_steps)
        self._weights_finite = graph(self._check_weights)
        self._results = graph(lambda: self.model.get_metrics_result())
        self._sum_over_workers = tf.function(self._all_reduce, autograph=False)

    def _run(self, function, *arguments):
        if self.replicas == 1:
            return function(*arguments)
        return self.strategy.run(function, args=arguments)

    def _train_on_replica(self, batch):
        if self.replicas == 1:
            self._seen.update_state(batch_size(batch))
            return self.model.train_step(batch)
        total, batch = batch
        return self._train_piece(batch, total, self.replicas)

    def _train_piece(self, piece, total, pieces):
        size = batch_size(piece)
        self._seen.update_state(size)
        with self._fair_share.piece(size, total, pieces):
            return self.model.train_step(piece)

    def _train_in_pieces(self, batch, step) -> None:
        """Train a batch piece by piece, one after the other; then let the optimizer work once."""
        totals = batch_size(batch) if self.replicas == 1 else batch[0]
        total = self.strategy.experimental_local_results(totals)[0]
        # of a short last batch fewer pieces, as none may be empty on any replica
        count = tf.minimum(self.accumulate, total // self.replicas)

        def on_replica(batch, number):
            mine = batch if self.replicas == 1 else batch[1]
            size = batch_size(mine)
            first, end = number * size // count, (number + 1) * size // count
            piece = tf.nest.map_structure(lambda t: t[first:end], mine)
            return self._train_piece(piece, total, count * self.replicas)

        def body(number):
            self._watch(self._run(on_replica, batch, number), step)
            return [number + 1]

        tf.while_loop(lambda number: number < count, body, [0], parallel_iterations=1)
        self._run(self._gradients.apply)

    def _test_on_replica(self, batch):
        if self.replicas == 1:
            self._seen.update_state(batch_size(batch))
            return self.model.test_step(batch)
        total, batch = batch
        n = batch_size(batch)

        def score():
            self._seen.update_state(n)
            with self._fair_share.piece(n, total, tf.minimum(total, self.replicas)):
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
