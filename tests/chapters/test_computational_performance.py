"""The chapter's demos: values and equalities. How long something takes is no matter of a test."""

import importlib.util

import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import finding, models


def values(name, **arguments):
    return finding.load(f"computational_performance/{name}", **arguments).run().values


def test_hybridize():
    found = values("hybridize", calls=2)
    assert found["fancy_func(1, 2, 3, 4), run from a text"] == 10  # inventory 12.1
    assert found["largest difference of answers"] < 1e-5
    assert found["exported and loaded"]["largest difference"] < 1e-5
    graph = found["the graph"]
    assert graph["operations"]["MatMul"] == 3 and graph["operations"]["Relu"] == 2
    assert sum(graph["operations"].values()) == graph["nodes"] == len(graph["nodes in order"])
    assert sum("= MatMul(" in line for line in graph["nodes in order"]) == 3
    assert sum(found["instructions of XLA"].values()) > 0
    told = found["Python's side effects"]
    assert told["times that Python ran"] == 1 and told["after a call with another shape"] == 2


def test_asynchronous_computation():
    found = values("async_computation", size=50, batches=3, milliseconds=1)
    assert found["z = x y + 2"] == [[3, 3]]  # inventory 12.2
    places = found["where an error comes"]
    if found["device"] == "CPU:0":
        assert places["synchronous"] == "at the call"
    assert places["asynchronous"] == "when the numbers are read"
    assert tf.config.experimental.get_synchronous_execution()  # as it was before
    for times in found["ten products, seconds"].values():
        assert 0 < times["calls returned"] <= times["numbers there"]


def test_branches_of_a_graph_compute_the_same():
    found = values("auto_parallelism", size=16, steps=5, repeats=1)
    assert found["largest difference of answers"] < 1e-5
    assert set(found["chains of small products, seconds"]) == {
        "first",
        "second",
        "both",
        "both, in turn",
    }


def test_systolic_array():
    found = values("systolic_array", size=3, inner=5)
    assert found["equal to numpy"] and found["4 rows in blocks"]["equal to numpy"]
    assert found["ticks"] == 5 + 3 + 3 - 2
    assert sum(found["cells at work at each tick"]) == 3 * 5 * 3
    filled = list(found["utilisation by the inner dimension"].values())
    assert filled == sorted(filled)


def test_latencies_are_nanoseconds():
    found = values("memory_access", largest=2**14, steps=100)
    assert found["latencies to know, nanoseconds"] == pytest.approx(
        {"L1 cache": 0.5, "L2 cache": 7, "main memory": 100}
    )
    assert len(found["nanoseconds a step, by the bytes walked through"]) == 3


def test_the_roof_is_above_all_points():
    found = values("roofline", length=2**16, repeats=1)
    peak = found["peak, 10^9 computations a second"]
    bandwidth = found["bandwidth, 10^9 bytes a second"]
    for name, rate in found["10^9 computations a second"].items():
        roof = min(peak, bandwidth * found["computations a byte"][name])
        if name in ("x + 1", "matrix by vector"):  # small products stay in the caches
            assert 0 < rate <= roof * (1 + 1e-9)
    assert found["computations a byte"]["512 x 512"] == pytest.approx(512 / 6)


def test_several_devices_by_hand_are_one():
    found = values("multiple_gpus", num_gpus=3, epochs=1, dtype="float64")
    assert found["allreduce of [1, 1] and [2, 2]"] == [[[3, 3]], [[3, 3]]]
    assert np.array(found["arange(20) as 4 x 5, cut in two"]).tolist() == (
        np.arange(20).reshape(2, 2, 5).tolist()
    )
    assert found["largest difference between the devices"] == 0
    assert found["largest difference of weights from one device"] < 1e-12
    one, three = found["1 device"], found["3 devices"]
    assert three["train loss"] == pytest.approx(one["train loss"], rel=1e-12)
    assert one["train loss"][0] == pytest.approx(np.log(10), rel=0.01)  # weights near 0: no idea


def test_layers_and_matrices_on_devices():
    found = values("model_parallelism", batch_size=9, pieces=2)
    layers, matrices = found["layers on two devices"], found["matrices on two devices"]
    assert layers["weights on each device"] == [25_250, 103_818]
    assert layers["loss"] == pytest.approx(layers["loss on one device"], rel=1e-5)
    assert layers["largest difference of gradients, relative"] < 1e-4
    assert matrices["hidden units on each device"] == [128, 128]
    assert matrices["after the all-gather"] == [256, 256]
    for part in ("outputs", "gradients"):
        assert matrices[f"largest difference of {part}, relative"] < 1e-4


@pytest.mark.slow
def test_a_transformer_cut_over_eight_devices_is_the_whole_one():
    if importlib.util.find_spec("jax") is None:
        pytest.skip("JAX is not installed: pip install jax")
    found = values("sharded_transformer")
    assert found["backend"] == "jax" and len(found["devices"]) == 8
    assert found["mesh"] == {"batch": 2, "model": 4}
    assert found["a matrix, and its part on a device"] == [[32, 64], [32, 16]]
    assert found["weights on a device"] < 0.3 * found["weights"]
    assert found["largest difference of logits"] < 1e-4
    step = found["largest change of a weight by the step"]
    assert found["largest difference of weights after a step"] < 1e-5 < 1e-3 < step


def test_without_jax_the_demo_says_so(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "jax" else find(name)
    )
    assert values("sharded_transformer") == {"JAX": "is not installed: pip install jax"}


def test_resnet18_of_the_section():
    """Weights from N(0, 0.01^2), the sizes of the book (inventory 12.6), a rate that grows."""
    recipe = finding.load("resnet18_replicas", batch_size=512)
    assert float(recipe.optimizer().learning_rate) == pytest.approx(0.2)
    assert float(finding.load("resnet18_replicas").optimizer().learning_rate) == pytest.approx(0.1)
    net = models.resnet18((28, 28, 1), small_stem=True, stddev=0.01, seed=0)
    trainable = sum(w.shape.num_elements() for w in net.trainable_variables)
    assert trainable == 11_175_818
    for name in ("stage_4_block_2_conv_2", "stage_2_block_1_project", "logits"):
        kernel = net.get_layer(name).kernel.numpy()
        assert kernel.std() == pytest.approx(0.01, rel=0.05) and abs(kernel.mean()) < 1e-3
    assert "stem_pool" not in [layer.name for layer in net.layers]


def test_parameter_server():
    found = values("parameter_server", workers=3, examples=256, slow=0.005)
    assert found["largest difference, synchronous from one device"] < 1e-12
    assert found["steps of the server"] == {
        "one device": 4,
        "synchronous": 4,
        "asynchronous": 12,
    }
    assert found["staleness, largest"]["synchronous"] == 0


def test_allreduce():
    found = values("allreduce", workers=4)
    for name in ("one server", "tree", "split server", "ring"):
        assert found[name]["all have the sum"]
    assert found["ring"]["bytes sent by each, of 4000"] == [6000] * 4
    book = list(found["the book's, milliseconds"].values())
    assert book == pytest.approx([60, 80, 15, 5.185, 5.926], abs=1e-3)


def test_step_cost():
    found = values("step_cost", batches=(2, 4), repeats=1)
    for name in ("step in turn, seconds", "step at once, seconds"):
        assert min(found[name]["measured"]) > 0
    turn, once = (found[f"step {name}, seconds"]["model"] for name in ("in turn", "at once"))
    assert all(a >= b for a, b in zip(turn, once, strict=True))  # t1 + t2 >= max(t1, t2)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("hybridize", {"calls": 0}, "`calls` and `batch_size` must be at least 1"),
        ("async_computation", {"batches": 1}, "`batches` 2"),
        ("async_computation", {"milliseconds": float("nan")}, "`milliseconds` positive"),
        ("auto_parallelism", {"steps": 0}, "must be at least 1"),
        ("memory_access", {"largest": 100}, "`largest` must be at least 8192 bytes"),
        ("roofline", {"repeats": 0}, "`repeats` must be at least 1"),
        ("systolic_array", {"size": 0}, "`size` and `inner`"),
        ("multiple_gpus", {"num_gpus": 0}, "`num_gpus` and `epochs` must be at least 1"),
        ("multiple_gpus", {"num_gpus": 8, "batch_size": 4}, "an example for each device"),
        ("model_parallelism", {"pieces": 65}, "`pieces` must be 1 to `batch_size`"),
        ("sharded_transformer", {"num_devices": 3}, "`num_devices` must be 2, 4 or 8"),
        ("parameter_server", {"workers": 100}, "`batch_size` at least `workers`"),
        ("parameter_server", {"slow": -1.0}, "`slow` must be seconds, 0 or more"),
        ("allreduce", {"workers": 1}, "`workers` must be 2 to 256"),
        ("allreduce", {"workers": 1000}, "`workers` must be 2 to 256"),
        ("allreduce", {"megabytes": float("nan")}, "`gigabytes` positive numbers"),
        ("step_cost", {"batches": (8,)}, "`batches` two numbers"),
    ],
)
def test_wrong_arguments_are_refused(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        finding.load(name, **arguments)
