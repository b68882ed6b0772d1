"""Language models: sizes, where the state comes from, and what they write."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import layers, models, scratch
from kerasd2l.decoding import generate
from kerasd2l.testing import check_layer, check_model

V = 7
BOTH = {"return_sequences": True, "return_state": True}


def recurrent(kind, units=6, seed=0):
    """Make a recurrent layer with weights that are large enough to tell states apart."""
    make = {
        "rnn": layers.SimpleRNN,
        "gru": layers.GRU,
        "lstm": layers.LSTM,
        "rnn_scratch": scratch.RNNScratch,
        "gru_scratch": scratch.GRUScratch,
        "lstm_scratch": scratch.LSTMScratch,
    }
    if kind == "bidirectional":
        return keras.layers.Bidirectional(recurrent("lstm", units, seed))
    options = {"stddev": 0.5, "seed": seed} if "scratch" in kind else {"seed": seed}
    return make[kind](units, **BOTH, **options)


KINDS = ("rnn", "gru", "lstm", "rnn_scratch", "gru_scratch", "lstm_scratch")


def build(*kinds, seed=0, **options):
    keras.utils.set_random_seed(seed)
    found = [recurrent(kind, seed=i) for i, kind in enumerate(kinds)]
    model = models.language_model(V, found, **options)
    random = np.random.default_rng(seed)
    for weight in model.trainable_weights:  # at the start all are much the same
        weight.assign(random.normal(size=weight.shape, scale=1.5))
    return model


def tokens(rows, steps, seed=0):
    return np.random.default_rng(seed).integers(1, V, (rows, steps)).astype("int32")


@pytest.mark.parametrize(
    ("layer", "parameters"),
    [  # V = 28: the sizes of sections 8.5, 8.6, 9.1 and 9.2; Keras' GRU has two rows of biases
        (lambda: scratch.RNNScratch(512, **BOTH), 291_356),
        (lambda: layers.SimpleRNN(256, **BOTH), 80_156),
        (lambda: scratch.GRUScratch(256, **BOTH), 226_076),
        (lambda: layers.GRU(256, **BOTH), 226_844),
        (lambda: scratch.LSTMScratch(256, **BOTH), 299_036),
        (lambda: layers.LSTM(256, **BOTH), 299_036),
    ],
)
def test_sizes_of_the_book(layer, parameters):
    model = models.language_model(28, layer())
    assert model.count_params() == parameters
    assert model(tokens(2, 5)).shape == (2, 5, 28)


@pytest.mark.parametrize("kinds", [("lstm", "rnn"), ("bidirectional",), ("gru_scratch",)])
def test_models_can_be_trained_saved_and_served(kinds):
    check_model(
        lambda: models.language_model(V, [recurrent(kind) for kind in kinds], embed_size=3),
        tokens(3, 4),
        free_axes=(0, 1) if "bidirectional" not in kinds else (0,),
    )


def test_models_with_a_carried_state_reload():
    inputs = {
        "tokens": tokens(3, 4),
        "start": np.ones(3, bool),
        "row": np.arange(3, dtype="int32"),
    }
    check_model(
        lambda: models.language_model(
            V, [recurrent("gru"), recurrent("bidirectional")], state="carried", batch_size=3
        ),
        inputs,
    )


def test_one_hot():
    found = check_layer(models.OneHot, {"num_tokens": 28}, np.array([[0, 2], [27, 28]]))
    assert np.asarray(found).argmax(-1).tolist() == [[0, 2], [27, 0]]
    assert np.asarray(found).sum(-1).tolist() == [[1, 1], [1, 0]]


def run_explicit(model, x, state):
    answer = model({"tokens": x} | {f"state_{i}": s for i, s in enumerate(state)})
    answer = {key: np.asarray(value) for key, value in answer.items()}
    return answer["logits"], [answer[f"state_{i}"] for i in range(len(state))]


@pytest.mark.parametrize("kind", KINDS)
def test_two_halves_with_the_state_between_them_are_the_whole(kind):
    model = build(kind, kind)
    x = tokens(2, 9)
    explicit = models.with_state(model)
    state = [np.zeros((2, 6), "float32")] * (4 if "lstm" in kind else 2)
    first, state = run_explicit(explicit, x[:, :4], state)
    second, _ = run_explicit(explicit, x[:, 4:], state)
    whole = np.asarray(model(x))
    np.testing.assert_allclose(np.concatenate([first, second], 1), whole, atol=1e-5)
    begun_anew, _ = run_explicit(explicit, x[:, 4:], [np.zeros((2, 6), "float32")] * len(state))
    assert np.abs(begun_anew - second).max() > 1e-2  # the state does matter


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_the_state_is_carried_row_by_row_until_start(kind, training):
    model = build(kind, kind, state="carried", batch_size=3)
    plain = build(kind, kind)  # the same weights
    x = tokens(3, 12)
    begin, go_on = np.ones(3, bool), np.zeros(3, bool)
    order = np.array([2, 0, 1], "int32")  # a row is known by its number, not by its place
    rows = np.arange(3, dtype="int32")
    parts = [
        model({"tokens": x[:, :5], "start": begin, "row": rows}, training=training),
        keras.ops.take(
            model(
                {"tokens": x[order, 5:8], "start": go_on, "row": order},
                training=training,
            ),
            np.argsort(order),
            axis=0,
        ),
        model(
            {"tokens": x[:, 8:], "start": np.array([0, 1, 0], bool), "row": rows}, training=training
        ),
    ]
    found = np.concatenate(parts, axis=1)
    whole = np.asarray(plain(x))
    np.testing.assert_allclose(found[[0, 2]], whole[[0, 2]], atol=1e-5)
    np.testing.assert_allclose(found[1, :8], whole[1, :8], atol=1e-5)
    np.testing.assert_allclose(found[1:2, 8:], np.asarray(plain(x[1:2, 8:])), atol=1e-5)


def test_an_evaluation_between_two_steps_leaves_the_training_alone():
    x = {"tokens": tokens(2, 4), "start": np.zeros(2, bool), "row": np.arange(2, dtype="int32")}
    undisturbed, disturbed = (build("lstm", state="carried", batch_size=2) for _ in range(2))
    results = []
    for model in (undisturbed, disturbed):
        model(x, training=True)
        if model is disturbed:
            model({**x, "tokens": tokens(2, 4, seed=5)}, training=False)
        results.append(np.asarray(model(x, training=True)))
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("kind", ["gru", "lstm", "rnn_scratch"])
def test_no_gradient_goes_back_into_the_batch_before(kind):
    carried, plain = build(kind, state="carried", batch_size=2), build(kind)
    explicit = models.with_state(plain)
    x = tokens(2, 8)
    flags = {"row": np.arange(2, dtype="int32")}
    number = 2 if kind == "lstm" else 1
    _, state = run_explicit(explicit, x[:, :4], [np.zeros((2, 6), "float32")] * number)
    constants = {f"state_{i}": one for i, one in enumerate(state)}
    with tf.GradientTape() as tape:  # over both batches
        carried({"tokens": x[:, :4], "start": np.ones(2, bool), **flags}, training=True)
        second = carried({"tokens": x[:, 4:], "start": np.zeros(2, bool), **flags}, training=True)
        loss = tf.reduce_mean(second**2)
    found = tape.gradient(loss, [weight.value for weight in carried.trainable_weights])
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(explicit({"tokens": x[:, 4:], **constants})["logits"] ** 2)
    expected = tape.gradient(loss, [weight.value for weight in explicit.trainable_weights])
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_backward_direction_begins_with_zeros():
    carried, plain = (
        build("bidirectional", state="carried", batch_size=2),
        build("bidirectional"),
    )
    x, row = tokens(2, 8), np.arange(2, dtype="int32")
    carried({"tokens": x[:, :4], "start": np.ones(2, bool), "row": row})
    found = carried({"tokens": x[:, 4:], "start": np.zeros(2, bool), "row": row})
    # forwards it reads 8 tokens, backwards 4: at the last place both have read the whole of theirs
    whole = np.asarray(plain(x))
    np.testing.assert_allclose(np.asarray(found)[:, 3], whole[:, 7], atol=1e-5)


def naive(model, prefix, number):
    """Write greedily by reading the whole text anew for each token."""
    text = list(prefix)
    for _ in range(number):
        logits = np.array(model(np.array([text])))[0, -1]
        logits[0] = -np.inf
        text.append(int(logits.argmax()))
    return text[len(prefix) :]


PREFIXES = [[1, 2, 3], [4], [5, 6, 3, 2, 1]]


def padded():
    ids = np.zeros((3, 5), int)
    for row, prefix in zip(ids, PREFIXES, strict=True):
        row[: len(prefix)] = prefix
    return {"tokens": ids, "lengths": [len(prefix) for prefix in PREFIXES]}


@pytest.mark.parametrize("kinds", [("rnn",), ("gru", "lstm"), ("gru_scratch", "lstm_scratch")])
def test_greedy_text_is_that_of_reading_all_anew(kinds):
    model = build(*kinds, seed=3)
    found = np.asarray(generate(*models.step_by_step(model), **padded(), num_tokens=10))
    assert found.tolist() == [naive(model, prefix, 10) for prefix in PREFIXES]
    assert len({tuple(row) for row in found.tolist()}) > 1


def test_a_bidirectional_model_reads_all_anew():
    model = build("bidirectional", "bidirectional")
    found = np.asarray(generate(*models.step_by_step(model), **padded(), num_tokens=4))
    assert found.tolist() == [naive(model, prefix, 4) for prefix in PREFIXES]


def test_a_model_trained_with_carried_state_writes_from_zero():
    carried, plain = build("gru", state="carried", batch_size=2), build("gru")
    x = {"tokens": tokens(2, 4), "start": np.zeros(2, bool), "row": np.arange(2, dtype="int32")}
    carried(x, training=True)
    found = [
        generate(*models.step_by_step(m), **padded(), num_tokens=8, temperature=1.0)
        for m in (carried, plain)
    ]
    np.testing.assert_array_equal(*found)


def test_draws_follow_the_softmax_of_the_temperature():
    model, rows = build("gru"), 20_000
    for temperature in (0.7, 2.0):
        prefix = np.tile([[3, 1, 4]], (rows, 1))
        drawn = generate(
            *models.step_by_step(model), prefix, num_tokens=1, temperature=temperature, seed=5
        )
        counts = np.bincount(np.asarray(drawn)[:, 0], minlength=V)
        logits = np.array(model(prefix[:1]))[0, -1, 1:] / temperature
        wanted = rows * np.exp(logits) / np.exp(logits).sum()
        assert counts[0] == 0  # <unk> is never written
        # chi-squared with 5 degrees of freedom is below 20.5 with probability 0.999
        assert ((counts[1:] - wanted) ** 2 / wanted).sum() < 20.5


def test_seeds_and_temperatures():
    model = build("lstm")

    def write(**options):
        return np.asarray(
            generate(*models.step_by_step(model), **padded(), num_tokens=30, **options)
        ).tolist()

    assert write(temperature=1.0, seed=3) == write(temperature=1.0, seed=3)
    assert write(temperature=1.0, seed=3) != write(temperature=1.0, seed=4)
    assert write(temperature=1e-30, seed=3) == write()
    alone = generate(
        *models.step_by_step(model), [PREFIXES[0]], num_tokens=30, temperature=1.0, seed=3
    )
    assert np.asarray(alone).tolist() == write(temperature=1.0, seed=3)[:1]


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_function_of_tensorflow_draws_what_keras_does(jit_compile):
    steps = models.step_by_step(build("gru"))
    settings = {"num_tokens": 6, "temperature": 1.0, "top_k": 4}
    prefix = tf.constant([[3, 1], [4, 1]])

    @tf.function(jit_compile=jit_compile)
    def compiled():
        return generate(*steps, prefix, seed=3, **settings)

    generator = keras.random.SeedGenerator(3)
    noise = lambda t: keras.random.uniform((2, V), seed=generator)  # noqa: E731
    expected = generate(*steps, prefix, noise=noise, **settings)
    first = compiled()
    np.testing.assert_array_equal(compiled(), first)
    if jit_compile:  # XLA makes other numbers of the same seed
        assert len(np.unique(first)) > 1
    else:
        np.testing.assert_array_equal(first, expected)
    np.testing.assert_array_equal(generate(*steps, prefix, seed=3, **settings), expected)


def test_edges_of_the_prefix():
    model = build("gru")
    none = generate(*models.step_by_step(model), np.zeros((2, 0), int), num_tokens=5)
    from_first = generate(*models.step_by_step(model), [[1], [1]], num_tokens=5)
    np.testing.assert_array_equal(none, from_first)
    assert generate(*models.step_by_step(model), [[1, 2]], num_tokens=0).shape == (1, 0)
    assert generate(*models.step_by_step(model), np.zeros((0, 3), int), num_tokens=4).shape == (
        0,
        4,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocab_size": 1}, "`vocab_size` must be at least 2"),
        ({"embed_size": 0}, "`embed_size` must be at least 1"),
        ({"state": "kept"}, "`state` must be zero, carried or explicit"),
        ({"state": "carried"}, "`batch_size` must be at least 1. Received: batch_size=None"),
        ({"recurrent": []}, "at least one layer"),
        ({"recurrent": layers.GRU(3)}, "return_sequences=True and return_state=True"),
        ({"recurrent": keras.layers.Dense(3)}, "must be recurrent layers"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        models.language_model(**{"vocab_size": V, "recurrent": recurrent("gru"), **arguments})


def test_what_has_no_state_to_go_on_from():
    with pytest.raises(ValueError, match="reads from both ends"):
        models.with_state(build("bidirectional"))
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="d")])
    with pytest.raises(ValueError, match=r"made by `language_model`.*Received: d"):
        models.with_state(other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"temperature": -1},
            "`temperature` must be 0 or more, below inf. Received: temperature=-1",
        ),
        ({"temperature": float("nan")}, "`temperature` must be"),
        ({"seed": 2**31}, "`seed` must be 0 or more, below 2147483648"),
        ({"num_tokens": -1}, "`num_tokens` must be"),
        ({"tokens": [1, 2]}, r"`tokens` must be \(B, P\): one prefix is"),
    ],
)
def test_what_cannot_be_written(changes, message):
    arguments = {"tokens": [[1, 2]], "num_tokens": 3} | changes
    with pytest.raises(ValueError, match=message):
        generate(*models.step_by_step(build("gru")), **arguments)


def test_layers_that_go_backwards_are_refused():
    gru = keras.layers.GRU(4, return_sequences=True, return_state=True, go_backwards=True)
    with pytest.raises(ValueError, match="goes backwards: step t of what it returns belongs to"):
        models.language_model(5, gru)
