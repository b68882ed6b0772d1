"""TinySSD has the book's shapes, anchors, parameters and loss; SSD on ResNet the same anchors."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from kerasd2l import layers, models, testing
from kerasd2l.models.vision import single_shot

OBJECTS = np.array(
    [
        [[0, 0.1, 0.1, 0.5, 0.6], [1, 0.3, 0.2, 0.9, 0.9]],
        [[1, 0.6, 0.6, 0.8, 0.8], [-1] * 5],
        [[-1] * 5] * 2,
    ],
    "float32",
)


def shape(x):
    return tuple(x.shape)


# Inventory 13.7: the shapes that the book prints, channels last.
def test_predictors_of_the_book():
    one, two = ops.zeros((2, 20, 20, 8)), ops.zeros((2, 10, 10, 16))
    y1, y2 = models.cls_predictor(5, 10)(one), models.cls_predictor(3, 10)(two)
    assert (shape(y1), shape(y2)) == ((2, 20, 20, 55), (2, 10, 10, 33))
    assert shape(models.concat_preds([y1, y2])) == (2, 25300)
    assert shape(models.bbox_predictor(5)(one)) == (2, 20, 20, 20)


def test_blocks_of_the_book():
    # kernels of 2 with padding 1 would let each map grow (inventory, part 4)
    assert shape(models.down_sample_blk(10)(ops.zeros((2, 20, 20, 3)))) == (2, 10, 10, 10)
    assert shape(models.base_net()(ops.zeros((2, 256, 256, 3)))) == (2, 32, 32, 64)
    x, found = ops.zeros((2, 256, 256, 3)), []
    for i in range(5):
        x = models.get_blk(i)(x)
        found.append(shape(x)[1:])
    assert [(side, channels) for side, _, channels in found] == [
        (32, 64),
        (16, 128),
        (8, 128),
        (4, 128),
        (1, 128),
    ]
    with pytest.raises(ValueError, match="`i` must be 0 to 4"):
        models.get_blk(5)


def test_the_rule_of_the_sizes_gives_the_books_numbers():
    assert models.anchor_sizes() == single_shot.SIZES
    with pytest.raises(ValueError, match="`largest` more"):
        models.anchor_sizes(0.5, 0.5)


def test_tiny_ssd_has_the_books_outputs_and_parameters():
    net = models.TinySSD(1)
    outputs = net(np.zeros((32, 256, 256, 3), "float32"))
    assert {name: shape(value) for name, value in outputs.items()} == {
        "anchors": (1, 5444, 4),
        "classes": (32, 5444, 2),
        "offsets": (32, 5444, 4),
    }
    assert sum(math.prod(w.shape) for w in net.trainable_weights) == 1_010_376


def test_tiny_ssd():
    pixels = np.random.default_rng(0).random((2, 80, 80, 3))
    testing.check_model(
        lambda: models.TinySSD(
            2,
            sizes=models.anchor_sizes(0.1, 0.5),
            ratios=((1.0, 2.0),) * 5,
            focal_gamma=2.0,
            smooth_beta=0.5,
            seed=1,
            name="other",
        ),
        pixels,
        free_axes=(0, 1, 2),
        no_gradient=("/bias",),  # a normalisation follows
    )


def test_ssd_on_resnet():
    pixels = np.random.default_rng(0).random((2, 96, 96, 3))
    output = testing.check_model(
        lambda: models.SSD(3, depths=(1, 1, 1, 2), width=0.125, seed=1),
        pixels,
        free_axes=(0, 1, 2),
        fresh=False,
        no_gradient=("/bias",),
    )
    assert shape(output["classes"])[-1] == 4
    # the anchors of TinySSD: maps of the same sizes
    x = keras.KerasTensor((1, 256, 256, 3))
    assert models.SSD(1, width=0.125)(x)["anchors"].shape == (1, 5444, 4)
    with pytest.raises(ValueError, match="blocks of 4 stages"):
        models.SSD(1, depths=(2, 2))


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


@pytest.fixture(scope="module")
def predicted():
    """One model's outputs for three pictures; the last one has no object."""
    net = models.TinySSD(2, seed=0)
    pixels = np.random.default_rng(0).random((3, 64, 64, 3)).astype("float32")
    outputs = {name: np.asarray(value) for name, value in net(pixels).items()}
    offsets, mask, classes = map(np.asarray, layers.multibox_target(outputs["anchors"], OBJECTS))
    log_p = np.take_along_axis(log_softmax(outputs["classes"]), classes[..., None], -1)[..., 0]
    error = np.abs(offsets - mask * outputs["offsets"].reshape(3, -1))
    return outputs, classes, log_p, error


def loss_of(outputs, **options):
    net = models.TinySSD(2, **options)
    loss = net.compute_loss(y=OBJECTS, y_pred=outputs)
    return float(loss), float(net.class_error.result()), float(net.bbox_mae.result())


def test_loss_and_figures_are_the_books(predicted):
    outputs, classes, log_p, error = predicted
    loss, class_error, bbox_mae = loss_of(outputs)
    assert loss == pytest.approx((-log_p.mean(1) + error.mean(1)).mean(), rel=1e-5)
    right = (outputs["classes"].argmax(-1) == classes).sum()  # the book's cls_eval
    assert class_error == pytest.approx(1 - right / classes.size, abs=1e-6)
    assert bbox_mae == pytest.approx(error.sum() / error.size, rel=1e-5)  # its bbox_eval


def test_losses_of_the_exercises(predicted):
    outputs, _, log_p, error = predicted
    sigma = 0.5
    near = np.where(error < 1 / sigma**2, (sigma * error) ** 2 / 2, error - 0.5 / sigma**2)
    smooth, _, _ = loss_of(outputs, smooth_beta=1 / sigma**2)
    assert smooth == pytest.approx((-log_p.mean(1) + near.mean(1)).mean(), rel=1e-5)
    focal, _, _ = loss_of(outputs, focal_gamma=2.0)
    p = np.exp(log_p)
    assert focal == pytest.approx((-((1 - p) ** 2) * log_p).mean() + error.mean(), rel=1e-5)


def test_sample_weights_weigh_pictures(predicted):
    outputs, _, log_p, error = predicted
    net = models.TinySSD(2)
    weights = np.array([2.0, 0.0, 1.0], "float32")
    loss = float(net.compute_loss(y=OBJECTS, y_pred=outputs, sample_weight=weights))
    expected = (weights * (-log_p.mean(1) + error.mean(1))).mean()
    assert loss == pytest.approx(expected, rel=1e-5)


def test_candidates_are_boxes_and_probabilities(predicted):
    net = models.TinySSD(2, seed=0)
    pixels = np.random.default_rng(0).random((3, 64, 64, 3)).astype("float32")
    boxes, scores = map(np.asarray, net.candidates(pixels))
    outputs = predicted[0]
    assert boxes.shape == (3, 344, 1, 4) and scores.shape == (3, 344, 2)
    p = np.exp(log_softmax(outputs["classes"]))
    np.testing.assert_allclose(scores, p[..., 1:], atol=1e-5)
    expected = layers.offset_inverse(outputs["anchors"], outputs["offsets"])
    np.testing.assert_allclose(boxes[:, :, 0], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, "`num_classes` must be at least 1"),
        ({"num_classes": 1, "focal_gamma": -1.0}, "must be at least 0. Received: focal_gamma=-1.0"),
        ({"num_classes": 1, "sizes": ((0.2,),)}, "must be those of 5 maps. Received: 1 sizes"),
    ],
)
def test_wrong_numbers_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        models.TinySSD(**arguments)


def test_small_pictures_are_refused():
    with pytest.raises(ValueError, match="Received: 32 x 96"):
        models.TinySSD(1)(np.zeros((1, 32, 96, 3), "float32"))
