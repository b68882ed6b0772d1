"""A batch that is computed piece by piece gives the weights of the whole batch at once."""

import json
import subprocess
import sys

import keras
import pytest
import small
from click.testing import CliRunner

from kerasd2l.cli import main
from kerasd2l.losses import MaskedCrossEntropy
from kerasd2l.training import Checkpoints, LoopError, Preempted


def sgd():
    schedule = keras.optimizers.schedules.PolynomialDecay(0.2, 6, 0.01)
    return keras.optimizers.SGD(schedule, momentum=0.9, global_clipnorm=0.3)


def adam():
    return keras.optimizers.Adam(0.01, use_ema=True, weight_decay=0.01)


CASES = {
    # 37 examples in batches of 16: the last has 5
    "weighted": (
        lambda: small.pictures(batch_norm=False, optimizer=sgd(), weighted_metrics=["accuracy"]),
        "weighted",
    ),
    "words": (lambda: small.words(optimizer=adam()), "words"),  # sparse gradients
}


def train(case, **options):
    make, kind = CASES[case]
    return small.train(make, small.data(kind, batch_size=16), **options)


@pytest.fixture(scope="module")
def at_once():
    return {case: train(case) for case in CASES}


@pytest.mark.parametrize(
    ("case", "replicas", "pieces"),
    [
        pytest.param("weighted", 1, 2, marks=pytest.mark.slow),
        ("words", 2, 2),
        pytest.param("words", 1, 3, marks=pytest.mark.slow),
        pytest.param("weighted", 1, 7, marks=pytest.mark.slow),  # a piece each of the last 5
        pytest.param("weighted", 2, 5, marks=pytest.mark.slow),
        pytest.param("weighted", 4, 2, marks=pytest.mark.slow),
    ],
)
def test_pieces_equal_the_whole_batch(at_once, case, replicas, pieces):
    """Clipping, schedule, decay and averaged weights see each batch once."""
    whole, expected = at_once[case]
    model, history = train(case, replicas=replicas, accumulate=pieces)
    assert small.difference(model, whole) < 1e-6
    assert history[-1]["step"] == 9  # as often as the optimizer works
    for mine, theirs in zip(small.figures(history), small.figures(expected), strict=True):
        assert mine == pytest.approx(theirs, abs=1e-5)


def test_smaller_batches_are_something_else(at_once):
    make, kind = CASES["weighted"]
    other, _ = small.train(make, small.data(kind, batch_size=8))
    assert small.difference(other, at_once["weighted"][0]) > 1e-3


@pytest.mark.parametrize(
    "policy", ["mixed_float16", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)]
)
def test_mixed_precision_equals_the_whole_batch_to_its_precision(policy):
    """Scaled gradients are added up; the loss scale changes once a batch."""
    make = lambda: small.pictures(batch_norm=False)  # noqa: E731
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        whole, _ = small.train(make, small.data(), epochs=2)
        pieces, _ = small.train(make, small.data(), epochs=2, accumulate=2)
    finally:
        keras.config.set_dtype_policy(before)
    assert small.difference(whole, pieces) < 3e-3
    if policy == "mixed_float16":
        counters = [int(m.optimizer.step_counter.numpy()) for m in (whole, pieces)]
        assert counters == [10, 10]


def test_stopped_and_resumed_it_is_exact(tmp_path):
    make = lambda: small.pictures(dropout=0.5)  # noqa: E731
    options = {"epochs": 2, "accumulate": 2}
    whole, _ = small.train(make, small.data(), **options)
    asked = []
    with pytest.raises(Preempted, match="at step 6"):
        small.train(
            make,
            small.data(),
            **options,
            checkpoints=Checkpoints(tmp_path),
            callbacks=[
                keras.callbacks.LambdaCallback(
                    on_train_batch_end=lambda batch, logs: asked.append(1)
                )
            ],
            should_stop=lambda: len(asked) == 6,
        )
    again, _ = small.train(
        make, small.data(), seed=9, **options, checkpoints=Checkpoints(tmp_path), resume=True
    )
    assert small.difference(whole, again) == 0


class TwoOptimizers(small.OwnStep):
    other = None


def two_optimizers():
    model = small.compiled(TwoOptimizers())
    model.other = keras.optimizers.SGD()
    return model


class TwoSteps(small.OwnStep):
    def train_step(self, data):
        super().train_step(data)
        return super().train_step(data)


class Rows(keras.layers.Layer):
    def build(self, shape):
        self.rows = self.add_weight(
            shape=(8,), initializer="zeros", trainable=False, aggregation="sum"
        )

    def call(self, inputs):
        return inputs


def with_rows():
    inputs = keras.Input((6, 6, 1))
    logits = keras.layers.Dense(small.CLASSES)(keras.layers.Flatten()(Rows()(inputs)))
    return small.compiled(keras.Model(inputs, logits))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (two_optimizers, "the model has 2 optimizers"),
        (lambda: small.compiled(TwoSteps()), "goes several steps in one"),
        (with_rows, "a state for each row of a batch"),
        (lambda: small.pictures(jit_compile=True), "jit_compile=True"),
    ],
    ids=["optimizers", "steps", "rows", "xla"],
)
def test_what_cannot_be_accumulated_is_refused(make, why):
    with pytest.raises(LoopError, match=why):
        small.train(make, small.data(), epochs=1, accumulate=2)


# Losses that divide by a sum over the batch


def with_loss(loss):
    model = small.pictures(batch_norm=False)
    model.compile(optimizer="sgd", loss=loss, jit_compile=False)
    return model


def masked():
    x = inputs = keras.Input((5,), dtype="int32")
    x = keras.layers.Embedding(11, 4, mask_zero=True)(x)
    model = keras.Model(inputs, keras.layers.Dense(small.CLASSES)(x))
    model.compile("sgd", keras.losses.MeanSquaredError(), jit_compile=False)
    return model


@pytest.mark.parametrize("how", [{"replicas": 2}, {"accumulate": 2}], ids=["replicas", "pieces"])
@pytest.mark.parametrize(
    ("make", "kind", "why"),
    [
        (lambda: with_loss(MaskedCrossEntropy()), "pictures", 'divide_by="tokens" divides'),
        (
            lambda: with_loss(
                keras.losses.SparseCategoricalCrossentropy(
                    from_logits=True, reduction="mean_with_sample_weight"
                )
            ),
            "weighted",
            "mean_with_sample_weight",
        ),
        (masked, "words", "carry a Keras mask"),
    ],
    ids=["tokens", "weights", "mask"],
)
def test_losses_that_pieces_do_not_make_are_refused(make, kind, why, how):
    with pytest.raises(LoopError, match=why):
        small.train(make, small.data(kind), epochs=1, **how)


def test_the_command_line_multiplies_the_batch(tmp_path):
    """--accumulate 4 of batches of 32 is a batch of 128."""
    weights = []
    for name, words in (
        ("whole", ["--batch-size", "128"]),
        ("pieces", ["--batch-size", "32", "--accumulate", "4"]),
    ):
        out = tmp_path / name
        train = ["train", "mlp", "--data", "builtin", "--epochs", "1", "--limit-steps", "3"]
        result = CliRunner().invoke(main, [*train, "--out", str(out), "--json", *words])
        assert result.exit_code == 0, result.output
        config = json.loads((out / "config.json").read_text())
        assert config["arguments"]["batch_size"] == 128
        weights.append(keras.saving.load_model(out / "model.keras", compile=False))
    assert config["options"]["accumulate"] == 4
    assert small.difference(*weights) < 1e-6


@pytest.mark.slow
@pytest.mark.multiworker
def test_pieces_of_two_workers_equal_the_whole_batch(tmp_path):
    """An embedding, whose gradients are rows, and a network of convolutions."""
    lenet = ["lenet", "--set", "activation=tanh", "--set", "learning_rate=0.05"]
    for name, words in (("names", ["names_classifier", "--limit-steps", "6"]), ("lenet", lenet)):
        common = ["train", *words, "--data", "builtin", "--epochs", "2", "--seed", "1"]
        whole, pieces = tmp_path / name / "whole", tmp_path / name / "pieces"
        result = CliRunner().invoke(main, [*common, "--batch-size", "64", "--out", str(whole)])
        assert result.exit_code == 0, result.output
        command = [sys.executable, "-m", "kerasd2l.cli", "launch", "--workers", "2", "--", *common]
        command += ["--batch-size", "32", "--accumulate", "2", "--out", str(pieces)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        models = [keras.saving.load_model(run / "model.keras") for run in (whole, pieces)]
        assert small.difference(*models) < 1e-5
