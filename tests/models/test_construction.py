import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l.models import MLP, FixedHiddenMLP, MySequential, NestMLP, chimera, tied_mlp
from kerasd2l.testing import check_model

X = np.random.default_rng(0).uniform(size=(2, 20)).astype("float32")


def reload(model, tmp_path):
    model.save(tmp_path / "model.keras")
    return keras.saving.load_model(tmp_path / "model.keras")


def relu(x):
    return np.maximum(x, 0)


def test_mlp():
    # inventory 5.1: 20 -> 256 ReLU -> 10; 5.3: shapes (20,256), (256), (256,10), (10)
    check_model(MLP, X, parameters=20 * 256 + 256 + 256 * 10 + 10)
    model = MLP(hidden_units=5, units=3)
    y = model(X)
    w1, b1, w2, b2 = model.get_weights()
    np.testing.assert_allclose(y, relu(X @ w1 + b1) @ w2 + b2, atol=1e-5)


def test_nest_mlp():
    # inventory 5.1: [20 -> 64 ReLU -> 32 ReLU] -> 16
    parameters = 20 * 64 + 64 + 64 * 32 + 32 + 32 * 16 + 16
    check_model(lambda: NestMLP(), X, parameters=parameters)
    model = NestMLP((7, 5), units=3)
    y = model(X)
    w1, b1, w2, b2, w3, b3 = model.get_weights()
    expected = relu(relu(X @ w1 + b1) @ w2 + b2) @ w3 + b3  # no ReLU behind the last layer
    np.testing.assert_allclose(y, expected, atol=1e-5)


@pytest.mark.parametrize(
    "model", [MLP(5, units=3), NestMLP((7, 5), units=3), FixedHiddenMLP(20, seed=3)]
)
def test_all_arguments_survive_saving(model, tmp_path):
    y = model(X)
    again = reload(model, tmp_path)
    assert again.get_config() == model.get_config()
    np.testing.assert_allclose(again(X), y, atol=1e-6)


def test_my_sequential_is_keras_sequential_with_gradients():
    blocks = [keras.layers.Dense(8, "relu"), keras.layers.Dense(3)]
    ours, theirs = MySequential(blocks), keras.Sequential(blocks)
    results = []
    for model in (ours, theirs):
        with tf.GradientTape() as tape:
            y = model(X)
            loss = tf.reduce_sum(y**2)
        kernels = [variable.value for variable in model.trainable_variables]
        results.append([y, *tape.gradient(loss, kernels)])
    assert len(results[0]) == 5
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_my_sequential_is_sound():
    def build():
        return MySequential(
            [keras.layers.Dense(8, "relu"), NestMLP(), keras.layers.Dense(3, dtype="float32")]
        )

    check_model(build, X)


def test_my_sequential_passes_training_on():
    model = MySequential([keras.layers.Dropout(0.5, seed=0)])
    ones = np.ones((4, 50), "float32")
    np.testing.assert_array_equal(model(ones), ones)
    dropped = np.asarray(model(ones, training=True))
    assert set(np.unique(dropped)) == {0.0, 2.0}


def test_a_block_that_stands_there_twice_stays_one_block(tmp_path):
    shared = keras.layers.Dense(20)
    model = MySequential([shared, keras.layers.ReLU(), shared])
    y = model(X)
    assert len(model.weights) == 2
    w, b = model.get_weights()
    np.testing.assert_allclose(y, relu(X @ w + b) @ w + b, atol=1e-5)
    again = reload(model, tmp_path)
    np.testing.assert_allclose(again(X), y, atol=1e-6)
    assert again.blocks[0] is again.blocks[2]


def test_my_sequential_refuses_what_is_no_block():
    with pytest.raises(ValueError, match=r"`blocks` must hold at least one layer"):
        MySequential([])
    with pytest.raises(TypeError, match=r"`blocks` must be Keras layers. Received: 'relu'"):
        MySequential(["relu"])


def fixed_hidden_mlp(x, kernel, bias, constant):
    """The page's computation in numpy, the loop in Python."""
    x = x @ kernel + bias
    x = relu(x @ constant + 1)
    x = x @ kernel + bias
    while np.abs(x).sum() > 1:
        x = x / 2
    return x.sum()


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e6])
def test_fixed_hidden_mlp_is_the_loop_of_the_page(scale):
    model = FixedHiddenMLP(seed=0)
    outputs = [model(scale * X), tf.function(model)(scale * X)]
    weights = {weight.name: weight.numpy() for weight in model.weights}
    expected = fixed_hidden_mlp(scale * X, **weights)
    for output in outputs:
        assert output.shape == ()
        np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-6)
        assert abs(float(output)) <= 1


def test_fixed_hidden_mlp_learns_all_but_its_constant():
    model = FixedHiddenMLP(seed=0)
    model(X)
    random = np.random.default_rng(0)  # of some weights a unit bends within the step
    model.linear.kernel.assign(random.uniform(-0.4, 0.4, (20, 20)))
    model.non_trainable_weights[0].assign(random.uniform(0, 1, (20, 20)))
    with tf.GradientTape() as tape:
        y = model(X)
    names = [weight.name for weight in model.trainable_weights]
    assert names == ["kernel", "bias"]
    gradients = tape.gradient(y, [weight.value for weight in model.trainable_weights])
    # numeric: the same loss a step away, the number of halvings being the same
    bias = model.linear.bias
    step = np.zeros(20, "float32")
    step[3] = 1e-2
    start = bias.numpy()
    bias.assign(start + step)
    above = float(model(X))
    bias.assign(start - step)
    below = float(model(X))
    assert float(gradients[1][3]) == pytest.approx((above - below) / 2e-2, rel=1e-2)
    assert float(tf.norm(gradients[0])) > 0
    constant = model.non_trainable_weights[0].numpy()
    assert constant.shape == (20, 20) and 0 <= constant.min() < 0.1 < 0.9 < constant.max() <= 1


def test_fixed_hidden_mlp_ends_with_infinite_inputs():
    assert not np.isfinite(float(FixedHiddenMLP()(np.full((1, 20), np.inf, "float32"))))


def test_fixed_hidden_mlp_keeps_its_loop_in_an_export(tmp_path):
    model = FixedHiddenMLP(seed=0)
    y = model(X)
    model.export(tmp_path / "saved", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "saved"))  # owns the variables
    served = loaded.serve
    np.testing.assert_allclose(served(X), y, rtol=1e-5)
    np.testing.assert_allclose(served(1e6 * X), model(1e6 * X), rtol=1e-5)


def test_fixed_hidden_mlp_refuses_another_width():
    with pytest.raises(ValueError, match=r"must have the width .* 20.*Received: .*\(2, 21\)"):
        FixedHiddenMLP()(np.zeros((2, 21), "float32"))


def test_chimera(tmp_path):
    model = chimera(seed=0)
    y = model(X)
    assert y.shape == () and abs(float(y)) <= 1
    # NestMLP 3952; Dense 16 -> 20; FixedHiddenMLP 20 -> 20 and its constant
    assert model.count_params() == 3952 + (16 * 20 + 20) + (20 * 20 + 20) + 20 * 20
    np.testing.assert_allclose(reload(model, tmp_path)(X), y, atol=1e-6)


def test_tied_mlp():
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    # 4 -> 8, one 8 -> 8 used twice, -> 1
    check_model(lambda: tied_mlp(seed=2), x, parameters=40 + 72 + 9)
    model = tied_mlp(3, hidden_units=5, stddev=0.5, seed=0)
    w1, b1, w2, b2, w3, b3 = model.get_weights()
    expected = relu(relu(relu(x[:, :3] @ w1 + b1) @ w2 + b2) @ w2 + b2) @ w3 + b3
    np.testing.assert_allclose(model(x[:, :3]), expected, atol=1e-5)
    assert not np.array_equal(w1[:3], w2[:3])


def test_tied_weights_are_one_variable_and_its_gradients_add():
    model = tied_mlp(seed=1)
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    shared = model.get_layer("shared")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(x))
    found = tape.gradient(loss, shared.kernel.value)
    w1, b1, w2, b2, w3, _ = model.get_weights()
    h1 = relu(x @ w1 + b1)
    h2 = relu(h1 @ w2 + b2)
    z3 = h2 @ w2 + b2
    d3 = (np.ones((3, 1)) @ w3.T) * (z3 > 0)  # behind the second use
    d2 = (d3 @ w2.T) * (h2 > 0)
    np.testing.assert_allclose(found, h2.T @ d3 + h1.T @ d2, atol=1e-5)
    # S1:1435 (net[2].weight.data[0, 0] = 100): written once, changed in both places
    kernel = shared.kernel.numpy()
    kernel[0, 0] = 100.0
    shared.kernel.assign(kernel)
    h2 = relu(h1 @ kernel + b2)
    _, _, _, _, w3, b3 = model.get_weights()
    np.testing.assert_allclose(model(x), relu(h2 @ kernel + b2) @ w3 + b3, rtol=1e-5, atol=1e-4)
