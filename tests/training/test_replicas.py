"""N replicas that share a global batch compute what one device computes with it."""

import dataclasses

import keras
import numpy as np
import pytest
import small
import tensorflow as tf

from kerasd2l.training import LoopError, loop
from kerasd2l.training.strategy import make_strategy


def clipped(**options):
    return keras.optimizers.SGD(0.3, momentum=0.9, global_clipnorm=0.3, **options)


CASES = {
    # 37 examples in batches of 8: the last has 5, which neither 2 nor 4 replicas divide
    "batch_norm": (
        lambda: small.pictures(
            weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="weighted")]
        ),
        "weighted",
    ),
    "embedding": (lambda: small.words(optimizer=clipped(use_ema=True)), "words"),
    "own_train_step": (lambda: small.compiled(small.OwnStep()), "pictures"),
}


@pytest.fixture(scope="module")
def on_one():
    """Train a case on one device, once."""
    done = {}

    def on_one(case):
        if case not in done:
            make, kind = CASES[case]
            done[case] = small.train(make, small.data(kind))
        return done[case]

    return on_one


@pytest.mark.parametrize(
    ("case", "replicas"),
    [
        ("batch_norm", 2),
        ("embedding", 2),
        pytest.param("own_train_step", 2, marks=pytest.mark.slow),  # others below have one, too
        pytest.param("batch_norm", 4, marks=pytest.mark.slow),
    ],
)
def test_replicas_equal_one_device(on_one, case, replicas):
    one, history_of_one = on_one(case)
    make, kind = CASES[case]
    several, history = small.train(make, small.data(kind), replicas=replicas)
    assert small.difference(one, several) < 1e-5
    for mine, theirs in zip(small.figures(history), small.figures(history_of_one), strict=True):
        assert mine == pytest.approx(theirs, abs=1e-5)
    assert history[-1]["train_examples"] == 37
    assert history[-1]["test_examples"] == 10  # the tail of 2 leaves two of four replicas empty


def test_gradients_of_different_dtypes_are_added():
    """A layer may have a policy of its own."""

    def make():
        inputs = keras.Input((6, 6, 1))
        x = keras.layers.Flatten()(inputs)
        x = keras.layers.Dense(8, "tanh", dtype="float64")(x)
        x = keras.layers.Dense(6, "tanh")(x)
        x = keras.layers.Dense(5, "tanh", dtype="float64")(x)
        model = keras.Model(inputs, keras.layers.Dense(small.CLASSES)(x))
        return small.compiled(model, optimizer=keras.optimizers.SGD(0.1, momentum=0.9))

    one, _ = small.train(make, small.data(), epochs=2)
    several, _ = small.train(make, small.data(), epochs=2, replicas=2)
    assert {weight.dtype for weight in several.weights} == {"float32", "float64"}
    assert small.difference(one, several) < 1e-5


def test_the_comparison_notices_another_batch(on_one):
    """The tests above would mean nothing if all trainings ended alike."""
    one, _ = on_one("batch_norm")
    other, _ = small.train(CASES["batch_norm"][0], small.data("weighted", batch_size=12))
    assert small.difference(one, other) > 1e-2


class LogsItsLoss(small.OwnStep):
    """Logs what `compute_loss` returns, or a loss of its own, without a word about replicas."""

    def __init__(self, own_loss=False):
        super().__init__()
        self.own_loss, self.mine = own_loss, keras.metrics.Mean(name="mine")

    def step(self, data, training):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=training)
            if self.own_loss:
                losses = keras.losses.sparse_categorical_crossentropy(y, y_pred, from_logits=True)
                loss = keras.ops.mean(losses)
            else:
                loss = self.compute_loss(x=x, y=y, y_pred=y_pred)
        if training:
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply(gradients, self.trainable_variables)
        self.mine.update_state(loss)
        return {"mine": self.mine.result()}

    def train_step(self, data):
        return self.step(data, True)

    def test_step(self, data):
        return self.step(data, False)


@pytest.mark.parametrize(
    ("own_loss", "how"),
    [
        pytest.param(False, {"replicas": 2}, marks=pytest.mark.slow),
        (True, {"replicas": 2}),
        (False, {"accumulate": 2}),
        pytest.param(True, {"replicas": 2, "accumulate": 2}, marks=pytest.mark.slow),
    ],
)
def test_a_step_that_logs_its_loss_shows_that_of_one_device(own_loss, how):
    """Keras would show half of it on two replicas, and train twice as far by `ops.mean`."""

    def make():
        model = LogsItsLoss(own_loss)
        model.norm = keras.layers.Activation("tanh")  # BatchNormalization looks at pieces
        return small.compiled(model)

    one, expected = small.train(make, small.data(), epochs=2)
    several, history = small.train(make, small.data(), epochs=2, **how)
    assert small.difference(one, several) < 1e-5
    # a plain mean over pieces of 2 and 3 examples is a little off where nobody knows of the loss
    tolerance = 0.02 if own_loss else 1e-5
    for mine, theirs in zip(history, expected, strict=True):
        assert mine["train_mine"] == pytest.approx(theirs["train_mine"], abs=tolerance)
        assert mine["test_mine"] == pytest.approx(theirs["test_mine"], abs=tolerance)


def test_the_losses_of_several_outputs_are_shown_as_on_one_device():
    """Keras tells their metrics no number of examples; 37 % 8 = 5 is 2 and 3."""

    def make():
        inputs = keras.Input((6, 6, 1))
        x = keras.layers.Flatten()(inputs)
        outputs = {name: keras.layers.Dense(small.CLASSES, name=name)(x) for name in "ab"}
        model = keras.Model(inputs, outputs)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("sgd", {name: loss for name in "ab"}, jit_compile=False)
        return model

    data = small.data()
    twice = lambda batches: batches.map(lambda x, y: (x, {"a": y, "b": y}))  # noqa: E731
    data = dataclasses.replace(data, train=twice(data.epoch(0)), test=twice(data.test), order=None)
    _, expected = small.train(make, data, epochs=2)
    _, history = small.train(make, data, epochs=2, replicas=2)
    assert {"train_a_loss", "train_b_loss"} < set(history[0])
    for mine, theirs in zip(small.figures(history), small.figures(expected), strict=True):
        assert mine == pytest.approx(theirs, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_equals_one_device_to_its_precision(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        one, history_of_one = small.train(small.pictures, small.data())
        two, history = small.train(small.pictures, small.data(), replicas=2)
    finally:
        keras.config.set_dtype_policy(before)
    assert isinstance(two.optimizer, keras.optimizers.LossScaleOptimizer) == (
        policy == "mixed_float16"
    )
    assert small.difference(one, two) < 3e-3
    assert history[-1]["test_loss"] == pytest.approx(history_of_one[-1]["test_loss"], abs=2e-3)


def test_loss_scale_survives_an_overflow_on_one_replica_only():
    """A step whose scaled gradients overflow is left out by both replicas, and halves the scale."""

    def huge(x):
        x[:6] = 1e3  # one answer to all, so that it is wrong for some: labels differ

    def make():
        inputs = keras.Input((6, 6, 1))
        logits = keras.layers.Dense(small.CLASSES)(keras.layers.Flatten()(inputs))
        return small.compiled(keras.Model(inputs, logits), optimizer=keras.optimizers.SGD(1e-4))

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        one, _ = small.train(make, small.data(spoil=huge), epochs=1)
        two, _ = small.train(make, small.data(spoil=huge), epochs=1, replicas=2)
    finally:
        keras.config.set_dtype_policy(before)
    scales = [float(m.optimizer.dynamic_scale.numpy()) for m in (one, two)]
    assert scales[0] == scales[1] < 2**15  # the same steps were left out, by both replicas
    assert small.difference(one, two) < 3e-3


def test_evaluation_counts_every_example_once():
    """Batches of 8, 8, 1: whatever the number of replicas, the mean is over 17 examples."""
    model = small.pictures()
    data = small.data(test=17)
    x = np.concatenate([np.asarray(x) for x, _ in data.test])
    y = np.concatenate([np.asarray(y) for _, y in data.test])
    logits = model.predict(x, verbose=0).astype(np.float64)
    shifted = logits - logits.max(1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(1)) - shifted[np.arange(17), y]
    penalty = 0.01 * float(np.sum(np.square(model.layers[1].kernel.numpy())))
    expected = {
        "test_loss": losses.mean() + penalty,
        "test_accuracy": np.mean(logits.argmax(1) == y),
        "test_examples": 17,
    }
    assert loop.evaluate(model, data) == pytest.approx(expected, abs=1e-6)
    weights = model.get_weights()
    for replicas in (2, 4):
        strategy = make_strategy("mirrored", replicas=replicas)
        with strategy.scope():
            copy = small.pictures()
            copy.set_weights(weights)
        figures = loop.evaluate(copy, data, strategy=strategy)
        assert figures == pytest.approx(expected, abs=1e-6)


def test_a_training_batch_smaller_than_the_replicas_is_left_out_and_said():
    """33 = 4 x 8 + 1: the one example would leave three of four replicas without a gradient."""
    data = small.data(train=33)
    model, history = small.train(small.pictures, data, replicas=4, epochs=1)
    assert history[-1]["train_examples"] == 32
    assert history[-1]["step"] == 4
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_accumulated_gradients_are_refused_on_replicas():
    optimizer = lambda: keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)  # noqa: E731
    make = lambda: small.pictures(optimizer=optimizer())  # noqa: E731
    small.train(make, small.data(), epochs=1)
    with pytest.raises(LoopError, match="gradient_accumulation_steps cannot train on more than"):
        small.train(make, small.data(), epochs=1, replicas=2)


def test_xla_on_one_device_and_refused_on_two():
    one, _ = small.train(small.pictures, small.data(), epochs=2)
    xla, _ = small.train(lambda: small.pictures(jit_compile=True), small.data(), epochs=2)
    assert xla.jit_compile is True
    assert small.difference(one, xla) < 1e-5
    with pytest.raises(LoopError, match=r"jit_compile=True .* --strategy one"):
        small.train(lambda: small.pictures(jit_compile=True), small.data(), replicas=2)


@pytest.mark.slow
def test_dropout_on_replicas_trains_and_resumes(tmp_path):
    """Replicas draw other masks than one device would, but the same ones after a resume."""
    from kerasd2l.training import Checkpoints

    make = lambda: small.pictures(dropout=0.5)  # noqa: E731
    whole, _ = small.train(make, small.data(), replicas=2, epochs=2)
    checkpoints = Checkpoints(tmp_path)
    small.train(make, small.data(), replicas=2, epochs=1, checkpoints=checkpoints)
    again, _ = small.train(
        make, small.data(), replicas=2, epochs=2, seed=99, checkpoints=checkpoints, resume=True
    )
    assert small.difference(whole, again) == 0


def test_strategies_of_different_sizes_in_one_process():
    """TensorFlow alone would stop the second: "group with size 3, but that group has size 2"."""
    for replicas in (2, 3, 2):
        strategy = make_strategy("mirrored", replicas=replicas)
        add = tf.function(
            lambda: tf.distribute.get_replica_context().all_reduce("sum", tf.ones([replicas]))  # noqa: B023
        )
        results = strategy.experimental_local_results(strategy.run(add))
        assert [list(np.asarray(r)) for r in results] == [[replicas] * replicas] * replicas
