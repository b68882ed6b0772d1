"""Masks from encoded pictures of any size: each in its own size, whatever else is in the batch."""

import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiny_models import encoded

from kerasd2l.endpoints import image_segmenter
from kerasd2l.testing import check_endpoint

NAMES = ["dark", "red", "green", "blue"]
ASSETS = {"class_names": NAMES, "colours": [[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]]}
COLOURS = np.array(ASSETS["colours"], np.uint8)


@pytest.fixture(scope="module")
def model():
    """Tell the colour of every pixel, for sides that are multiples of 4."""
    pixels = keras.Input((None, None, 3))
    head = keras.layers.Conv2D(4, 1, name="logits")
    model = keras.Model(pixels, head(pixels))
    head.set_weights(
        [np.concatenate([np.zeros((3, 1)), np.eye(3)], 1)[None, None], np.array([0.5, 0, 0, 0])]
    )
    return model


@pytest.fixture(scope="module")
def serve(model):
    default, _ = image_segmenter(height=8, width=8, stride=4, most_pixels=64 * 64)
    graph = tf.function(default.build(model, ASSETS), autograph=False)

    def ask(*pictures):
        outputs = graph(image_bytes=tf.constant([*map(encoded, pictures)], tf.string))
        return {key: value.numpy() for key, value in outputs.items()}

    return ask


def painted(height, width, seed=0):
    """A picture of four corners of different colour, and its mask."""
    mask = np.zeros((height, width), np.uint8)
    classes = np.random.default_rng(seed).permutation(4)
    half = height // 2, width // 2
    mask[: half[0], : half[1]], mask[: half[0], half[1] :] = classes[:2]
    mask[half[0] :, : half[1]], mask[half[0] :, half[1] :] = classes[2:]
    return Image.fromarray(COLOURS[mask]), mask


def test_endpoints_are_what_they_declare(model, tmp_path):
    for endpoint in image_segmenter(height=8, width=8, stride=4):
        answer = check_endpoint(endpoint, model, ASSETS, tmp_path / endpoint.name)
        assert answer["class_names"][0].tolist() == [name.encode() for name in NAMES]


@pytest.mark.parametrize("size", [(8, 8), (16, 24), (64, 64)])
def test_mask_of_a_size_that_the_network_takes_is_exact(serve, size):
    picture, mask = painted(*size)
    found = serve(picture)
    np.testing.assert_array_equal(found["mask"][0], mask)
    assert found["sizes"].tolist() == [list(size)]


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (30, 22), (90, 111), (300, 10), (1, 5000)])
def test_mask_of_another_size_comes_back_in_the_size_of_the_picture(serve, size):
    picture, mask = painted(*size)
    found = serve(picture)
    assert found["mask"].shape == (1, *size)
    if min(size) > 20:
        assert (found["mask"][0] == mask).mean() > 0.9


def test_pictures_of_different_size_do_not_change_each_other(serve):
    pictures = [painted(30, 22, 1), painted(16, 40, 2), painted(8, 8, 3)]
    together = serve(*(picture for picture, _ in pictures))
    assert together["mask"].shape == (3, 30, 40)
    assert together["sizes"].tolist() == [[30, 22], [16, 40], [8, 8]]
    for i, (picture, mask) in enumerate(pictures):
        high, wide = mask.shape
        alone = serve(picture)
        np.testing.assert_array_equal(together["mask"][i, :high, :wide], alone["mask"][0])
        assert (together["mask"][i, high:] == 255).all()
        assert (together["mask"][i, :, wide:] == 255).all()
        assert together["mask_png"][i] == alone["mask_png"][0]


def test_png_is_the_mask(serve):
    picture, _ = painted(30, 22)
    found = serve(picture)
    with Image.open(io.BytesIO(found["mask_png"][0])) as image:
        assert (image.format, image.mode) == ("PNG", "L")
        np.testing.assert_array_equal(np.asarray(image), found["mask"][0])


def test_no_pictures_give_no_masks(serve):
    found = serve()
    assert {key: value.shape[0] for key, value in found.items()} == dict.fromkeys(found, 0)


def test_pictures_are_stretched_where_those_of_the_training_were(model):
    seen = []

    class Watching:
        output_shape = model.output_shape

        def __call__(self, pixels, training):
            seen.append(tuple(pixels.shape))
            return model(pixels, training=training)

    default, _ = image_segmenter(height=12, width=8, stride=4)
    serve = default.build(Watching(), ASSETS | {"stretched": True})
    picture, mask = painted(30, 22)
    found = serve(image_bytes=tf.constant([encoded(picture)]))
    assert seen == [(1, 12, 8, 3)]
    assert found["mask"].shape == (1, 30, 22)
    assert (found["mask"][0].numpy() == mask).mean() > 0.8


@pytest.fixture(scope="module")
def of_bytes(model):
    default, _ = image_segmenter(height=8, width=8, stride=4)
    return tf.function(default.build(model, ASSETS), autograph=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"GIF8 no picture at all", "GIF"),
        (b"text", "Unknown image file format"),
        (encoded(Image.new("RGB", (9, 9)))[:60], "."),
    ],
)
def test_strange_bytes_are_refused(of_bytes, content, message):
    good = encoded(painted(8, 8)[0])
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        of_bytes(image_bytes=tf.constant([good, content], tf.string))


def test_pixels_of_another_size_are_refused(model):
    _, predict = image_segmenter(height=8, width=8, stride=4)
    spec = tf.TensorSpec((None, None, None, 3))
    graph = tf.function(predict.build(model, ASSETS), [spec], autograph=False)
    for shape in ((1, 8, 9, 3), (1, 7, 8, 3), (1, 0, 8, 3)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="multiples of 4 and not 0"):
            graph(tf.zeros(shape))
    with pytest.raises(tf.errors.InvalidArgumentError, match="finite numbers"):
        graph(tf.fill((1, 8, 8, 3), np.nan))
    found = graph(tf.zeros((0, 8, 12, 3)))
    assert found["probabilities"].shape == (0, 8, 12, 4) and found["mask"].shape == (0, 8, 12)


def test_class_names_must_be_as_many_as_outputs(model):
    for endpoint in image_segmenter(height=8, width=8, stride=4):
        with pytest.raises(ValueError, match="the model has 4 outputs, the assets have 2"):
            endpoint.build(model, {"class_names": ["a", "b"]})
