"""Backpropagation through time against differences, autodiff, powers; truncated and at random."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import scratch

STEPS = 6
NAMES = ("W_xh", "W_hh", "W_hq")


def problem(steps=STEPS):
    rng = np.random.default_rng(0)
    shapes = {"X": (steps, 3), "Y": (steps, 2), "W_xh": (3, 4), "W_hh": (4, 4), "W_hq": (4, 2)}
    return {name: rng.normal(0, 0.7, shape) for name, shape in shapes.items()}


def by_tape(values, **arguments):
    tensors = {name: tf.constant(value) for name, value in values.items()}
    with tf.GradientTape() as tape:
        tape.watch([tensors[name] for name in NAMES])
        loss = scratch.rnn_objective(**tensors, **arguments)
    found = tape.gradient(loss, [tensors[name] for name in NAMES])
    return float(loss), dict(zip(NAMES, found, strict=True))


FACTORS = {
    "full": None,
    "truncated": scratch.truncation_factors(STEPS, 2),
    "random": [0, 2.5, 0, 2.5, 2.5, 0],
}


@pytest.mark.parametrize("factors", FACTORS)
@pytest.mark.parametrize("activation", ["tanh", "linear"])
def test_by_hand_equals_autodiff(activation, factors):
    arguments = {"activation": activation, "factors": FACTORS[factors]}
    loss, expected = by_tape(problem(), **arguments)
    mine, gradients = scratch.backpropagate_through_time(**problem(), **arguments)
    assert mine == pytest.approx(loss, rel=1e-12)
    for name in NAMES:
        np.testing.assert_allclose(gradients[name], expected[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("activation", ["tanh", "linear"])
def test_by_hand_equals_central_differences(activation):
    values = problem()
    _, gradients = scratch.backpropagate_through_time(**values, activation=activation)

    def loss(name, place, change):
        moved = {**values, name: values[name].copy()}
        moved[name][place] += change
        H, total = np.zeros(4), 0.0
        for x, y in zip(moved["X"], moved["Y"], strict=True):
            H = x @ moved["W_xh"] + H @ moved["W_hh"]
            H = np.tanh(H) if activation == "tanh" else H
            total += np.sum((H @ moved["W_hq"] - y) ** 2) / 2
        return total / STEPS

    for name in NAMES:
        for place in np.ndindex(values[name].shape):
            slope = (loss(name, place, 1e-5) - loss(name, place, -1e-5)) / 2e-5
            assert gradients[name][place] == pytest.approx(slope, rel=1e-6, abs=1e-8)


def test_sum_over_powers_equals_autodiff():
    _, expected = by_tape(problem(), activation="linear")
    np.testing.assert_allclose(
        scratch.gradient_by_powers(**problem()), expected["W_hh"], rtol=1e-10
    )


def test_gradient_of_the_states():
    """dL/dH_t = sum_{i >= t} dL/dO_i W_hq^T (W_hh^T)^(i - t), written out for the first state."""
    values = problem(3)
    X, Y, W_xh, W_hh, W_hq = values.values()
    H1 = X[0] @ W_xh
    H2 = X[1] @ W_xh + H1 @ W_hh
    H3 = X[2] @ W_xh + H2 @ W_hh
    dO = [(H @ W_hq - y) / 3 for H, y in zip((H1, H2, H3), Y, strict=True)]
    expected = dO[0] @ W_hq.T + dO[1] @ W_hq.T @ W_hh.T + dO[2] @ W_hq.T @ W_hh.T @ W_hh.T
    _, gradients = scratch.backpropagate_through_time(**values, activation="linear")
    np.testing.assert_allclose(gradients["H"][0], expected, rtol=1e-12)


def test_truncation_is_the_gradient_of_pieces_with_given_states():
    values = problem()
    X, Y, W_xh, W_hh, W_hq = values.values()
    factors = scratch.truncation_factors(STEPS, 2)
    np.testing.assert_array_equal(factors, [0, 1, 0, 1, 0, 1])
    loss, gradients = scratch.backpropagate_through_time(**values, factors=factors)
    assert loss == scratch.backpropagate_through_time(**values)[0]
    weights = [tf.constant(w) for w in (W_xh, W_hh, W_hq)]
    state, total = np.zeros((1, 4)), 0.0
    for start in range(0, STEPS, 2):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            H, piece = tf.constant(state), 0.0
            for t in (start, start + 1):
                H = tf.tanh(X[t : t + 1] @ weights[0] + H @ weights[1])
                piece += tf.reduce_sum((H @ weights[2] - Y[t]) ** 2) / (2 * STEPS)
        total = total + tape.gradient(piece, weights)[1].numpy()
        state = H.numpy()
    np.testing.assert_allclose(gradients["W_hh"], total, rtol=1e-10)
    full = scratch.backpropagate_through_time(**values)[1]["W_hh"]
    assert np.linalg.norm(full - total) > 0.01 * np.linalg.norm(full)


@pytest.mark.parametrize("activation", ["tanh", "linear"])
@pytest.mark.parametrize("keep", [0.3, 0.8])
def test_random_truncation_is_right_in_the_mean(keep, activation):
    """All 2^5 patterns of cuts, each with its probability: no luck in it."""
    values = problem()
    mean = 0.0
    for kept in itertools.product([True, False], repeat=STEPS - 1):
        probability = np.prod(np.where(kept, keep, 1 - keep))
        factors = [0.0, *(np.array(kept) / keep)]
        _, gradients = scratch.backpropagate_through_time(
            **values, factors=factors, activation=activation
        )
        mean = mean + probability * gradients["W_hh"]
    full = scratch.backpropagate_through_time(**values, activation=activation)[1]["W_hh"]
    np.testing.assert_allclose(mean, full, rtol=1e-10)


def test_random_factors():
    factors = scratch.random_factors(20_000, 0.25, seed=0)
    assert set(factors) == {0.0, 4.0}
    assert factors.mean() == pytest.approx(1, abs=5 * np.sqrt(3 / 20_000))  # variance 1/p - 1
    np.testing.assert_array_equal(factors, scratch.random_factors(20_000, 0.25, seed=0))
    np.testing.assert_array_equal(scratch.random_factors(3, 1.0), [1, 1, 1])


def test_clipping_keeps_the_direction_and_shortens_to_theta():
    rng = np.random.default_rng(0)
    gradients = [rng.normal(size=shape).astype("float32") for shape in ((3, 4), (5,), ())]
    norm = np.sqrt(sum(np.sum(np.square(g, dtype="float64")) for g in gradients))
    assert float(scratch.global_norm(gradients)) == pytest.approx(norm, rel=1e-6)
    clipped = scratch.grad_clipping(gradients, 1.0)
    for mine, g in zip(clipped, gradients, strict=True):
        np.testing.assert_allclose(mine, g / norm, rtol=1e-6)
    assert float(scratch.global_norm(clipped)) == pytest.approx(1, rel=1e-6)
    assert norm > 1
    for theta in (norm * 1.001, 10.0):  # S1:3941: theta is usually 5 to 10
        for mine, g in zip(scratch.grad_clipping(gradients, theta), gradients, strict=True):
            np.testing.assert_array_equal(mine, g)


def test_clipping_equals_the_optimizers():
    rng = np.random.default_rng(1)
    gradients = [rng.normal(size=shape).astype("float32") for shape in ((3, 4), (5,))]
    variables = [keras.Variable(np.zeros_like(g)) for g in gradients]
    keras.optimizers.SGD(1.0, global_clipnorm=0.5).apply(
        [tf.constant(g) for g in gradients], variables
    )
    for mine, variable in zip(scratch.grad_clipping(gradients, 0.5), variables, strict=True):
        np.testing.assert_allclose(mine, -variable.numpy(), rtol=1e-5)


def test_clipping_of_nothing_and_of_zeros():
    zeros, none = scratch.grad_clipping([np.zeros(3, "float32"), None], 1.0)
    np.testing.assert_array_equal(zeros, [0, 0, 0])
    assert none is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scratch.grad_clipping([np.ones(2)], 0), "`theta` must be positive"),
        (lambda: scratch.grad_clipping([None], 1.0), "at least one gradient"),
        (lambda: scratch.truncation_factors(4, 0), "length=0"),
        (lambda: scratch.random_factors(4, 0.0), r"`keep` must be in \(0, 1\]"),
        (lambda: scratch.rnn_objective(**problem(), activation="relu"), "tanh or linear"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
