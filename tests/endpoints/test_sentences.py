"""Texts and pairs of texts with strings: what is read, what is left out, what was looked at."""

import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import models
from kerasd2l.data.sets import imdb
from kerasd2l.endpoints import pair_classifier, sentence_classifier
from kerasd2l.export import export
from kerasd2l.recipe import ServingFunction
from kerasd2l.serving import InputError, attends, attention_figure, format_prediction, load
from kerasd2l.testing import check_endpoint

VOCABULARY = ["<unk>", "<pad>", "good", "bad", "the", "film", "was", ".", "n't"]
ASSETS = {
    "class_names": ["negative", "positive"],
    "vocabulary": VOCABULARY,
    "tokenizer": imdb.TOKENIZERS["clean"].to_assets(),
    "num_steps": 6,
}
PAIR_ASSETS = {**ASSETS, "class_names": ["entailment", "contradiction", "neutral"]}
TEXTS = {
    "The film was good.": (5, 0, 0),
    "": (0, 0, 0),
    " \n\t ": (0, 0, 0),
    "xyzzy": (0, 1, 0),
    "\U0001f600 \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627": (0, 3, 0),
    "good " * 10_000: (6, 0, 9994),
    "<pad> <unk>": (1, 1, 0),  # words as others, which the vocabulary has by chance
    "It wasn't.": (3, 1, 0),
}


@pytest.fixture(scope="module")
def birnn():
    return models.birnn(9, embed_size=4, num_hiddens=3, num_layers=1, seed=1)


@pytest.fixture(scope="module")
def pairs():
    return models.decomposable_attention(9, embed_size=4, num_hiddens=8, seed=1)


def built(endpoint, model, assets):
    function = endpoint.build(model, assets)
    call = function.call if isinstance(function, ServingFunction) else function
    return tf.function(call, autograph=False)


def test_every_endpoint_keeps_its_promises(pairs, tmp_path):
    textcnn = models.textcnn(9, embed_size=4, num_channels=(3, 3, 3), seed=1)
    for endpoint in sentence_classifier(example=list(TEXTS)):
        check_endpoint(endpoint, textcnn, ASSETS, tmp_path / endpoint.name)
    for endpoint in pair_classifier(example=[("the film", "good"), ("", "bad"), ("a b", "")]):
        check_endpoint(endpoint, pairs, PAIR_ASSETS, tmp_path / f"pair_{endpoint.name}")


def test_every_text_is_answered_and_the_reply_says_how_much_was_read(birnn):
    text, numbers = sentence_classifier(example=["good"])
    serve = built(text, birnn, ASSETS)
    outputs = serve(tf.constant(list(TEXTS)))
    counts = [outputs[f"words_{what}"].numpy() for what in ("read", "unknown", "left_out")]
    assert list(zip(*counts, strict=True)) == list(TEXTS.values())
    assert np.isfinite(outputs["probabilities"].numpy()).all()
    ids = outputs["class_ids"].numpy()
    assert [name.decode() for name in outputs["label"].numpy()] == [
        ASSETS["class_names"][i] for i in ids
    ]
    alone = serve(tf.constant(["", "The film was good."]))
    np.testing.assert_allclose(
        alone["probabilities"], outputs["probabilities"].numpy()[[1, 0]], atol=1e-6
    )
    first = serve(tf.constant(["good " * 6]))
    np.testing.assert_allclose(
        first["probabilities"][0], outputs["probabilities"].numpy()[5], atol=1e-6
    )
    predict = built(numbers, birnn, ASSETS)
    same = predict(tf.constant([[4, 5, 6, 2, 7]]), tf.constant([5]))
    np.testing.assert_allclose(same["probabilities"], outputs["probabilities"][:1], atol=1e-6)


@pytest.mark.parametrize(
    ("tokens", "lengths"),
    [([[9, 2]], [2]), ([[-1, 2]], [2]), ([[2, 2]], [3]), ([[2, 2]], [-1]), ([[2] * 1001], [7])],
)
def test_numbers_that_are_no_words_are_refused(birnn, tokens, lengths):
    predict = built(sentence_classifier(example=["good"])[1], birnn, ASSETS)
    with pytest.raises(tf.errors.InvalidArgumentError, match="words must have 1 to 1000 places"):
        predict(tf.constant(tokens), tf.constant(lengths))


def test_attention_is_between_the_words_of_the_reply(pairs):
    serve = built(pair_classifier(example=[("a", "b")])[0], pairs, PAIR_ASSETS)
    outputs = serve(
        tf.constant(["The film was good.", "", "x " * 9]), tf.constant(["Good?", "bad film", ""])
    )
    attention = outputs["attention"].numpy()
    said = [[word.decode() for word in row] for row in outputs["premise_tokens"].numpy()]
    assert said == [["the", "film", "was", "good", ".", ""], [""] * 6, ["x"] * 6]
    other = [[word.decode() for word in row] for row in outputs["hypothesis_tokens"].numpy()]
    assert other == [["good", "?"], ["bad", "film"], ["", ""]]
    assert attention.shape == (3, 6, 2)
    np.testing.assert_allclose(attention[0].sum(1), [1, 1, 1, 1, 1, 0], atol=1e-6)
    assert not attention[1:].any(), "a sentence without words neither looks nor is looked at"
    assert outputs["premise_words_left_out"].numpy().tolist() == [0, 0, 3]
    assert outputs["hypothesis_words_unknown"].numpy().tolist() == [1, 0, 0]


def test_assets_without_a_length_are_refused(birnn):
    with pytest.raises(ValueError, match="`num_steps`"):
        sentence_classifier(example=["a"])[0].build(birnn, {**ASSETS, "num_steps": None})


def test_a_savedmodel_answers_strings_and_its_attention_is_drawn(pairs, tmp_path):
    folder = export(
        pairs,
        "natural_language_processing_applications/decomposable_attention",
        pair_classifier(example=[("the film", "good")]),
        PAIR_ASSETS,
        tmp_path / "savedmodels",
        name="pairs",
        metrics={},
        arguments={},
    )
    served = load(folder)
    outputs = served.predict(["premise=The film was $good$ or bad.", "hypothesis=\U0001f600 good"])
    (line,) = format_prediction(outputs, class_names=served.class_names)
    assert line.endswith("(1 word left out of premise)")
    assert attends(outputs)
    drawing = attention_figure(outputs)
    drawing.savefig(tmp_path / "attention.png")
    axes = drawing.axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["the", "film", "was", "$good$", "or", "bad"]
    assert axes.get_xlabel() == "hypothesis" and axes.get_ylabel() == "premise"
    np.testing.assert_allclose(axes.images[0].get_array(), outputs["attention"][0], rtol=1e-6)
    none = np.array([], dtype=object)
    assert served.call({"premise": none, "hypothesis": none})["label"].shape == (0,)
    with pytest.raises(InputError, match="no value for hypothesis"):
        served.predict(["premise=a"])


def test_a_heat_map_needs_words_and_shows_sixteen_at_most():
    with pytest.raises(ValueError, match="a heat map needs"):
        attention_figure({"attention": np.zeros((1, 2, 2))})
    empty = {
        "attention": np.zeros((20, 70, 1)),
        "premise_tokens": np.full((20, 70), "a", object),
        "hypothesis_tokens": np.full((20, 1), "", object),
    }
    drawing = attention_figure(empty)
    maps = [axes for axes in drawing.axes if axes.images]
    assert len(maps) == 16 and len(maps[0].get_yticklabels()) == 60
