"""YOLO: the papers' parameters, losses as programs with loops write them, scores, refusals."""

import math

import keras
import numpy as np
import pytest

from kerasd2l import layers, models, testing

OBJECTS = np.array(
    [
        [[0, 0.1, 0.1, 0.5, 0.6], [1, 0.3, 0.2, 0.9, 0.9], [2, 0.32, 0.22, 0.88, 0.88]],
        [[1, 0.6, 0.6, 0.8, 0.8], [-1] * 5, [-1] * 5],
        [[-1] * 5] * 3,
    ],
    "float32",
)
SMALL = {"depths": (1,) * 5, "width": 0.125}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def iou_of(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(w, 0) * max(h, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union


def giou_of(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(w, 0) * max(h, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return shared / union - (hull - union) / hull


def binary(y, x):
    return -y * math.log(sigmoid(x)) - (1 - y) * math.log(1 - sigmoid(x))


def yolo_loops(outputs, labels, picture, squared, ignore_iou=0.5):
    """Write the three losses of a picture as loops over anchors."""
    priors = outputs["priors"][0]
    number = np.asarray(layers.cell_target(priors, labels[picture : picture + 1]))[0]
    real = [row for row in labels[picture] if row[0] >= 0]
    box_loss = sure_loss = class_loss = 0.0
    for a, (x, y, w, h, pw, ph) in enumerate(priors):
        t = outputs["offsets"][picture, a]
        cx, cy = x + sigmoid(t[0]) * w, y + sigmoid(t[1]) * h
        bw, bh = pw * math.exp(t[2]), ph * math.exp(t[3])
        box = (cx - bw / 2, cy - bh / 2, cx + bw / 2, cy + bh / 2)
        sure = outputs["objectness"][picture, a]
        if number[a] < 0:
            if max((iou_of(box, row[1:]) for row in real), default=0) <= ignore_iou:
                sure_loss += binary(0, sure)
            continue
        sure_loss += binary(1, sure)
        kind, x1, y1, x2, y2 = labels[picture, number[a]]
        if squared:
            wished = [
                ((x1 + x2) / 2 - x) / w,
                ((y1 + y2) / 2 - y) / h,
                math.log((x2 - x1) / pw),
                math.log((y2 - y1) / ph),
            ]
            got = [sigmoid(t[0]), sigmoid(t[1]), t[2], t[3]]
            box_loss += sum((p - q) ** 2 for p, q in zip(got, wished, strict=True))
        else:
            box_loss += 1 - giou_of(box, (x1, y1, x2, y2))
        for k, logit in enumerate(outputs["classes"][picture, a]):
            class_loss += binary(float(k == kind), logit)
    return box_loss, sure_loss, class_loss


@pytest.fixture(scope="module")
def predicted():
    """Numbers as a network may give them, for three pictures of 64 x 64; the last has no object."""
    net = models.YOLO(3, **SMALL, seed=0)
    priors = np.asarray(net(np.zeros((1, 64, 64, 3), "float32"))["priors"])
    rng, count = np.random.default_rng(0), priors.shape[1]
    return {
        "priors": priors,
        "offsets": rng.normal(0, 0.5, (3, count, 4)).astype("float32"),
        "objectness": rng.normal(-1, 1, (3, count)).astype("float32"),
        "classes": rng.normal(0, 1, (3, count, 3)).astype("float32"),
    }


@pytest.mark.parametrize("box_loss", ["giou", "squared"])
def test_loss_of_yolo_is_that_of_loops(predicted, box_loss):
    net = models.YOLO(3, **SMALL, box_loss=box_loss, ignore_iou=0.4)
    expected = np.array(
        [yolo_loops(predicted, OBJECTS, i, box_loss == "squared", 0.4) for i in range(3)]
    )
    found = np.stack(net.losses_of(OBJECTS, predicted), axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert expected[2, 0] == expected[2, 2] == 0 < expected[2, 1]
    loss = float(net.compute_loss(y=OBJECTS, y_pred=predicted))
    assert loss == pytest.approx(expected.sum(1).mean(), rel=1e-4)
    assert float(net.parts["box_error"].result()) == pytest.approx(expected[:, 0].mean(), rel=1e-4)
    weights = np.array([2.0, 0.0, 1.0], "float32")
    weighted = float(net.compute_loss(y=OBJECTS, y_pred=predicted, sample_weight=weights))
    assert weighted == pytest.approx((weights * expected.sum(1)).mean(), rel=1e-4)


def v1_loops(outputs, labels, picture, grid, coord_weight=5.0, noobj_weight=0.5):
    """Write the paper's loss of a picture as loops over cells and boxes."""
    loss = np.zeros(3)
    for cell in range(grid * grid):
        row, column = divmod(cell, grid)
        there = [
            label
            for label in labels[picture]
            if label[0] >= 0
            and int((label[1] + label[3]) / 2 * grid) == column
            and int((label[2] + label[4]) / 2 * grid) == row
        ]
        overlaps = []
        for x, y, root_w, root_h in outputs["boxes"][picture, cell]:
            cx, cy, w, h = (column + x) / grid, (row + y) / grid, root_w**2, root_h**2
            box = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
            overlaps.append(iou_of(box, there[0][1:]) if there else 0.0)
        responsible = int(np.argmax(overlaps)) if there else None
        for j, sure in enumerate(outputs["confidence"][picture, cell]):
            if j != responsible:
                loss[1] += noobj_weight * sure**2
                continue
            loss[1] += (sure - overlaps[j]) ** 2
            x, y, root_w, root_h = outputs["boxes"][picture, cell, j]
            _, x1, y1, x2, y2 = there[0]
            loss[0] += coord_weight * (x - ((x1 + x2) / 2 * grid - column)) ** 2
            loss[0] += coord_weight * (y - ((y1 + y2) / 2 * grid - row)) ** 2
            loss[0] += coord_weight * (root_w - math.sqrt(x2 - x1)) ** 2
            loss[0] += coord_weight * (root_h - math.sqrt(y2 - y1)) ** 2
        for k, p in enumerate(outputs["classes"][picture, cell]):
            if there:
                loss[2] += (p - float(k == there[0][0])) ** 2
    return loss


def test_loss_of_yolo_v1_is_the_papers():
    rng = np.random.default_rng(0)
    outputs = {
        "boxes": rng.uniform(-0.2, 1, (3, 9, 2, 4)).astype("float32"),
        "confidence": rng.random((3, 9, 2)).astype("float32"),
        "classes": rng.random((3, 9, 3)).astype("float32"),
    }
    for weights in ({}, {"coord_weight": 2.0, "noobj_weight": 0.25}):
        net = models.YOLOv1(3, grid=3, **SMALL, **weights)
        expected = np.array([v1_loops(outputs, OBJECTS, i, 3, **weights) for i in range(3)])
        found = np.stack(net.losses_of(OBJECTS, outputs), axis=1)
        np.testing.assert_allclose(found, expected, rtol=1e-4)
        loss = float(net.compute_loss(y=OBJECTS, y_pred=outputs))
        assert loss == pytest.approx(expected.sum(1).mean(), rel=1e-4)


def test_yolo_has_the_papers_parameters():
    # 61,949,149: of the authors' yolov3.cfg with 80 classes, as others' ports print them
    net = models.YOLO(80)
    assert sum(math.prod(w.shape) for w in net.trainable_weights) == 61_949_149


def test_yolo():
    output = testing.check_model(
        lambda: models.YOLO(
            2,
            depths=(1, 1, 1, 2, 1),
            width=0.125,
            shapes=((0.1, 0.2), (0.2, 0.3), (0.4, 0.5)),
            box_loss="squared",
            ignore_iou=0.7,
            seed=1,
            name="other",
        ),
        np.random.default_rng(0).random((2, 64, 96, 3)),
        free_axes=(0, 1, 2),
        fresh=False,
    )
    assert output["offsets"].shape == (2, 8 * 12 + 4 * 6 + 2 * 3, 4)
    finest, coarsest = np.asarray(output["priors"])[0, [0, -1]]
    np.testing.assert_allclose(finest, [0, 0, 1 / 12, 1 / 8, 0.1, 0.2])
    np.testing.assert_allclose(coarsest, [2 / 3, 1 / 2, 1 / 3, 1 / 2, 0.4, 0.5])


def test_yolo_v1():
    testing.check_model(
        lambda: models.YOLOv1(
            3,
            grid=2,
            boxes=3,
            depths=(1, 1, 1, 1, 2),
            width=0.125,
            coord_weight=4.0,
            noobj_weight=0.25,
            seed=1,
            name="other",
        ),
        np.random.default_rng(0).random((2, 64, 96, 3)),
        free_axes=(0, 1, 2),
        fresh=False,
    )


def test_candidates_of_yolo(predicted):
    net = models.YOLO(3, **SMALL)
    net.call = lambda inputs, training=False: predicted
    boxes, scores = map(np.asarray, net.candidates(np.zeros((3, 64, 64, 3), "float32")))
    expected = layers.cell_boxes(predicted["priors"], predicted["offsets"])
    np.testing.assert_allclose(boxes[:, :, 0], expected)
    sure = sigmoid(predicted["objectness"])[..., None] * sigmoid(predicted["classes"])
    np.testing.assert_allclose(scores, sure, rtol=1e-5)


def test_candidates_of_yolo_v1():
    net = models.YOLOv1(2, grid=2, boxes=1, **SMALL)
    outputs = {
        "boxes": np.tile([[0.5, 0.5, 0.5, -1.0]], (1, 4, 1, 1)).astype("float32"),
        "confidence": np.array([[[0.5], [1.5], [-1.0], [1.0]]], "float32"),
        "classes": np.array([[[0.5, 1.0], [0.5, 2.0], [1, 1], [-1, 0]]], "float32"),
    }
    net.call = lambda inputs, training=False: outputs
    boxes, scores = map(np.asarray, net.candidates(np.zeros((1, 64, 64, 3), "float32")))
    np.testing.assert_allclose(boxes[0, 1, 0], [0.625, -0.25, 0.875, 0.75])  # middle, 1/4 and 1
    np.testing.assert_allclose(scores[0], [[0.25, 0.5], [0.5, 1], [0, 0], [0, 0]])


@pytest.mark.slow
def test_each_learns_three_pictures():
    pixels = np.random.default_rng(0).random((3, 64, 64, 3)).astype("float32")
    for net in (models.YOLO(3, **SMALL, seed=0), models.YOLOv1(3, grid=2, **SMALL, seed=0)):
        net.compile(keras.optimizers.Adam(0.003))
        losses = net.fit(pixels, OBJECTS, epochs=12, verbose=0).history["loss"]
        assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: models.YOLO(0), "`num_classes` must be at least 1"),
        (lambda: models.YOLO(1, box_loss="l1"), "must be giou or squared"),
        (lambda: models.YOLO(1, ignore_iou=2.0), "Received: box_loss=giou, ignore_iou=2.0"),
        (lambda: models.YOLO(1, shapes=((0.1, 0.1),) * 4), "pairs of positive numbers, 3 of them"),
        (lambda: models.YOLO(1, shapes=((0.1, -0.1),) * 3), "pairs of positive numbers"),
        (lambda: models.YOLO(1, depths=(1, 1)), "blocks of 5 stages"),
        (lambda: models.YOLO(1, **SMALL).build((None, 64, 80, 3)), "such as 64 x 64"),
        (lambda: models.YOLOv1(1, grid=0), "`grid` must be at least 1"),
        (lambda: models.YOLOv1(1, noobj_weight=-1.0), "must be at least 0"),
        (lambda: models.YOLOv1(1, **SMALL, grid=1).build((None, 16, 64, 3)), "at least 32 x 32"),
        (lambda: models.YOLOv1(1, **SMALL, grid=3).build((None, 96, 64, 3)), "at least 65 x 65"),
    ],
)
def test_wrong_numbers_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
