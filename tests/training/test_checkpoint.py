"""Checkpoints: a training that is stopped and resumed ends bit for bit as one never stopped."""

import json
import random

import keras
import numpy as np
import pytest
import small
from test_loop import early_stopping, growing

from kerasd2l.training import CheckpointError, Checkpoints, NonFiniteLoss, Preempted, loop


def make():
    return small.pictures(dropout=0.5)


def interrupted(make, data, folder, at, *, epochs=3, callbacks=lambda: [], **options):
    """Train, stop at each of the steps `at`, resume with another seed; return model, history."""
    count = {"step": 0}
    for stop in [*at, None]:
        hook = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: count.update(step=count["step"] + 1)
        )
        try:
            return small.train(
                make,
                data,
                epochs=epochs,
                seed=3 if stop == at[0] else random.randrange(100, 999),  # the seed is restored too
                checkpoints=Checkpoints(folder),
                resume=True,
                callbacks=[*callbacks(), hook],
                should_stop=lambda stop=stop: count["step"] == stop,
                **options,
            )
        except Preempted:
            assert count["step"] == stop
    raise AssertionError("never finished")


@pytest.fixture(scope="module")
def whole():
    """A training that nobody stops: 3 epochs of 5 steps, with dropout."""
    return small.train(make, small.data())


def test_the_same_training_twice_is_the_same(whole):
    again, history = small.train(make, small.data())
    assert small.difference(again, whole[0]) == 0
    assert small.figures(history) == small.figures(whole[1])


@pytest.mark.parametrize("at", [(5,), (1, 8, 14)], ids=str)
def test_resume_from_any_step_is_exact(whole, tmp_path, at):
    model, history = interrupted(make, small.data(), tmp_path, at)
    assert small.difference(model, whole[0]) == 0
    assert small.figures(history) == small.figures(whole[1])
    for mine, theirs in zip(model.optimizer.variables, whole[0].optimizer.variables, strict=True):
        assert np.array_equal(mine.numpy(), theirs.numpy())


@pytest.mark.parametrize("replicas", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_stop_during_an_evaluation_does_not_wait_and_resumes_exactly(tmp_path, replicas):
    """32 batches of test data are evaluated in several calls, with a boundary between them."""
    data = small.data(test=250)
    whole, expected = small.train(make, data, replicas=replicas, epochs=2)
    asked = []

    def stop():
        asked.append(1)
        return len(asked) == 3  # after the first training step; then in the evaluation

    with pytest.raises(Preempted, match="stopped at step 5"):
        small.train(
            make,
            data,
            replicas=replicas,
            epochs=2,
            checkpoints=Checkpoints(tmp_path),
            should_stop=stop,
        )
    position = Checkpoints(tmp_path).newest().position
    assert (position["epoch"], position["step_in_epoch"], position["history"]) == (0, 5, [])
    model, history = small.train(
        make,
        data,
        replicas=replicas,
        epochs=2,
        seed=99,
        checkpoints=Checkpoints(tmp_path),
        resume=True,
    )
    assert small.difference(model, whole) == 0
    assert small.figures(history) == small.figures(expected)


@pytest.mark.slow
def test_keras_random_functions_without_seed_resume_exactly(tmp_path):
    """Their seeds are in Keras' global generator, in no layer."""

    class Noise(keras.layers.Layer):
        def call(self, inputs, training=False):
            noise = keras.random.normal(keras.ops.shape(inputs))
            return inputs + 0.5 * noise if training else inputs

    def noisy():
        inputs = keras.Input((6, 6, 1))
        x = keras.layers.Flatten()(Noise()(inputs))
        return small.compiled(keras.Model(inputs, keras.layers.Dense(small.CLASSES)(x)))

    model, _ = small.train(noisy, small.data(), epochs=2)
    again, _ = interrupted(noisy, small.data(), tmp_path, (3,), epochs=2)
    assert small.difference(model, again) == 0


def test_saves_within_an_epoch_by_the_clock(whole, tmp_path, monkeypatch):
    """A process that is killed loses at most `save_seconds`: it goes on in the epoch's middle."""
    monkeypatch.setattr(loop, "_SAVING_PAUSE", 0)
    steps = []

    class Kill(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            steps.append(batch)
            if len(steps) == 9:
                raise KeyboardInterrupt

    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        small.train(
            make, small.data(), checkpoints=checkpoints, callbacks=[Kill()], save_seconds=1e-9
        )
    assert checkpoints.newest().position["step"] == 8
    model, _ = small.train(make, small.data(), seed=4, checkpoints=checkpoints, resume=True)
    assert small.difference(model, whole[0]) == 0


def test_short_epochs_are_saved_once_at_the_end(whole, tmp_path, monkeypatch):
    """Nothing is written in between, and the best state is written with the last one."""
    written, write = [], Checkpoints._write

    def noting(self, path, *what):
        written.append(path.name)
        write(self, path, *what)

    monkeypatch.setattr(Checkpoints, "_write", noting)
    small.train(make, small.data(), checkpoints=Checkpoints(tmp_path))
    assert written == ["best.npz", "step-000000015.npz"]


@pytest.mark.slow
def test_the_best_state_is_that_of_its_epoch_not_that_of_the_writing(tmp_path):
    """`growing` gets worse from its second epoch on; the best is written at the end."""
    from kerasd2l.training.checkpoint import read

    written = {}
    for name, seconds in (("each", 0), ("end", 1e9)):
        checkpoints = Checkpoints(tmp_path / name)
        small.train(growing, small.data(), checkpoints=checkpoints, save_seconds=seconds)
        written[name] = read(checkpoints.best)
    each, end = written["each"], written["end"]
    assert each.position["step"] == end.position["step"] < 15
    assert len(end.position["history"]) == end.position["epoch"]
    assert all(np.array_equal(each.arrays[name], end.arrays[name]) for name in each.arrays)
    assert [path.name for path in Checkpoints(tmp_path / "end").steps()] == ["step-000000015.npz"]


def test_saving_takes_a_twentieth_of_the_time_at_most(tmp_path, monkeypatch):
    """A disk that takes 5 s for a state is given 100 s of rest."""
    clock = {"now": 0.0}
    monkeypatch.setattr(loop.time, "monotonic", lambda: clock["now"])
    one = loop.Loop(loop.Training(make(), small.data(), 1, checkpoints=Checkpoints(tmp_path)))
    one._saved, one._took = 0.0, 5.0
    due = {}
    for clock["now"] in (11.0, 99.0, 101.0):
        due[clock["now"]] = one._is_due()
    assert due == {11.0: False, 99.0: False, 101.0: True}
    one.training.checkpoints.writes = False  # another worker's clock has no say
    assert not one._is_due()


# Callbacks


def test_early_stopping_counts_on_after_a_resume(tmp_path):
    """Its counter and its best weights: `on_train_begin` forgets them."""
    data, options = small.data(), {"epochs": 20}
    callbacks = lambda: [early_stopping(patience=3)]  # noqa: E731
    whole, history = small.train(growing, data, callbacks=callbacks(), **options)
    last = history[-1]["step"]
    again, resumed = interrupted(
        growing, data, tmp_path, (last - 12, last - 5, last - 2), callbacks=callbacks, **options
    )
    assert small.figures(resumed) == small.figures(history)
    assert small.difference(again, whole) == 0


CALLBACKS = dict(
    zip(
        (
            "early",
            "early_min",
            "early_max",
            "plateau",
            "best",
            "every",
            "csv",
            "rate",
            "nan",
            "own",
        ),
        [
            lambda folder: keras.callbacks.EarlyStopping("loss", min_delta=0.5, patience=2),
            lambda folder: keras.callbacks.EarlyStopping(
                "loss", mode="min", min_delta=0.5, patience=1, start_from_epoch=1
            ),
            lambda folder: keras.callbacks.EarlyStopping(
                "accuracy", mode="max", min_delta=0.1, patience=2, restore_best_weights=True
            ),
            lambda folder: keras.callbacks.ReduceLROnPlateau(
                "loss", factor=0.5, min_delta=0.5, patience=1, cooldown=1
            ),
            lambda folder: keras.callbacks.ModelCheckpoint(
                folder / "best.keras", monitor="loss", save_best_only=True
            ),
            lambda folder: keras.callbacks.ModelCheckpoint(
                folder / "{epoch}.keras", monitor="accuracy", save_best_only=True, mode="max"
            ),
            lambda folder: keras.callbacks.CSVLogger(folder / "log.csv", append=True),
            lambda folder: keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
            lambda folder: keras.callbacks.TerminateOnNaN(),
            lambda folder: keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
        ],
        strict=True,
    )
)
SOON = ("best",)  # it remembers figures; early stopping has a test of its own


@pytest.mark.parametrize(
    "name",
    [name if name in SOON else pytest.param(name, marks=pytest.mark.slow) for name in CALLBACKS],
)
def test_stopped_and_resumed_a_callback_does_what_it_does_when_never_stopped(name, tmp_path):
    """Keras turns the sign of `min_delta` late: saved and turned again, it never fires."""
    callback = CALLBACKS[name]
    folders = [tmp_path / part for part in ("whole", "parts")]
    for folder in folders:
        folder.mkdir()
    options = {"epochs": 8}
    whole, history = small.train(make, small.data(), callbacks=[callback(folders[0])], **options)
    again, resumed = interrupted(
        make,
        small.data(),
        tmp_path / "checkpoints",
        (6, 13),
        callbacks=lambda: [callback(folders[1])],
        **options,
    )
    assert small.figures(resumed) == small.figures(history)
    assert small.difference(again, whole) == 0
    assert sorted(path.name for path in folders[0].iterdir()) == sorted(
        path.name for path in folders[1].iterdir()
    )


def test_a_finished_early_stop_is_not_trained_further(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    options = {"epochs": 20, "checkpoints": checkpoints}
    _, history = small.train(growing, small.data(), callbacks=[early_stopping()], **options)
    _, again = small.train(
        growing, small.data(), callbacks=[early_stopping()], resume=True, **options
    )
    assert again == history


@pytest.mark.slow
def test_a_resumed_callback_keeps_a_new_patience(tmp_path):
    interrupted_by = Checkpoints(tmp_path)
    small.train(
        make, small.data(), epochs=1, checkpoints=interrupted_by, callbacks=[early_stopping()]
    )
    patient = early_stopping(patience=7)
    small.train(
        make, small.data(), epochs=2, checkpoints=interrupted_by, callbacks=[patient], resume=True
    )
    assert patient.patience == 7


@pytest.mark.slow
def test_a_rate_that_shrinks_at_each_epochs_begin_shrinks_once(tmp_path):
    """Resumed in an epoch's middle, the callback must not do its work a second time."""
    shrink = lambda: [keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)]  # noqa: E731
    whole, _ = small.train(make, small.data(), callbacks=shrink())
    again, resumed = interrupted(make, small.data(), tmp_path, (7,), callbacks=shrink)
    assert [e["learning_rate"] for e in resumed] == pytest.approx([0.05, 0.025, 0.0125])
    assert small.difference(again, whole) == 0


# Damage


@pytest.fixture
def trained(tmp_path):
    """Two checkpoints: of step 5 and of step 10."""
    checkpoints = Checkpoints(tmp_path)
    small.train(make, small.data(), epochs=2, checkpoints=checkpoints, save_seconds=0)
    assert [path.name for path in checkpoints.steps()] == [
        "step-000000005.npz",
        "step-000000010.npz",
    ]
    return tmp_path


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_truncated_newest_checkpoint_falls_back_and_says_so(whole, trained):
    cut(trained / "step-000000010.npz")
    said = []
    checkpoints = Checkpoints(trained, say=said.append)
    model, history = small.train(make, small.data(), seed=4, checkpoints=checkpoints, resume=True)
    assert small.difference(model, whole[0]) == 0
    assert small.figures(history) == small.figures(whole[1])
    (text,) = said
    assert "step-000000010.npz is damaged" in text
    assert "trying the one before it" in text


def test_all_damaged_starts_from_the_beginning_and_says_so(whole, trained):
    for path in trained.glob("step-*"):
        cut(path)
    said = []
    checkpoints = Checkpoints(trained, say=said.append)
    model, _ = small.train(make, small.data(), checkpoints=checkpoints, resume=True, save_seconds=0)
    assert small.difference(model, whole[0]) == 0
    assert "is whole: starting from the beginning" in said[-1]
    # the damaged ones of later steps must not push out the good new ones
    assert [path.name for path in checkpoints.steps()] == [
        "step-000000010.npz",
        "step-000000015.npz",
    ]
    assert checkpoints.newest().position["step"] == 15


def test_any_damage_is_noticed_or_harmless(tmp_path):
    """Flip single bits all over a file: either it is told, or what is read is what was saved."""
    variables = [keras.Variable(np.arange(6.0, dtype="float32"), name="weight")]
    checkpoints = Checkpoints(tmp_path, say=lambda text: None)
    checkpoints.save(variables, {"step": 1, "history": []})
    (path,) = checkpoints.steps()
    good = path.read_bytes()
    noticed = 0
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= 1 << (place % 8)
        path.write_bytes(bad)
        found = checkpoints.newest()
        noticed += found is None
        if found is not None:
            assert found.position == {"step": 1, "history": []}
            (array,) = found.arrays.values()
            assert np.array_equal(array, np.arange(6.0))
    assert noticed > len(good) // 2


def test_a_checkpoint_that_unpacks_to_more_than_it_is_is_damaged(tmp_path):
    place = np.frombuffer(b'{"step": 1}', np.uint8)
    zeros = np.zeros(1 << 24, np.uint8)
    np.savez_compressed(tmp_path / "step-000000001.npz", position=place, x=zeros)
    said = []
    assert Checkpoints(tmp_path, say=said.append).newest() is None
    assert "unpacks to more bytes than it has" in said[0]


def test_leftovers_of_a_killed_writer_are_removed(tmp_path):
    leftover = tmp_path / ".step-000000007.npz.4711.tmp"
    leftover.write_bytes(b"half")
    reader = Checkpoints(tmp_path, writes=False)
    assert reader.newest() is None
    assert leftover.exists()  # it may be the chief's, at work
    Checkpoints(tmp_path)
    assert not leftover.exists()


def test_who_must_not_write_does_not(tmp_path):
    folder = tmp_path / "none"
    checkpoints = Checkpoints(folder, writes=False)
    checkpoints.save([keras.Variable(1.0)], {"step": 1})
    checkpoints.keep_best([keras.Variable(1.0)], {"step": 1})
    checkpoints.save([keras.Variable(1.0)], {"step": 2})
    assert not folder.exists()


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (small.pictures, "it lacks the variable '0006:kernel'"),  # dropout's seed stood there
        (small.words, "is of another model"),
        (
            lambda: small.pictures(dropout=0.5, optimizer=keras.optimizers.Adam()),
            "it lacks the variable",
        ),
    ],
)
def test_the_checkpoint_of_another_model(trained, other, text):
    kind = "words" if other is small.words else "pictures"
    with pytest.raises(CheckpointError, match=text):
        small.train(other, small.data(kind), checkpoints=Checkpoints(trained), resume=True)


def test_a_layer_of_another_size_is_told_with_both_shapes(tmp_path):
    variables = [keras.Variable(np.zeros((2, 3)), name="kernel")]
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(variables, {"step": 1})
    with pytest.raises(CheckpointError, match=r"'0000:kernel' has shape \(2, 3\) there, \(2, 4\)"):
        checkpoints.newest().assign([keras.Variable(np.zeros((2, 4)), name="kernel")])


# What is kept


def test_the_last_two_and_the_best_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    _, history = small.train(
        growing, small.data(), epochs=6, checkpoints=checkpoints, save_seconds=0
    )
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["best.npz", "step-000000025.npz", "step-000000030.npz"]
    best = min(history, key=lambda event: event["train_loss"])
    from kerasd2l.training.checkpoint import read

    assert read(checkpoints.best).position["step"] == best["step"]
    with pytest.raises(ValueError, match=r"`keep` must be at least 1\. Received: keep=0"):
        Checkpoints(tmp_path, keep=0)


def test_no_checkpoint_of_a_ruined_state(tmp_path):
    """The earlier ones stay, and asking to stop just then does not save the ruin."""
    checkpoints = Checkpoints(tmp_path)
    small.train(make, small.data(), epochs=1, checkpoints=checkpoints)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def spoil(x):
        x[:] = np.nan

    with pytest.raises(NonFiniteLoss, match="at step 6 "):
        small.train(
            make,
            small.data(spoil=spoil),
            epochs=2,
            checkpoints=checkpoints,
            resume=True,
            save_seconds=1e-9,
            should_stop=lambda: True,
        )
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_bfloat16_variables_come_back_exactly(tmp_path):
    value = np.array([1.5, -3.25e-3, 7e20], "float32")
    variable = keras.Variable(value, dtype="bfloat16")
    expected = np.asarray(keras.ops.cast(variable, "float32"))
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save([variable], {"step": 1})
    variable.assign(np.zeros(3))
    checkpoints.newest().assign([variable])
    assert np.array_equal(np.asarray(keras.ops.cast(variable, "float32")), expected)


def test_the_position_is_plain_json(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    _, history = small.train(make, small.data(), epochs=1, checkpoints=checkpoints)
    position = checkpoints.newest().position
    assert json.loads(json.dumps(position)) == position
    assert (position["epoch"], position["step"], position["step_in_epoch"]) == (1, 5, 0)
    assert position["history"] == history
