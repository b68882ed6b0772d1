"""Our recurrent layers against Keras' own: the same results, gradients, files and errors."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import layers
from kerasd2l.layers.recurrent import LONGEST_UNROLLED
from kerasd2l.testing import check_layer

KINDS = ("SimpleRNN", "GRU", "LSTM")


def _pair(kind, units, shape, seed=0, **arguments):
    """Return our layer and Keras' own with the same random weights."""
    ours, theirs = (getattr(room, kind)(units, **arguments) for room in (layers, keras.layers))
    ours.build(shape)
    theirs.build(shape)
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=w.shape).astype("f") / 2 for w in theirs.get_weights()]
    for layer in (ours, theirs):
        layer.set_weights(weights)
    return ours, theirs


def _derive(layer, x, training=True, **call):
    """Return outputs, and gradients of inputs, initial states and weights."""
    x = tf.convert_to_tensor(x)
    states = [tf.convert_to_tensor(s) for s in call.pop("initial_state", [])]
    with tf.GradientTape() as tape:
        tape.watch([x, *states])
        out = layer(x, training=training, **({"initial_state": states} if states else {}), **call)
        out = keras.tree.flatten(out)
        rng = np.random.default_rng(7)
        loss = sum(tf.reduce_sum(y * rng.normal(size=y.shape).astype("f")) for y in out)
    return out, tape.gradient(loss, [x, *states, *layer.trainable_variables])


def _assert_equal(ours, theirs, x, **call):
    (out, grads), (expected, expected_grads) = (_derive(one, x, **call) for one in (ours, theirs))
    for a, b in zip(out, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    for a, b in zip(grads, expected_grads, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-5)


def _operations(layer, x):
    graph = tf.function(lambda x: layer(x, training=True)).get_concrete_function(x).graph
    return {operation.type for operation in graph.get_operations()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"return_sequences": True},
        {"return_sequences": True, "return_state": True, "go_backwards": True},
        {"return_state": True, "use_bias": False},
    ],
)
def test_training_gives_what_keras_gives(kind, arguments):
    rng = np.random.default_rng(1)
    for batch, steps, features, units in ((3, 5, 4, 6), (1, 1, 2, 3), (2, 9, 7, 2)):
        x = rng.normal(size=(batch, steps, features)).astype("f")
        ours, theirs = _pair(kind, units, x.shape, **arguments)
        _assert_equal(ours, theirs, x)
        states = [rng.normal(size=(batch, units)).astype("f") for _ in ours.state_size]
        _assert_equal(ours, theirs, x, initial_state=states)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("arguments", "call"),
    [
        ({"return_sequences": True}, {"mask": True}),
        ({"go_backwards": True}, {"mask": True}),
        ({"return_sequences": True, "return_state": True}, {"training": False}),
        ({"activation": "relu", "return_sequences": True}, {}),
        ({"unroll": True, "return_sequences": True}, {}),
    ],
)
def test_other_cases_give_what_keras_gives(kind, arguments, call):
    x = np.random.default_rng(2).normal(size=(4, 6, 3)).astype("f")
    if "mask" in call:
        lengths = np.array([[6], [1], [4], [3]])
        call = {"mask": tf.constant(np.arange(6) < lengths)}
    _assert_equal(*_pair(kind, 5, x.shape, **arguments), x, **call)


def test_gru_that_resets_before_the_product_gives_what_keras_gives():
    x = np.random.default_rng(3).normal(size=(2, 5, 3)).astype("f")
    _assert_equal(*_pair("GRU", 4, x.shape, reset_after=False, return_sequences=True), x)


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_written_out_where_it_pays(kind):
    layer = getattr(layers, kind)(3, return_sequences=True)

    def loops(*shape):
        return "While" in _operations(layer, tf.TensorSpec(shape))

    assert not loops(None, 5, 2)
    assert not loops(2, LONGEST_UNROLLED, 2)
    assert loops(2, LONGEST_UNROLLED + 1, 2)
    assert loops(2, None, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_longer_padding_changes_nothing(kind):
    rng = np.random.default_rng(4)
    short = rng.normal(size=(3, 5, 4)).astype("f")
    long = np.concatenate([short, rng.normal(size=(3, 4, 4)).astype("f")], axis=1)
    keep = np.arange(9) < np.array([[5], [2], [4]])
    layer = getattr(layers, kind)(6, return_sequences=True)
    results = []
    for x, mask in ((short, keep[:, :5]), (long, keep)):
        with tf.GradientTape() as tape:
            y = layer(tf.constant(x), mask=tf.constant(mask), training=True)
            loss = tf.reduce_sum(tf.square(y[:, :5]) * mask[:, :5, None])
        results.append([(y[:, :5] * mask[:, :5, None]), loss, *tape.gradient(loss, layer.weights)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_state_is_carried_from_batch_to_batch(kind):
    x = np.random.default_rng(5).normal(size=(2, 8, 3)).astype("f")
    whole, _ = _pair(kind, 4, x.shape, return_sequences=True)
    parts, _ = _pair(kind, 4, (2, 4, 3), return_sequences=True, stateful=True)
    halves = [parts(x[:, :4], training=True), parts(x[:, 4:], training=True)]
    np.testing.assert_allclose(np.concatenate(halves, 1), whole(x), atol=1e-6)
    parts.reset_state()
    np.testing.assert_allclose(parts(x[:, :4], training=True), whole(x)[:, :4], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_a_carried_state_are_right_without_a_graph(kind):
    x = np.random.default_rng(14).normal(size=(2, 4, 3)).astype("f")
    pair = _pair(kind, 5, x.shape, return_sequences=True, stateful=True)
    for _ in range(3):  # the second time there is a state, which the layer changes at the end
        _assert_equal(*pair, x)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "arguments",
    [
        {"return_state": True},
        {"return_sequences": True, "return_state": True},
        {"return_sequences": True, "return_state": True, "zero_output_for_mask": True},
        {"return_sequences": True, "go_backwards": True},
        {"go_backwards": True, "zero_output_for_mask": True},
    ],
)
def test_training_with_a_mask_gives_what_keras_gives(kind, arguments):
    rng = np.random.default_rng(13)
    x = rng.normal(size=(5, 6, 3)).astype("f")
    mask = np.arange(6) < np.array([[6], [1], [4], [3], [0]])
    mask[3] = [False, False, True, False, True, False]  # not only a padding at the end
    ours, theirs = _pair(kind, 5, x.shape, **arguments)
    states = [rng.normal(size=(5, 5)).astype("f") for _ in ours.state_size]
    for start in ({}, {"initial_state": states}):
        _assert_equal(ours, theirs, x, mask=tf.constant(mask), **start)
    graph = tf.function(lambda x: ours(x, mask=tf.constant(mask), training=True))
    types = {op.type for op in graph.get_concrete_function(tf.constant(x)).graph.get_operations()}
    assert "While" not in types


@pytest.mark.parametrize("kind", KINDS)
def test_both_directions(kind):
    x = np.random.default_rng(6).normal(size=(2, 4, 3)).astype("f")
    ours, theirs = (
        keras.layers.Bidirectional(getattr(room, kind)(4, return_sequences=True))
        for room in (layers, keras.layers)
    )
    ours.build(x.shape)
    theirs.build(x.shape)
    ours.set_weights(theirs.get_weights())
    _assert_equal(ours, theirs, x)


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_is_that_of_keras(kind):
    x = np.ones((2, 4, 3), "f")
    ours, theirs = _pair(kind, 5, x.shape, dropout=0.5, recurrent_dropout=0.25, seed=None)
    assert np.abs(ours(x, training=True) - ours(x)).max() > 1e-3
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_saved_with_keras_layers_loads_into_ours(kind, tmp_path):
    def model(room):
        inputs = keras.Input((None, 3))
        layer = getattr(room, kind)(4, return_sequences=True, name="recurrent")
        return keras.Model(inputs, layer(inputs))

    x = np.random.default_rng(8).normal(size=(2, 6, 3)).astype("f")
    theirs, ours = model(keras.layers), model(layers)
    assert [w.path for w in ours.weights] == [w.path for w in theirs.weights]
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    ours.load_weights(tmp_path / "theirs.weights.h5")
    ours.save(tmp_path / "ours.keras")
    again = keras.saving.load_model(tmp_path / "ours.keras")
    assert type(again.layers[1]) is getattr(layers, kind)
    for training in (True, False):
        expected = theirs(x, training=training)
        np.testing.assert_allclose(ours(x, training=training), expected, atol=1e-6)
        np.testing.assert_allclose(again(x, training=training), expected, atol=1e-6)
    archive = keras.export.ExportArchive()
    archive.track(ours)
    archive.add_endpoint("serve", ours, [tf.TensorSpec((None, None, 3))])
    archive.write_out(str(tmp_path / "saved"), verbose=False)
    saved = tf.saved_model.load(str(tmp_path / "saved"))
    for shape in ((2, 6, 3), (5, 2, 3)):
        x = np.random.default_rng(9).normal(size=shape).astype("f")
        np.testing.assert_allclose(saved.serve(x), theirs(x), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_derivative_is_refused_in_training(kind):
    layer, x = getattr(layers, kind)(3), tf.ones((2, 4, 2))
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = tf.reduce_sum(layer(x, training=True))
        slope = inner.gradient(y, x)
    with pytest.raises(NotImplementedError, match="no second derivative in training"):
        outer.gradient(slope, x)


@pytest.mark.parametrize(
    "kind", [k if k == "LSTM" else pytest.param(k, marks=pytest.mark.slow) for k in KINDS]
)
def test_training_steps_are_those_of_keras(kind):
    rng = np.random.default_rng(10)
    x, y = rng.normal(size=(8, 6, 3)).astype("f"), rng.integers(0, 5, (8, 6))
    losses = []
    for room in (layers, keras.layers):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((6, 3))
        hidden = getattr(room, kind)(7, return_sequences=True)(inputs)
        model = keras.Model(inputs, keras.layers.Dense(5)(hidden))
        model.compile(
            keras.optimizers.SGD(0.5, global_clipnorm=1.0),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        losses.append(model.fit(x, y, batch_size=5, epochs=5, shuffle=False, verbose=0).history)
    np.testing.assert_allclose(losses[0]["loss"], losses[1]["loss"], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_goes_without_xla(kind):
    inputs = keras.Input((5, 3))
    model = keras.Model(inputs, getattr(layers, kind)(4)(inputs))
    with pytest.warns(UserWarning, match="Proceeding with `jit_compile=False`"):
        model.compile("sgd", "mse", jit_compile=True)
    model.fit(np.ones((2, 5, 3)), np.ones((2, 4)), verbose=0)


COMMON = {
    "units": 4,
    "activation": "relu",
    "use_bias": False,
    "kernel_initializer": "he_normal",
    "recurrent_initializer": "glorot_normal",
    "bias_initializer": "ones",
    "kernel_regularizer": "l2",
    "recurrent_regularizer": "l1",
    "bias_regularizer": "l2",
    "kernel_constraint": "non_neg",
    "recurrent_constraint": "unit_norm",
    "bias_constraint": "non_neg",
    "dropout": 0.25,
    "recurrent_dropout": 0.5,
    "seed": 3,
    "return_sequences": True,
    "return_state": True,
    "go_backwards": True,
    "unroll": True,
}
GATED = {"recurrent_activation": "hard_sigmoid", "use_cudnn": False}
MORE = {
    "SimpleRNN": {},
    "GRU": {**GATED, "reset_after": False},
    "LSTM": {**GATED, "unit_forget_bias": False},
}


@pytest.mark.parametrize("kind", KINDS)
def test_checks(kind):
    x = np.random.default_rng(11).normal(size=(2, 4, 3)).astype("f")
    make = getattr(layers, kind)
    arguments = {**COMMON, **MORE[kind]}
    check_layer(lambda: make(**arguments), {}, x, free_axes=(0,))
    arguments["stateful"] = True  # such a layer gives another output at the next call
    layer = make(**arguments)
    config = make.from_config(layer.get_config()).get_config()
    taken = set(inspect.signature(make.__init__).parameters)
    assert taken - {"self", "kwargs", "activity_regularizer"} == set(arguments)
    for name, default in make(4).get_config().items():
        if name in arguments and name != "units":
            assert config[name] == layer.get_config()[name] != default
    assert set(arguments) <= set(config)


@pytest.mark.parametrize("kind", KINDS)
def test_checks_of_the_written_out_case(kind):
    x = np.random.default_rng(12).normal(size=(2, 4, 3)).astype("f")
    make = getattr(layers, kind)
    check_layer(lambda: make(4, return_sequences=True), {}, x, free_axes=(0, 1), mask="passes")
    check_layer(lambda: make(4), {}, x, mask="stops", call_arguments={"training": True})
