"""Models of word vectors: numbers by formula, replicas in the loss, and the book's loss."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import losses, scratch
from kerasd2l.data import huffman, word_windows
from kerasd2l.models import CBOW, GloVe, SkipGram
from kerasd2l.testing import check_model

V, D = 12, 6


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).integers(1, V, shape).astype(np.int32)


WORDS = {"inputs": numbers(4), "outputs": numbers(4, 7, seed=1)}
ROWS = {"inputs": numbers(4, 5, seed=2), "outputs": numbers(4, 7, seed=1)}
PAIRS = {"inputs": numbers(4), "outputs": numbers(4, seed=1)}


@pytest.mark.parametrize(
    ("build", "inputs", "parameters"),
    [
        (lambda: SkipGram(V, embed_size=D, seed=1), WORDS, 2 * V * D),
        (lambda: CBOW(V, embed_size=D, num_extra=3, seed=1), ROWS, (2 * V + 3) * D),
        (lambda: GloVe(V, embed_size=D, seed=1), PAIRS, 2 * V * (D + 1)),
    ],
    ids=["skip_gram", "cbow", "glove"],
)
def test_models_keep_their_promises(build, inputs, parameters):
    check_model(build, inputs, parameters=parameters)


def test_skip_gram_is_the_books():
    """Section: word2vec-pretraining."""
    model = SkipGram(V, embed_size=D, seed=0)
    logits = model(WORDS)
    by_hand = scratch.skip_gram_scratch(
        WORDS["inputs"][:, None], WORDS["outputs"], model.v, model.u
    )
    assert by_hand.shape == (4, 1, 7)
    np.testing.assert_allclose(logits, by_hand[:, 0], atol=1e-6)
    np.testing.assert_allclose(model.vectors(WORDS["inputs"]), np.array(model.v)[WORDS["inputs"]])
    bound = np.sqrt(6 / (V + D))
    assert bound * 0.7 < np.abs(model.v).max() <= bound


def test_cbow_is_the_mean_of_what_is_there_and_padding_changes_no_bit():
    model = CBOW(V, embed_size=D, seed=0)
    rows = np.array([[3, 5, 0, 0], [7, 0, 0, 0]], np.int32)
    outputs = numbers(2, 3)
    logits = np.array(model({"inputs": rows, "outputs": outputs}))
    v, u = np.array(model.v), np.array(model.u)
    means = np.stack([(v[3] + v[5]) / 2, v[7]])
    np.testing.assert_allclose(logits, np.einsum("bd,bmd->bm", means, u[outputs]), atol=1e-6)
    model.v.assign(np.concatenate([np.full((1, D), 1e3), v[1:]]))
    np.testing.assert_array_equal(logits, model({"inputs": rows, "outputs": outputs}))
    np.testing.assert_allclose(model.vectors(rows[:, 0]), v[[3, 7]])
    assert not np.array(model.vectors(np.zeros((1, 4), np.int32))).any()


def test_glove_is_its_formula_and_each_pair_has_its_weight():
    """Section: glove. The squared error of (B,) would be one number for all weights."""
    model = GloVe(V, embed_size=D, seed=0)
    found = np.array(model(PAIRS))
    for weight in (model.b, model.c):
        weight.assign(np.random.default_rng(3).normal(size=V))
    v, u, b, c = map(np.array, (model.v, model.u, model.b, model.c))
    i, j = PAIRS["inputs"], PAIRS["outputs"]
    expected = (v[i] * u[j]).sum(1) + b[i] + c[j]
    found = np.array(model(PAIRS))
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-6)
    labels, weights = np.arange(4.0)[:, None], np.array([0.1, 1, 0, 0.5])
    loss = keras.losses.MeanSquaredError()(labels, found, weights)
    assert float(loss) == pytest.approx(np.mean(weights * (expected - labels[:, 0]) ** 2), rel=1e-5)
    np.testing.assert_allclose(model.vectors(i), v[i] + u[i], atol=1e-6)


def test_the_loss_of_the_book_and_the_one_that_trains_are_the_same():
    """Section: word2vec-pretraining. Printed in the book: 0.9352, 1.8462."""
    logits = np.array([[1.1, -2.2, 3.3, -4.4]] * 2, np.float32)
    labels = np.array([[1, 0, 0, 0], [0, 1, 0, 0]], np.float32)
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], np.float32)
    by_row = np.array(losses.sigmoid_bce(logits, labels, mask)) * mask.shape[1] / mask.sum(1)
    np.testing.assert_allclose(by_row, [0.9352, 1.8462], atol=1e-4)
    np.testing.assert_allclose(
        losses.sigmoid_bce(logits, labels),
        losses.SigmoidBCELoss(reduction=None)(labels, logits).numpy().mean(1),
        rtol=1e-6,
    )
    weights = word_windows.weigh(tf.constant(mask > 0), "centers")
    trains = losses.SigmoidBCELoss()(labels, logits, weights)
    assert float(trains) == pytest.approx(by_row.mean(), rel=1e-6)
    assert np.isfinite(losses.SigmoidBCELoss()([[1.0, 0.0]], [[-1e4, 1e4]]))
    again = keras.losses.deserialize(keras.losses.serialize(losses.SigmoidBCELoss()))
    assert isinstance(again, losses.SigmoidBCELoss)


def test_probabilities_of_the_tree_sum_to_one_and_its_loss_is_their_logarithm():
    """Section: approx-training."""
    counts = np.array([0, 5, 3, 8, 1, 1, 2, 9, 4, 4, 6, 7])
    nodes, turns = huffman.huffman_paths(counts)
    model = SkipGram(V, embed_size=D, seed=0)
    words = np.arange(1, V)
    logits = model({"inputs": np.full(V - 1, 3), "outputs": nodes[words]})
    weights = (nodes[words] > 0).astype(np.float32)
    loss = losses.SigmoidBCELoss(reduction=None)(turns[words].astype(np.float32), logits)
    chance = np.exp(-np.sum(np.array(loss) * weights, axis=1))
    assert chance.sum() == pytest.approx(1, abs=1e-6)
