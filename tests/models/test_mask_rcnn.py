"""Mask R-CNN: reload, what its masks have to be, what they cost, and that it learns them."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasd2l import models, testing

PIXELS = np.random.default_rng(0).random((2, 64, 64, 3)).astype("float32")
SMALL = {
    "depths": (1, 1),
    "width": 0.125,
    "num_proposals": 12,
    "head_units": 16,
    "mask_filters": (8,),
    "seed": 1,
}


OTHER = {
    "sizes": (0.3, 0.6),
    "ratios": (1.0, 3.0),
    "num_samples": 5,
    "positive_share": 0.5,
    "smooth_beta": 0.5,
    "name": "other",
}


class WithMasks(models.MaskRCNN):
    """Gives masks of all its proposals, which takes too long for use."""

    def call(self, inputs, training=False):
        outputs = super().call(inputs, training=training)
        boxes, classes = outputs["proposals"], ops.argmax(outputs["offsets"][..., 0], axis=-1)
        return outputs | {"masks": self.mask_logits(outputs["features"], boxes, classes)}


def test_mask_rcnn():
    output = testing.check_model(
        lambda: WithMasks(2, **OTHER, **SMALL),
        PIXELS,
        free_axes=(0, 1, 2),
        fresh=False,
        no_gradient=("/bias",),  # a normalisation follows
    )
    assert tuple(output["masks"].shape) == (2, 12, 28, 28)


def test_saved_and_loaded_it_draws_the_same(tmp_path):
    model = models.MaskRCNN(2, **OTHER, **SMALL)
    boxes, _, maps = model.candidates_and_maps(PIXELS)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    ask = (boxes[:, :, 1], np.ones((2, 12), "int32"))
    *_, again = loaded.candidates_and_maps(PIXELS)
    np.testing.assert_allclose(
        model.object_masks(maps, *ask), loaded.object_masks(again, *ask), atol=1e-6
    )


def test_masks_of_the_boxes_and_classes_that_are_asked_for():
    model = models.MaskRCNN(3, **SMALL)
    boxes, scores, maps = model.candidates_and_maps(PIXELS)
    for ours, theirs in zip((boxes, scores), model.candidates(PIXELS), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    model.mask_layers[-1].bias.assign([-9.0, 0.0, 9.0])
    class_ids = np.array([[2, 0, -1], [1, 2, 2]])
    masks = np.asarray(model.object_masks(maps, boxes[:, :3, 0], class_ids))
    assert masks.shape == (2, 3, 28, 28)
    expected = np.where(class_ids == -1, 0, np.array([1.2e-4, 0.5, 0.9999])[class_ids])
    np.testing.assert_allclose(masks.mean((2, 3)), expected, atol=0.05)
    assert not masks[0, 2].any()


# An object in the left half of the picture, its mask the upper half of its box.
OBJECT = np.array([[[1, 0.0, 0.0, 0.5, 1.0]]], "float32")
UPPER = np.zeros((1, 1, 56, 56), "float32")
UPPER[..., :28, :] = 1


@pytest.mark.parametrize(
    ("region", "rows", "columns"),
    [
        ((0.0, 0.0, 0.5, 1.0), slice(0, 14), slice(0, 28)),  # the object's own box
        ((0.0, 0.0, 1.0, 1.0), slice(0, 14), slice(0, 14)),  # half of it is outside the object
        ((0.0, 0.25, 0.5, 0.75), slice(0, 14), slice(0, 28)),  # the middle of the box
        ((0.25, 0.5, 0.5, 1.0), slice(0, 0), slice(0, 28)),  # the part without the mask
    ],
)
def test_a_region_has_to_draw_what_of_the_mask_lies_in_it(region, rows, columns):
    model = models.MaskRCNN(2, **SMALL)
    targets = model.mask_targets(UPPER, np.array([[region]], "float32"), np.array([[0]]), OBJECT)
    expected = np.zeros((28, 28))
    expected[rows, columns] = 1
    difference = np.abs(np.asarray(targets)[0, 0] - expected)
    assert difference.mean() < 0.03 and (difference > 0.5).sum() <= 28  # but for an edge


def test_what_a_region_has_to_draw_is_torchvisions():
    torch = pytest.importorskip("torch")
    roi_heads = pytest.importorskip("torchvision.models.detection.roi_heads")
    rng = np.random.default_rng(4)
    picture = np.zeros((112, 112), "float32")  # an object from (16, 24) to (72, 80), of circles
    y, x = np.mgrid[:56, :56]
    mask = ((x - 20) ** 2 + (y - 30) ** 2 < 300) | ((x - 42) ** 2 + (y - 18) ** 2 < 100)
    picture[24:80, 16:72] = mask
    corners = np.array([16, 24, 72, 80], "float32")
    regions = corners + 0.2 * rng.uniform(0, 28, (5, 4)).astype("float32") * [1, 1, -1, -1]
    model = models.MaskRCNN(2, **SMALL)
    ours = model.mask_targets(
        mask[None, None],
        (regions[None] / 112).astype("float32"),
        np.zeros((1, 5), "int32"),
        np.tile([[0, *(corners / 112)]], (1, 5, 1)).astype("float32"),
    )
    theirs = roi_heads.project_masks_on_boxes(
        torch.tensor(picture)[None],
        torch.tensor(regions.astype("float32")),
        torch.zeros(5, dtype=torch.long),
        28,
    )
    # theirs takes samples half a pixel of the picture off, and as many as there are pixels
    difference = np.abs(np.asarray(ours)[0] - theirs.numpy())
    assert difference.mean() < 0.03, difference.mean()


def test_the_loss_of_masks_is_of_the_own_class_and_of_regions_with_an_object():
    model = models.MaskRCNN(2, **SMALL)
    model.build((None, 64, 64, 3))
    features = np.random.default_rng(1).random((2, 4, 4, 16)).astype("float32")
    boxes = np.tile([[0.0, 0.0, 0.5, 1.0]], (2, 3, 1)).astype("float32")
    objects = np.tile(OBJECT, (2, 3, 1))
    objects[0, 1, 0] = 0
    number = np.array([[0, 0, -1], [-1, -1, -2]])  # nothing to draw in the second picture
    logits = np.asarray(model.mask_logits(features, boxes, objects[..., 0]))
    targets = np.asarray(model.mask_targets(np.tile(UPPER, (2, 1, 1, 1)), boxes, number, objects))
    each = np.log1p(np.exp(logits)) - targets * logits
    losses = np.asarray(
        model.mask_losses(np.tile(UPPER, (2, 1, 1, 1)), features, boxes, number, objects)
    )
    assert losses[0] == pytest.approx(each[0, :2].mean(), rel=1e-5) and losses[1] == 0


@pytest.mark.slow
def test_the_loss_reaches_all_of_the_head_of_masks_and_learns_a_mask():
    model = models.MaskRCNN(2, num_samples=16, positive_share=1.0, **SMALL)
    model.build((None, 64, 64, 3))
    model.compile(keras.optimizers.Adam(0.01), loss=None)
    y = {"boxes": np.tile(OBJECT, (2, 1, 1)), "masks": np.tile(UPPER, (2, 1, 1, 1))}
    before = [np.array(w) for layer in model.mask_layers for w in layer.weights]
    losses = [model.train_on_batch(PIXELS, y, return_dict=True)["mask_loss"] for _ in range(40)]
    after = [np.array(w) for layer in model.mask_layers for w in layer.weights]
    assert all(np.any(a != b) for a, b in zip(before, after, strict=True))
    assert losses[0] == pytest.approx(np.log(2), abs=0.02)
    *_, maps = model.candidates_and_maps(PIXELS)
    mask = np.asarray(model.object_masks(maps, OBJECT[:, :, 1:].repeat(2, 0), ops.ones((2, 1))))
    assert mask[:, 0, 4:10].mean() > 0.7 > 0.3 > mask[:, 0, 18:24].mean(), losses[-1]


@pytest.mark.parametrize("mask_filters", [(), (8, 0)])
def test_wrong_numbers(mask_filters):
    with pytest.raises(ValueError, match="`mask_filters`"):
        models.MaskRCNN(1, mask_filters=mask_filters)
