"""BiRNN, TextCNN and decomposable attention: sizes, masks, formulas in numpy, saving."""

import numpy as np
import pytest

from kerasd2l import models
from kerasd2l.testing import check_layer, check_model, compare

RNG = np.random.default_rng(0)
SMALL = {"embed_size": 5, "num_hiddens": 16}
KINDS = {
    "birnn": lambda **more: models.birnn(20, **SMALL, seed=1, **more),
    "textcnn": lambda **more: models.textcnn(
        20, embed_size=5, kernel_sizes=(2, 4), num_channels=(3, 2), seed=1, **more
    ),
    "decomposable_attention": lambda **more: models.decomposable_attention(
        20, **SMALL, seed=1, **more
    ),
}


def batch(kind, steps=7, lengths=(7, 2, 0)):
    sides = {"tokens": "lengths"}
    if kind == "decomposable_attention":
        sides = {side: f"{side}_lengths" for side in ("premise", "hypothesis")}
    inputs = {}
    for places, counts in sides.items():
        inputs[places] = RNG.integers(2, 20, (len(lengths), steps)).astype("int32")
        inputs[counts] = np.array(lengths, "int32")
        lengths = lengths[::-1]  # the other side has other lengths
    return inputs


def test_the_books_sizes():
    hidden = 4 * 100 * (100 + 100 + 1) + 4 * 100 * (200 + 100 + 1)
    assert models.birnn(1000).count_params() == 1000 * 100 + 2 * hidden + 400 * 2 + 2
    convolutions = sum(k * 200 * 100 + 100 for k in (3, 4, 5))
    assert models.textcnn(1000).count_params() == 2 * 1000 * 100 + convolutions + 602
    two = [(width + 1) * 200 + 201 * 200 for width in (100, 200, 400)]
    count = models.decomposable_attention(1000).count_params()
    assert count == 1000 * 100 + sum(two) + 201 * 3


@pytest.mark.parametrize("kind", KINDS)
def test_models_save_and_train(kind):
    inputs = batch(kind, lengths=(7, 2, 5))
    free = {name: (0, 1) if value.ndim == 2 else (0,) for name, value in inputs.items()}
    model = KINDS[kind]()
    for embedding in ("embedding", "constant_embedding"):  # larger weights: no ReLU is always 0
        if any(layer.name == embedding for layer in model.layers):
            layer = model.get_layer(embedding)
            layer.set_weights([9 * weight for weight in layer.get_weights()])
    check_model(
        lambda: model,
        inputs,
        free_axes=free,
        mixed_precision=False,  # it is the same model each time
    )
    with compare.precision("mixed_bfloat16"):
        assert KINDS[kind]()(inputs).dtype == "float32"


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing(kind):
    model, inputs = KINDS[kind](), batch(kind)
    expected = model(inputs).numpy()
    changed = {}
    for name, value in inputs.items():
        if value.ndim == 1:
            changed[name] = value
            continue
        counts = inputs["lengths" if name == "tokens" else f"{name}_lengths"]
        wide = np.concatenate([value, RNG.integers(0, 20, (3, 4))], axis=1).astype("int32")
        beyond = np.arange(11) >= np.maximum(counts, 1)[:, None]
        changed[name] = np.where(beyond, RNG.integers(0, 20, wide.shape), wide)
    np.testing.assert_allclose(model(changed).numpy(), expected, rtol=0, atol=1e-6)
    alone = model({name: value[1:2] for name, value in inputs.items()})
    np.testing.assert_allclose(alone.numpy(), expected[1:2], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_are_where_the_embeddings_begin(kind):
    vectors = RNG.normal(size=(20, 6)).astype("float32")
    model = KINDS[kind](vectors=vectors)
    layers = [layer for layer in model.layers if layer.name.endswith("embedding")]
    for layer in layers:
        np.testing.assert_array_equal(layer.get_weights()[0], vectors)
    learned = {"birnn": [False], "textcnn": [False, True], "decomposable_attention": [True]}[kind]
    assert sorted(layer.trainable for layer in layers) == learned
    with pytest.raises(ValueError, match=r"`vectors` must be \(20, width\)"):
        KINDS[kind](vectors=vectors[:5])


def test_convolutions_over_time_are_the_largest_answer_of_each_kernel():
    layer = models.ConvolutionsOverTime((2, 4), (3, 2), seed=0)
    x, lengths = RNG.normal(size=(3, 7, 5)).astype("float32"), np.array([7, 2, 5])
    found = layer(x, lengths).numpy()
    for b, length in enumerate(lengths):
        text = np.concatenate([x[b, :length], np.zeros((4, 5))])
        answers = []
        for size, convolution in zip((2, 4), layer.convolutions, strict=True):
            kernel, bias = (weight.numpy() for weight in convolution.weights)
            windows = [text[t : t + size] for t in range(max(length - size + 1, 1))]
            all_answers = [np.tensordot(w, kernel, 2) + bias for w in windows]
            answers.append(np.maximum(np.max(all_answers, axis=0), 0))
        np.testing.assert_allclose(found[b], np.concatenate(answers), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="as many numbers"):
        models.ConvolutionsOverTime((2, 3), (4,))


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def test_attend_and_compare_are_the_papers_formulas():
    attend, compare = models.Attend(4, seed=0), models.Compare(3, seed=1)
    a, b = (RNG.normal(size=(2, steps, 5)).astype("float32") for steps in (6, 4))
    counts = np.array([6, 3]), np.array([2, 4])
    beta, alpha, weights = (part.numpy() for part in attend(a, b, *counts))
    summed = compare(a, beta, counts[0]).numpy()

    def two_layers(layer, x):
        for dense in layer.denses:
            x = np.maximum(x @ dense.kernel.numpy() + dense.bias.numpy(), 0)
        return x

    for i in range(2):
        one, other = a[i, : counts[0][i]], b[i, : counts[1][i]]
        e = two_layers(attend, one) @ two_layers(attend, other).T
        close = {"rtol": 1e-4, "atol": 1e-5}
        np.testing.assert_allclose(weights[i, : len(one), : len(other)], softmax(e), **close)
        np.testing.assert_allclose(beta[i, : len(one)], softmax(e) @ other, **close)
        np.testing.assert_allclose(alpha[i, : len(other)], softmax(e.T) @ one, **close)
        joined = np.concatenate([one, softmax(e) @ other], axis=1)
        np.testing.assert_allclose(summed[i], two_layers(compare, joined).sum(0), **close)


def test_first_and_last_words_are_joined():
    x = np.arange(12.0).reshape(2, 3, 2)
    found = models.FirstAndLast()(x, np.array([2, 0])).numpy()
    assert found.tolist() == [[0, 1, 2, 3], [6, 7, 6, 7]]


def test_layers_keep_their_promises():
    words = RNG.normal(size=(2, 6, 5)).astype("float32")
    counts = np.array([6, 3], "int32")
    check_layer(
        models.ConvolutionsOverTime,
        {"kernel_sizes": [2, 3], "num_channels": [4, 3], "seed": 1},
        (words, counts),
        free_axes={0: (0, 1), 1: (0,)},
    )
    some = {"num_hiddens": 6, "dropout_rate": 0.1, "seed": 1}
    free = {0: (0, 1), 1: (0, 1), 2: (0,), 3: (0,)}
    check_layer(models.Attend, some, (words, words, counts, counts), free_axes=free)
    check_layer(models.Compare, some, (words, words, counts), free_axes={0: (0,), 1: (0,), 2: (0,)})
    check_layer(
        models.Aggregate,
        some | {"num_classes": 4},
        (words[:, 0], words[:, 1]),
        mixed_precision="float32",
    )
