"""Output sizes and receptive fields, against the numbers that the seeds print."""

import pytest

from kerasd2l.layers import conv_output_size, receptive_field


def test_sizes_of_the_catalogue():
    assert conv_output_size(5, 2) == 4  # S2:268-278
    assert conv_output_size(5, 2, strides=2) == 2
    assert conv_output_size(5, 2, padding=1) == 6
    assert conv_output_size(5, 2, dilation_rate=2) == 3


def test_sizes_of_padding_and_strides():
    assert conv_output_size((8, 8), 3, padding=1) == (8, 8)  # S1:1580
    assert conv_output_size((8, 8), (5, 3), padding=(2, 1)) == (8, 8)  # S1:1588
    assert conv_output_size(8, (3, 3), padding=1, strides=2) == (4, 4)  # S1:1597
    assert conv_output_size((8, 8), (3, 5), padding=(0, 1), strides=(3, 4)) == (2, 2)  # S1:1605


def test_valid_size_is_n_minus_f_plus_1():
    assert [conv_output_size(9, f) for f in range(1, 10)] == list(range(9, 0, -1))  # S1:1546


def test_padding_of_both_sides_together():
    # S3:581, S3:597 count p on both sides together: floor((n + p - k + s) / s).
    for n, k, s, p in ((8, 3, 2, 1), (9, 4, 3, 2), (7, 2, 1, 0)):
        assert conv_output_size(n, k, strides=s, padding=p) == (n + 2 * p - k + s) // s


def test_55_layers_of_5x5_leave_4x4_of_224():
    size = 224
    for _ in range(55):
        size = conv_output_size(size, 5)
    assert size == 4  # S1:1550
    assert receptive_field([5] * 55) == 221  # the last 4 x 4 windows of 224


def test_size_counts_the_windows():
    for n, k, s, p, d in ((7, 3, 2, 1, 2), (10, 4, 3, 0, 1), (5, 1, 1, 3, 5)):
        reach = d * (k - 1) + 1
        starts = range(-p, n + p - reach + 1, s)
        assert conv_output_size(n, k, strides=s, padding=p, dilation_rate=d) == len(starts)


def test_receptive_field():
    assert receptive_field([2, 2]) ** 2 == 9  # S3:568
    assert receptive_field([3, 3, 3], dilation_rates=[1, 2, 5]) == 17
    assert receptive_field([3, 2, 3], strides=[1, 2, 1]) == 1 + 2 + 1 + 2 * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_size": 8}, "kernel is larger than the padded input.*pad by 2 or more"),
        ({"kernel_size": 3, "dilation_rate": 4}, "kernel spans 9: pad by 2 or more"),
        ({"kernel_size": 0}, "`kernel_size` must be a whole number of at least 1"),
        ({"kernel_size": 2, "strides": 0}, "`strides` must be a whole number of at least 1"),
        ({"kernel_size": 2, "padding": -1}, "`padding` must be a whole number of at least 0"),
        ({"kernel_size": (2, 2), "strides": (1, 2, 3)}, "or 3 of them"),
    ],
)
def test_bad_values(arguments, message):
    with pytest.raises(ValueError, match=message):
        conv_output_size(5, **arguments)
