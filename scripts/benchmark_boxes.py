#!/usr/bin/env python
"""Time the targets and the detections of TinySSD's 5444 anchors against the book's loops, in turns.

Targets for 32 pictures with 3 objects, detections of 8 pictures with random offsets and scores, in
eager mode and in a graph; the book's loops are PyTorch's, if it is installed. The outputs are
compared, too. On a machine that others use as well, `--cpu-time` is less uneven than the clock.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import click
import numpy as np

from kerasd2l.cli import say, use_tensorflow

MAPS = (32, 16, 8, 4, 1)
FUNCTIONS = ("multibox_target", "multibox_detection")
SIZES = ((0.2, 0.272), (0.37, 0.447), (0.54, 0.619), (0.71, 0.79), (0.88, 0.961))


@click.command()
@click.option("--rounds", type=click.IntRange(min=1), default=11, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--only", type=click.Choice(FUNCTIONS), help="One of the functions.")
@click.option("--cpu-time", is_flag=True, help="CPU time of one thread, not the clock.")
def main(rounds: int, seed: int, only: str | None, cpu_time: bool) -> None:
    """Print milliseconds of both, and how many times quicker ours are."""
    use_tensorflow()
    _keep_memory()
    if cpu_time:
        _one_thread()
    clock = time.process_time if cpu_time else time.perf_counter
    for name, ways in _cases(np.random.default_rng(seed)).items():
        if only not in (None, name):
            continue
        times: dict[str, list[float]] = {way: [] for way in ways}
        outputs = {way: _arrays(call()) for way, call in ways.items()}  # compiles
        for number in range(rounds):
            for way in list(ways) if number % 2 else reversed(ways):
                start = clock()
                _arrays(ways[way]())
                times[way].append(1000 * (clock() - start))
            say(f"{name}: " + ", ".join(f"{way} {line[-1]:.1f} ms" for way, line in times.items()))
        medians = {way: statistics.median(line) for way, line in times.items()}
        for way in ("eager", "graph"):
            text = f"{name}, {way}: {medians[way]:.1f} ms"
            if "torch" in ways:
                error = max(
                    float(np.abs(ours - other).max())
                    for ours, other in zip(outputs[way], outputs["torch"], strict=True)
                )
                text += (
                    f", the book's loops {medians['torch']:.1f} ms: "
                    f"{medians['torch'] / medians[way]:.1f} times; outputs differ by {error:.1e}"
                )
            click.echo(text)


def _cases(rng: np.random.Generator) -> dict[str, dict[str, Callable[[], Any]]]:
    """Return name -> way -> function without arguments."""
    import tensorflow as tf

    from kerasd2l import layers

    anchors = tf.concat(
        [
            layers.multibox_prior(tf.zeros((1, size, size, 1)), sizes, (1, 2, 0.5))
            for size, sizes in zip(MAPS, SIZES, strict=True)
        ],
        axis=1,
    )
    count = anchors.shape[1]
    corner = rng.random((32, 3, 2))
    side = 0.1 + 0.4 * rng.random((32, 3, 2))
    kinds = rng.integers(0, 3, (32, 3, 1))
    labels = np.concatenate([kinds, corner, corner + side], -1).astype("float32")
    logits = rng.normal(size=(8, 2, count))
    probs = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype("float32")
    offsets = rng.normal(0, 0.5, (8, 4 * count)).astype("float32")
    given = {
        "multibox_target": (anchors, tf.constant(labels)),
        "multibox_detection": (tf.constant(probs), tf.constant(offsets), anchors),
    }
    cases: dict[str, dict[str, Callable[[], Any]]] = {}
    for name, arguments in given.items():
        eager = getattr(layers, name)
        graph = tf.function(lambda *x, function=eager: function(*x))
        cases[name] = {
            "eager": lambda function=eager, x=arguments: function(*x),  # type: ignore[misc]
            "graph": lambda function=graph, x=arguments: function(*x),  # type: ignore[misc]
        }
        try:
            import torch
            import torch_boxes
        except ImportError:
            continue
        tensors = [torch.from_numpy(np.array(x)) for x in arguments]
        loop = getattr(torch_boxes, name)
        cases[name]["torch"] = lambda function=loop, x=tensors: function(*x)  # type: ignore[misc]
    return cases


def _keep_memory() -> None:
    """Free a large array once, as each training does: from then on glibc keeps what is freed.

    In a fresh process it gives memory back after each call, and a third of the time would be the
    system's, which clears the pages of the outputs again and again.
    """
    np.ones(30 << 18, "float32")  # 30 MiB; glibc learns from up to 32


def _one_thread() -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)


def _arrays(outputs: Any) -> list[np.ndarray]:
    """Wait for the outputs and return them as arrays."""
    return [np.asarray(x) for x in (outputs if isinstance(outputs, tuple) else (outputs,))]


if __name__ == "__main__":
    main()
