"""The signatures of every image classifier: an encoded picture or pixels in, class names out."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.endpoints.classes import class_answers
from kerasd2l.recipe import Endpoint, TensorSpec

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
else:
    tf = lazy("tensorflow")


def image_classifier(
    *,
    height: int,
    width: int,
    channels: int,
    antialias: bool = True,
    background: int = 0,
    preprocess: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> tuple[Endpoint, ...]:
    """Make the endpoints of a model that maps pixels to logits.

    `serving_default` takes `image_bytes` (B,) string, encoded pictures of any size; `predict` takes
    `pixels` (B, H, W, C) float32, what the model was trained on. Both return `probabilities`
    (B, K) float32, `class_ids` (B,) int64 and `class_names` (B,) string. The names are taken from
    `assets["class_names"]`, the softmax is applied here: the model returns logits.

    Args:
        height: int, H, pixels.
        width: int, W, pixels.
        channels: 1 (grey) or 3 (red, green, blue), C.
        antialias: bool, smooth when a picture is made smaller. Default: True.
        background: int 0-255, grey level that shows through where a picture is transparent.
            Default: 0, the background of Fashion-MNIST.
        preprocess: (h, w, C) uint8, h and w free -> (H, W, C) float32: the function that the
            training data went through. Default: `resize_and_scale(height, width)`.

    Returns:
        Two endpoints, "serving_default" and "predict".

    Raises:
        ValueError: channels other than 1 or 3, a background that is no grey level; and when
            exporting, class names that are missing or not as many as the model's outputs.

    Example:
        >>> [endpoint.name for endpoint in image_classifier(height=28, width=28, channels=1)]
        ['serving_default', 'predict']
    """
    if channels not in (1, 3):
        raise ValueError(f"`channels` must be 1 or 3. Received: channels={channels}.")
    if not 0 <= background <= 255:
        raise ValueError(f"`background` must be in 0-255. Received: background={background}.")
    size = (height, width, channels)
    preprocess = preprocess or resize_and_scale(height, width, antialias=antialias)

    def build_bytes(model: keras.Model, assets: Mapping[str, Any]) -> Callable[..., dict]:
        classify = _classifier(model, assets)

        def one(encoded):
            return preprocess(decode_image(encoded, channels, background=background))

        def serve(image_bytes):
            spec = tf.TensorSpec(size, "float32")
            return classify(tf.map_fn(one, image_bytes, fn_output_signature=spec))

        return serve

    def build_pixels(model: keras.Model, assets: Mapping[str, Any]) -> Callable[..., dict]:
        classify = _classifier(model, assets)
        return lambda pixels: classify(pixels)

    return (
        Endpoint(
            "serving_default",
            {"image_bytes": TensorSpec((None,), "string")},
            build_bytes,
            lambda: {"image_bytes": _example_pictures(*size)},
        ),
        Endpoint(
            "predict",
            {"pixels": TensorSpec((None, *size))},
            build_pixels,
            lambda: {"pixels": np.random.default_rng(0).random((3, *size), dtype="float32")},
        ),
    )


def decode_image(encoded: tf.Tensor, channels: int, *, background: int = 0) -> tf.Tensor:
    """Decode one PNG, JPEG, GIF (first frame), WebP or BMP (24 or 32 bits) inside a graph.

    Colour becomes grey by Pillow's "L": 0.299 R + 0.587 G + 0.114 B, rounded. 16-bit PNGs keep
    their high byte. Transparent pixels are blended with the background; a single colour declared
    transparent (tRNS without palette) and the EXIF orientation are ignored.

    Args:
        encoded: scalar string, the bytes of the file.
        channels: 1 or 3.
        background: int 0-255, grey level behind transparent pixels. Default: 0.

    Returns:
        (h, w, channels) uint8.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are no such image.
    """
    is_png = tf.equal(tf.strings.substr(encoded, 0, 8), b"\x89PNG\r\n\x1a\n")
    image = tf.case(
        [
            # channels=4 would be simpler, but fills the alpha of palette PNGs wrongly (TF 2.21)
            (is_png, lambda: tf.io.decode_png(encoded, channels=0)),
            (
                tf.io.is_jpeg(encoded),
                lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"),
            ),
        ],
        default=lambda: _decode_other(encoded),
        exclusive=True,
    )
    image.set_shape((None, None, None))
    # 1 to 4 channels and an opaque one: where to find red, green, blue and alpha
    places = tf.constant([[0, 0, 0, 1], [0, 0, 0, 1], [0, 1, 2, 3], [0, 1, 2, 3]])
    opaque = tf.fill(tf.concat([tf.shape(image)[:2], [1]], axis=0), tf.constant(255, tf.uint8))
    image = tf.concat([image, opaque], axis=-1)
    image = tf.gather(image, places[tf.shape(image)[-1] - 2], axis=-1)  # (h, w, 4)
    image = tf.cast(image, tf.int32)
    colour, alpha = image[..., :3], image[..., 3:]
    colour = (colour * alpha + background * (255 - alpha) + 127) // 255
    if channels == 1:
        weights = tf.constant([19595, 38470, 7471])  # Pillow's, over 65536
        colour = (tf.reduce_sum(colour * weights, axis=-1, keepdims=True) + 32768) // 65536
    colour.set_shape((None, None, channels))
    return tf.cast(colour, tf.uint8)


def resize_and_scale(height: int, width: int, *, antialias: bool = True) -> Callable:
    """Make the default preprocessing: scale to [0, 1], resize bilinearly, stretch to (H, W).

    Args:
        height: int, H.
        width: int, W.
        antialias: bool, smooth when a picture is made smaller. Default: True.

    Returns:
        A function (h, w, C) uint8 -> (H, W, C) float32. Pictures of the right size pass exactly.
    """

    def preprocess(image: tf.Tensor) -> tf.Tensor:
        # a table, because the graph optimizer turns x / 255 into x * (1 / 255), one bit off
        levels = tf.constant(np.arange(256, dtype="float32") / np.float32(255))
        pixels = tf.gather(levels, tf.cast(image, tf.int32))
        fits = tf.reduce_all(tf.equal(tf.shape(pixels)[:2], [height, width]))
        resized = tf.cond(
            fits,
            lambda: pixels,
            lambda: tf.image.resize(pixels, (height, width), antialias=antialias),
        )
        return tf.ensure_shape(resized, (height, width, image.shape[-1]))

    return preprocess


def _decode_other(encoded: tf.Tensor) -> tf.Tensor:
    """Decode GIF, WebP and BMP; refuse BMPs with a palette, which TensorFlow reads as grey."""
    length = tf.strings.length(encoded)
    bits = tf.strings.substr(encoded, tf.minimum(28, length), 1)  # bits per pixel, in the header
    few_bits = tf.logical_and(
        tf.equal(tf.strings.substr(encoded, 0, 2), b"BM"),
        tf.reduce_any(tf.equal(bits, tf.constant([b"\x01", b"\x04", b"\x08"]))),
    )
    message = "BMP images need 24 or 32 bits per pixel. Save this one as PNG."
    with tf.control_dependencies([tf.debugging.Assert(tf.logical_not(few_bits), [message])]):
        return tf.io.decode_image(encoded, channels=0, expand_animations=False)


def _classifier(model: keras.Model, assets: Mapping[str, Any]) -> Callable[[tf.Tensor], dict]:
    """Return pixels -> probabilities, class ids and class names."""
    answer = class_answers(assets)
    return lambda pixels: answer(model(pixels, training=False))


def _example_pictures(height: int, width: int, channels: int) -> np.ndarray:
    """Return two PNGs, one of the model's size and one that must be resized and converted."""
    from PIL import Image

    random = np.random.default_rng(0)
    exact = random.integers(0, 256, (height, width, channels), dtype=np.uint8)
    other = random.integers(0, 256, (height + 5, width + 3, 4), dtype=np.uint8)
    pictures = []
    for pixels in (exact.squeeze(-1) if channels == 1 else exact, other):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        pictures.append(file.getvalue())
    return np.array(pictures, dtype=object)
