import numpy as np
import pytest

from kerasd2l import load


def values(name):
    return dict(load(name).run().values)


def test_model_construction():
    found = values("model_construction")
    assert found["MLP"] == {"output shape": [2, 10], "parameters": 7946}  # 20-256-10
    assert found["MySequential against keras.Sequential"]["largest difference"] == 0
    fixed = found["FixedHiddenMLP"]
    assert fixed["output"] == pytest.approx(fixed["output in a graph"], rel=1e-5)
    assert max(abs(fixed["output"]), abs(fixed["output for inputs 1000 times as large"])) <= 1
    assert len(fixed["trainable weights"]) == 2 and len(fixed["constant weights"]) == 1
    assert found["NestMLP"]["output shape"] == [2, 16]
    assert abs(found["chimera"]["output"]) <= 1


def test_parameters():
    found = values("parameters")
    # inventory 5.2: (8,4) (8) (1,8) (1) in PyTorch, whose matrices are transposed
    assert list(found["all at once"].values()) == [[4, 8], [8], [8, 1], [1]]
    # four blocks 4 -> 8 -> 4, and 4 -> 1
    assert found["nested blocks"]["parameters"] == 4 * (40 + 36) + 5
    drawn = found["initialisers"]
    assert drawn["normal, 0.01"]["standard deviation"] == pytest.approx(0.01, rel=0.05)
    assert drawn["constant 42"]["smallest"] == drawn["constant 42"]["largest"] == 42
    # S3:82: Xavier's bound sqrt(6 / (a + b)), here of a 100 x 100 matrix
    assert drawn["Xavier"]["largest"] == pytest.approx(np.sqrt(6 / 200), rel=1e-2)
    assert drawn["own: 5 to 10, or 0"]["share of zeros"] == pytest.approx(0.5, abs=0.02)
    tied = found["tied"]
    assert len(tied["weights"]) == 6
    assert tied["gradient of the shared kernel"] > max(tied["gradients of two kernels"])
    assert tied["largest difference from their sum"] < 1e-5
    assert tied["shared[0, 0] after writing 100"] == 100


def test_deferred_initialization():
    found = values("deferred_initialization")
    assert found["weights of each layer before"] == [[], []]  # inventory 5.3
    assert found["weights after a batch (2, 20)"] == [[20, 256], [256], [256, 10], [10]]
    assert (
        "refused: expected axis -1 of input shape to have value 20"
        in (found["a batch (2, 21) then"])
    )


def test_custom_layers():
    found = values("custom_layers")
    assert found["centred [1, 2, 3, 4, 5]"] == [-2, -1, 0, 1, 2]  # inventory 5.4
    assert abs(found["mean behind Dense and CenteredLayer"]) < 1e-6  # printed 7.45e-9
    assert min(found["MyLinear"]["norms of its gradients"]) > 0
    assert found["MyLinear 8, MyLinear 1 on (4, 8)"] == [4, 1]


def test_read_write():
    found = values("read_write")
    equal = {name: value for name, value in found.items() if name.endswith("equal")}
    assert len(equal) == 5 and all(equal.values())


def test_devices():
    found = values("devices")
    assert found["a tensor"] == found["its output"] == found["try_gpu()"]
    assert found["a sum computed on the CPU"] == "CPU:0"
    assert len(found["try_all_gpus()"]) == max(1, found["GPUs"])
