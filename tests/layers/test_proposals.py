"""Regions are matched, drawn and proposed as written out here, and as torchvision has it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import layers
from kerasd2l.layers.proposals import BACKGROUND, BETWEEN


def random_boxes(rng, *shape):
    corners = np.sort(rng.random((*shape, 2, 2)), axis=-2).reshape(*shape, 4)
    return corners.astype("float32")


def iou(a, b):
    """Of one box with another."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0) * max(height, 0)
    areas = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)]
    return both / (sum(areas) - both) if both else 0.0


def test_each_region_gets_the_object_it_overlaps_most():
    objects = [[[0, 0, 4, 4], [4, 4, 8, 8], [20, 20, 21, 30], [0, 0, 0, 0]]]
    regions = [[[0, 0, 4, 4], [0, 0, 4, 2], [0, 0, 4, 1], [5, 4, 8, 8], [4, 5, 8, 8], [9, 9, 9, 9]]]
    # IoU with the object of each: 1, 1/2, 1/4, 3/4, 3/4, 0; no region overlaps the third object
    wanted = layers.match_regions(objects, regions, 0.8, 0.3).numpy().tolist()
    assert wanted == [[0, BETWEEN, BACKGROUND, BETWEEN, BETWEEN, BACKGROUND]]
    best = layers.match_regions(objects, regions, 0.8, 0.3, best=True).numpy().tolist()
    assert best == [[0, BETWEEN, BACKGROUND, 1, 1, BACKGROUND]]  # both overlap the second one most
    assert layers.match_regions(objects, regions, 0.5).numpy().tolist() == [[0, 0, -1, 1, 1, -1]]


def test_pictures_without_objects_are_background():
    regions = random_boxes(np.random.default_rng(0), 1, 7)
    own = layers.match_regions(np.zeros((2, 0, 4), "float32"), regions, 0.7, 0.3, best=True)
    assert own.numpy().tolist() == [[BACKGROUND] * 7] * 2


@pytest.mark.parametrize("best", [False, True])
def test_matches_are_torchvisions(best):
    torch = pytest.importorskip("torch")
    utils = pytest.importorskip("torchvision.models.detection._utils")
    ops = pytest.importorskip("torchvision.ops")
    rng = np.random.default_rng(1)
    objects, regions = random_boxes(rng, 3, 5), random_boxes(rng, 3, 200)
    own = layers.match_regions(objects, regions, 0.5, 0.2, best=best).numpy()
    matcher = utils.Matcher(0.5, 0.2, allow_low_quality_matches=best)
    for i in range(3):
        quality = ops.box_iou(*(torch.tensor(x[i]) for x in (objects, regions)))
        np.testing.assert_array_equal(own[i], matcher(quality).numpy())


OWN = np.array([[0, -1, 2, -2, -1, 1, -1, -1, -2, 3], [-1, -1, -2, -1, 0, -1, -1, -2, -2, -1]])


def test_a_share_of_what_is_drawn_has_an_object_and_the_rest_is_background():
    draws = keras.random.SeedGenerator(0)
    hits = np.zeros(OWN.shape)
    for _ in range(150):
        rows, counts = (x.numpy() for x in layers.sample_regions(OWN, 4, 0.5, draws))
        own = np.take_along_axis(OWN, rows, 1)
        assert counts.all()
        # two with an object in front, one in the second picture, which has no more
        assert (own >= 0).tolist() == [[True, True, False, False], [True, False, False, False]]
        assert (own != BETWEEN).all()
        assert all(len(set(of_picture)) == 4 for of_picture in rows)
        for i in (0, 1):
            hits[i, rows[i]] += 1
    expected = np.where(OWN[0] >= 0, 2 / 4, np.where(OWN[0] == -1, 2 / 4, 0))
    np.testing.assert_allclose(hits[0] / 150, expected, atol=0.15)  # 3 sigma: 0.12
    expected = np.where(OWN[1] >= 0, 1, np.where(OWN[1] == -1, 3 / 6, 0))
    np.testing.assert_allclose(hits[1] / 150, expected, atol=0.15)


def test_where_there_are_too_few_the_rows_that_do_not_count_are_in_range():
    rows, counts = (x.numpy() for x in layers.sample_regions(OWN, 20, 0.5, 0))
    assert counts.sum(1).tolist() == [8, 7] and rows.shape == (2, 20)
    assert (rows >= 0).all() and (rows < 10).all()  # of a gather beyond the end a CPU complains
    for i in (0, 1):
        assert sorted(rows[i, counts[i]]) == np.flatnonzero(OWN[i] != BETWEEN).tolist()
    rows, counts = layers.sample_regions(OWN[:, :0], 3, 1.0, 0)
    assert not counts.numpy().any()


def test_the_same_seed_draws_the_same():
    first = layers.sample_regions(OWN, 4, 0.5, keras.random.SeedGenerator(3))
    again = layers.sample_regions(OWN, 4, 0.5, keras.random.SeedGenerator(3))
    np.testing.assert_array_equal(first[0], again[0])


def proposed(anchors, objectness, offsets, before, after, threshold, least):
    """Write `propose` out for one picture: the boxes."""
    w, h = anchors[:, 2] - anchors[:, 0], anchors[:, 3] - anchors[:, 1]
    x = (anchors[:, 0] + anchors[:, 2]) / 2 + offsets[:, 0] / 10 * w
    y = (anchors[:, 1] + anchors[:, 3]) / 2 + offsets[:, 1] / 10 * h
    limit = np.log(1000 / 16)  # torchvision's
    w, h = (
        s * np.exp(np.minimum(o / 5, limit)) for s, o in zip((w, h), offsets.T[2:], strict=True)
    )
    boxes = np.clip(np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], -1), 0, 1)
    order = np.argsort(-objectness, kind="stable")[:before]
    left = []
    for i in order:
        small = (boxes[i, 2:] - boxes[i, :2] < least).any()
        if not small and all(iou(boxes[i], boxes[j]) <= threshold for j in left):
            left.append(i)
    return boxes[left[:after]]


@pytest.fixture(scope="module")
def said():
    """What a region proposal network says of two pictures."""
    rng = np.random.default_rng(2)
    anchors = layers.multibox_prior(np.zeros((1, 4, 4, 1)), [0.3, 0.6], [1.0, 2.0]).numpy()
    objectness = rng.normal(size=(2, 48)).astype("float32")
    offsets = (3 * rng.normal(size=(2, 48, 4))).astype("float32")
    offsets[0, 3, 2] = 1e4  # nothing overflows
    offsets[1, 5, 2:] = -40  # too small
    return anchors, objectness, offsets


@pytest.mark.parametrize(("before", "after"), [(48, 20), (30, 4), (100, 60)])
def test_proposals_are_those_of_the_paper(said, before, after):
    options = {"before": before, "after": after, "iou_threshold": 0.5, "least": 0.01}
    specs = [tf.TensorSpec((None, None, 4)), tf.TensorSpec((None, None))]
    ask = tf.function(lambda *x: layers.propose(*x, **options), input_signature=[*specs, specs[0]])
    for one in (layers.propose(*said, **options), ask(*said)):  # sizes known and unknown
        boxes, there = (x.numpy() for x in one)
        assert boxes.shape == (2, after, 4)
        for i in (0, 1):
            expected = proposed(said[0][0], said[1][i], said[2][i], before, after, 0.5, 0.01)
            assert there[i].tolist() == [True] * len(expected) + [False] * (after - len(expected))
            np.testing.assert_allclose(boxes[i, : len(expected)], expected, atol=1e-5)
            assert not boxes[i, len(expected) :].any()


def test_proposals_are_torchvisions(said):
    torch = pytest.importorskip("torch")
    detection = pytest.importorskip("torchvision.models.detection")
    coder = detection._utils.BoxCoder((10.0, 10.0, 5.0, 5.0))
    numbers = {"training": 40, "testing": 40}
    rpn = detection.rpn.RegionProposalNetwork(
        None, None, 0.7, 0.3, 256, 0.5, numbers, {"training": 15, "testing": 15}, 0.5
    )
    rpn.min_size = 0.01
    anchors, objectness, offsets = map(torch.tensor, said)
    boxes = coder.decode(offsets.reshape(-1, 4), [anchors[0]] * 2).reshape(2, -1, 4)
    expected, _ = rpn.filter_proposals(boxes, objectness.reshape(-1, 1), [(1, 1)] * 2, [48])
    boxes, there = layers.propose(*said, before=40, after=15, iou_threshold=0.5, least=0.01)
    for i in (0, 1):
        np.testing.assert_allclose(boxes[i][there[i]], expected[i].numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: layers.match_regions(x, x, 0.3, 0.7), r"`low` must be in \[0, high\]"),
        (lambda x: layers.match_regions(x[0], x, 0.5), r"shapes \(3, 4\) and \(1, 3, 4\)"),
        (lambda x: layers.sample_regions(OWN, 0, 0.5, 0), "`count` must be at least 1"),
        (lambda x: layers.sample_regions(OWN, 1, 0.0, 0), r"`share` in \(0, 1\]"),
        (lambda x: layers.propose(x, x[..., 0], x, after=0), "Received: before=1000, after=0"),
    ],
)
def test_wrong_numbers_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(random_boxes(np.random.default_rng(0), 1, 3))
