"""The demos of the chapter print what the course notes and the book print."""

import numpy as np
import pytest

from kerasd2l import finding, models


def _values(name, **arguments):
    return finding.load(f"convolutional_neural_networks/{name}", **arguments).run().values


def test_why_convolutions():
    values = _values("why_convolutions")
    assert values["weights of a dense layer"] == 10**9  # S1:1447-1451
    assert values["largest difference of the moved maps"] == 0


def test_cross_correlation():
    values = _values("cross_correlation")
    assert values["cross-correlation"] == [[19, 25], [37, 43]]  # S3:535
    assert values["convolution (kernel turned)"] == [[5, 11], [23, 29]]  # 3*0 + 2*1 + 1*3 + 0*4
    assert values["pixels seen through two 2 x 2 kernels"] == 9  # S3:568
    assert values["224 pixels after 55 layers of 5 x 5"] == 4  # S1:1550
    assert values["largest difference from Keras"] < 1e-5


def test_edge_detection():
    values = _values("edge_detection")
    assert values["edges"] == [[0, -1, 0, 0, 0, 1, 0]] * 6  # S1:1496-1501
    assert values["edges of the picture on its side"] == [[0] * 5] * 8  # S1:1508-1515
    book = _values("edge_detection", kernel="1,-1")
    assert book["edges"] == [[0, 1, 0, 0, 0, -1, 0]] * 6


def test_learned_kernel_prints_the_table():
    values = _values("learned_kernel")
    assert values["loss"] == {  # S1:1534-1538
        "batch 2": 3.852,
        "batch 4": 1.126,
        "batch 6": 0.386,
        "batch 8": 0.145,
        "batch 10": 0.057,
    }
    longer = _values("learned_kernel", steps=24)
    assert longer["ratio of the last two"] == pytest.approx(0.4096, rel=0.02)
    np.testing.assert_allclose(longer["kernel"], [-1, 1], atol=0.01)
    # Half the loss at twice the rate is the same descent.
    whole = _values("learned_kernel", halved=False, learning_rate=0.03)
    np.testing.assert_allclose(whole["kernel"], values["kernel"], atol=1e-6)


@pytest.mark.parametrize("seed", [0, 1])
def test_padding_and_strides(seed):
    *cases, rows = _values("padding_and_strides", seed=seed).values()
    shapes = [case["shape"] for case in cases]
    assert shapes == [[8, 8], [8, 8], [4, 4], [2, 2]]  # S1:1580, 1588, 1597, 1605
    assert shapes == [case["by the formula"] for case in cases]
    assert all(c["largest difference from windows cut by hand"] < 1e-5 for c in cases)
    assert rows["padding 1"] == [18, 36, 48, 60]  # PyTorch's values
    assert rows["same"] == [81, 99, 117, 87]


def test_channels():
    values = _values("channels")
    assert values["two channels in, one out"] == [[56, 72], [104, 120]]
    assert list(values["two channels in, three out"].values()) == [
        [[56, 72], [104, 120]],
        [[76, 100], [148, 172]],
        [[96, 128], [192, 224]],
    ]
    (difference,) = (v for k, v in values.items() if "1 x 1" in k)
    assert difference < 1e-6


def test_pooling():
    values = _values("pooling", pool_size=100)
    assert list(values.values()) == [
        [[4, 5], [7, 8]],  # S3:642
        [[2, 3], [5, 6]],
        [[10]],
        [[5, 7], [13, 15]],
        [[5, 7], [13, 15]],
        [[[5, 7], [13, 15]], [[6, 8], [14, 16]]],
        [  # S3:650-651
            [[5, 6, 7, 7], [13, 14, 15, 15]],
            [[21, 22, 23, 23], [29, 30, 31, 31]],
        ],
    ]


def test_lenet_layers():
    values = _values("lenet_layers")
    assert list(values["shapes (height, width, channels)"].values()) == [  # S1:1736, S3:696-708
        [28, 28, 6],
        [14, 14, 6],
        [10, 10, 16],
        [5, 5, 16],
        [400],
        [120],
        [84],
        [10],
    ]
    assert values["all parameters"] == sum(values["parameters"].values()) == 61706


def test_lenet_layers_of_a_saved_model(tmp_path):
    model = models.lenet(seed=3)
    for layer in model.layers[-1:]:
        layer.bias.assign(np.eye(10)[7] * 100)
    model.save(tmp_path / "model.keras")
    file = str(tmp_path / "model.keras")
    assert _values("lenet_layers", model_file=file)["largest logit"] == 7
    models.lenet((32, 32, 1)).save(tmp_path / "large.keras")
    with pytest.raises(ValueError, match=r"pictures \(28, 28, 1\).*\(32, 32, 1\)"):
        _values("lenet_layers", model_file=str(tmp_path / "large.keras"))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("edge_detection", {"kernel": "1,2,3,4,5,6,7"}, "`kernel` must have 1 to 6 numbers"),
        ("learned_kernel", {"steps": 1}, "`steps` must be at least 2"),
        ("pooling", {"pool_size": 500}, "`pool_size` must be 1 to 427"),
        ("lenet_layers", {"picture": 360}, "`picture` must be 0 to 359"),
        ("lenet_layers", {"model_file": "nowhere.keras"}, "which does not exist"),
    ],
)
def test_bad_values(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        finding.load(f"convolutional_neural_networks/{name}", **arguments)
