"""The signatures of segmentation: encoded pictures or pixels in, the class of every pixel out."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.endpoints.images import resized_and_scaled
from kerasd2l.endpoints.numbers import finite
from kerasd2l.pixels import decode_image
from kerasd2l.recipe import Endpoint, TensorSpec

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

NO_CLASS = 255  # in `mask`, what lies outside of a picture
MOST_PIXELS = 1 << 19  # of what the network sees: a picture of 724 x 724


def image_segmenter(
    *, height: int, width: int, stride: int, most_pixels: int = MOST_PIXELS
) -> tuple[Endpoint, ...]:
    """Make the endpoints of a model that maps pixels to the logits of each pixel.

    `serving_default` takes `image_bytes` (B,) string, encoded pictures of any size, one beside
    another of another size. It returns, of each picture in its own size (nothing of the others of
    the batch changes it):

    - `mask` (B, H, W) uint8, the class of each pixel; H and W are those of the highest and of the
      widest picture, and what lies outside of a smaller one, at the bottom and the right, is 255;
    - `sizes` (B, 2) int32, height and width of each picture;
    - `mask_png` (B,) string, each mask as a PNG whose grey levels are the classes;
    - `class_names` (B, K) string, the names of the classes 0, 1, ...

    The network sees a picture in its own size, each side stretched to the nearest multiple of
    the stride; of more than `most_pixels` it is made smaller first, and the mask larger again.
    Where the data were stretched to one size (assets["stretched"]), pictures are, too.

    `predict` takes `pixels` (B, H, W, 3) float32, H and W multiples of the stride, and returns
    `probabilities` (B, H, W, K) float32, `mask` (B, H, W) uint8 and `class_names` (B, K) string.

    Args:
        height: int, H of the training.
        width: int, W of the training.
        stride: int, what the sides of the model's pictures are multiples of.
        most_pixels: int, of a picture that the network sees. Default: 524,288.

    Returns:
        Two endpoints, "serving_default" and "predict".

    Raises:
        ValueError: when exporting, class names that are missing or not as many as the model's
            outputs.

    Example:
        >>> [endpoint.name for endpoint in image_segmenter(height=64, width=96, stride=32)]
        ['serving_default', 'predict']
    """

    def pixels() -> dict[str, np.ndarray]:
        return {"pixels": np.random.default_rng(0).random((2, stride, 2 * stride, 3), np.float32)}

    return (
        Endpoint(
            "serving_default",
            {"image_bytes": TensorSpec((None,), "string")},
            functools.partial(
                _of_bytes, stretched=(height, width), stride=stride, most_pixels=most_pixels
            ),
            lambda: {"image_bytes": _example_pictures(stride)},
        ),
        Endpoint(
            "predict",
            {"pixels": TensorSpec((None, None, None, 3))},
            functools.partial(_of_pixels, stride=stride),
            pixels,
        ),
    )


def _of_bytes(
    model: keras.Model,
    assets: Mapping[str, Any],
    *,
    stretched: tuple[int, int],
    stride: int,
    most_pixels: int,
) -> Callable[..., dict]:
    """Return the function of encoded pictures."""
    names = _class_names(model, assets)
    fixed = stretched if assets.get("stretched") else None

    def one(encoded):
        image = decode_image(encoded, 3)
        size = tf.shape(image)[:2]
        seen = fixed or _size_to_see(size, stride, most_pixels)
        logits = finite(model(resized_and_scaled(image, seen)[None], training=False))
        mask = tf.cast(tf.argmax(logits, axis=-1), tf.uint8)[0, ..., None]  # (h, w, 1)
        mask = tf.image.resize(mask, size, "nearest")
        png = tf.io.encode_png(mask)
        return tf.RaggedTensor.from_tensor(mask[..., 0]), size, png

    def serve(image_bytes):
        specs = (
            tf.RaggedTensorSpec((None, None), tf.uint8, ragged_rank=1),
            tf.TensorSpec((2,), tf.int32),
            tf.TensorSpec((), tf.string),
        )
        masks, sizes, pngs = tf.map_fn(
            one,
            image_bytes,
            fn_output_signature=specs,
            parallel_iterations=2,  # pictures in memory at once
        )
        return {
            "mask": masks.to_tensor(NO_CLASS),
            "sizes": sizes,
            "mask_png": pngs,
            "class_names": _repeated(names, tf.size(image_bytes)),
        }

    return serve


def _of_pixels(
    model: keras.Model, assets: Mapping[str, Any], *, stride: int
) -> Callable[..., dict]:
    """Return the function of pixels that are of the right size."""
    names = _class_names(model, assets)

    def predict(pixels):
        count, high, wide = tf.unstack(tf.shape(pixels)[:3])
        fits = (high > 0) & (wide > 0) & tf.equal(high % stride + wide % stride, 0)
        check = tf.debugging.Assert(fits, [f"pixels must have sides that are {_of(stride)}"])
        with tf.control_dependencies([] if check is None else [check]):
            pixels = tf.debugging.check_numerics(pixels, "pixels must be finite numbers")
        # convolutions fail without any picture
        some = tf.concat([pixels, tf.zeros((tf.cast(count < 1, tf.int32), high, wide, 3))], 0)
        logits = finite(model(some, training=False)[:count])
        return {
            "probabilities": tf.nn.softmax(logits),
            "mask": tf.cast(tf.argmax(logits, axis=-1), tf.uint8),
            "class_names": _repeated(names, count),
        }

    return predict


def _class_names(model: keras.Model, assets: Mapping[str, Any]) -> list[str]:
    names, outputs = list(assets.get("class_names", ())), model.output_shape[-1]
    if len(names) != outputs:
        raise ValueError(
            f"the model has {outputs} outputs, the assets have {len(names)} class names. "
            "They must be as many."
        )
    return names


def _size_to_see(size: tf.Tensor, stride: int, most_pixels: int) -> tf.Tensor:
    """Return the (h, w) nearest to a picture's that the network takes."""
    sides = tf.cast(size, tf.float32)
    shrink = tf.minimum(1.0, tf.sqrt(most_pixels / tf.reduce_prod(sides)))
    # a picture of a row and a million columns has no height left; the most columns are cut as well
    steps = tf.clip_by_value(tf.round(sides * shrink / stride), 1.0, most_pixels / stride**2)
    return tf.cast(steps, tf.int32) * stride


def _repeated(names: list[str], count: tf.Tensor) -> tf.Tensor:
    return tf.repeat(tf.constant([names], tf.string), count, axis=0)


def _of(stride: int) -> str:
    return f"multiples of {stride} and not 0"


def _example_pictures(stride: int) -> np.ndarray:
    """Return two PNGs of different size, neither of which the model takes as it is."""
    from PIL import Image

    random = np.random.default_rng(0)
    pictures = []
    for shape in ((stride + 5, stride - 3, 3), (stride - 1, 2 * stride, 4)):
        file = io.BytesIO()
        Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(file, "PNG")
        pictures.append(file.getvalue())
    return np.array(pictures, dtype=object)
