"""Sections 8.4-8.7, 9.1-9.4, lesson 12 and the catalogue's recurrent layers: what demos find."""

import numpy as np
import pytest

from kerasd2l import finding


def run(name, **arguments):
    result = finding.load(name, **arguments).run()
    for figure in result.figures.values():
        for axes in figure.axes:
            if axes.get_label() != "<colorbar>":
                assert axes.get_title() and axes.get_xlabel() and axes.get_ylabel()
    return result


def test_hidden_state_and_perplexity():
    values = run("rnn_hidden_state").values
    assert values["shape of X W_xh + H W_hh"] == [3, 4]
    for name, value in values.items():
        if name.startswith("largest difference"):
            assert value < 1e-6, name
    perplexity = values["perplexity"]
    assert perplexity["always right"] == 1  # S1:3939
    assert perplexity["even"] == pytest.approx(28)
    assert perplexity["never right"] == "infinite"  # S1:3939
    assert run("rnn_hidden_state", vocab_size=5).values["perplexity"]["even"] == pytest.approx(5)


def test_clipping_saves_the_training():
    result = run("rnn_from_scratch", epochs=2)
    values = result.values
    assert values["one-hot tokens"] == [2, 5, 28]  # S1:3964, batch first
    assert values["output, all steps below each other"] == [10, 28]
    assert (values["state"], values["parameters"]) == ([[2, 512]], 291_356)
    clipped, free = values["clipped at 1"], values["not clipped"]
    assert clipped["perplexity of the last epoch"] < clipped["perplexity of the first epoch"]
    assert free["perplexity of the last epoch"] > 2 * clipped["perplexity of the last epoch"]
    assert free["share of gradients longer than theta"] > 0.5


@pytest.fixture(scope="module")
def through_time():
    return run("backpropagation_through_time", num_steps=32, radii="0.8,1,1.25")


def test_four_equal_gradients(through_time):
    differences = through_time.values["largest difference from the chain rule"]
    assert len(differences) == 3
    assert max(differences.values()) < 1e-9


def test_truncation_is_biased_and_chance_is_not(through_time):
    errors = through_time.values["relative error of dL/dW_hh"]
    cut = [errors[f"truncated after {length} steps"] for length in (1, 8, 16, 32)]
    assert cut[0] > 0.1 and cut[3] == 0
    assert cut == sorted(cut, reverse=True)
    draw, mean = list(errors.values())[4:]
    assert draw > cut[1]  # one draw is worse than the same number of cuts in their places
    assert mean < 0.1 * draw  # 1000 draws: about 1/sqrt(1000) of one


def test_gradients_go_as_powers_of_the_spectral_radius(through_time):
    values = through_time.values
    linear = [
        values[f"linear, spectral radius {radius}: gradient 31 back"] for radius in (0.8, 1, 1.25)
    ]
    # the same matrix times the radius: exactly radius^31 times as long
    assert linear[0] / linear[1] == pytest.approx(0.8**31, rel=1e-6)
    assert linear[2] / linear[1] == pytest.approx(1.25**31, rel=1e-6)
    tanh = [
        values[f"tanh, spectral radius {radius}: gradient 31 back"] for radius in (0.8, 1, 1.25)
    ]
    for one, other in zip(tanh, linear, strict=True):
        assert 0 < one < other
    left, right = through_time.figures["gradient_by_lag"].axes
    assert len(left.lines) == len(right.lines) == 3
    drawn = left.lines[0].get_ydata()
    assert drawn[0] == 1 and drawn[-1] == pytest.approx(linear[0])


def memories(values):
    return list(values["gradient that reaches the first input, of that of the last"].values())


def test_gru_gates():
    values = run("gru_gates", num_steps=20).values
    assert values["parameters of the book's language model"] == 226_076
    differences = values["largest difference"]
    assert differences.pop("between the two ways to reset") > 1e-2
    assert len(differences) == 6
    assert max(differences.values()) < 1e-5  # S1:4186-4195: an RNN where Z = 0 and R = 1
    rnn, *gru = memories(values)
    assert rnn < gru[0] < gru[1] < gru[2]


def test_lstm_gates():
    values = run("lstm_gates", num_steps=20).values
    assert values["parameters of the book's language model"] == 299_036
    assert values["first biases of i, f, c, o in Keras"] == [0, 1, 0, 0]
    assert 0.1 < values["largest |H| where |C| is up to 3 times larger"] < 1
    assert len(values["largest difference"]) == 5
    assert max(values["largest difference"].values()) < 1e-5  # S1:4214-4220: C stays
    rnn, *lstm = memories(values)
    assert rnn < lstm[0] < lstm[1] < lstm[2]


@pytest.mark.parametrize(
    ("kind", "states", "weights"),
    [
        ("rnn", 1, [28 * 256 + 256 * 256 + 256, 2 * 256 * 256 + 256]),
        ("gru", 1, [3 * (28 * 256 + 256 * 256 + 256), 3 * (2 * 256 * 256 + 256)]),
        ("lstm", 2, [291_840, 525_312]),
    ],
)
def test_stacked_layers(kind, states, weights):
    values = run("stacked_layers", kind=kind).values
    assert values["outputs"] == [4, 12, 16]
    assert list(values["states"].values()) == [[4, 16]] * 2 * states
    assert values["weights of each layer, 28 tokens and 256 units"] == weights
    differences = [value for name, value in values.items() if name.startswith("largest")]
    assert len(differences) == 3
    assert max(differences) < 1e-5


def test_both_directions():
    result = run("both_directions")
    values = result.values
    assert values["outputs"] == [4, 12, 32]
    assert values["states"] == [[4, 16]] * 4  # H and C of each direction
    differences = [value for name, value in values.items() if name.startswith("largest diff")]
    assert len(differences) == 2
    assert max(differences) < 1e-5
    later = values["largest dependence on later inputs"]
    assert later["one direction"] == 0
    assert later["both directions"] > 0.1


def test_recurrent_layers():
    values = run("recurrent_layers", num_steps=5).values
    rnn, gru, lstm = (values[kind] for kind in ("RNN", "GRU", "LSTM"))
    in_torch = [kind["parameters in PyTorch"] for kind in (rnn, gru, lstm)]
    assert in_torch == [3136, 9408, 12544]  # S2:500
    assert [kind["parameters in Keras"] for kind in (rnn, gru, lstm)] == [3104, 9408, 12416]
    assert values["GRU / LSTM in PyTorch"] == 0.75  # S2:465
    for kind, states in ((rnn, 1), (gru, 1), (lstm, 2)):
        assert kind["outputs"] == [8, 5, 32]
        assert kind["states"] == [[8, 32]] * states
        assert kind["largest difference from its cell, stepped by hand"] < 1e-5
    assert gru["weights"] == {"kernel": [64, 96], "recurrent_kernel": [32, 96], "bias": [2, 96]}
    deeper = values["two bidirectional GRUs"]
    assert deeper["outputs"] == [8, 5, 64]  # S4:205-214: (L, N, directions x H)
    # S4:205-214: one state for each of 2 layers and 2 directions
    assert deeper["states, one for each layer and direction"] == [[8, 32]] * 4


def test_recurrent_layers_in_the_sizes_of_the_notes():
    from kerasd2l import layers

    x = np.zeros((8, 200, 64), "float32")
    for layer, states in ((layers.GRU, 1), (layers.LSTM, 2)):
        outputs, *ends = layer(32, return_sequences=True, return_state=True)(x)
        assert outputs.shape == (8, 200, 32)  # S2:474-489
        # S2:474-489 has (1, 8, 32): PyTorch counts layers in front
        assert [end.shape for end in ends] == [(8, 32)] * states


def test_one_hot_or_embedding():
    values = run("one_hot_or_embedding").values
    assert (values["one-hot"], values["embedding"]) == ([3, 89], [3, 5])  # S4:191-193
    assert values["parameters of the embedding"] == 89 * 5
    assert values["largest difference from one-hot times matrix"] < 1e-6
    assert values["largest difference of the gradients"] < 1e-6
    assert values["rows with a gradient"] == 3


def test_hello_needs_a_state():
    values = run("learn_hello").values
    for name in ("embedding, two layers", "both directions"):
        assert values[name]["answer"] == "ohlol"
        assert values[name]["loss before the last step"] < 0.1
    assert values["no state"]["answer"] != "ohlol"
    assert values["no state"]["loss before the last step"] > 0.4 * np.log(2)  # two l, two answers


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("rnn_hidden_state", {"vocab_size": 1}, "vocab_size=1"),
        ("rnn_from_scratch", {"theta": 0.0}, "theta=0"),
        ("rnn_from_scratch", {"epochs": 0}, "epochs=0"),
        ("backpropagation_through_time", {"radii": "1,-1"}, "`radii` must be positive"),
        ("backpropagation_through_time", {"truncation": 1}, "truncation=1"),
        ("gru_gates", {"units": 1}, "units=1"),
        ("lstm_gates", {"num_steps": 0}, "num_steps=0"),
        ("stacked_layers", {"kind": "cnn"}, "must be one of rnn, gru, lstm"),
        ("stacked_layers", {"num_layers": 0}, "num_layers=0"),
        ("both_directions", {"units": 0}, "units=0"),
        ("recurrent_layers", {"num_features": 0}, "num_features=0"),
        ("one_hot_or_embedding", {"vocab_size": 2}, "vocab_size=2"),
        ("learn_hello", {"epochs": 0}, "epochs=0"),
    ],
)
def test_bad_arguments(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        finding.load(name, **arguments)
