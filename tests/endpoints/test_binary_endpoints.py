"""endpoints.binary_classifier: numbers in, two probabilities and a name out."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l.endpoints import binary_classifier
from kerasd2l.testing import check_endpoint

ASSETS = {"class_names": ["no", "yes"], "shift": 3.0}


def model(kernel=((1.0,), (-2.0,)), bias=0.5):
    inputs = keras.Input((len(kernel),))
    dense = keras.layers.Dense(1)
    found = keras.Model(inputs, dense(inputs))
    dense.set_weights([np.float32(kernel), np.float32([bias])])
    return found


def test_answer(tmp_path):
    endpoint = binary_classifier((2,), example=lambda: [[1, 0], [0, 1], [-0.5, 0]])
    answer = check_endpoint(endpoint, model(), ASSETS, tmp_path)
    z = np.array([1.5, -1.5, 0.0])
    yes = 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(answer["probabilities"], np.stack([1 - yes, yes], 1), atol=1e-6)
    assert answer["class_ids"].tolist() == [1, 0, 0]  # the boundary itself: S4-lessons.md:87, z > 0
    assert answer["class_names"].tolist() == [b"yes", b"no", b"no"]


def test_single_numbers_with_a_transform_that_knows_the_assets(tmp_path):
    endpoint = binary_classifier(
        (),
        name="predict",
        input_name="hours",
        transform=lambda hours, assets: tf.stack([hours, 0 * hours + assets["shift"]], 1),
        example=lambda: [5.0, 6.0],
    )
    answer = check_endpoint(endpoint, model(), ASSETS, tmp_path)
    assert endpoint.name == "predict" and endpoint.signature["hours"].shape == (None,)
    assert answer["class_ids"].tolist() == [0, 1]  # z = hours - 2 * 3 + 0.5


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_refused(bad):
    classify = binary_classifier((2,)).build(model(), ASSETS)
    with pytest.raises(tf.errors.InvalidArgumentError, match="features must be finite numbers"):
        classify(features=tf.constant([[1.0, bad]]))


def test_two_names_are_needed():
    with pytest.raises(ValueError, match=r"two `class_names`.*Received: a, b, c"):
        binary_classifier((2,)).build(model(), {"class_names": ["a", "b", "c"]})
