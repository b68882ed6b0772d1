"""Losses of detectors that look at regions: by formula, as torchvision has them, on replicas."""

import keras
import numpy as np
import pytest
import small

from kerasd2l import layers, models
from kerasd2l.data import pipeline
from kerasd2l.layers.cells import real_objects
from kerasd2l.recipe import Data, TensorSpec

PIXELS = np.random.default_rng(0).random((2, 64, 64, 3)).astype("float32")
OBJECTS = np.array(
    [[[0, 0.1, 0.1, 0.5, 0.6], [1, 0.3, 0.2, 0.9, 0.9]], [[1, 0.5, 0.5, 0.8, 0.9], [-1] * 5]],
    "float32",
)
# As many samples as there are regions, all of which may have an object: nothing is left to chance.
ALL = {"num_samples": 30, "positive_share": 1.0}


def net(**options):
    numbers = {"depths": (1, 1, 1), "width": 0.25, "head_units": 16, "num_proposals": 20, "seed": 1}
    return models.FasterRCNN(2, **numbers | ALL | options)


@pytest.fixture(scope="module")
def outputs():
    """What the network says, made bold, of the two pictures."""
    rng = np.random.default_rng(1)
    made = {name: np.array(x) for name, x in net()(PIXELS).items()}
    for name in ("objectness", "anchor_offsets"):
        made[name] = rng.normal(size=made[name].shape).astype("float32")
    near = OBJECTS[:, [0, 1, 0, 0], 1:] + 0.05 * rng.normal(size=(2, 4, 4)).astype("float32")
    made["proposals"][:, :4] = near
    made["there"][:, 15:] = False
    return made


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def smooth_l1(error, beta):
    error = np.abs(error)
    return np.where(error < beta, error**2 / (2 * beta), error - beta / 2)


def sampled_and_judged(outputs, **options):
    model = net(**options)
    boxes, number, objects, counts = map(np.asarray, model.sampled(OBJECTS, outputs, True))
    rng = np.random.default_rng(2)
    said = {
        "classes": rng.normal(size=(*number.shape, 3)).astype("float32"),
        "offsets": rng.normal(size=(*number.shape, 2, 4)).astype("float32"),
    }
    return model, boxes, number, objects, counts, said


def test_regions_that_are_learned_from(outputs):
    _, boxes, number, objects, counts, _ = sampled_and_judged(outputs)
    labels, real = (np.asarray(x) for x in real_objects(OBJECTS))
    corners = labels[..., 1:]
    for i in (0, 1):
        regions = np.concatenate([corners[i][real[i]], outputs["proposals"][i, :15]])
        assert counts[i].sum() == len(regions)  # all of them, the objects themselves among them
        ours, theirs = (sorted(map(tuple, x.tolist())) for x in (boxes[i][counts[i]], regions))
        np.testing.assert_allclose(ours, theirs)
        iou = np.asarray(layers.box_iou(boxes[i][counts[i]], corners[i]))
        expected = np.where(iou.max(1) >= 0.5, iou.argmax(1), -1)
        np.testing.assert_array_equal(number[i][counts[i]], expected)
        assert (number[i][~counts[i]] < -1).all()
        has = number[i] >= 0
        np.testing.assert_array_equal(objects[i][has], OBJECTS[i][number[i][has]])


def test_losses_of_the_head_by_the_formula(outputs):
    model, boxes, number, objects, counts, said = sampled_and_judged(outputs, smooth_beta=0.5)
    of_classes, of_boxes = (
        np.asarray(x) for x in model.judged(boxes, number, objects, counts, said)
    )
    targets = np.asarray(layers.offset_boxes(boxes, objects[..., 1:]))
    log_p = log_softmax(said["classes"])
    for i in (0, 1):
        class_loss = box_loss = 0.0
        for m in np.flatnonzero(counts[i]):
            label = int(objects[i, m, 0]) + 1 if number[i, m] >= 0 else 0
            class_loss -= log_p[i, m, label]
            if label:
                error = said["offsets"][i, m, label - 1] - targets[i, m]
                box_loss += smooth_l1(error, 0.5).sum()
        assert of_classes[i] == pytest.approx(class_loss / 30, rel=1e-5)
        assert of_boxes[i] == pytest.approx(box_loss / 30, rel=1e-5)


def test_losses_of_the_head_are_torchvisions(outputs):
    torch = pytest.importorskip("torch")
    detection = pytest.importorskip("torchvision.models.detection")
    model, boxes, number, objects, counts, said = sampled_and_judged(outputs, smooth_beta=1 / 9)
    ours = [float(np.mean(x)) for x in model.judged(boxes, number, objects, counts, said)]
    of_each = [torch.tensor(boxes[i][counts[i]]) for i in (0, 1)]
    targets = detection._utils.BoxCoder((10.0, 10.0, 5.0, 5.0)).encode(
        [torch.tensor(objects[i][counts[i]][:, 1:]) for i in (0, 1)], of_each
    )
    labels = [
        torch.tensor(np.where(number[i] >= 0, objects[i, :, 0] + 1, 0)[counts[i]]).long()
        for i in (0, 1)
    ]
    # theirs has offsets of the background as well, in front
    offsets = np.pad(said["offsets"], ((0, 0), (0, 0), (1, 0), (0, 0))).reshape(2, -1, 12)
    theirs = detection.roi_heads.fastrcnn_loss(
        torch.tensor(said["classes"][counts]), torch.tensor(offsets[counts]), labels, targets
    )
    share = counts.sum() / counts.size  # theirs is divided by how many there are
    np.testing.assert_allclose(ours, [share * float(x) for x in theirs], rtol=1e-4)


def test_losses_of_the_proposals_by_the_formula(outputs):
    of_objects, of_boxes = (np.asarray(x) for x in net().rpn_losses(OBJECTS, outputs, True))
    anchors = outputs["anchors"][0]  # 4 x 4 pixels, 5 anchors each: all of them are learned from
    own = np.asarray(
        layers.match_regions(real_objects(OBJECTS)[0][..., 1:], anchors[None], 0.7, 0.3, best=True)
    )
    assert (own >= 0).any(1).all() and (own == -2).any()
    for i in (0, 1):
        logits, positive = outputs["objectness"][i], own[i] >= 0
        losses = np.log1p(np.exp(np.where(positive, -logits, logits)))
        assert of_objects[i] == pytest.approx(losses[own[i] != -2].sum() / 256, rel=1e-5)
        targets = layers.offset_boxes(anchors[positive], OBJECTS[i, own[i][positive], 1:])
        error = outputs["anchor_offsets"][i][positive] - np.asarray(targets)
        assert of_boxes[i] == pytest.approx(smooth_l1(error, 1.0).sum() / 256, rel=1e-4)


def test_losses_of_the_proposals_are_torchvisions(outputs):
    torch = pytest.importorskip("torch")
    rpn = pytest.importorskip("torchvision.models.detection.rpn")
    theirs = rpn.RegionProposalNetwork(None, None, 0.7, 0.3, 256, 0.5, {}, {}, 0.7)
    anchors = [torch.tensor(outputs["anchors"][0])] * 2
    objects = [{"boxes": torch.tensor(OBJECTS[i][OBJECTS[i, :, 0] >= 0][:, 1:])} for i in (0, 1)]
    labels, boxes = theirs.assign_targets_to_anchors(anchors, objects)
    coder = rpn.det_utils.BoxCoder((10.0, 10.0, 5.0, 5.0))
    expected = theirs.compute_loss(
        torch.tensor(outputs["objectness"].reshape(-1, 1)),
        torch.tensor(outputs["anchor_offsets"].reshape(-1, 4)),
        labels,
        coder.encode(boxes, anchors),
    )
    share = sum(int((x >= 0).sum()) for x in labels) / 512
    model = net(smooth_beta=1 / 9)
    ours = [float(np.mean(x)) for x in model.rpn_losses(OBJECTS, outputs, True)]
    np.testing.assert_allclose(ours, [share * float(x) for x in expected], rtol=1e-4)


def test_the_loss_is_the_sum_of_its_parts_and_weighs_pictures(outputs):
    model = net()
    loss = float(model.compute_loss(y=OBJECTS, y_pred=outputs, training=False))
    parts = [float(model.parts[name].result()) for name in model.part_names]
    assert loss == pytest.approx(sum(parts), rel=1e-5) and min(parts) > 0
    again = float(model.compute_loss(y=OBJECTS, y_pred=outputs, training=False))
    assert again == loss  # in evaluation the same regions are drawn
    one = [
        float(model.compute_loss(y=OBJECTS, y_pred=outputs, sample_weight=w, training=False))
        for w in (np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    ]
    assert sum(one) == pytest.approx(loss, rel=1e-5)


def test_a_picture_without_objects_teaches_only_the_background(outputs):
    none = np.full((2, 2, 5), -1, "float32")
    rpn_class, rpn_box, classes, boxes = net().losses_of(none, outputs, True)
    assert not np.any(rpn_box) and not np.any(boxes)
    assert np.all(np.asarray(rpn_class) > 0) and np.all(np.asarray(classes) > 0)


def after_a_step(make, labels, replicas):
    """Return the model after one step on four pictures."""

    def compiled():
        model = make()
        model.build((None, 64, 64, 3))
        model.compile(keras.optimizers.SGD(0.1), loss=None)
        return model

    pixels = np.random.default_rng(3).random((4, 64, 64, 3)).astype("float32")
    twice = keras.tree.map_structure(lambda y: np.concatenate([y, y]), labels)
    loaded = pipeline.from_arrays((pixels, twice), batch_size=4, seed=0)
    spec = TensorSpec((64, 64, 3))
    data = Data(loaded.dataset, None, None, {"x": spec}, {}, {"train": 4}, order=loaded.order)
    return small.train(compiled, data, epochs=1, replicas=replicas)[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["FasterRCNN", "MaskRCNN"])
def test_one_step_is_the_same_on_two_replicas(name):
    # all regions are learned from, or each replica would draw others
    options = {"depths": (1, 1, 1), "width": 0.25, "head_units": 8, "num_proposals": 9, "seed": 1}
    labels = {"boxes": OBJECTS, "masks": np.ones((2, 2, 56, 56), "float32")}
    if name == "MaskRCNN":
        options["mask_filters"] = (8,)

    def make():
        return getattr(models, name)(2, **options | ALL)

    one, two = (
        after_a_step(make, labels if name == "MaskRCNN" else OBJECTS, replicas)
        for replicas in (1, 2)
    )
    before = make()
    before.build((None, 64, 64, 3))
    for w, a, b in zip(*(x.trainable_weights for x in (before, one, two)), strict=True):
        moved = np.abs(np.asarray(a) - np.asarray(w)).max()
        assert np.abs(np.asarray(a) - np.asarray(b)).max() <= 0.02 * moved + 1e-6, w.path


@pytest.mark.parametrize("kind", ["faster", "mask"])
@pytest.mark.parametrize("row", [None, [0, np.nan, 0.3, 0.6, 0.6], [0, 0.3, 0.3, 0.3, 0.6]])
def test_what_is_no_object_is_as_if_it_were_not_there(kind, row):
    x = PIXELS[:1].repeat(2, axis=0)
    model = (
        net()
        if kind == "faster"
        else models.MaskRCNN(
            2, mask_filters=(8,), depths=(1, 1), width=0.25, head_units=16, num_proposals=20, **ALL
        )
    )
    given = model(x, training=False)

    def parts(labels):
        y = np.array([labels, labels], "float32").reshape(2, -1, 5)
        masks = np.ones((*y.shape[:2], 4, 4), "float32")
        y = y if kind == "faster" else {"boxes": y, "masks": masks}
        return [np.asarray(part) for part in model.losses_of(y, given, False)]

    none = parts([[-1] * 5])
    assert np.isfinite(none).all()
    given_rows = [] if row is None else [row]
    np.testing.assert_allclose(parts(given_rows), none, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", [models.RCNN, models.FastRCNN, models.FasterRCNN, models.MaskRCNN])
@pytest.mark.parametrize("name", ["sizes", "ratios"])
def test_anchors_are_checked_at_the_door(make, name):
    for numbers in ((), (0.0,), (0.5, float("nan"))):
        with pytest.raises(ValueError, match=f"`{name}` must be positive numbers"):
            make(2, width=0.125, **{name: numbers})
