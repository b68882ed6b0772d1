"""Mean IoU and the loss of pixels, against their formulas in numpy; pixels of no class are out."""

import keras
import numpy as np
import pytest

from kerasd2l import losses, metrics
from kerasd2l.segmentation_metrics import MeanIoU, mask_iou

RANDOM = np.random.default_rng(0)


def example(classes=4, ignored=0.2):
    y = RANDOM.integers(0, classes, (3, 6, 7)).astype("int32")
    y[RANDOM.random(y.shape) < ignored] = 255
    return y, RANDOM.normal(size=(*y.shape, classes)).astype("float32")


def iou_by_numpy(y, predicted, classes):
    known = y != 255
    y, predicted = y[known], predicted[known]
    found = []
    for k in range(classes):
        union = ((y == k) | (predicted == k)).sum()
        found.append(((y == k) & (predicted == k)).sum() / union if union else np.nan)
    return np.array(found)


@pytest.mark.parametrize("most", [4, 9, 255])
def test_mean_iou_is_its_formula_however_the_pixels_are_cut(most):
    y, logits = example()
    expected = iou_by_numpy(y, logits.argmax(-1), 4)
    metric = MeanIoU(most)
    for part in (slice(0, 1), slice(1, 3)):
        metric.update_state(y[part], logits[part])
    assert float(metric.result()) == pytest.approx(expected.mean(), rel=1e-6)
    np.testing.assert_allclose(metric.by_class()[:4], expected, rtol=1e-6)
    assert np.isnan(metric.by_class()[4:]).all()
    keras_own = keras.metrics.MeanIoU(4, ignore_class=255, sparse_y_pred=False)
    keras_own.update_state(y, logits)
    assert float(metric.result()) == pytest.approx(float(keras_own.result()), rel=1e-6)
    metric.reset_state()
    assert float(metric.result()) == 0.0


def test_a_class_that_is_neither_there_nor_predicted_does_not_count():
    metric = MeanIoU(3)
    metric.update_state([[0, 0, 255]], [[[9, 0, 0], [9, 0, 0], [0, 9, 0]]])
    assert float(metric.result()) == 1.0
    metric.update_state([[0]], [[[0, 0, 9]]])  # predicted only: 0
    assert float(metric.result()) == pytest.approx((2 / 3 + 0) / 2)


def test_metric_is_saved_with_its_arguments():
    made = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(MeanIoU(7, ignore_id=None, name="iou"))
    )
    assert (made.num_classes, made.ignore_id, made.name) == (7, None, "iou")


def test_metric_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="`num_classes` must be at least 2"):
        MeanIoU(1)
    with pytest.raises(ValueError, match="it takes no weights"):
        MeanIoU(2).update_state([[0]], [[[1.0, 0.0]]], sample_weight=[1.0])


def by_numpy(y, logits):
    """The loss of each picture, pixel by pixel."""
    log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    found = []
    for of_one, mask in zip(log, y, strict=True):
        pixels = [-of_one[i, j, mask[i, j]] for i, j in np.argwhere(mask != 255)]
        found.append(np.mean(pixels) if pixels else 0.0)
    return np.array(found)


def test_loss_is_its_formula_picture_by_picture():
    y, logits = example()
    y[2] = 255  # a picture without any class
    loss = losses.PixelCrossEntropy(reduction=None)
    np.testing.assert_allclose(loss(y, logits), by_numpy(y, logits), rtol=1e-5)
    assert float(losses.PixelCrossEntropy()(y, logits)) == pytest.approx(
        by_numpy(y, logits).mean(), rel=1e-5
    )


def test_loss_without_ignored_pixels_is_keras_own():
    y, logits = example(ignored=0.0)
    own = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for ignore_id in (255, None):
        loss = losses.PixelCrossEntropy(ignore_id)
        np.testing.assert_allclose(loss(y, logits), own(y, logits), rtol=1e-6)


def test_pixels_of_no_class_have_no_gradient():
    import tensorflow as tf

    y, logits = example()
    x = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = losses.PixelCrossEntropy()(y, x)
    gradient = tape.gradient(value, x).numpy()
    assert not gradient[y == 255].any()
    assert np.abs(gradient[y != 255]).sum(-1).min() > 0


def test_loss_is_saved_with_its_arguments():
    loss = losses.PixelCrossEntropy(7, reduction="sum")
    made = losses.PixelCrossEntropy.from_config(loss.get_config())
    assert (made.ignore_id, made.reduction) == (7, "sum")


def test_accuracy_of_pixels_leaves_those_of_no_class_out():
    y, logits = example()
    metric = metrics.TokenAccuracy(ignore_id=255)
    metric.update_state(y, logits)
    known = y != 255
    expected = (logits.argmax(-1) == y)[known].mean()
    assert float(metric.result()) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("first", "second"), [(0, 2), (2, 0), (0, 0)])
def test_overlaps_of_pictures_without_objects(first, second):
    masks = (np.zeros((count, 3, 4), bool) for count in (first, second))
    assert mask_iou(*masks).shape == (first, second)
