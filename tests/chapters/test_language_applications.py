"""Chapter 15: what the demos say, and that the models learn what the built-in texts say."""

import keras
import pytest

from kerasd2l import finding, models
from kerasd2l.data.sets import imdb, snli


def test_reviews_are_counted_and_measured():
    """Section "sentiment-analysis-and-dataset"."""
    values = finding.load("review_lengths", num_steps=12).run().values
    assert values["reviews"] == 1600 and values["shape of the numbers"] == [1600, 12]
    assert values["positive"] == sum(label for _, label in imdb.reviews("builtin")["train"])
    assert 0 < values["share of at most 12 words"] < 1


def test_pairs_are_counted_by_label():
    """Section "natural-language-inference-and-dataset"."""
    values = finding.load("inference_pairs").run().values
    data = snli.load("builtin")
    for split in ("train", "test"):
        assert sum(values[f"{split}: {name}"] for name in snli.CLASS_NAMES) == data.size[split]
    premise, hypothesis = values["train: first pair of entailment"]
    assert premise.startswith("The journey to ") and hypothesis.startswith("It ")


def test_the_books_numbers_along_a_sequence():
    values = finding.load("one_dimensional_convolution").run().values
    assert values["one channel"] == [2, 5, 8, 11, 14, 17]
    assert values["three channels"] == values["the same in two dimensions"]
    assert values["three channels"] == [2, 8, 14, 20, 26, 32]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["textcnn", "decomposable_attention"])
def test_a_few_epochs_teach_more_than_the_majority(kind):
    keras.utils.set_random_seed(0)
    if kind == "textcnn":
        data = imdb.load("builtin", num_steps=32)
        model = models.textcnn(len(data.assets["vocabulary"]), num_channels=(16, 16, 16))
        rate, epochs, least = 0.005, 4, 0.8  # majority: 0.52
    else:
        data = snli.load("builtin", batch_size=64)
        model = models.decomposable_attention(len(data.assets["vocabulary"]), num_hiddens=64)
        rate, epochs, least = 0.003, 4, 0.6  # majority: 0.34
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    model.fit(data.train, epochs=epochs, verbose=0)
    assert model.evaluate(data.test, verbose=0)[1] > least
