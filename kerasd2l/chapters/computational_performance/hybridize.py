"""12.1 Compilers and interpreters."""

from __future__ import annotations

import collections
import re
import tempfile
from collections.abc import Callable
from typing import Any

from kerasd2l import figures, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

keras = lazy("keras")
np = lazy("numpy")
tf = lazy("tensorflow")

# What a symbolic program is: a text that is compiled as a whole, then run.
_PROGRAM = """
def add(a, b):
    return a + b

def fancy_func(a, b, c, d):
    e = add(a, b)
    f = add(c, d)
    return add(e, f)

answer = fancy_func(1, 2, 3, 4)
"""


def hybridize(*, calls: int = 200, batch_size: int = 1, seed: int = 0) -> Demo:
    """Run one network call by call, as a graph, and compiled by XLA; write the graph out.

    Section: "hybridize". The book's program as a text; its network 512 -> 256 -> 128 -> 2 with
    ReLU, 200 calls each (the book's 1000: --set calls=1000); the operations that the graph has and
    those that XLA leaves of it; what a graph forgets (Python's print, told once); the network
    exported, loaded, and asked again.
    Expected: the program says 10; all answers are equal, a graph is quicker than eager.
    Command: kerasd2l run hybridize --set calls=1000 --out figures
    """
    if calls < 1 or batch_size < 1:
        raise ValueError(
            f"`calls` and `batch_size` must be at least 1. Received: {calls} and {batch_size}."
        )
    return Demo("hybridize", lambda: _hybridize(calls, batch_size, seed))


def _hybridize(calls: int, batch_size: int, seed: int) -> DemoResult:
    names: dict[str, Any] = {}
    exec(compile(_PROGRAM, "<symbolic program>", "exec"), names)
    net = _get_net(seed)
    x = tf.random.stateless_normal((batch_size, 512), (seed, 0))
    graph = tf.function(net)
    ways: dict[str, Callable] = {
        "eager": net,
        "graph": graph,
        "XLA": tf.function(net, jit_compile=True),
    }
    answers = {name: way(x).numpy() for name, way in ways.items()}  # traced and compiled here
    seconds = {
        name: scratch.best_seconds(lambda way=way: _call(way, x, calls), repeats=2, warm_up=0)
        for name, way in ways.items()
    }
    concrete = graph.get_concrete_function(x)
    values = {
        "fancy_func(1, 2, 3, 4), run from a text": names["answer"],
        f"seconds of {calls} calls": seconds,
        "eager over graph": seconds["eager"] / seconds["graph"],
        "largest difference of answers": max(
            float(np.abs(answer - answers["eager"]).max()) for answer in answers.values()
        ),
        "the graph": _written_out(concrete),
        "instructions of XLA": _instructions(ways["XLA"], x),
        "Python's side effects": _side_effects(),
        "exported and loaded": _exported(net, x, answers["eager"]),
    }
    return DemoResult(values, {"times": _draw(seconds, calls, batch_size)})


def _get_net(seed: int) -> Any:
    layers = keras.layers
    weights = [keras.initializers.GlorotUniform(seed + i) for i in range(3)]
    return keras.Sequential(
        [
            keras.Input((512,), name="features"),
            layers.Dense(256, "relu", kernel_initializer=weights[0], name="dense_1"),
            layers.Dense(128, "relu", kernel_initializer=weights[1], name="dense_2"),
            layers.Dense(2, kernel_initializer=weights[2], name="dense_3"),
        ]
    )


def _call(way: Callable, x: Any, calls: int) -> None:
    for _ in range(calls):
        y = way(x)
    y.numpy()


def _written_out(concrete: Any) -> dict[str, Any]:
    """Return the graph as a text: a node is a name, an operation, and what it takes."""
    definition = concrete.graph.as_graph_def()
    counts = collections.Counter(node.op for node in definition.node)
    return {
        "nodes": len(definition.node),
        "bytes as GraphDef": len(definition.SerializeToString()),
        "operations": dict(sorted(counts.items())),
        "nodes in order": [
            f"{node.name} = {node.op}({', '.join(node.input)})" for node in definition.node
        ],
    }


def _instructions(compiled: Any, x: Any) -> dict[str, int]:
    """Count what XLA's optimised program does: neighbours are fused into one loop."""
    text = compiled.experimental_get_compiler_ir(x)(stage="optimized_hlo")
    entry = text[text.index("ENTRY") :]
    found = re.findall(r"= \S+ ([a-z][\w-]*)\(", entry)
    counts = collections.Counter(found)
    return dict(sorted(counts.items()))


def _side_effects() -> dict[str, int]:
    """Count how often Python's own statements run in a graph: once, when it is traced."""
    traced = []

    @tf.function
    def double(x):
        traced.append(1)
        return 2 * x

    calls = 5
    for _ in range(calls):
        double(tf.constant(1.0))
    same = len(traced)
    double(tf.constant([1.0, 2.0]))
    return {
        "calls": calls,
        "times that Python ran": same,
        "after a call with another shape": len(traced),
    }


def _exported(net: Any, x: Any, answer: Any) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        archive = keras.export.ExportArchive()
        archive.track(net)
        archive.add_endpoint(
            "serving_default",
            lambda features: {"logits": net(features)},
            [tf.TensorSpec((None, 512), tf.float32, name="features")],
        )
        archive.write_out(folder, verbose=False)
        loaded = tf.saved_model.load(folder)
        logits = loaded.signatures["serving_default"](features=x)["logits"]
    return {
        "largest difference": float(np.abs(logits.numpy() - answer).max()),
        "kind of what was loaded": "a graph without Python",
    }


def _draw(seconds: dict[str, float], calls: int, batch_size: int):
    figure, panels = figures.new_figure()
    axes = panels[0, 0]
    bars = axes.bar(list(seconds), [1e6 * time / calls for time in seconds.values()])
    axes.bar_label(bars, fmt="%.0f")
    axes.margins(y=0.12)
    axes.set(
        title=f"One call of the network, batch of {batch_size}", ylabel="microseconds", xlabel="way"
    )
    return figure
