import pytest
import tensorflow as tf

from kerasd2l.scratch import num_gpus, try_all_gpus, try_gpu


@pytest.fixture
def two_gpus(monkeypatch):
    def devices(kind):
        return ["first", "second"] if kind == "GPU" else ["cpu"]

    monkeypatch.setattr(tf.config, "list_physical_devices", devices)


@pytest.fixture
def no_gpus(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])


def test_with_two_gpus(two_gpus):
    assert num_gpus() == 2
    assert [try_gpu(i) for i in range(3)] == ["GPU:0", "GPU:1", "CPU:0"]
    assert try_all_gpus() == ["GPU:0", "GPU:1"]


def test_without_gpus(no_gpus):
    assert num_gpus() == 0
    assert try_gpu() == try_gpu(10) == "CPU:0"
    assert try_all_gpus() == ["CPU:0"]


def test_tensors_go_where_the_name_says():
    for name in try_all_gpus():
        with tf.device(name):
            assert tf.ones(2).device.endswith(f"device:{name}")


def test_there_is_no_gpu_before_the_first():
    with pytest.raises(ValueError, match=r"`i` must be 0 or more. Received: i=-1"):
        try_gpu(-1)
