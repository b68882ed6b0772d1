"""The chapter's demos print what the notes and the book print; its recipes train and serve."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from kerasd2l import cli, finding
from kerasd2l.data import Source
from kerasd2l.recipe import Data
from kerasd2l.testing import check_recipe
from kerasd2l.training import make_strategy, train
from kerasd2l.training.fit import prepare


def run(name, **arguments):
    return finding.load(f"multilayer_perceptrons/{name}", **arguments).run()


def trained(name, strategy=None, seed=0, **arguments):
    found = finding.load(f"multilayer_perceptrons/{name}", **arguments)
    strategy = strategy or tf.distribute.get_strategy()
    data, model = prepare(found, Source("builtin", seed=seed), strategy, seed=seed)
    history = train(model, data, epochs=found.epochs, strategy=strategy)
    return model, history


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("dropout_mlp", {"hidden_units": "16,8"}),
        ("weight_decay", {"batch_size": 4}),
    ],
)
def test_scratch_recipes_train_on_replicas_and_are_served(name, arguments, tmp_path, no_real_data):
    check_recipe(
        f"multilayer_perceptrons/{name}",
        tmp_path,
        source=Source("builtin"),
        arguments={"implementation": "scratch", **arguments},
    )


def test_perceptron_stays_within_the_bound():
    values = run("perceptron").values
    assert values["converged"] and values["accuracy"] == 1
    assert 0 < values["updates"] <= values["bound (r^2 + 1) / rho^2"]  # S1:651
    assert values["margin rho of the perceptron"] > 0
    wide, narrow = (run("perceptron", gap=gap).values for gap in (0.4, 0.01))
    assert wide["bound (r^2 + 1) / rho^2"] < narrow["bound (r^2 + 1) / rho^2"]


def test_xor_needs_more_than_a_line():
    values = run("xor").values
    assert not values["single layer converged"]  # S1:662
    assert values["accuracy, single layer"] < 0.8
    assert values["most corners that a line gets right"] == 3
    assert values["accuracy, product of two"] == 1
    assert values["accuracy, MLP"] > 0.97


def test_activation_functions():
    values = run("activation_functions").values
    assert values["sigmoid"]["gradient at 0"] == pytest.approx(0.25, abs=1e-4)
    assert values["tanh"]["gradient at 0"] == pytest.approx(1, abs=1e-4)
    assert values["relu"]["at -8"] == 0 and values["relu"]["largest gradient"] == 1
    assert values["tanh"]["largest difference from its formula"] < 1e-12


def test_backpropagation():
    values = run("backpropagation").values
    assert values["objective by hand"] == pytest.approx(values["objective by TensorFlow"])
    assert values["largest difference from the tape"] < 1e-12
    assert values["largest difference from finite differences"] < 1e-7


def test_dropout_by_hand():
    values = run("dropout_by_hand").values
    x = np.arange(16).reshape(2, 8)
    np.testing.assert_array_equal(values["dropout 0"], x)
    np.testing.assert_array_equal(values["dropout 1"], np.zeros((2, 8)))
    half = np.array(values["dropout 0.5"])
    np.testing.assert_array_equal(half[half != 0], 2 * x[half != 0])
    assert values["share kept at 0.5"] == pytest.approx(0.5, abs=0.01)  # S1:970 keeps 0.309
    assert values["mean of 100,000 ones at 0.5"] == pytest.approx(1, abs=0.02)


def test_polynomial_fits():
    values = run("polynomial_fits", epochs_of_degree_19=400).values
    assert values["true weights"] == [5, 1.2, -3.4, 5.6]  # S1:785
    normal, under, over = (values[f"degree {degree}"] for degree in (3, 1, 19))
    # d2l-zh: [5.0105, 1.2354, -3.4229, 5.5033] and [5.0158, 1.2786, -3.5014, 5.3131]
    np.testing.assert_allclose(normal["weights"], [5, 1.2, -3.4, 5.6], atol=0.15)
    assert normal["test loss"] == pytest.approx(0.1**2, rel=0.4)  # the variance of the noise
    assert under["test loss"] > 100 * normal["test loss"]
    assert len(under["weights"]) == 2 and len(over["weights"]) == 20
    np.testing.assert_allclose(under["weights"], [3.4, 4.0], atol=0.7)  # d2l-zh: 3.405, 3.994
    # after as many epochs, 16 weights that should be 0 are not
    assert np.abs(over["weights"][4:]).max() > 0.1
    assert over["test loss"] > normal["test loss"]


def test_polynomial_recipe_learns_the_cubic():
    model, history = trained("polynomial_regression", epochs=20, learning_rate=0.05)
    (w,) = model.get_weights()
    assert w.shape == (4, 1)  # no bias: x^0 is a feature
    np.testing.assert_allclose(w[:, 0], [5, 1.2, -3.4, 5.6], atol=1.2)
    assert history[-1]["test_loss"] < 0.2  # a line stays above 4


@pytest.mark.parametrize("implementation", ["concise", "scratch"])
@pytest.mark.parametrize("replicas", [1, 2])
def test_weights_decay_and_the_bias_does_not(implementation, replicas):
    """With all data zero the loss pulls at b only, and each step multiplies w by 1 - lr lambda."""
    strategy = make_strategy("mirrored", replicas=replicas) if replicas > 1 else None
    found = finding.load(
        "multilayer_perceptrons/weight_decay", implementation=implementation, batch_size=4
    )
    strategy = strategy or tf.distribute.get_strategy()
    data, model = prepare(found, Source("builtin"), strategy, seed=0)
    zeros = tf.data.Dataset.from_tensors((tf.zeros((4, 200)), tf.zeros((4, 1)))).repeat(5)
    zeros = zeros.apply(tf.data.experimental.assert_cardinality(5))
    data = Data(
        train=zeros, valid=None, test=None, features=data.features, assets={}, size={"train": 20}
    )
    with strategy.scope():
        model.build((None, 200))
    w, b = model.get_weights()
    b = b + 1
    model.set_weights([w, b])
    train(model, data, epochs=1, strategy=strategy)
    after_w, after_b = model.get_weights()
    np.testing.assert_allclose(after_w, w * (1 - 0.003 * 3) ** 5, rtol=1e-5)
    slope = 2 if implementation == "concise" else 1  # of (b - 0)^2 and of its half
    np.testing.assert_allclose(after_b, b * (1 - 0.003 * slope) ** 5, rtol=1e-5)


def test_weight_decay_norms():
    values = run("weight_decay_norms").values
    none, decayed = values["lambda 0"], values["lambda 3"]
    for way in ("by hand", "Keras"):
        # d2l-zh: 12.963 and 13.728 without, 0.3557 and 0.3891 with decay
        assert 11 < none[f"norm of w, {way}"] < 15
        assert 0.3 < decayed[f"norm of w, {way}"] < 0.7
        assert decayed[f"test loss, {way}"] < none[f"test loss, {way}"] / 20
    constraint = list(values["constraint"].values())
    np.testing.assert_allclose(constraint[1], constraint[2], atol=1e-5)
    assert np.linalg.norm(constraint[1]) < np.linalg.norm(constraint[0])


def test_numerical_stability():
    values = run("numerical_stability").values
    assert 1e18 < values["largest entry after 100 products"] < 1e32  # d2l-zh: 1e25-1e26
    assert values["0.2^30"] == pytest.approx(1e-21, rel=0.1)  # S3:73
    assert values["5^30"] == pytest.approx(9e20, rel=0.05)  # S3:73
    assert values["1.5^100"] == pytest.approx(4.0656e17, rel=1e-4)  # S1:1030
    assert values["0.8^100"] == pytest.approx(2.0370e-10, rel=1e-4)  # S1:1032
    low, high = values["float16 range"]
    assert low == pytest.approx(6e-5, rel=0.05) and high == pytest.approx(6e4, rel=0.1)  # S1:1046
    assert values["1e5 in float16"] == "inf" and values["1e-8 in float16"] == 0
    assert values["sigmoid gradient at 0, 6 and 8"][0] == pytest.approx(0.25, abs=1e-3)
    assert values["sigmoid gradient at 0, 6 and 8"][1] < 0.003  # S1:1055: flat beyond 6
    assert values["different hidden units, equal initial weights"] == 1
    assert values["different hidden units, random initial weights"] == 4


def test_xavier_initialization():
    values = run("xavier_initialization").values
    forward, backward = (
        "mean square of the last activations",
        "mean square of the first gradients",
    )
    assert values["variance by Xavier"] == 2 / 512
    assert values["bound by Xavier"] == pytest.approx((6 / 512) ** 0.5)  # S3:82
    linear = values["linear, Xavier"]
    assert 0.3 < linear[forward] < 3 and 0.3 < linear[backward] < 3
    assert values["linear, N(0, 0.01^2)"][forward] < 1e-70
    assert values["linear, N(0, 1)"][backward] > 1e100
    within = "size of the first gradients within 1e-6..1e3"  # S1:1070
    alive = {name: case[within] for name, case in values.items() if isinstance(case, dict)}
    assert alive == {
        "linear, N(0, 0.01^2)": False,
        "linear, N(0, 1)": False,
        "linear, Xavier": True,
        "Xavier, tanh": True,
        "Xavier, relu": False,
        "Xavier, sigmoid": False,
        "Xavier, 4 sigmoid(x) - 2": True,  # S1:1131: the adjusted sigmoid
    }


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_corrections_help_on_shifted_data(seed):
    values = run("distribution_shift", seed=seed).values
    covariate, label = values["covariate shift"], values["label shift"]
    assert covariate["test error with weights"] < covariate["test error without weights"] / 3
    assert covariate["mean weight"] == pytest.approx(1, abs=0.2)
    np.testing.assert_allclose(label["estimated shares"], [0.7, 0.2, 0.1], atol=0.07)
    assert label["test accuracy corrected"] > label["test accuracy before"] + 0.02


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp", "dropout_mlp"])
def test_networks_meet_the_assertions_of_the_book(name, real_data):
    found = finding.load(name)
    data, model = prepare(found, Source("files"), tf.distribute.get_strategy(), seed=0)
    last = train(model, data, epochs=found.epochs)[-1]
    assert last["train_loss"] < 0.5  # S1:583
    assert 0.7 < last["train_accuracy"] <= 1 and 0.7 < last["test_accuracy"] <= 1  # S1:584-585


def test_concise_decay_is_no_regulariser_with_twice_the_strength():
    model, _ = trained("weight_decay", epochs=1)
    assert isinstance(model.optimizer, keras.optimizers.SGD)
    assert model.optimizer.weight_decay == 3.0
    assert model.losses == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "dropout_mlp", "--set", "dropout_rates=1.5,0.5"], "one number in [0, 1)"),
        (["train", "dropout_mlp", "--set", "dropout_rates=0.5"], "for each hidden layer"),
        (["train", "mlp", "--set", "hidden_units=0"], "`hidden_units` must be positive"),
        (
            ["train", "mlp", "--set", "implementation=scratch", "--set", "activation=tanh"],
            "`activation` must be relu",
        ),
        (["train", "polynomial_regression", "--set", "degree=20"], "`degree` must be 0-19"),
        (["train", "weight_decay", "--set", "weight_decay=-1"], "`weight_decay` must be 0 or a"),
        (["run", "perceptron", "--set", "gap=0.6"], "`gap` must be in (0, 0.5)"),
        (["run", "distribution_shift", "--set", "size=5"], "`size` must be at least 100"),
    ],
)
def test_bad_arguments_are_usage_errors(words, message):
    result = CliRunner().invoke(cli.main, words)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_generated_data_has_no_files(tmp_path):
    result = CliRunner().invoke(
        cli.main, ["train", "weight_decay", "--data", "files", "--out", str(tmp_path / "run")]
    )
    assert result.exit_code == 1
    assert "Use --data builtin" in result.output
