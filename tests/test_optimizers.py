"""The book's Adam against its formula in numpy, and where Keras' own is another one."""

import keras
import numpy as np
import pytest
import small
import tensorflow as tf

from kerasd2l import optimizers

# From far below epsilon to far above it: what the place of epsilon decides.
SCALES = np.array([1e-12, 1e-9, 1e-8, 1e-6, 1e-3, 1.0])
START = np.array([1.0, -1.0, 0.5, 2.0, -0.25, 0.0])


def gradients(steps=6):
    return np.random.default_rng(0).normal(size=(steps, len(SCALES))) * SCALES


def by_numpy(gradients, learning_rate, *, l2=0.0, amsgrad=False, epsilon=1e-8):
    """PyTorch's loop, line by line."""
    w, m, v, most = START.copy(), 0.0, 0.0, 0.0
    for t, g in enumerate(gradients, 1):
        g = g + l2 * w
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        most = np.maximum(most, v)
        size = np.sqrt((most if amsgrad else v) / (1 - 0.999**t))
        w = w - learning_rate * m / (1 - 0.9**t) / (size + epsilon)
    return w


def by_keras(optimizer, gradients):
    w = keras.Variable(START, dtype="float32")
    for g in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(g, "float32")], [w])
    return np.asarray(w)


@pytest.mark.parametrize("steps", [1, 6])
@pytest.mark.parametrize("options", [{}, {"l2_decay": 0.1}, {"amsgrad": True}], ids=str)
def test_adam_is_the_formula_of_the_book(options, steps):
    expected = by_numpy(
        gradients(steps), 0.05, l2=options.get("l2_decay", 0), amsgrad="amsgrad" in options
    )
    got = by_keras(optimizers.Adam(0.05, **options), gradients(steps))
    np.testing.assert_allclose(got - START, expected - START, rtol=1e-3, atol=1e-6)


def test_keras_own_adam_is_another_formula():
    """If it becomes the book's, this class is not needed any more."""
    ours, theirs = (
        by_keras(make(0.05, epsilon=1e-8), gradients(1)) - START
        for make in (optimizers.Adam, keras.optimizers.Adam)
    )
    assert np.abs(theirs[2]) < 0.2 * np.abs(ours[2])
    np.testing.assert_allclose(theirs[4:], ours[4:], rtol=1e-3)  # large gradients: no difference


def test_epsilon_of_pytorch_is_the_default_and_comes_back_after_a_step():
    optimizer = optimizers.Adam()
    by_keras(optimizer, gradients(2))
    assert optimizer.epsilon == 1e-8


def test_corrections_are_computed_once_for_all_weights():
    """Each operation of a graph is traced before the first step."""
    weights = [keras.Variable(START, dtype="float32") for _ in range(5)]
    optimizer = optimizers.Adam(0.05)
    optimizer.build(weights)

    @tf.function
    def step(gradient):
        optimizer.apply([gradient] * 5, weights)

    gradient = tf.constant(gradients(1)[0], tf.float32)
    operations = step.get_concrete_function(gradient).graph.get_operations()
    assert [operation.type for operation in operations].count("Pow") == 2
    step(gradient)
    step(gradient)
    expected = by_numpy(gradients(1).repeat(2, axis=0), 0.05)
    for weight in weights:
        np.testing.assert_allclose(weight - START, expected - START, rtol=1e-3, atol=1e-6)


def test_adam_is_saved_and_goes_on_as_if_never_stopped(tmp_path):
    data = small.data()
    options = {"l2_decay": 0.01, "global_clipnorm": 1.0, "beta_2": 0.99, "epsilon": 1e-6}
    model = small.pictures(optimizer=optimizers.Adam(0.01, **options))
    small.train(lambda: model, data, epochs=1)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again.optimizer) is optimizers.Adam
    assert again.optimizer.get_config() == model.optimizer.get_config()
    for each in (model, again):
        each.fit(data.test, epochs=1, verbose=0)
    assert small.difference(model, again) == 0


@pytest.mark.slow
def test_adam_on_two_replicas_is_adam_on_one():
    # without batch normalisation: Adam makes steps of what is zero but for rounding before it
    make = lambda: small.pictures(  # noqa: E731
        batch_norm=False, optimizer=optimizers.Adam(0.01, l2_decay=0.01)
    )
    one, _ = small.train(make, small.data(train=8), epochs=2)
    two, _ = small.train(make, small.data(train=8), epochs=2, replicas=2)
    assert small.difference(one, two) < 1e-4


def test_adam_refuses_a_negative_decay():
    with pytest.raises(ValueError, match=r"`l2_decay` must be at least 0. Received: l2_decay=-1"):
        optimizers.Adam(l2_decay=-1)


# SGD


def grouped(optimizer, steps=5):
    """Descend on two weights, of a body and a head, as PyTorch did for the figures below."""
    a = keras.Variable([1.0, -2.0], name="body")
    b = keras.Variable([0.5, 3.0], name="logits")
    for t in range(steps):
        gradients = [2 * (a - 1) * (t + 1) ** 2, 2 * b * (t - 2)]
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients], [a, b])
    return np.concatenate([a, b])


def test_groups_have_their_own_rate_and_decay_as_in_pytorch():
    """torch.optim.SGD, groups of lr 0.05, decay 0.1 and lr 0.5, decay 0.01, momentum 0.9."""
    groups = {"logits": {"rate": 10.0, "l2_decay": 0.01}}
    moved = grouped(optimizers.SGD(0.05, 0.9, 0.1, groups))
    expected = [1.0051583051681519, -0.906379222869873, -5.611424922943115, -33.668556213378906]
    np.testing.assert_allclose(moved, expected, rtol=1e-4)


def test_without_groups_it_is_keras_sgd():
    np.testing.assert_allclose(
        grouped(optimizers.SGD(0.01, 0.9)), grouped(keras.optimizers.SGD(0.01, 0.9))
    )


def test_groups_are_in_the_config():
    groups = {"logits": {"rate": 10.0}}
    made = optimizers.SGD(0.1, 0.5, l2_decay=0.01, groups=groups)
    again = optimizers.SGD.from_config(made.get_config())
    np.testing.assert_array_equal(grouped(made), grouped(again))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"l2_decay": -1.0}, "must be at least 0"),
        ({"groups": {"logits": {"rate": -1.0}}}, "must be at least 0. Received: logits"),
        ({"groups": {"logits": {"learning_rate": 1.0}}}, "must be at least 0. Received: logits"),
    ],
)
def test_wrong_groups_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        optimizers.SGD(**options)
    with pytest.raises(ValueError, match="'head', which no weight belongs to"):
        optimizers.SGD(groups={"head": {}}).build([keras.Variable([1.0], name="logits")])


@pytest.mark.parametrize("l2", [0.0, 0.01])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_decays_as_pytorch_does(momentum, l2):
    steps = gradients()
    w, v = START.copy(), 0.0
    for g in steps:
        v = momentum * v + g + l2 * w
        w = w - 0.1 * v
    found = by_keras(optimizers.SGD(0.1, momentum, l2_decay=l2), steps)
    np.testing.assert_allclose(found, w, rtol=1e-5, atol=1e-7)
    if momentum and l2:  # Keras' own decay is another step
        other = by_keras(keras.optimizers.SGD(0.1, momentum, weight_decay=l2), steps)
        assert np.abs(other - w).max() > 1e-3


def test_sgd_is_made_again_from_its_config():
    made = optimizers.SGD.from_config(optimizers.SGD(0.2, 0.5, l2_decay=0.1).get_config())
    assert (made.momentum, made.l2_decay) == (0.5, 0.1)
    with pytest.raises(ValueError, match="must be at least 0"):
        optimizers.SGD(l2_decay=-1)


def test_summed_descent_steps_by_the_sum_of_the_losses():
    from kerasd2l.tasks.descent import SummedDescent

    # the book: w -= 0.001 (sum of the gradients + 0.01 w), momentum 0.9
    of_examples = np.random.default_rng(1).normal(size=(5, 8, len(START)))
    w, v = START.copy(), 0.0
    for g in of_examples:
        v = 0.9 * v + g.sum(0) + 0.01 * w
        w = w - 0.001 * v
    descent = SummedDescent(0.001, 0.01, 0.9, batch_size=8)
    found = by_keras(descent.optimizer(), of_examples.mean(1))
    np.testing.assert_allclose(found, w, rtol=1e-5)
