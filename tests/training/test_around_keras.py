"""What the loop replaces in Keras is what Keras uses, and comes back afterwards.

Each test fails when Keras goes another way, even if the name is still there.
"""

import dataclasses

import keras
import numpy as np
import pytest
import small
import tensorflow as tf

from kerasd2l.training import around_keras, loop
from kerasd2l.training.around_keras import replaced


def counting(patch):
    """Count the calls of what takes the place of a name of Keras; return the counts."""
    calls = {}
    before = around_keras.replaced

    def count(owner, name, wrap):
        def wrap_and_count(original):
            inner = wrap(original)

            def call(*arguments, **named):
                calls[name] = calls.get(name, 0) + 1
                return inner(*arguments, **named)

            return call

        return before(owner, name, wrap_and_count)

    patch.setattr(around_keras, "replaced", count)
    return calls


def rows():
    """Return one batch to train, which two replicas halve; nothing to evaluate."""
    return dataclasses.replace(small.data(train=8), test=None)


@pytest.fixture(scope="module")
def one():
    """Training on one device: the history."""
    return small.train(small.pictures, rows(), epochs=1)[1]


@pytest.mark.slow
def test_keras_goes_through_everything_that_is_replaced_and_it_comes_back(monkeypatch):
    """Traced once for each of two replicas."""
    before = keras.src.backend.nn._compute_moments_sync
    scale = keras.src.losses.loss.scale_loss_for_distribution
    counted = counting(monkeypatch)
    model, _ = small.train(small.pictures, small.data(), replicas=2, epochs=1)
    names = ("compute_loss", "apply", "_all_reduce_sum_gradients", "_compute_moments_sync")
    for name in (*names, "scale_loss_for_distribution", "unscale_loss_for_distribution"):
        assert counted[name] >= 2, f"Keras {keras.__version__} goes around {name}"

    assert keras.src.backend.nn._compute_moments_sync is before
    assert keras.src.losses.loss.scale_loss_for_distribution is scale
    assert not {"apply", "_all_reduce_sum_gradients"} & set(vars(model.optimizer))
    assert "compute_loss" not in vars(model)
    norms = [v for v in model.layers if isinstance(v, keras.layers.BatchNormalization)]
    assert [norm.synchronized for norm in norms] == [False]


@pytest.mark.slow
def test_keras_goes_through_compute_loss():
    """Without it, a short last batch would count as if its pieces were equal."""
    data = dataclasses.replace(small.data(train=5), test=None)
    one, _ = small.train(lambda: small.pictures(batch_norm=False), data, epochs=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(around_keras.FairShare, "_in_step", lambda self: False)
        two, _ = small.train(lambda: small.pictures(batch_norm=False), data, epochs=1, replicas=2)
    assert small.difference(one, two) > 1e-4, "2 and 3 of 5 examples"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["_unscaled", "_shown"])
def test_keras_scales_losses_by_these_names(one, name):
    """Left to Keras, the loss of two replicas would be half, or twice, of what it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(around_keras.FairShare, name, lambda self, original: original)
        _, history = small.train(small.pictures, rows(), epochs=1, replicas=2)
    assert abs(history[0]["train_loss"] - one[0]["train_loss"]) > 0.1


@pytest.mark.slow
def test_keras_adds_gradients_once():
    """Keras would add what is summed already: a step would be twice as long."""
    make = lambda: small.pictures(batch_norm=False, optimizer=keras.optimizers.SGD(0.1))  # noqa: E731
    one, _ = small.train(make, rows(), epochs=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(around_keras, "_as_they_are", lambda original: original)
        two, _ = small.train(make, rows(), epochs=1, replicas=2)
    assert small.difference(one, two) > 1e-3


@pytest.mark.slow
def test_keras_adds_gradients_before_it_clips():
    """Each replica's own gradient is longer than theirs together: clipped alone it counts less."""
    optimizer = lambda: keras.optimizers.SGD(1.0, global_clipnorm=0.05)  # noqa: E731
    make = lambda: small.pictures(batch_norm=False, optimizer=optimizer())  # noqa: E731
    one, _ = small.train(make, rows(), epochs=1)
    two, _ = small.train(make, rows(), epochs=1, replicas=2)
    assert small.difference(one, two) < 1e-6
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(around_keras.FairShare, "_apply_sum", lambda self, apply: apply)
        patch.setattr(around_keras, "_as_they_are", lambda original: original)
        clipped_first, _ = small.train(make, rows(), epochs=1, replicas=2)
    assert small.difference(one, clipped_first) > 1e-3


@pytest.mark.slow
def test_keras_takes_our_moments():
    """Far from zero, E[x^2] - E[x]^2 loses the digits that one device has."""

    def make():
        inputs = keras.Input((6, 6, 1))
        x = keras.layers.Rescaling(1.0, 3000.0)(inputs)
        x = keras.layers.BatchNormalization()(x)
        logits = keras.layers.Dense(small.CLASSES)(keras.layers.Flatten()(x))
        return small.compiled(keras.Model(inputs, logits), optimizer=keras.optimizers.SGD(0.1))

    one, _ = small.train(make, rows(), epochs=1)
    two, _ = small.train(make, rows(), epochs=1, replicas=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(around_keras, "_two_pass_moments", lambda original: original)
        keras_own, _ = small.train(make, rows(), epochs=1, replicas=2)
    ours = small.difference(one, two)
    assert small.difference(one, keras_own) > 10 * max(ours, 1e-4)


def test_additions_of_workers_are_not_lost():
    """Keras reads, adds and writes: of two workers at the same time one would be lost."""
    optimizer = keras.optimizers.SGD(0.1)
    variable = keras.Variable(1.0)
    optimizer.build([variable])

    def kinds():
        step = tf.function(lambda: optimizer.apply([tf.constant(1.0)], [variable]), autograph=False)
        graph = step.get_concrete_function().graph
        mine = optimizer.iterations.value.handle
        (mine,) = [inner for outer, inner in graph.captures if outer is mine]
        return {op.type for op in mine.consumers()}

    assert "AssignVariableOp" in kinds()
    with around_keras.atomic_additions():
        assert kinds() == {"AssignAddVariableOp"}
        variable.assign_add(2.0)
    assert float(variable.numpy()) == 3.0
    assert "assign_add" not in vars(keras.src.backend.Variable)


def test_one_device_replaces_nothing(monkeypatch):
    counted = counting(monkeypatch)
    model = small.pictures()
    loop.train(model, rows(), epochs=1)
    assert not counted


def test_a_name_that_is_gone_is_an_error_that_says_what_to_do():
    with pytest.raises(RuntimeError, match=r"has no gone: .* --strategy one"):
        with replaced(tf, "gone", lambda original: original):
            pass


def test_replaced_comes_back_after_an_error():
    thing = keras.layers.Dense(1)
    with pytest.raises(RuntimeError, match="planted"):
        with replaced(thing, "call", lambda original: lambda x: x):
            assert np.array_equal(thing.call(3), 3)
            raise RuntimeError("planted")
    assert "call" not in vars(thing)
