"""Several devices by hand compute what one does; model and tensor parallelism as well."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l.scratch import allreduce, data_parallel, get_params, logical_devices, split_batch
from kerasd2l.scratch import model_parallel as mp

DEVICES = ["CPU:0", "CPU:1", "CPU:2", "CPU:3"]


def batch(n=10, seed=0):
    random = np.random.default_rng(seed)
    X = random.uniform(size=(n, 28, 28, 1)).astype(np.float32)
    return tf.constant(X), tf.constant(random.integers(0, 10, n))


def large_params(seed=0):
    """Weights of a usual size: from N(0, 0.01^2) gradients are too small to show an error."""
    return [10 * p for p in data_parallel.lenet_params(seed=seed)]


def place(tensor):
    return tensor.device.rpartition("device:")[2]


def test_logical_devices():
    assert logical_devices(4) == DEVICES
    with pytest.raises(ValueError, match=r"make 9 logical devices: TensorFlow already runs with 4"):
        logical_devices(9)
    with pytest.raises(ValueError, match=r"`n` must be at least 1\. Received: n=0"):
        logical_devices(0)


def test_allreduce_is_in_place_on_every_device():
    data = []
    for i, device in enumerate(DEVICES[:2]):
        with tf.device(device):
            data.append(tf.ones((1, 2)) * (i + 1))
    allreduce(data)
    assert [d.numpy().tolist() for d in data] == [[[3, 3]], [[3, 3]]]  # inventory 12.5
    assert [place(d) for d in data] == DEVICES[:2]
    variables = [get_params([np.full(2, i + 1.0)], device)[0] for i, device in enumerate(DEVICES)]
    allreduce(variables)
    assert [v.numpy().tolist() for v in variables] == [[10, 10]] * 4
    assert [place(v) for v in variables] == DEVICES


def test_split_batch():
    X, y = tf.reshape(tf.range(20), (4, 5)), tf.range(4)
    X_pieces, y_pieces = split_batch(X, y, DEVICES[:2])
    assert [piece.numpy().tolist() for piece in X_pieces] == [
        np.arange(10).reshape(2, 5).tolist(),
        np.arange(10, 20).reshape(2, 5).tolist(),
    ]  # inventory 12.5
    assert [place(piece) for piece in X_pieces] == DEVICES[:2]
    assert [len(piece) for piece in split_batch(*batch(10), DEVICES)[0]] == [2, 3, 2, 3]
    assert tf.concat(y_pieces, 0).numpy().tolist() == [0, 1, 2, 3]
    with pytest.raises(
        ValueError, match=r"at least an example for each device\. Received: 4 and 4"
    ):
        split_batch(X, y, [*DEVICES, "CPU:0"])
    with pytest.raises(ValueError, match="Received: 4 and 3 examples"):
        split_batch(X, y[:3], DEVICES)


def keras_lenet(params):
    layers = keras.layers
    net = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(20, 3, activation="relu"),
            layers.AveragePooling2D(2),
            layers.Conv2D(50, 5, activation="relu"),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(128, "relu"),
            layers.Dense(10),
        ]
    )
    net.set_weights(params)
    return net


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_step_on_several_devices_is_that_of_keras_on_one(n):
    params, (X, y), devices = large_params(), batch(10), DEVICES[:n]
    device_params = [get_params(params, device) for device in devices]
    before = keras_lenet(params)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    expected_loss = float(loss(y, before(X)))
    np.testing.assert_allclose(data_parallel.lenet(X, params), before(X), atol=1e-5)
    before.compile(keras.optimizers.SGD(0.2), loss)
    before.train_on_batch(X, y)
    total = data_parallel.train_batch(X, y, device_params, devices, 0.2)
    assert float(total) / 10 == pytest.approx(expected_loss, rel=1e-6)
    for own, device in zip(device_params, devices, strict=True):
        assert {place(w) for w in own} == {device}
        for one, first, wanted, start in zip(
            own, device_params[0], before.get_weights(), params, strict=True
        ):
            np.testing.assert_array_equal(one, first)  # copies stay alike to the last bit
            np.testing.assert_allclose(one, wanted, atol=2e-6)
            assert np.abs(one.numpy() - start).max() > 1e-3  # and it was a step


def test_lenet_params():
    params = data_parallel.lenet_params()
    assert sum(p.size for p in params) == 200 + 25_050 + 102_528 + 1_290
    assert params[4].std() == pytest.approx(0.01, rel=0.02)
    assert data_parallel.lenet_params((32, 40, 3), 5)[4].shape == (5 * 7 * 50, 128)
    with pytest.raises(ValueError, match="at least 14 x 14 pixels"):
        data_parallel.lenet_params((13, 28, 1))


def test_stages_on_two_devices_are_one_network():
    params, (X, y) = large_params(), batch(6)
    stages = [data_parallel.lenet_convolutions, data_parallel.lenet_dense]
    parts = [get_params(params[:4], "CPU:0"), get_params(params[4:], "CPU:1")]
    logits = mp.in_stages(X, stages, parts, DEVICES[:2])
    assert place(logits) == "CPU:1"
    np.testing.assert_allclose(logits, data_parallel.lenet(X, params), atol=1e-6)
    whole = get_params(params, "CPU:0")
    with tf.GradientTape() as tape:
        loss = data_parallel.sum_of_losses(y, data_parallel.lenet(X, whole))
    wanted = tape.gradient(loss, whole)
    for pieces in (1, 3):
        found, grads = mp.pipeline_gradients(X, y, stages, parts, DEVICES[:2], pieces=pieces)
        assert float(found) == pytest.approx(float(loss), rel=1e-6)
        for one, other in zip([*grads[0], *grads[1]], wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert mp.bubble(4, 1) == 0.75


@pytest.mark.parametrize("n", [2, 4])
def test_a_cut_perceptron_is_the_whole_one(n):
    random, devices = np.random.default_rng(0), DEVICES[:n]
    W1, b1, W2, b2 = (
        random.normal(size=shape).astype(np.float32) for shape in ((6, 8), (8,), (8, 4), (4,))
    )
    X = tf.constant(random.normal(size=(5, 6)).astype(np.float32))
    with tf.GradientTape() as tape:
        whole = [tf.Variable(w) for w in (W1, b1, W2, b2)]
        Y = tf.matmul(tf.nn.relu(tf.matmul(X, whole[0]) + whole[1]), whole[2]) + whole[3]
        target = tf.reduce_sum(Y**2)
    wanted = tape.gradient(target, whole)
    W1s, W2s = mp.split_kernel(W1, devices, 1), mp.split_kernel(W2, devices, 0)
    b1s, last = mp.split_kernel(b1, devices, 0), tf.Variable(b2)
    with tf.GradientTape() as tape:
        hidden = mp.column_parallel(X, W1s, b1s, devices)
        outputs = mp.row_parallel([tf.nn.relu(h) for h in hidden], W2s, last, devices)
        target = tf.reduce_sum(outputs[0] ** 2)
    grads = tape.gradient(target, [*W1s, *b1s, *W2s, last])
    assert [h.shape for h in hidden] == [(5, 8 // n)] * n
    assert [place(output) for output in outputs] == devices
    for output in outputs:
        np.testing.assert_allclose(output, Y, rtol=1e-5, atol=1e-5)
    together = [
        np.concatenate(grads[:n], 1),
        np.concatenate(grads[n : 2 * n]),
        np.concatenate(grads[2 * n : 3 * n]),
        grads[-1],
    ]
    for one, other in zip(together, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(mp.all_gather(hidden, devices)[-1], X @ W1 + b1, atol=1e-5)


def test_what_cannot_be_cut_is_refused():
    with pytest.raises(ValueError, match="Received: 6 numbers, 4 devices"):
        mp.split_kernel(np.ones((6, 8)), DEVICES, 0)
