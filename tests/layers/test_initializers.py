import json

import keras
import numpy as np
import pytest

from kerasd2l.layers import (
    BilinearKernel,
    BilinearUpSampling2D,
    GappedUniform,
    TransposedConv2D,
)


def test_half_is_zero_and_the_rest_between_five_and_ten():
    weights = np.asarray(GappedUniform(seed=0)((200, 200)))
    size = np.abs(weights)
    assert ((size == 0) | ((size >= 5) & (size <= 10))).all()
    assert (weights == 0).mean() == pytest.approx(0.5, abs=0.02)
    assert (weights > 0).mean() == pytest.approx(0.25, abs=0.02)
    # of a uniform distribution: E|w| = 7.5 outside the gap
    assert size[size > 0].mean() == pytest.approx(7.5, abs=0.05)


def test_it_survives_its_configuration():
    made = GappedUniform(low=1.0, high=2.0, seed=4)
    text = json.dumps(keras.saving.serialize_keras_object(made))
    again = keras.saving.deserialize_keras_object(json.loads(text))
    assert type(again) is GappedUniform
    np.testing.assert_array_equal(again((5, 5)), made((5, 5)))
    layer = keras.layers.Dense(3, kernel_initializer=again)
    layer.build((None, 7))
    assert np.abs(layer.get_weights()[0]).max() <= 2.0


def test_dtype_is_kept():
    assert keras.backend.standardize_dtype(GappedUniform()((2,), dtype="float16").dtype) == (
        "float16"
    )


@pytest.mark.parametrize(("low", "high"), [(5, 5), (-1, 5), (1, float("inf")), (float("nan"), 1)])
def test_bad_bounds(low, high):
    with pytest.raises(ValueError, match="Expected 0 <= low < high"):
        GappedUniform(low, high)


def _bilinear(size):
    factor = (size + 1) // 2
    center = factor - 1 if size % 2 else factor - 0.5
    tent = 1 - np.abs(np.arange(size) - center) / factor
    return tent[:, None] * tent


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 64])
def test_bilinear_kernel_of_the_book(size):
    kernel = np.asarray(BilinearKernel()((size, size, 3, 3)))
    for i, j in np.ndindex(3, 3):
        expected = _bilinear(size) if i == j else np.zeros((size, size))
        np.testing.assert_allclose(kernel[..., i, j], expected, atol=1e-6)


def test_bilinear_kernel_enlarges_as_interpolation_does():
    x = np.random.default_rng(0).normal(size=(1, 6, 7, 2)).astype("f")
    layer = TransposedConv2D(
        2, 4, strides=2, padding=1, use_bias=False, kernel_initializer=BilinearKernel()
    )
    inner = (slice(None), slice(1, -1), slice(1, -1))  # the border takes zeros from outside
    expected = BilinearUpSampling2D(2, align_corners=False)(x)
    np.testing.assert_allclose(layer(x)[inner], expected[inner], atol=1e-5)


def test_bilinear_kernel_has_one_number_of_channels():
    with pytest.raises(ValueError, match="as many come out as go in"):
        BilinearKernel()((4, 4, 3, 2))
