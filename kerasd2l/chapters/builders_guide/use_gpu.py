"""5.6 GPUs."""

from __future__ import annotations

from kerasd2l import scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

keras = lazy("keras")
tf = lazy("tensorflow")


def devices() -> Demo:
    """Put tensors and a model on a GPU where there is one, else on the CPU.

    Section: "use-gpu". try_gpu, try_all_gpus, where a tensor, a sum and a model's weights live.
    Expected: try_gpu(10) falls back to CPU:0 on a machine with fewer than 11 GPUs.
    Command: kerasd2l run devices
    """
    return Demo(section="use-gpu", run=_use_devices)


def _use_devices() -> DemoResult:
    with tf.device(scratch.try_gpu()):
        x = tf.ones((2, 3))
        net = keras.Sequential([keras.layers.Dense(1)])
        y = net(x)
    with tf.device("CPU:0"):
        z = x + 1.0
    return DemoResult(
        {
            "GPUs": scratch.num_gpus(),
            "try_gpu()": scratch.try_gpu(),
            "try_gpu(10)": scratch.try_gpu(10),
            "try_all_gpus()": scratch.try_all_gpus(),
            "a tensor": x.device.rpartition("device:")[2],
            "the weights of a model": net.weights[0].value.device.rpartition("device:")[2],
            "its output": y.device.rpartition("device:")[2],
            "a sum computed on the CPU": z.device.rpartition("device:")[2],
        }
    )
