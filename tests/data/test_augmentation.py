"""Random changes: torchvision's values and ranges, one geometry for all, the same again by seed."""

import numpy as np
import pytest
import tensorflow as tf

from kerasd2l.data import pipeline
from kerasd2l.data.augmentation import (
    Augmentation,
    ColorJitter,
    GaussianBlur,
    RandomErasing,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomVerticalFlip,
)
from kerasd2l.data.sets import scenes
from kerasd2l.testing import check_data

# A picture, and what torchvision 0.28 makes of it (functional transforms of float tensors).
X = np.round(np.random.RandomState(0).rand(5, 6, 3), 2).astype(np.float32)
JITTERED = {  # pixels 2 and 3 of row 1
    ("brightness", 1.4): [0.168, 0.896, 0.196, 1.0, 0.728, 0.574],
    ("contrast", 0.6): [0.25718, 0.56918, 0.26918, 0.74918, 0.49718, 0.43118],
    ("contrast", 1.7): [0.0, 0.76393, 0.0, 1.0, 0.55993, 0.37293],
    ("saturation", 1.5): [0.0, 0.74625, 0.0, 1.0, 0.46353, 0.29853],
    ("hue", 0.3): [0.12, 0.204, 0.64, 0.41, 0.94, 0.414],
    ("hue", -0.45): [0.64, 0.12, 0.464, 0.41, 0.671, 0.94],
}
CROPPED = {  # (top, left, height, width) to (rows, columns): the red channel
    (1, 2, 3, 4, 6, 7): [
        [0.12, 0.41286, 0.88143, 0.6, 0.28214, 0.45929, 0.57],
        [0.265, 0.48196, 0.82911, 0.57375, 0.29375, 0.44375, 0.5375],
        [0.555, 0.62018, 0.72446, 0.52125, 0.31696, 0.41268, 0.4725],
        [0.565, 0.55518, 0.53946, 0.49125, 0.43857, 0.38714, 0.355],
        [0.295, 0.28696, 0.27411, 0.48375, 0.65857, 0.36714, 0.185],
        [0.16, 0.15286, 0.14143, 0.48, 0.76857, 0.35714, 0.1],
    ],
    (0, 1, 5, 5, 2, 3): [[0.53234, 0.53631, 0.37981], [0.31429, 0.41859, 0.36942]],
    (0, 1, 5, 2, 3, 4): [
        [0.65143, 0.56429, 0.39, 0.30286],
        [0.61111, 0.57111, 0.49111, 0.45111],
        [0.13, 0.1575, 0.2125, 0.24],
    ],
}
BLURRED = [  # rows 0 and 4 of the red channel, kernel 5, sigma 0.8
    [0.64558, 0.58074, 0.47606, 0.51056, 0.44658, 0.38127],
    [0.39148, 0.28977, 0.26032, 0.36654, 0.44959, 0.37564],
]


def batch(count=1):
    return tf.constant(np.repeat(X[None], count, 0))


@pytest.mark.parametrize(("change", "expected"), JITTERED.items())
def test_each_change_of_colour_has_torchvision_s_values(change, expected):
    name, amount = change
    jitter = Augmentation([ColorJitter(**{name: (amount, amount)})])
    x, _ = jitter(batch(), seed=(1, 2))
    np.testing.assert_allclose(x[0, 1, 2:4].numpy().ravel(), expected, atol=2e-5)


@pytest.mark.parametrize(("part", "expected"), CROPPED.items())
def test_crops_are_stretched_as_torchvision_does(part, expected):
    top, left, height, width, *to = part
    drawn = tf.constant([top, left]), tf.constant([height, width]), None
    x = RandomResizedCrop(tuple(to)).picture(tf.constant(X), drawn)
    np.testing.assert_allclose(x[..., 0], expected, atol=2e-5)


def test_the_blur_has_torchvision_s_values():
    x, _ = Augmentation([GaussianBlur(5, (0.8, 0.8))])(batch(), seed=(1, 2))
    np.testing.assert_allclose(x[0, ::4, :, 0], BLURRED, atol=2e-5)


@pytest.mark.parametrize(
    ("scale", "ratio", "mean", "spread"),
    [  # of torchvision's 20,000 draws: top, left, height, width of crops of 30 x 40 pixels
        ((0.1, 1), (0.5, 2), [4.438, 8.002, 21.059, 23.860], [4.288, 6.814, 5.571, 8.290]),
        ((0.9, 1), (3, 4), [8, 0, 13, 40], [0, 0, 0, 0]),  # none fits: the largest allowed one
    ],
)
def test_crops_are_drawn_from_torchvision_s_distribution(scale, ratio, mean, spread):
    crop = RandomResizedCrop(8, scale, ratio)
    start, sides, _ = crop.draw((30, 40, 3), tf.constant(20_000), tf.constant([3, 4], tf.int64))
    drawn = np.concatenate([start, sides], axis=1)
    assert (drawn[:, :2] >= 0).all() and (drawn[:, :2] + drawn[:, 2:] <= [30, 40]).all()
    np.testing.assert_allclose(drawn.mean(0), mean, atol=0.25)
    np.testing.assert_allclose(drawn.std(0), spread, atol=0.2)


def test_erasing_is_drawn_from_torchvision_s_distribution():
    shape, seed = (30, 40, 3), tf.constant([3, 4], tf.int64)
    does, start, sides, _ = RandomErasing().draw(shape, tf.constant(20_000), seed)
    drawn = np.concatenate([start, sides], axis=1)
    np.testing.assert_allclose(drawn.mean(0), [7.936, 12.517, 14.094, 14.962], atol=0.25)
    np.testing.assert_allclose(drawn.std(0), [5.993, 8.432, 6.055, 6.857], atol=0.2)
    assert abs(np.mean(does) - 0.5) < 0.02


def test_factors_are_uniform_and_orders_of_the_changes_all_occur():
    jitter = ColorJitter(0.5, 1.5, (0.2, 0.4), 0.1)
    order, amounts = jitter.draw((8, 8, 3), tf.constant(20_000), tf.constant([1, 2], tf.int64))
    ranges = np.array([(0.5, 1.5), (0, 2.5), (0.2, 0.4), (-0.1, 0.1)])
    np.testing.assert_allclose(np.quantile(amounts, [0, 1], axis=0).T, ranges, atol=2e-3)
    np.testing.assert_allclose(np.mean(amounts, axis=0), ranges.mean(1), atol=0.02)
    orders, counts = np.unique(order, axis=0, return_counts=True)
    assert len(orders) == 24 and counts.min() > 20_000 / 24 * 0.8


def test_the_changes_of_colour_come_in_the_drawn_order():
    jitter = ColorJitter(0.9, 0.9, 0.9, 0.5)
    order, amounts = jitter.draw((5, 6, 3), tf.constant(40), tf.constant([1, 2], tf.int64))
    weights = np.array([0.2989, 0.587, 0.114])
    for mine, (brightness, contrast, saturation, hue) in zip(order, amounts.numpy(), strict=True):
        x = X.astype(float)
        for kind in mine.numpy():
            grey = (x @ weights)[..., None]
            x = [
                lambda x, grey: x * brightness,  # noqa: B023
                lambda x, grey: contrast * x + (1 - contrast) * grey.mean(),  # noqa: B023
                lambda x, grey: saturation * x + (1 - saturation) * grey,  # noqa: B023
                lambda x, grey: tf.image.adjust_hue(x.astype("float32"), hue).numpy(),  # noqa: B023
            ][kind](x, grey)
            x = np.clip(x, 0, 1)
        own = jitter.picture(
            tf.constant(X), (mine, tf.stack([brightness, contrast, saturation, hue]))
        )
        np.testing.assert_allclose(own, x, atol=1e-4)


def test_grey_pictures_keep_their_colour():
    grey = tf.constant(X[None, ..., :1])
    x, _ = Augmentation([ColorJitter(saturation=0.9, hue=0.5)])(grey, seed=(1, 2))
    np.testing.assert_array_equal(x, grey)
    x, _ = Augmentation([ColorJitter(brightness=0.5, contrast=0.5)])(grey, seed=(1, 2))
    assert np.abs(x - grey).max() > 0.01


def test_erasing_covers_a_rectangle_with_the_level_or_noise():
    x = tf.ones((64, 30, 40, 3))
    black, _ = Augmentation([RandomErasing(p=1.0)])(x, seed=(1, 2))
    for picture in black.numpy()[..., 0]:
        rows, columns = np.nonzero(picture == 0)
        area = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        assert area == (picture == 0).sum() and 0.01 < area / 1200 < 0.35
    noise, _ = Augmentation([RandomErasing(p=1.0, value="random")])(x, seed=(1, 2))
    erased = noise.numpy()[black.numpy() == 0]
    assert abs(erased.mean()) < 0.05 and abs(erased.std() - 1) < 0.05
    np.testing.assert_array_equal(noise.numpy()[black.numpy() == 1], 1)


def _tight(masks):
    """Return (x1, y1, x2, y2) of masks (H, W) in parts; None where there is none."""
    rows, columns = np.nonzero(masks)
    if not len(rows):
        return None
    height, width = masks.shape
    edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    return np.array(edges) / [width, height, width, height]


ALL = (
    RandomHorizontalFlip(),
    RandomVerticalFlip(),
    RandomResizedCrop((96, 80), (0.2, 1), (0.5, 2)),
    ColorJitter(0.3, 0.3, 0.3, 0.1),
)


def test_boxes_masks_and_pictures_move_together():
    drawn = scenes.make(40, seed=9)
    labels = np.full((40, 4, 5), -1, np.float32)
    for i, ids in enumerate(drawn.class_ids):
        labels[i, : len(ids), 0], labels[i, : len(ids), 1:] = ids, drawn.boxes[i]
    x = drawn.x.astype(np.float32) / 255
    seed = (5, 6)
    moved_x, boxes = Augmentation(ALL, "boxes", least_area=0.3)(x, tf.constant(labels), seed=seed)
    _, objects = Augmentation(ALL, "masks")(x, tf.constant(drawn.objects), seed=seed)
    _, classes = Augmentation(ALL, "masks")(x, tf.constant(drawn.classes), seed=seed)
    only_x, _ = Augmentation(ALL)(x, None, seed=seed)
    np.testing.assert_array_equal(moved_x, only_x)
    kept = dropped = 0
    for before, after, numbers, of_classes in zip(
        labels, boxes.numpy(), objects.numpy(), classes.numpy(), strict=True
    ):
        for number, (old, new) in enumerate(zip(before, after, strict=True), start=1):
            mask = numbers == number
            if old[0] >= 0 and new[0] < 0:
                dropped += 1
            if new[0] < 0:
                assert (new == -1).all()
                continue
            kept += 1
            assert new[0] == old[0] and (of_classes[mask] == old[0] + 1).all()
            inside = _tight(mask) - new[1:]  # a box that is cut is wider than what it holds
            assert (inside[:2] > -1 / 80).all() and (inside[2:] < 1 / 80).all()
            if new[1:3].min() > 0 and new[3:].max() < 1:
                assert np.abs(inside).max() < 2 / 80
            assert (new[1:] >= 0).all() and (new[1:] <= 1).all()
    assert kept > 40 and dropped > 10


def test_boxes_of_which_little_is_left_are_dropped():
    class Left(RandomResizedCrop):
        def draw(self, shape, count, seed):
            part = tf.constant([[0.0, 0.0, 1.0, 0.5]])
            return tf.constant([[0, 0]]), tf.constant([[8, 4]]), part

    labels = tf.constant(
        [[[0, 0.1, 0.1, 0.4, 0.2], [1, 0.45, 0.1, 0.95, 0.2], [2, 0.6, 0, 0.9, 1.0]]]
    )
    x = tf.zeros((1, 8, 8, 3))
    _, y = Augmentation([Left(8)], "boxes", least_area=0.05)(x, labels, seed=(0, 0))
    np.testing.assert_allclose(y[0, 0], [0, 0.2, 0.1, 0.8, 0.2], atol=1e-6)
    np.testing.assert_allclose(y[0, 1], [1, 0.9, 0.1, 1.0, 0.2], atol=1e-6)
    assert (y[0, 2].numpy() == -1).all()
    _, y = Augmentation([Left(8)], "boxes", least_area=0.2)(x, labels, seed=(0, 0))
    assert (y[0, 1:].numpy() == -1).all()


def test_flips_flip_half_of_the_pictures_each_by_its_own():
    x, seed = batch(64), tf.constant([1, 2], tf.int64)
    for transform, axis in ((RandomHorizontalFlip(), 1), (RandomVerticalFlip(), 0)):
        flipped = Augmentation([transform])(x, seed=seed)[0].numpy()
        which = (flipped == np.flip(X, axis)).all((1, 2, 3))
        assert (which | (flipped == X).all((1, 2, 3))).all() and 16 < which.sum() < 48
        assert abs(np.mean(transform.draw((5, 6, 3), tf.constant(20_000), seed)) - 0.5) < 0.02


def test_the_same_seed_gives_the_same_pictures_and_another_one_others():
    changes = Augmentation([*ALL[:2], RandomResizedCrop((5, 6)), *ALL[3:], GaussianBlur(3),
                            RandomErasing()])  # fmt: skip
    first, again, other = (changes(batch(8), seed=s)[0].numpy() for s in ((1, 2), (1, 2), (1, 3)))
    np.testing.assert_array_equal(first, again)
    assert all((a != b).any() for a, b in zip(first, other, strict=True))
    assert all((first[i] != first[j]).any() for i in range(8) for j in range(i))


def test_epochs_of_changed_pictures_repeat_themselves_and_go_on_in_their_middle():
    changes = Augmentation([RandomHorizontalFlip(), RandomResizedCrop(32)], "boxes")

    def load():
        plain = scenes.load_boxes("builtin", batch_size=100, resize=32)
        return pipeline.augmented(plain, changes, seed=3)

    loaded = check_data(load, augmented=True)
    whole = [x.numpy() for x, _ in loaded.epoch(1)]
    rest = [x.numpy() for x, _ in loaded.epoch(1).skip(5)]
    np.testing.assert_array_equal(np.concatenate(whole[5:]), np.concatenate(rest))
    assert (whole[0] != next(x.numpy() for x, _ in loaded.epoch(2))).any()
    plain = scenes.load_boxes("builtin", batch_size=100, resize=32)
    for (x, _), (y, _) in zip(loaded.test, plain.test, strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_change_of_size_is_refused_where_evaluation_does_not_have_it():
    plain = scenes.load_boxes("builtin", batch_size=100, resize=32)
    with pytest.raises(ValueError, match=r"must leave the pictures their size, \(32, 32, 3\)"):
        pipeline.augmented(plain, Augmentation([RandomResizedCrop(24)], "boxes"), seed=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomHorizontalFlip(p=1.5), "`p` must be a probability"),
        (lambda: RandomResizedCrop(0), "`to` must be an int or"),
        (lambda: RandomResizedCrop(8, scale=(1, 0.5)), "`scale` must be .least, most."),
        (lambda: RandomResizedCrop(8, ratio=(0, 1)), "`ratio` must be .least, most."),
        (lambda: ColorJitter(brightness=-1), "`brightness` must be"),
        (lambda: ColorJitter(hue=0.6), "`hue` must be .least, most. within -0.5 and 0.5"),
        (lambda: GaussianBlur(4), "`kernel_size` must be odd"),
        (lambda: GaussianBlur(3, (0.0, 1.0)), "`sigma` must be"),
        (lambda: RandomErasing(value="grey"), '`value` must be a number or "random"'),
        (lambda: Augmentation([], "box"), "`targets` must be one of classes, boxes"),
        (lambda: Augmentation([], least_area=2), "`least_area` must be within 0 and 1"),
        (
            lambda: Augmentation([GaussianBlur(11)])(batch(), seed=(0, 0)),
            "`kernel_size` must be below twice the side",
        ),
    ],
)
def test_wrong_numbers(make, message):
    with pytest.raises(ValueError, match=message):
        make()
