"""Style transfer: the book's losses by PyTorch's numbers, and what is compared."""

import keras
import numpy as np
import pytest

from kerasd2l import models
from kerasd2l.models.vision.image_network import IMAGENET_MEAN, IMAGENET_STD
from kerasd2l.models.vision.neural_style import CONTENT_LAYERS, STYLE_LAYERS

ALL = sorted({*CONTENT_LAYERS, *STYLE_LAYERS})


@pytest.fixture(scope="module")
def network():
    made = models.imagenet_vgg((None, None, 3), width=0.05, include_top=False, seed=0)
    models.spread_features(made, pictures()[0])
    return made


def pictures(height=32, width=48):
    random = np.random.RandomState(0)
    return [random.uniform(size=(1, height, width, 3)).astype("float32") for _ in range(2)]


def maps():
    """Channels first, as the book has them, and channels last."""
    random = np.random.RandomState(2)
    first = [random.standard_normal((1, 5, 4, 6)).astype("float32") for _ in range(2)]
    return [keras.ops.transpose(x, (0, 2, 3, 1)) for x in first]


def test_losses_are_the_books():
    """What its functions gave under PyTorch 2.13 on these maps."""
    x, y = maps()
    assert float(models.content_loss(x, y)) == pytest.approx(2.2716803550720215, rel=1e-5)
    style = models.style_loss(x, models.gram(y))
    assert float(style) == pytest.approx(0.00839277170598507, rel=1e-5)
    assert float(models.tv_loss(x)) == pytest.approx(1.2777466773986816, rel=1e-5)


def test_gram_by_its_formula_for_every_picture_of_a_batch():
    x = np.concatenate([np.asarray(x) for x in maps()])
    flat = x.reshape(2, -1, 5)
    np.testing.assert_allclose(
        models.gram(x), np.einsum("bni,bnj->bij", flat, flat) / (5 * 24), rtol=1e-5, atol=1e-6
    )


def test_features_are_after_the_relu_but_for_the_deepest(network):
    """As in torchvision, whose ReLUs write over what stands before them."""
    names = ALL
    extractor = models.feature_extractor(network, names, 32, 48)
    outputs = [np.asarray(output) for output in extractor(pictures()[0])]
    assert [output.min() >= 0 for output in outputs] == [True] * 5 + [False]
    deepest = keras.Model(network.inputs[0], network.get_layer(names[-1]).output)
    np.testing.assert_allclose(
        np.maximum(outputs[-1], 0), deepest(pictures()[0]), rtol=1e-4, atol=1e-5
    )
    assert network.get_layer(names[-1]).activation is keras.activations.relu  # it is a copy


def test_spread_features_have_mean_0_and_one_deviation(network):
    extractor = models.feature_extractor(network, ["block_3_conv_2"], 32, 48)
    (output,) = [np.asarray(extractor(pictures()[0]))]
    np.testing.assert_allclose(output.mean((0, 1, 2)), 0, atol=3e-3)
    np.testing.assert_allclose(output.std((0, 1, 2)), 3, atol=3e-3)


def begun(network, **weights):
    picture = models.SynthesizedImage(32, 48, **weights)
    picture.begin(network, *pictures())
    return picture


def test_the_loss_is_the_weighted_sum_of_its_parts(network):
    content, style = pictures()
    picture = begun(network)
    loss = float(picture.compute_loss(content))
    parts = {name: float(part.result()) for name, part in picture.parts.items()}
    assert parts["content"] == pytest.approx(0, abs=1e-6)  # it begins with the content's picture
    x = (content - np.float32(IMAGENET_MEAN)) / np.float32(IMAGENET_STD)
    assert parts["tv"] == pytest.approx(10 * float(models.tv_loss(x)), rel=1e-4)
    extractor = models.feature_extractor(network, ALL, 32, 48)
    sums = 0.0
    for i, (x, y) in enumerate(zip(extractor(content), extractor(style), strict=True)):
        if i != 4:  # block_4_conv_4 is of the content
            sums += float(models.style_loss(x, models.gram(y)))
    assert parts["style"] == pytest.approx(1e4 * sums, rel=1e-3)
    assert loss == pytest.approx(sum(parts.values()), rel=1e-5)


def test_training_moves_only_the_picture_and_saves_only_it(network, tmp_path):
    before = [np.array(weight) for weight in network.weights]
    picture = begun(network)
    picture.compile(keras.optimizers.Adam(0.003))
    content, style = pictures()
    losses = picture.fit(content, style, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert [weight.path for weight in picture.weights] == [picture.picture.path]
    for weight, value in zip(network.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    picture.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras", compile=False)
    answer = np.asarray(again(np.zeros((2, 32, 48, 3))))
    np.testing.assert_array_equal(answer, picture(np.zeros((2, 32, 48, 3))))
    assert answer.min() >= 0
    assert answer.max() <= 1
    assert again.get_config() == picture.get_config() | {"name": again.name}
    with pytest.raises(ValueError, match="nothing that it shall be like"):
        again.compute_loss(content)


def test_a_network_that_is_no_vgg_is_refused():
    other = models.imagenet_resnet((32, 48, 3), 3, depths=(1,), width=0.1)
    with pytest.raises(ValueError, match=r"must be a VGG with the layers .*block_5_conv_1"):
        begun(other)
    with pytest.raises(ValueError, match="`style_weight` must be 0 or"):
        models.SynthesizedImage(8, 8, style_weight=-1.0)
    with pytest.raises(ValueError, match="must be at least 2"):
        models.SynthesizedImage(1, 8)
