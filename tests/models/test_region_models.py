"""R-CNN, Fast and Faster R-CNN: outputs, reload, what they are made of, where they look."""

import numpy as np
import pytest
from keras import ops

from kerasd2l import models, testing

PIXELS = np.random.default_rng(0).random((2, 64, 64, 3))
REGIONS = {"sizes": (0.3, 0.6), "ratios": (1.0, 3.0), "num_samples": 5, "positive_share": 0.5}


def test_faster_rcnn():
    output = testing.check_model(
        lambda: models.FasterRCNN(
            2,
            depths=(1, 1, 2),
            width=0.125,
            num_proposals=12,
            head_units=16,
            smooth_beta=0.5,
            seed=1,
            name="other",
            **REGIONS,
        ),
        PIXELS,
        free_axes=(0, 1, 2),
        no_gradient=("/bias",),  # a normalisation follows
    )
    shapes = {name: tuple(value.shape) for name, value in output.items()}
    assert shapes == {
        "features": (2, 4, 4, 32),
        "anchors": (1, 48, 4),
        "objectness": (2, 48),
        "anchor_offsets": (2, 48, 4),
        "proposals": (2, 12, 4),
        "there": (2, 12),
        "classes": (2, 12, 3),
        "offsets": (2, 12, 2, 4),
    }


def test_fast_rcnn():
    output = testing.check_model(
        lambda: models.FastRCNN(
            2, depths=(1, 1), width=0.125, grid=2, head_units=16, seed=1, **REGIONS
        ),
        PIXELS,
        free_axes=(0,),
        fresh=False,
        no_gradient=("/bias",),
    )
    assert tuple(output["classes"].shape) == (2, 12, 3)
    assert ops.all(output["there"])


def test_rcnn():
    output = testing.check_model(
        lambda: models.RCNN(
            2, depths=(1, 1), width=0.125, crop=16, grid=2, l2=0.1, seed=1, **REGIONS
        ),
        PIXELS,
        free_axes=(0, 1, 2),
        fresh=False,
        no_gradient=("/bias",),
    )
    assert tuple(output["classes"].shape) == (2, 12, 2)  # an SVM a class, none of the background


def test_svms_lose_by_the_hinge_and_by_their_weights():
    model = models.RCNN(2, depths=(1,), width=0.125, crop=16, grid=1, l2=0.1)
    logits = np.array([[[0.5, -2.0], [3.0, 0.2], [-1.5, -0.5]]], "float32")
    labels = np.array([[1, 2, 0]])  # the background has no class of its own
    signs = np.array([[[1, -1], [-1, 1], [-1, -1]]])
    expected = np.maximum(0, 1 - signs * logits).sum(-1)
    np.testing.assert_allclose(model.class_losses(labels, logits), expected, rtol=1e-6)
    model(PIXELS[:, :32, :32])
    (loss,) = model.losses
    np.testing.assert_allclose(loss, 0.1 * np.sum(np.square(model.class_head.kernel)), rtol=1e-5)


def test_candidates_are_boxes_of_each_class_and_score_nothing_where_there_is_no_proposal():
    model = models.FasterRCNN(3, depths=(1, 1, 1), width=0.125, num_proposals=100, head_units=8)
    boxes, scores = model.candidates(PIXELS)
    assert (tuple(boxes.shape), tuple(scores.shape)) == ((2, 100, 3, 4), (2, 100, 3))
    there = np.asarray(model(PIXELS)["there"])
    assert 0 < there.sum() < there.size  # 80 anchors a picture
    assert not np.asarray(scores)[~there].any() and np.isfinite(boxes).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: models.FasterRCNN(0), "num_classes"),
        (lambda: models.FasterRCNN(1, num_proposals=0), "num_proposals"),
        (lambda: models.FasterRCNN(1, positive_share=1.5), "`positive_share` must be in"),
        (lambda: models.FasterRCNN(1, depths=(1, 0)), "`depths`"),
        (lambda: models.FastRCNN(1, grid=0), "grid"),
        (lambda: models.RCNN(1, crop=8), "`crop` must be at least 16"),
        (
            lambda: models.RCNN(1).build((None, 15, 64, 3)),
            "rcnn needs pictures of at least 16 x 16",
        ),
        (lambda: models.FastRCNN(1).build((None, 1, 1, 3)), "at least 16 x 16 pixels. Received: 1"),
        (lambda: models.FasterRCNN(1, depths=(1, 1)).build((None, 64, 7, 3)), "at least 8 x 8"),
        (lambda: models.MaskRCNN(1).build((None, 15, 15, 3)), "mask_rcnn needs pictures"),
    ],
)
def test_wrong_numbers(make, message):
    with pytest.raises(ValueError, match=message):
        make()
