"""FCN and U-Net: sizes, parameters, the way up, and pictures that they cannot take."""

import math

import numpy as np
import pytest

from kerasd2l import layers, models
from kerasd2l.testing import check_model


def trainable(model):
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def test_fcn_has_the_books_sizes():
    net = models.fcn()
    last = net.get_layer("stage_4_block_2").output.shape
    assert last == (None, 10, 15, 512)  # inventory 13.11: (512, 10, 15) for 320 x 480
    assert net.get_layer("score_32").output.shape == (None, 10, 15, 21)
    assert net.output_shape == (None, 320, 480, 21)
    up = net.get_layer("logits")
    assert (up.kernel_size, up.strides, up.cropping) == ((64, 64), (32, 32), (16, 16))  # k = 2p + s
    head = models.resnet18((320, 480, 3), 10).get_layer("logits").count_params()
    features = trainable(models.resnet18((320, 480, 3), 10)) - head
    assert trainable(net) == features + (512 + 1) * 21 + (64 * 64 * 21 + 1) * 21


def test_fcn_of_224_pixels():
    net = models.fcn((224, 224, 3), 5, width=0.125)  # inventory, S1:3471: 224 -> 7 -> 224
    assert net.get_layer("score_32").output.shape == (None, 7, 7, 5)
    assert net.output_shape == (None, 224, 224, 5)


def test_fcn_begins_as_bilinear_interpolation():
    up = models.fcn((64, 64, 3), 4, width=0.125).get_layer("logits")
    kernel, bias = up.get_weights()
    np.testing.assert_allclose(kernel, layers.BilinearKernel()((64, 64, 4, 4)))
    scores = np.full((1, 4, 4, 4), 3.0, "float32")
    inner = np.asarray(up(scores))[0, 16:-16, 16:-16]
    np.testing.assert_allclose(inner, 3.0, rtol=1e-5)  # in a plane all weights sum to one
    assert not bias.any()


def test_fcn8s_adds_the_scores_of_finer_maps():
    net = models.fcn8s()
    sizes = {name: net.get_layer(name).output.shape[1:] for name in ("scores_16", "scores_8")}
    assert sizes == {"scores_16": (20, 30, 21), "scores_8": (40, 60, 21)}
    assert net.output_shape == (None, 320, 480, 21)
    up = net.get_layer("logits")
    assert (up.kernel_size, up.strides, up.cropping) == ((16, 16), (8, 8), (4, 4))


def test_unet_goes_down_and_up():
    net = models.unet((64, 96, 3), 5)
    filters = [64, 128, 256, 512, 1024]
    for i, n in enumerate(filters[:-1]):
        size = (None, 64 >> i, 96 >> i, n)
        assert net.get_layer(f"down_{i + 1}_bn_2_relu").output.shape == size
        assert net.get_layer(f"up_{i + 1}_bn_2_relu").output.shape == size
    assert net.get_layer("bottom_bn_2_relu").output.shape == (None, 4, 6, 1024)

    def two_convs(before, after):
        norms = 2 * 2 * after
        return (9 * before + 1) * after + (9 * after + 1) * after + norms

    down = sum(two_convs(a, b) for a, b in zip([3, *filters], filters, strict=False))
    up = sum((4 * 2 * n + 1) * n + two_convs(2 * n, n) for n in filters[:-1])
    assert trainable(net) == down + up + (64 + 1) * 5


@pytest.mark.parametrize("build", [models.fcn, pytest.param(models.fcn8s, marks=pytest.mark.slow)])
def test_fcn_is_a_model_as_others(build):
    x = np.random.default_rng(0).random((2, 64, 32, 3), "float32")
    options = {"width": 0.125, "depths": (1, 1, 1, 1), "seed": 0}
    # biases before batch normalisation have no gradient
    check_model(
        lambda: build((None, None, 3), 4, **options),
        x,
        fresh=build is models.fcn,
        no_gradient=("conv/bias", "conv_1/bias", "conv_2/bias"),
    )


def test_unet_is_a_model_as_others():
    x = np.random.default_rng(0).random((2, 16, 8, 3), "float32")
    check_model(
        lambda: models.unet((None, None, 3), 4, levels=2, width=0.0625, seed=0),
        x,
        fresh=False,
        no_gradient=("conv_1/bias", "conv_2/bias"),
    )


@pytest.mark.parametrize("name", ["fcn", "fcn8s", "unet"])
def test_the_same_seed_draws_the_same_weights(name):
    build = getattr(models, name)
    one, same, other = (build((32, 32, 3), 3, width=0.0625, seed=seed) for seed in (1, 1, 2))
    for a, b in zip(one.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    assert any(not np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(("name", "divisor"), [("fcn", 32), ("fcn8s", 32), ("unet", 16)])
def test_pictures_that_cannot_come_back_to_their_size_are_refused(name, divisor):
    build = getattr(models, name)
    with pytest.raises(ValueError, match=rf"multiples of {divisor}.*Received: 65 x 96"):
        build((65, 96, 3), 3, width=0.0625)
    free = build((None, None, 3), 3, width=0.0625)
    with pytest.raises(ValueError, match=rf"multiples of {divisor}.*Received: 64 x 97"):
        free(np.zeros((1, 64, 97, 3), "float32"))
    assert free(np.zeros((1, divisor, 2 * divisor, 3), "float32")).shape[1] == divisor


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"`depths` must be blocks of four stages"):
        models.fcn(depths=(2, 2, 2))
    with pytest.raises(ValueError, match=r"`levels` must be at least 1. Received: levels=0"):
        models.unet(levels=0)
    with pytest.raises(ValueError, match=r"`num_classes` must be at least 2"):
        models.unet(num_classes=1)
