import functools
import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiny_models import encoded

from kerasd2l.endpoints.images import decode_image, image_classifier, resize_and_scale
from kerasd2l.export.savedmodel import export

RANDOM = np.random.default_rng(0)
RGBA = Image.fromarray(RANDOM.integers(0, 256, (9, 7, 4), dtype=np.uint8))
OPAQUE = RGBA.convert("RGB")


@functools.cache  # tracing takes a second
def decoder(channels, background):
    return tf.function(lambda encoded: decode_image(encoded, channels, background=background))


def decoded(content, channels, background=0):
    return decoder(channels, background)(tf.constant(content)).numpy()


def blended(image, background):
    """What a picture looks like on a grey background, in numpy."""
    pixels = np.asarray(image.convert("RGBA")).astype("float64")
    alpha = pixels[..., 3:] / 255
    return np.round(pixels[..., :3] * alpha + background * (1 - alpha))


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P"])
@pytest.mark.parametrize("channels", [1, 3])
def test_png_of_every_kind_is_read_as_pillow_reads_it(mode, channels):
    image = OPAQUE.quantize(8) if mode == "P" else OPAQUE.convert(mode)
    wanted = np.asarray(image.convert("RGB").convert("L" if channels == 1 else "RGB"))
    found = decoded(encoded(image), channels)
    np.testing.assert_array_equal(found, wanted.reshape(9, 7, channels))


def test_16_bit_png_keeps_its_high_byte():
    deep = RANDOM.integers(0, 1 << 16, (5, 6)).astype(np.uint16)
    found = decoded(encoded(Image.fromarray(deep)), 1)
    np.testing.assert_array_equal(found[..., 0], deep >> 8)


@pytest.mark.parametrize("background", [0, 255])
@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_transparent_pixels_show_the_background(mode, background):
    if mode == "P":
        content = encoded(OPAQUE.quantize(8), transparency=2)
        image = Image.open(io.BytesIO(content))
    else:
        image = RGBA.convert(mode)
        content = encoded(image)
    found = decoded(content, 3, background=background)
    assert np.abs(found - blended(image, background)).max() <= 1


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_read_as_pillow_reads_it(mode, channels):
    content = encoded(OPAQUE.convert(mode), "JPEG", quality=90)
    image = Image.open(io.BytesIO(content)).convert("RGB")
    wanted = np.asarray(image.convert("L") if channels == 1 else image).reshape(9, 7, channels)
    np.testing.assert_array_equal(decoded(content, channels), wanted)


@pytest.mark.parametrize("kind", ["GIF", "BMP"])
def test_other_formats_are_read(kind):
    content = encoded(OPAQUE, kind)
    wanted = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    np.testing.assert_array_equal(decoded(content, 3), wanted)


def test_first_frame_of_an_animation_counts():
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "blue")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decoded(content, 3).tolist() == np.asarray(frames[0]).tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"B", "Unknown image file format"),
        (b"this is no image at all, but a text", "Unknown image file format"),
        (encoded(OPAQUE)[:60], "Invalid PNG"),
        (encoded(OPAQUE, "JPEG")[:300], "Invalid JPEG"),
        (encoded(OPAQUE.quantize(8), "BMP"), "24 or 32 bits per pixel"),
    ],
    ids=["empty", "one byte", "text", "half a PNG", "half a JPEG", "palette BMP"],
)
def test_what_is_no_image_is_a_clear_error(content, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        decoded(content, 3)


def test_picture_of_the_right_size_passes_exactly(exported, linear):
    pixels = np.arange(784, dtype=np.int64).reshape(28, 28).astype(np.uint8)  # every grey level
    scale = resize_and_scale(28, 28)
    graph = tf.function(lambda x: scale(decode_image(x, 1)))
    found = graph(tf.constant(encoded(Image.fromarray(pixels)))).numpy()
    np.testing.assert_array_equal(found[..., 0], pixels.astype("float32") / np.float32(255))

    served = tf.saved_model.load(str(exported)).signatures
    as_bytes = served["serving_default"](
        image_bytes=tf.constant([encoded(Image.fromarray(pixels))])
    )
    as_pixels = served["predict"](pixels=tf.constant(found[None]))
    for key, value in as_pixels.items():
        np.testing.assert_array_equal(as_bytes[key].numpy(), value.numpy())


@pytest.mark.parametrize("size", [(56, 100), (20, 11), (1, 1)])
def test_other_sizes_are_resized_as_pillow_resizes(size):
    image = Image.fromarray(RANDOM.integers(0, 256, size, dtype=np.uint8))
    wanted = np.asarray(image.resize((28, 28), Image.Resampling.BILINEAR)) / 255
    graph = tf.function(lambda x: resize_and_scale(28, 28)(decode_image(x, 1)))
    found = graph(tf.constant(encoded(image))).numpy()
    assert np.abs(found[..., 0] - wanted).max() < 2 / 255


def test_a_batch_may_mix_kinds_and_sizes(exported, linear):
    serve = tf.saved_model.load(str(exported)).signatures["serving_default"]
    pictures = [
        encoded(RGBA),
        encoded(OPAQUE.convert("L").resize((28, 28))),
        encoded(OPAQUE.resize((300, 200)), "JPEG"),
        encoded(RGBA.convert("LA")),
    ]
    outputs = {
        key: value.numpy() for key, value in serve(image_bytes=tf.constant(pictures)).items()
    }
    np.testing.assert_allclose(outputs["probabilities"].sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(outputs["class_ids"], outputs["probabilities"].argmax(axis=1))
    names = [b"t-shirt", b"trouser", b"ankle boot"]
    assert outputs["class_names"].tolist() == [names[i] for i in outputs["class_ids"]]
    for i, picture in enumerate(pictures):
        one = serve(image_bytes=tf.constant([picture]))["probabilities"].numpy()
        np.testing.assert_allclose(one[0], outputs["probabilities"][i], atol=1e-6)
    assert serve(image_bytes=tf.constant([], tf.string))["probabilities"].shape == (0, 3)


def test_own_preprocessing_is_what_is_served(tmp_path, linear, assets):
    def zeros(image):
        return tf.zeros((28, 28, 1)) * tf.cast(tf.size(image), tf.float32)

    endpoints = image_classifier(height=28, width=28, channels=1, preprocess=zeros)
    path = export(linear, "x/y", endpoints, assets, tmp_path, name="m")
    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    found = serve(image_bytes=tf.constant([encoded(OPAQUE)]))["probabilities"].numpy()
    wanted = tf.nn.softmax(linear(np.zeros((1, 28, 28, 1), "float32"))).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_wrong_arguments_and_class_names_are_refused(tmp_path, linear, endpoints):
    with pytest.raises(ValueError, match=r"`channels` must be 1 or 3"):
        image_classifier(height=28, width=28, channels=4)
    with pytest.raises(ValueError, match=r"`background` must be in 0-255"):
        image_classifier(height=28, width=28, channels=1, background=256)
    with pytest.raises(ValueError, match=r"needs `class_names`"):
        export(linear, "x/y", endpoints, {}, tmp_path, name="m")
    with pytest.raises(ValueError, match=r"3 outputs, the assets have 2 class names"):
        export(linear, "x/y", endpoints, {"class_names": ["a", "b"]}, tmp_path, name="m")
