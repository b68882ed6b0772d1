"""Losses and metrics of sequences: padding counts for nothing."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l.losses import MaskedCrossEntropy, masked_cross_entropy
from kerasd2l.metrics import Perplexity, bleu


def example(seed=0, batch=3, steps=5, vocabulary=7):
    rng = np.random.default_rng(seed)
    lens = np.array([5, 2, 3])
    labels = rng.integers(2, vocabulary, (batch, steps))
    labels[np.arange(steps) >= lens[:, None]] = 1
    return labels, rng.normal(size=(batch, steps, vocabulary)).astype("float32"), lens


def token_losses(labels, logits):
    shifted = logits - logits.max(-1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return -np.take_along_axis(log_probabilities, labels[..., None], -1)[..., 0]


def test_the_books_demonstration():
    # d2l-zh, seq2seq: ones, lengths 4, 2, 0 -> 2.3026, 1.1513, 0
    arguments = np.ones((3, 4), int), np.ones((3, 4, 10), "float32"), np.array([4, 2, 0])
    steps = masked_cross_entropy(*arguments, divide_by="steps")
    np.testing.assert_allclose(steps, [2.3026, 1.1513, 0], atol=5e-5)
    tokens = masked_cross_entropy(*arguments)
    np.testing.assert_allclose(tokens, [2.3026, 2.3026, 0], atol=5e-5)


def test_masked_losses_are_their_formulas():
    labels, logits, lens = example()
    each = token_losses(labels, logits) * (labels != 1)
    np.testing.assert_allclose(
        masked_cross_entropy(labels, logits, lens), each.sum(1) / lens, rtol=1e-5
    )
    assert float(MaskedCrossEntropy()(labels, logits)) == pytest.approx(
        each.sum() / lens.sum(), rel=1e-5
    )
    assert float(MaskedCrossEntropy(divide_by="steps")(labels, logits)) == pytest.approx(
        each.sum() / labels.size, rel=1e-5
    )


@pytest.mark.parametrize("divide_by", ["tokens", "steps"])
def test_what_is_under_the_padding_reaches_no_gradient(divide_by):
    labels, logits, lens = example()
    spoiled = logits.copy()
    spoiled[labels == 1] = np.nan
    gradients = []
    for values in (logits, spoiled):
        x = tf.constant(values)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = MaskedCrossEntropy(divide_by=divide_by)(labels, x)
            loss += tf.reduce_sum(masked_cross_entropy(labels, x, lens, divide_by=divide_by))
        gradients.append(tape.gradient(loss, x).numpy())
    assert np.all(gradients[0][labels == 1] == 0) and np.any(gradients[0][labels != 1])
    np.testing.assert_array_equal(*gradients)


def test_longer_padding_changes_nothing_but_what_the_book_divides_by():
    labels, logits, lens = example()
    longer = np.pad(labels, ((0, 0), (0, 4)), constant_values=1)
    more = np.pad(logits, ((0, 0), (0, 4), (0, 0)))
    same = MaskedCrossEntropy()
    assert float(same(longer, more)) == pytest.approx(float(same(labels, logits)), abs=1e-6)
    np.testing.assert_allclose(
        masked_cross_entropy(longer, more, lens), masked_cross_entropy(labels, logits, lens),
        atol=1e-6,
    )  # fmt: skip
    steps = MaskedCrossEntropy(divide_by="steps")
    assert float(steps(longer, more)) == pytest.approx(float(steps(labels, logits)) * 5 / 9)


def test_a_batch_of_padding_only_costs_nothing():
    assert float(MaskedCrossEntropy()(np.ones((2, 3), int), np.zeros((2, 3, 4)))) == 0.0


def test_weights_from_the_whole_batch_are_the_masked_mean_in_keras_own_loss():
    labels, logits, _ = example()
    real = (labels != 1).astype("float32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    weighted = loss(labels, logits, sample_weight=real * (real.size / real.sum()))
    assert float(weighted) == pytest.approx(float(MaskedCrossEntropy()(labels, logits)), rel=1e-5)


def test_masked_loss_survives_its_configuration_and_refuses_other_divisors():
    loss = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(MaskedCrossEntropy(ignore_id=5, divide_by="steps"))
    )
    assert (loss.ignore_id, loss.divide_by) == (5, "steps")
    for make in (
        MaskedCrossEntropy,
        lambda **kw: masked_cross_entropy([[1]], [[[0.0]]], [1], **kw),
    ):
        with pytest.raises(ValueError, match=r"tokens or steps\. Received: 'words'"):
            make(divide_by="words")


def test_perplexity_is_that_of_one_long_text_however_it_is_cut():
    labels, logits, _ = example()
    metric = Perplexity(ignore_id=1)
    for row in range(3):
        metric.update_state(labels[row : row + 1], logits[row : row + 1])
    real = labels != 1
    expected = np.exp(token_losses(labels, logits)[real].mean())
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)
    metric.reset_state()
    assert float(metric.result()) == 1.0


def test_perplexity_bounds_of_the_book():
    labels = np.arange(6).reshape(2, 3)
    metric = Perplexity()
    metric.update_state(labels, np.zeros((2, 3, 28), "float32"))
    assert float(metric.result()) == pytest.approx(28, rel=1e-5)  # knows nothing: V
    metric.reset_state()
    metric.update_state(labels, 1e3 * np.eye(28, dtype="float32")[labels])
    assert float(metric.result()) == 1.0  # knows all


def test_perplexity_weighs_sequences_and_tokens_and_takes_probabilities():
    labels, logits, _ = example()
    each = token_losses(labels, logits)
    for weights in (np.array([1.0, 0.0, 2.0]), np.random.default_rng(1).random((3, 5))):
        metric = Perplexity(from_logits=False)
        metric.update_state(labels, tf.nn.softmax(logits), sample_weight=weights)
        grid = np.broadcast_to(weights.reshape(3, -1), (3, 5))
        expected = np.exp((each * grid).sum() / grid.sum())
        assert float(metric.result()) == pytest.approx(expected, rel=1e-4)


def test_perplexity_hides_no_nan_but_under_padding():
    labels, logits, _ = example()
    logits[0, 0, 0] = np.nan
    metric = Perplexity(ignore_id=1)
    metric.update_state(labels, logits)
    assert np.isnan(float(metric.result()))
    logits = np.where((labels == 1)[..., None], np.nan, np.nan_to_num(logits))
    metric.reset_state()
    metric.update_state(labels, logits)
    assert np.isfinite(float(metric.result()))


def test_perplexity_in_a_compiled_model_and_from_its_configuration():
    labels, _, _ = example()
    model = keras.Sequential([keras.Input((5,)), keras.layers.Embedding(7, 7)])
    metric = Perplexity.from_config(Perplexity(ignore_id=1, name="ppl").get_config())
    assert (metric.ignore_id, metric.from_logits, metric.name) == (1, True, "ppl")
    model.compile(loss=MaskedCrossEntropy(), metrics=[metric])
    figures = model.evaluate(labels, labels, batch_size=3, verbose=0, return_dict=True)
    assert figures["ppl"] == pytest.approx(np.exp(figures["loss"]), rel=1e-4)


def test_bleu_of_the_books_translations():
    # printed in d2l-zh's notebook: 1.000 and 0.658; three of four words right, one pair of three
    assert bleu("va !", "va !", k=2) == 1.0
    assert bleu("il est riche .", "il est calme .", k=2) == pytest.approx(0.658, abs=5e-4)
    assert bleu("je suis chez moi moi .", "je suis chez moi .", k=2) == pytest.approx(
        (5 / 6) ** 0.5 * (4 / 5) ** 0.25
    )


def test_bleu_is_its_formula():
    # d2l, seq2seq text: label A B C D E F, prediction A B B C D: p1..p4 = 4/5, 3/4, 1/3, 0
    label, pred = "A B C D E F", "A B B C D"
    shortness = np.exp(1 - 6 / 5)
    assert bleu(pred, label, k=1) == pytest.approx(shortness * 0.8**0.5)
    assert bleu(pred, label, k=2) == pytest.approx(shortness * 0.8**0.5 * 0.75**0.25)
    assert bleu(pred, label, k=3) == pytest.approx(
        shortness * 0.8**0.5 * 0.75**0.25 * (1 / 3) ** 0.125
    )
    assert bleu(pred.split(), label.split(), k=4) == 0.0
    assert bleu("A A A A A A", label, k=1) == pytest.approx((1 / 6) ** 0.5)  # counted once


def test_bleu_of_what_is_too_short():
    assert bleu("", "a b", k=1) == 0.0
    assert bleu("a", "a b", k=2) == pytest.approx(math.exp(-1))
    assert bleu("a b", "a b", k=4) == 1.0, "d2l-en: n up to the number of words"
    with pytest.raises(ValueError, match="k=0"):
        bleu("a", "a", k=0)
    with pytest.raises(ValueError, match="an empty reference"):
        bleu("a", " ", k=1)
