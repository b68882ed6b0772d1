"""The networks of ImageNet: torchvision's counts, and a new head on what they have learned."""

import math

import keras
import numpy as np
import pytest

from kerasd2l import models

SMALL = {"depths": (1, 1), "width": 0.125}


@pytest.mark.parametrize(
    ("name", "num_layers", "count"),  # trainable parameters of torchvision's networks
    [
        ("imagenet_resnet", 18, 11_689_512),
        ("imagenet_resnet", 34, 21_797_672),
        ("imagenet_resnet", 50, 25_557_032),
        # half a gigabyte each
        pytest.param("imagenet_vgg", 16, 138_357_544, marks=pytest.mark.slow),
        pytest.param("imagenet_vgg", 19, 143_667_240, marks=pytest.mark.slow),
    ],
)
def test_parameters_are_torchvisions(name, num_layers, count):
    model = getattr(models, name)(num_layers=num_layers)
    assert sum(math.prod(weight.shape) for weight in model.trainable_weights) == count


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("imagenet_resnet", {**SMALL}),
        ("imagenet_resnet", {**SMALL, "num_layers": 50, "stride_first": True}),
        ("imagenet_resnet", {**SMALL, "small_stem": True, "include_top": False}),
        ("imagenet_vgg", {"width": 0.05, "dense_units": (8,), "num_layers": 16}),
        ("imagenet_vgg", {"width": 0.05, "include_top": False}),
    ],
)
def test_networks_are_saved_with_their_preprocessing(name, options, tmp_path):
    normal = {"pixel_mean": (0.1, 0.2, 0.3), "pixel_std": (0.5, 0.4, 0.3)}
    model = getattr(models, name)((32, 48, 3), 4, **options, **normal)
    x = np.random.default_rng(0).random((2, 32, 48, 3), "float32")
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again(x), model(x))
    standardised = keras.Model(again.inputs[0], again.get_layer("standardise").output)(x)
    expected = (x - np.float32(normal["pixel_mean"])) / np.float32(normal["pixel_std"])
    np.testing.assert_allclose(standardised, expected, rtol=1e-5, atol=1e-6)


def test_places_of_torchvisions_vgg():
    """S1:3624 and the book: style 0, 5, 10, 19, 28, content 25 of VGG-19."""
    assert models.vgg_feature(28) == "block_5_conv_1"
    assert models.vgg_feature(19) == "block_4_conv_1"
    assert models.vgg_feature(25) == "block_4_conv_4"
    assert list(models.vgg_places(16)) == [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    with pytest.raises(ValueError, match="convolutions at 0, 2, 5"):
        models.vgg_feature(1)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("imagenet_resnet", {"num_layers": 20}, "`num_layers` must be one of 18, 34, 50"),
        ("imagenet_vgg", {"num_layers": 13}, "`num_layers` must be one of 16, 19"),
        ("imagenet_resnet", {"input_shape": (32, 32, 1)}, "a number for each of the 1 channels"),
        ("imagenet_vgg", {"pixel_std": (1.0, 0.0, 1.0)}, "`pixel_std` positive"),
        ("imagenet_resnet", {"depths": ()}, "`depths` must be blocks"),
    ],
)
def test_wrong_arguments_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        getattr(models, name)(**options)


# A new head


@pytest.fixture(scope="module")
def before():
    return models.imagenet_resnet((32, 32, 3), 5, **SMALL, seed=0)


def features(model, x):
    head = model.get_layer("logits").input
    return np.asarray(keras.Model(model.inputs[0], head)(x, training=False))


def test_the_body_computes_what_it_did_and_the_head_is_new(before):
    x = np.random.default_rng(0).random((2, 32, 32, 3), "float32")
    after = models.with_new_head(before, (32, 32, 3), 2, seed=0)
    np.testing.assert_allclose(features(after, x), features(before, x), rtol=1e-6)
    assert after(x).shape == (2, 2)
    after.get_layer("stem_conv").kernel.assign_add(
        keras.ops.ones_like(after.get_layer("stem_conv").kernel)
    )
    assert np.abs(features(after, x) - features(before, x)).max() > 0  # a copy, not the same


def test_other_sizes_and_the_whole_of_the_network(before):
    after = models.with_new_head(
        before, (48, 40, 3), 3, hidden_units=(8,), keep_top=True, frozen=("body",)
    )
    assert [layer.name for layer in after.layers[-3:]] == ["logits_before", "head_1", "logits"]
    assert len(after.trainable_weights) == 4
    assert after(np.zeros((1, 48, 40, 3))).shape == (1, 3)


def test_a_frozen_body_keeps_its_weights_and_statistics(before, tmp_path):
    after = models.with_new_head(before, (32, 32, 3), 2, frozen=("stem", "stage_1"), seed=0)
    values = {w.path: np.array(w) for w in after.weights}
    after.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    random = np.random.default_rng(0)
    after.fit(random.random((8, 32, 32, 3), "float32"), np.arange(8) % 2, verbose=0)
    for weight in after.weights:
        same = bool((np.array(weight) == values[weight.path]).all())
        assert same == weight.path.startswith(("stem", "stage_1")), weight.path
    after.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert len(again.trainable_weights) == len(after.trainable_weights)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((32, 32, 1), {}, "pictures of 3 channels"),
        ((32, 32, 3), {"frozen": ("stage_9",)}, "Received: 'stage_9'; the layers are"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(before, shape, options, message):
    with pytest.raises(ValueError, match=message):
        models.with_new_head(before, shape, 2, **options)
    with pytest.raises(ValueError, match="must map pictures to a layer `logits`"):
        models.with_new_head(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]), shape, 2)
