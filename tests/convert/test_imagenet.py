"""ResNets and VGGs from torchvision and Keras compute here what they compute there."""

import keras
import numpy as np
import pytest
from imagenet_arrays import arrays, pixels

from kerasd2l import models
from kerasd2l.convert import ConvertError, convert
from kerasd2l.convert.imagenet import CAFFE

# torchvision 0.28 with `imagenet_arrays.arrays(name)` on (pixels - mean) / std: the logits, or of
# the first channels of the last map the mean.
TORCHVISION = {
    "resnet18": [5.6447, -22.4202, 22.4732, -18.3469, -0.523564, -37.7313, -8.2827],
    "resnet50": [40.6388, -62.9571, 49.6824, 31.4273, -26.1912, 83.1155, -36.4604],
    "vgg16": [0.451017, 2.27107, 0.375368, 2.74327, 1.37498, 1.85337, 1.79923],
    "vgg19": [0.758866, 0.73896, 0.424718, 7.47567, 3.2929, 4.74937, 1.3214],
}


def saved(name, folder, made=None):
    safetensors = pytest.importorskip("safetensors.numpy")
    path = folder / f"{name}.safetensors"
    safetensors.save_file(arrays(name) if made is None else made, path)
    return path


@pytest.mark.parametrize("name", TORCHVISION)
def test_a_network_of_torchvision_answers_as_there(name, tmp_path):
    model = convert(saved(name, tmp_path), name).model
    outputs = np.asarray(model(pixels(), training=False))[0]
    answer = outputs if outputs.ndim == 1 else outputs.mean((0, 1))[:7]
    expected = np.array(TORCHVISION[name])
    np.testing.assert_allclose(answer, expected, atol=1e-4 * np.abs(expected).max())


def of_keras(build, **options):
    """A network of `keras.applications` with random numbers everywhere."""
    network = build(weights=None, classifier_activation=None, **options)
    random = np.random.default_rng(0)
    for weight in network.weights:
        if weight.name in ("bias", "beta", "moving_mean"):
            weight.assign(random.normal(0, 0.1, weight.shape))
        elif weight.name in ("gamma", "moving_variance"):
            weight.assign(random.uniform(0.5, 1.0, weight.shape))
    return network


@pytest.mark.parametrize(
    ("name", "suffix"), [pytest.param("ResNet50", "keras", marks=pytest.mark.slow), ("VGG16", "h5")]
)
def test_a_network_of_keras_takes_plain_pixels_here(name, suffix, tmp_path):
    preprocess = getattr(keras.applications, name.lower()).preprocess_input
    theirs = of_keras(getattr(keras.applications, name), include_top=False, input_shape=(64, 96, 3))
    theirs.save(tmp_path / f"file.{suffix}")
    ours = convert(tmp_path / f"file.{suffix}", name.lower()).model
    expected = np.asarray(theirs(preprocess(pixels() * 255.0), training=False))
    answer = np.asarray(ours(pixels(), training=False))
    np.testing.assert_allclose(answer, expected, atol=1e-4 * np.abs(expected).max())
    # what normalises the pixels is saved with the weights
    offset = ours.get_layer("standardise").get_config()["offset"]
    np.testing.assert_allclose(offset, -255 * np.array(CAFFE["pixel_mean"]), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ResNet50", "VGG16", "VGG19"])
def test_the_dense_layers_of_keras_answer_as_there(name, tmp_path):
    module = getattr(keras.applications, name.lower())
    theirs = of_keras(getattr(keras.applications, name))
    theirs.save(tmp_path / "file.h5")
    ours = convert(tmp_path / "file.h5", name.lower()).model
    x = pixels(224, 224)
    expected = np.asarray(theirs(module.preprocess_input(x * 255.0), training=False))
    answer = np.asarray(ours(x, training=False))
    np.testing.assert_allclose(answer, expected, atol=1e-4 * np.abs(expected).max())


def test_dense_layers_behind_maps_take_pytorchs_order():
    """Its first dense layer reads channel by channel, ours pixel by pixel."""
    from kerasd2l.convert.imagenet import _of_maps

    random = np.random.default_rng(0)
    weight, maps = random.normal(size=(3, 2 * 7 * 7)), random.normal(size=(2, 7, 7))
    there = weight @ maps.reshape(-1)
    here = maps.transpose(1, 2, 0).reshape(-1) @ _of_maps(weight)
    np.testing.assert_allclose(here, there, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "key", "told"),
    [
        ("resnet18", "layer2.0.downsample.1.running_var", "missing"),
        ("resnet18", "fc.bias", "missing"),
        ("vgg16", "features.28.bias", "missing"),
        ("resnet18", "layer1.0.se.fc.weight", "left over"),
        ("vgg16", "features.1.running_mean", "left over"),
        ("resnet18", "layer3.1.conv2.weight", "of another shape"),
    ],
)
def test_what_does_not_fit_is_named(name, key, told, tmp_path):
    made = arrays(name)
    if told == "missing":
        del made[key]
    else:
        made[key] = np.zeros((3, 3, 1, 1), "float32")
    with pytest.raises(ConvertError, match=rf"{told}: .*{key}"):
        convert(saved(name, tmp_path, made), name)


def test_weights_of_another_network_are_refused(tmp_path):
    path = saved("resnet18", tmp_path)
    for name in ("resnet34", "vgg19"):
        with pytest.raises(ConvertError):
            convert(path, name)


def test_without_top_the_network_ends_with_its_map(tmp_path):
    converted = convert(saved("resnet18", tmp_path), "resnet18", {"include_top": False})
    assert converted.model(pixels()).shape == (1, 2, 3, 512)
    assert "ends with its last map" in converted.remarks[0]


def test_a_file_of_keras_without_names_says_what_to_do(tmp_path):
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    network.save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ConvertError, match=r"does not name its layers.*model\.save"):
        convert(tmp_path / "m.weights.h5", "resnet50")
    (tmp_path / "half.h5").write_bytes((tmp_path / "m.weights.h5").read_bytes()[:300])
    with pytest.raises(ConvertError, match="damaged"):
        convert(tmp_path / "half.h5", "resnet50")


def test_a_damaged_file_of_keras_is_one_line(tmp_path):
    network = models.imagenet_vgg((32, 32, 3), width=0.05, include_top=False)
    for suffix in ("keras", "h5"):
        path = tmp_path / f"whole.{suffix}"
        network.save(path)
        whole = path.read_bytes()
        for part in (0.3, 0.99):
            path.write_bytes(whole[: int(len(whole) * part)])
            with pytest.raises(ConvertError) as caught:
                convert(path, "vgg19")
            assert "\n" not in str(caught.value)


def test_an_h5_that_unpacks_to_far_more_than_it_has_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "bomb.h5", "w") as file:
        file.attrs["layer_names"] = ["block1_conv1"]
        file.create_dataset("block1_conv1/kernel", (1 << 16, 1 << 16), "float32", chunks=(64, 64))
    with pytest.raises(ConvertError, match="far more than it has"):
        convert(tmp_path / "bomb.h5", "vgg19")
