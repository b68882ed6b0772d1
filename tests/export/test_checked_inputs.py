"""What a stranger may send to an exported model: an answer or an error, never a dead process."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiny_models import encoded

from kerasd2l import models
from kerasd2l.data import Tokenizer, Vocab, text
from kerasd2l.endpoints import (
    binary_classifier,
    image_classifier,
    regressor,
    table_regressor,
    text_classifier,
    text_generator,
)
from kerasd2l.export.savedmodel import export

SCRIPT = Path(__file__).parents[2] / "scripts" / "mutate_served.py"


def served(model, endpoints, assets, folder):
    path = export(model, "tests/checked", endpoints, assets, folder, name="checked")
    return path, tf.saved_model.load(str(path)).signatures


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A small convolutional network: of these some wrong shapes end the process."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3),
            keras.layers.AveragePooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    endpoints = image_classifier(height=8, width=8, channels=3)
    assets = {"class_names": ["a", "b"]}
    return served(model, endpoints, assets, tmp_path_factory.mktemp("pictures"))


@pytest.mark.parametrize(
    "shape",
    [
        *[(), (0,), (1,), (1, 8, 8), (8, 8, 3), (1, 8, 8, 1), (1, 8, 8, 4), (2, 7, 8, 3)],
        *[(0, 0, 0, 0), (1, 8, 8, 3, 1), (1, 1, 1, 1, 1, 1, 1)],
    ],
)
def test_pixels_of_a_wrong_shape_are_an_error_that_names_the_right_one(shape, pictures):
    said = r"Shape of tensor pixels .*expected shape \[\?,8,8,3\]"
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError), match=said):
        pictures[1]["predict"](pixels=tf.zeros(shape))


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_get_no_class(number, pictures):
    pixels = np.zeros((2, 8, 8, 3), np.float32)
    pixels[1, 2, 3, 0] = number
    with pytest.raises(tf.errors.InvalidArgumentError, match="pixels must be finite numbers"):
        pictures[1]["predict"](pixels=tf.constant(pixels))
    with pytest.raises(tf.errors.InvalidArgumentError, match="answer is no finite number"):
        pictures[1]["predict"](pixels=tf.fill((1, 8, 8, 3), 3e38))


def test_no_pictures_are_no_answers(pictures):
    for name, nothing in (("predict", tf.zeros((0, 8, 8, 3))), ("serving_default", [])):
        inputs = (
            {"pixels": nothing} if name == "predict" else {"image_bytes": tf.constant([], "string")}
        )
        answer = pictures[1][name](**inputs)
        assert {key: value.shape.as_list() for key, value in answer.items()} == {
            "probabilities": [0, 2],
            "class_ids": [0],
            "class_names": [0],
        }


def test_an_animation_and_a_huge_picture_are_errors_of_the_export(pictures):
    frames = [Image.new("RGB", (32, 24), colour) for colour in ("red", "blue")]
    animated = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    huge = encoded(Image.new("1", (10_000, 10_000)))
    for content, message in ((animated, "animated WebP"), (huge, "more than 16 megapixels")):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            pictures[1]["serving_default"](image_bytes=tf.constant([encoded(frames[0]), content]))


@pytest.mark.parametrize(
    ("endpoint", "shape", "wrong"),
    [
        (regressor((2,)), (2,), [(), (2,), (0,), (1, 3), (1, 2, 1)]),
        (binary_classifier((3,)), (3,), [(), (3,), (1, 2), (1, 3, 1)]),
    ],
    ids=["numbers", "binary"],
)
def test_numbers_of_a_wrong_shape_or_too_large(endpoint, shape, wrong, tmp_path):
    model = keras.Sequential([keras.Input(shape), keras.layers.Dense(1, kernel_initializer="ones")])
    _, signatures = served(model, (endpoint,), {"class_names": ["no", "yes"]}, tmp_path)
    ask = signatures["serving_default"]
    assert ask(features=tf.ones((4, *shape)))
    for given in wrong:
        with pytest.raises((tf.errors.InvalidArgumentError, ValueError), match="expected shape"):
            ask(features=tf.zeros(given))
    with pytest.raises(tf.errors.InvalidArgumentError, match="the answer is no finite number"):
        ask(features=tf.fill((1, *shape), 3e38))


def test_columns_of_different_length_are_an_error(tmp_path):
    twice = keras.initializers.Constant(2.0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, kernel_initializer=twice)])
    columns = {"Size": np.float32([1, 2]), "Street": np.array([b"Pave", b"NA"], object)}
    endpoint = table_regressor(["Size"], ["Street"], output="price", example=lambda: columns)
    assets = {"numeric": {"Size": [0.0, 1.0]}, "categorical": {"Street": ["Grvl", "Pave"]}}
    _, signatures = served(model, (endpoint,), assets, tmp_path)
    ask = signatures["serving_default"]
    assert ask(Size=tf.constant([1.0, 2.0]), Street=tf.constant(["Pave", ""]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Size, Street must be of the same"):
        ask(Size=tf.constant([1.0]), Street=tf.constant(["Pave", ""]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="a number is infinite"):
        ask(Size=tf.constant([np.inf]), Street=tf.constant(["Pave"]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="the answer is no finite number"):
        ask(Size=tf.constant([3e38]), Street=tf.constant(["Pave"]))


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    model = models.names_classifier(2, embed_size=4, num_hiddens=5, seed=1)
    vocabulary = ["<unk>", *map(chr, range(1, 128))]
    rules = {"level": "char", "replacements": [], "lower": False, "strip": False}
    assets = {"class_names": ["a", "b"], "vocabulary": vocabulary, "tokenizer": rules}
    return served(model, text_classifier(example=["Li"]), assets, tmp_path_factory.mktemp("names"))


@pytest.mark.parametrize(
    ("characters", "lengths", "message"),
    [
        ((2, 3), [1], "characters, lengths must be of the same length"),
        ((2, 0), [0, 0], "characters must have 1 to 1000 places"),
        ((1, 1001), [5], "characters must have 1 to 1000 places"),
        ((1, 3), [4], "lengths must be from 0 to as many"),
        ((1, 3), [-1], "lengths must be from 0 to as many"),
        ((3,), [1, 1, 1], "Shape of tensor characters"),
        ((1, 3, 1), [1], "Shape of tensor characters"),
        ((1, 3), 3, "Shape of tensor lengths"),
    ],
)
def test_characters_and_lengths_that_do_not_fit_each_other(characters, lengths, message, names):
    assert names[1]["predict"](characters=tf.ones((1, 3), "int32"), lengths=tf.constant([3]))
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError), match=message):
        names[1]["predict"](
            characters=tf.ones(characters, "int32"), lengths=tf.constant(lengths, "int32")
        )


def test_of_a_long_text_the_end_decides_the_class(names):
    ask = names[1]["serving_default"]
    end = "Zoë" * 300 + "x" * 100
    began = time.perf_counter()
    answer = ask(text=tf.constant(["Q" * 1_000_000 + end, end, "ab"]))
    assert time.perf_counter() - began < 5
    assert answer["characters_read"].numpy().tolist() == [700, 700, 2]  # ë is not among them
    probabilities = answer["probabilities"].numpy()
    np.testing.assert_array_equal(probabilities[0], probabilities[1])


@pytest.mark.parametrize("tokenizer", [Tokenizer("char", text.LETTERS), Tokenizer("word", ())])
def test_of_a_long_prefix_the_end_decides_what_follows(tokenizer, tmp_path):
    line = "the time traveller for so it will be convenient to speak of him "
    vocab = Vocab([tokenizer(line)])
    gru = keras.layers.GRU(8, return_sequences=True, return_state=True, seed=1)
    model = models.language_model(len(vocab), gru)
    assets = {"vocabulary": vocab.tokens, "tokenizer": tokenizer.to_assets()}
    endpoints = text_generator(models.step_by_step, num_tokens=9)
    _, signatures = served(model, endpoints, assets, tmp_path)
    end = (line * 20)[-1000:].replace(" him ", " him. ")[-1000:]
    long = "speak of him " * 80_000 + end
    began = time.perf_counter()
    full, short = signatures["serving_default"](prefix=tf.constant([long, end]))["text"].numpy()
    assert time.perf_counter() - began < 5
    assert len(full) > 1_000_000, "all of the prefix stands in the answer"
    assert full.endswith(short[-100:])
    generate = signatures["generate"]
    for wrong in ({"seed": [1]}, {"num_tokens": [[1]]}, {"temperature": [1.0]}):
        settings = {
            "num_tokens": 3,
            "temperature": 1.0,
            "seed": 0,
            "top_k": 0,
            "top_p": 1.0,
        } | wrong
        kinds = {"num_tokens": "int32", "temperature": "float32", "seed": "int64"}
        kinds |= {"top_k": "int32", "top_p": "float32"}
        tensors = {key: tf.constant(value, kinds[key]) for key, value in settings.items()}
        with pytest.raises((tf.errors.InvalidArgumentError, ValueError), match="expected shape"):
            generate(prefix=tf.constant(["a"]), **tensors)


def test_mutated_requests_kill_no_process(pictures):
    """A small part of `scripts/mutate_served.py`, in a process without this library."""
    words = [sys.executable, str(SCRIPT), "--ask", str(pictures[0]), "0", "100", "11"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ)
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, replies[-1:]
    assert len(replies) == 100
    assert all(reply["finite"] and reply["seconds"] < 5 for reply in replies)
    outcomes = [reply["outcome"] for reply in replies]
    assert min(outcomes.count("answered"), outcomes.count("refused")) > 20
