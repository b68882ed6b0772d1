"""The signatures of every image classifier: an encoded picture or pixels in, class names out."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.endpoints.classes import class_answers
from kerasd2l.pixels import decode_image
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
    `assets["class_names"]`, the softmax is applied here: the model returns logits. Pictures of more
    than 16 megapixels, and pixels that are NaN or infinite, are refused.

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
        return lambda pixels: classify(
            tf.debugging.check_numerics(pixels, "pixels must be finite numbers")
        )

    return (
        Endpoint(
            "serving_default",
            {"image_bytes": TensorSpec((None,), "string")},
            build_bytes,
            lambda: {"image_bytes": example_pictures(*size)},
        ),
        Endpoint(
            "predict",
            {"pixels": TensorSpec((None, *size))},
            build_pixels,
            lambda: {"pixels": np.random.default_rng(0).random((3, *size), dtype="float32")},
        ),
    )


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
        resized = resized_and_scaled(image, (height, width), antialias=antialias)
        return tf.ensure_shape(resized, (height, width, image.shape[-1]))

    return preprocess


def resized_and_scaled(image: tf.Tensor, size: Any, *, antialias: bool = True) -> tf.Tensor:
    """Scale a picture to [0, 1] and resize it bilinearly; one of the right size passes exactly.

    Args:
        image: (h, w, C) uint8.
        size: (height, width), ints or (2,) int32.
        antialias: bool, smooth when a picture is made smaller. Default: True.

    Returns:
        (height, width, C) float32.
    """
    # not x / 255: the graph optimizer turns that into x * (1 / 255), one bit off
    pixels = tf.math.divide_no_nan(tf.cast(image, tf.float32), 255.0)
    fits = tf.reduce_all(tf.equal(tf.shape(pixels)[:2], size))
    return tf.cond(fits, lambda: pixels, lambda: tf.image.resize(pixels, size, antialias=antialias))


def _classifier(model: keras.Model, assets: Mapping[str, Any]) -> Callable[[tf.Tensor], dict]:
    """Return pixels -> probabilities, class ids and class names; no pictures give no answers."""
    answer = class_answers(assets)

    def classify(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        count = tf.shape(pixels)[0]
        blank = tf.zeros((1, *pixels.shape[1:]), pixels.dtype)
        some = tf.cond(count > 0, lambda: pixels, lambda: blank)  # convolutions fail without any
        some.set_shape((None, *pixels.shape[1:]))
        return {key: value[:count] for key, value in answer(model(some, training=False)).items()}

    return classify


def example_pictures(height: int, width: int, channels: int) -> np.ndarray:
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
