"""The loop is `model.fit` with the same numbers, and drives the same callbacks."""

import time

import keras
import numpy as np
import pytest
import small
import tensorflow as tf

from kerasd2l.training import LoopError, NonFiniteLoss, Preempted, loop
from kerasd2l.training.history import epoch_line

MODELS = {
    "functional": lambda: small.pictures(dropout=0.5),
    "own_train_step": lambda: small.compiled(small.OwnStep()),
}


@pytest.mark.parametrize("kind", MODELS)
def test_same_numbers_as_model_fit(kind):
    data = small.data()
    ours, history = small.train(MODELS[kind], data, epochs=3)
    keras.utils.set_random_seed(3)
    fitted = MODELS[kind]()
    for epoch in range(3):
        log = fitted.fit(data.epoch(epoch), validation_data=data.test, verbose=0).history
        expected = {
            "train_loss": log["loss"][0],
            "train_accuracy": log["accuracy"][0],
            "test_loss": log["val_loss"][0],
            "test_accuracy": log["val_accuracy"][0],
        }
        assert {key: history[epoch][key] for key in expected} == pytest.approx(expected, abs=1e-6)
    assert small.difference(ours, fitted) < 1e-6


def test_history_tells_steps_examples_rate_and_times():
    _, history = small.train(small.pictures, small.data(), epochs=2)
    assert [(e["epoch"], e["step"]) for e in history] == [(1, 5), (2, 10)]
    for event in history:
        assert (event["train_examples"], event["test_examples"]) == (37, 10)
        assert event["learning_rate"] == pytest.approx(0.1)
        assert event["seconds"] > 0
        assert event["examples_per_second"] > 0
        assert not event["stopped_early"]
    assert history[0]["compile_seconds"] > history[1]["compile_seconds"] == 0


def test_the_speed_of_a_single_compiled_step_is_not_known():
    """It was 0.0: what cannot be measured is no number."""
    _, history = small.train(small.pictures, small.data(), epochs=2, limit_steps=1)
    assert history[0]["examples_per_second"] is None
    assert history[1]["examples_per_second"] > 0
    assert "a single step: no speed" in epoch_line(history[0], 2)


def test_a_validation_set_is_the_val_of_callbacks_and_the_test_set_is_scored_too():
    from dataclasses import replace

    data = small.data()
    data = replace(data, valid=data.test.take(1), size={**data.size, "valid": 8})
    seen = []
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs))
    _, history = small.train(small.pictures, data, epochs=1, callbacks=[callback])
    assert history[0]["valid_examples"] == 8
    assert history[0]["test_examples"] == 10
    assert seen[0]["val_loss"] == history[0]["valid_loss"] != history[0]["test_loss"]


def test_limit_steps_limits_training_and_evaluation():
    _, history = small.train(small.pictures, small.data(), epochs=2, limit_steps=1)
    assert [(e["step"], e["train_examples"], e["test_examples"]) for e in history] == [
        (1, 8, 8),
        (2, 8, 8),
    ]


def test_one_graph_for_all_epochs():
    """A new iterator or a short last batch must not make TensorFlow trace the step again."""
    traced = []

    class Counting(small.OwnStep):
        def train_step(self, data):
            traced.append(1)
            return super().train_step(data)

    small.train(lambda: small.compiled(Counting()), small.data(), epochs=3)
    assert len(traced) == 1


@pytest.mark.parametrize("accumulate", [1, 2])
def test_without_graphs_the_numbers_are_the_same(accumulate):
    """It was a TypeError: a debugger could not stop in a model."""
    seen = []

    class Watched(small.OwnStep):
        def call(self, inputs, training=False):
            seen.append(tf.executing_eagerly())
            return super().call(inputs, training=training)

    options = {"epochs": 2, "accumulate": accumulate}
    expected, history = small.train(MODELS["own_train_step"], small.data(), **options)
    make = lambda: small.compiled(Watched(), run_eagerly=True)  # noqa: E731
    model, found = small.train(make, small.data(), **options)
    assert all(seen[-10:])
    assert small.difference(model, expected) < 1e-6
    for event, other in zip(small.figures(found), small.figures(history), strict=True):
        assert event == pytest.approx(other, abs=1e-6)


# Callbacks


def test_own_callback_sees_every_batch_in_order():
    calls = []

    class Own(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            calls.append("begin")

        def on_train_batch_begin(self, batch, logs=None):
            calls.append(("before", batch))

        def on_train_batch_end(self, batch, logs=None):
            calls.append(("after", batch))
            assert set(logs) == {"loss", "accuracy"}

        def on_epoch_end(self, epoch, logs=None):
            calls.append(("epoch", epoch, sorted(logs)))

        def on_train_end(self, logs=None):
            calls.append("end")

    small.train(small.pictures, small.data(), epochs=2, callbacks=[Own()])
    batches = [(when, batch) for batch in range(5) for when in ("before", "after")]
    names = ["accuracy", "loss", "val_accuracy", "val_loss"]
    expected = ["begin"]
    for epoch in range(2):
        expected += [*batches, ("epoch", epoch, names)]
    assert calls == [*expected, "end"]


def test_batch_hooks_do_not_change_the_numbers_and_may_be_lambdas():
    losses = []
    callback = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: losses.append((batch, logs["loss"]))
    )
    plain, history = small.train(small.pictures, small.data(), epochs=2)
    hooked, _ = small.train(small.pictures, small.data(), epochs=2, callbacks=[callback])
    assert small.difference(plain, hooked) == 0
    assert [batch for batch, _ in losses] == [0, 1, 2, 3, 4] * 2
    assert losses[-1][1] == pytest.approx(history[-1]["train_loss"], abs=1e-6)


def test_stop_training_in_a_batch_hook_ends_the_epoch_there():
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 2

    _, history = small.train(small.pictures, small.data(), epochs=3, callbacks=[Stop()])
    assert [(e["step"], e["train_examples"], e["stopped_early"]) for e in history] == [
        (3, 24, True)
    ]
    assert history[0]["test_examples"] == 10


def test_tensorboard_writes_events(tmp_path):
    pytest.importorskip("tensorboard")
    board = keras.callbacks.TensorBoard(tmp_path, histogram_freq=1)
    _, history = small.train(small.pictures, small.data(), epochs=2, callbacks=[board])
    found = {}
    for file in tmp_path.rglob("events.out.tfevents.*"):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                if value.tag == "epoch_loss":
                    loss = float(tf.make_ndarray(value.tensor))
                    found[file.parent.name, event.step] = loss
    expected = {
        (split, i): event[f"{name}_loss"]
        for i, event in enumerate(history)
        for split, name in (("train", "train"), ("validation", "test"))
    }
    assert found == pytest.approx(expected, abs=1e-6)


def early_stopping(patience=1):
    """Stop when the loss grows: with this learning rate it does."""
    return keras.callbacks.EarlyStopping("val_loss", patience=patience, restore_best_weights=True)


def growing():
    return small.pictures(optimizer=keras.optimizers.SGD(1.5, momentum=0.9))


def test_early_stopping_stops_and_restores_the_best_weights():
    data = small.data()
    model, history = small.train(growing, data, epochs=20, callbacks=[early_stopping()])
    losses = [event["test_loss"] for event in history]
    assert len(history) < 20
    assert losses[-1] > min(losses)
    assert history[-1]["stopped_early"]
    assert loop.evaluate(model, data)["test_loss"] == pytest.approx(min(losses), abs=1e-6)


def test_learning_rate_scheduler_and_schedule_object():
    halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.2 / 2**epoch)
    _, history = small.train(small.pictures, small.data(), epochs=3, callbacks=[halve])
    assert [e["learning_rate"] for e in history] == pytest.approx([0.2, 0.1, 0.05])
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([7], [0.3, 0.03])
    make = lambda: small.pictures(optimizer=keras.optimizers.SGD(schedule))  # noqa: E731
    _, history = small.train(make, small.data(), epochs=2)
    assert [e["learning_rate"] for e in history] == pytest.approx([0.3, 0.03])


def test_model_checkpoint_saves_what_evaluates_the_same(tmp_path):
    path = tmp_path / "best.keras"
    keep = keras.callbacks.ModelCheckpoint(path, save_best_only=True)
    data = small.data()
    _, history = small.train(small.pictures, data, epochs=3, callbacks=[keep])
    best = min(event["test_loss"] for event in history)
    again = loop.evaluate(keras.saving.load_model(path), data)
    assert again["test_loss"] == pytest.approx(best, abs=1e-6)


# Stops


def test_should_stop_is_asked_at_every_boundary():
    asked = []

    def stop():
        asked.append(1)
        return len(asked) == 3

    hook = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    with pytest.raises(Preempted, match="stopped at step 3; the state is saved") as info:
        small.train(small.pictures, small.data(), should_stop=stop, callbacks=[hook])
    assert info.value.exit_code == 143


@pytest.mark.slow
def test_slow_steps_are_asked_more_often():
    """Ten steps in a call are quick or few: whoever asks to stop must not wait for minutes."""

    class Slow(small.OwnStep):
        def train_step(self, data):
            def wait():
                time.sleep(0.3)
                return 0

            with tf.control_dependencies([tf.py_function(wait, [], tf.int32)]):
                return super().train_step(data)

    asked = []
    stop = lambda: bool(asked.append(time.monotonic()))  # noqa: E731
    make = lambda: small.compiled(Slow())  # noqa: E731
    small.train(make, small.data(train=200), epochs=1, should_stop=stop)
    pauses = np.diff(asked)
    assert pauses[0] > 2.5
    assert pauses[-1] < 1.5


@pytest.mark.slow
def test_slow_evaluations_are_asked_more_often():
    class Slow(small.OwnStep):
        def test_step(self, data):
            def wait():
                time.sleep(0.3)
                return 0

            with tf.control_dependencies([tf.py_function(wait, [], tf.int32)]):
                return super().test_step(data)

    asked = []
    stop = lambda: bool(asked.append(time.monotonic()))  # noqa: E731
    make = lambda: small.compiled(Slow())  # noqa: E731
    small.train(make, small.data(train=8, test=200), epochs=1, should_stop=stop)
    pauses = np.diff(asked)
    assert len(pauses) >= 3
    assert pauses[-1] < 1.9  # five steps at the most; ten take three seconds


def nan(x):
    x[11] = np.nan


@pytest.mark.parametrize("replicas", [1, 2])
def test_nan_in_one_example_stops_with_step_and_rate(replicas):
    """Example 11 goes to one replica only; on one device and on two the same step is blamed."""
    order = np.random.default_rng([0, 0]).permutation(37)
    step = int(np.flatnonzero(order == 11)[0]) // 8 + 1
    pattern = rf"the loss is not finite at step {step} \(epoch 1, learning rate 0.1\)\. Try a sm"
    with pytest.raises(NonFiniteLoss, match=pattern) as info:
        small.train(small.pictures, small.data(spoil=nan), replicas=replicas)
    assert (info.value.step, info.value.epoch) == (step, 1)
    assert info.value.learning_rate == pytest.approx(0.1)


def test_the_rate_of_the_bad_step_is_told_not_that_of_its_discovery():
    schedule = keras.optimizers.schedules.PolynomialDecay(1.0, 10, 0.0)
    make = lambda: small.pictures(optimizer=keras.optimizers.SGD(schedule))  # noqa: E731
    with pytest.raises(NonFiniteLoss) as info:
        small.train(make, small.data(spoil=nan))
    assert info.value.learning_rate == pytest.approx(1 - (info.value.step - 1) / 10)


def test_weights_ruined_by_the_very_last_step_are_noticed(tmp_path):
    """The loss of a step is taken before its update: alone it would not tell."""
    from kerasd2l.training import Checkpoints

    class Ruin(keras.optimizers.SGD):
        def update_step(self, gradient, variable, learning_rate):
            bad = tf.where(self.iterations == 9, np.nan, 0.0)
            self.assign_sub(variable, learning_rate * gradient + bad)

    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(NonFiniteLoss, match="a weight is not finite at step 10 "):
        small.train(
            lambda: small.pictures(optimizer=Ruin(0.1)),
            small.data(),
            epochs=2,
            checkpoints=checkpoints,
            save_seconds=0,
        )
    assert [path.name for path in checkpoints.steps()] == ["step-000000005.npz"]
    assert all(np.isfinite(array).all() for array in checkpoints.newest().arrays.values())


def test_a_test_loss_that_is_no_number_is_loud():
    from dataclasses import replace

    data = small.data()
    bad = data.test.map(lambda x, y: (x * np.inf, y))
    with pytest.raises(NonFiniteLoss, match="the test loss is not finite at step 5 "):
        small.train(small.pictures, replace(data, test=bad), epochs=1)


# Data that cannot be


def test_wrong_data_is_told():
    from dataclasses import replace

    data = small.data()
    with pytest.raises(LoopError, match="training data has 3 examples, too few for 4 replicas"):
        small.train(small.pictures, small.data(train=3), replicas=4)
    endless = replace(data, train=data.train.repeat(), order=None)
    with pytest.raises(LoopError, match="train data does not know its number of batches"):
        small.train(small.pictures, endless)
    lying = data.train.take(2).apply(tf.data.experimental.assert_cardinality(2))
    short = replace(data, order=lambda epoch: lying.take(1))
    for eager in (False, True):
        with pytest.raises(LoopError, match="train data ended before its 5 batches"):
            small.train(lambda: small.pictures(run_eagerly=eager), short)  # noqa: B023
    with pytest.raises(LoopError, match=r"has no 'valid' split\. It has: train, test"):
        loop.evaluate(small.pictures(), data, "valid")


def test_batches_of_unknown_length_train():
    """Nothing can be built on a made-up sequence of length 1 if a convolution needs 3."""
    from dataclasses import replace

    from kerasd2l.recipe import TensorSpec

    def make():
        inputs = keras.Input((None, 2))
        x = keras.layers.Conv1D(4, 3)(inputs)
        x = keras.layers.GlobalAveragePooling1D()(x)
        return small.compiled(keras.Model(inputs, keras.layers.Dense(small.CLASSES)(x)))

    def batches(lengths):
        def generate():
            for length in lengths:
                yield np.ones((4, length, 2), np.float32), np.zeros(4, np.int32)

        signature = (tf.TensorSpec((None, None, 2)), tf.TensorSpec((None,), tf.int32))
        dataset = tf.data.Dataset.from_generator(generate, output_signature=signature)
        return dataset.apply(tf.data.experimental.assert_cardinality(len(lengths)))

    data = replace(
        small.data(),
        train=batches([5, 7]),
        test=batches([4]),
        order=None,
        features={"x": TensorSpec((None, 2))},
        size={"train": 8, "test": 4},
    )
    _, history = small.train(make, data, epochs=2)
    assert history[-1]["train_examples"] == 8


def test_no_epoch_waits_for_the_tuning_thread_of_tf_data(monkeypatch):
    """With it LeNet's epochs took up to 2.7 s instead of 1.5: their ends wait for its next turn."""
    untuned, plain = [], tf.data.Dataset.__iter__

    def note(dataset):
        untuned.append(dataset.options().autotune.enabled is False)
        return plain(dataset)

    monkeypatch.setattr(tf.data.Dataset, "__iter__", note)
    small.train(lambda: small.compiled(small.OwnStep()), small.data(), epochs=2)
    assert sum(untuned) == 4  # two epochs, and a test after each
