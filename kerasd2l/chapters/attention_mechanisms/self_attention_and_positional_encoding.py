"""10.6 Self-attention and positional encoding."""

from __future__ import annotations

import time
from typing import Any

from kerasd2l import figures, layers
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

keras = lazy("keras")
np = lazy("numpy")
tf = lazy("tensorflow")


def positional_encoding(*, num_steps: int = 60, width: int = 32) -> Demo:
    """Draw the waves that tell positions, and show that a shift of positions is a rotation.

    Section: "self-attention-and-positional-encoding". P of 60 positions and width 32: columns 6 to
    9, the heat map, and the binary numbers whose bits the waves resemble.
    Expected: P[0] is 0, 1, 0, 1, ...; P[i + 5] is P[i] with each pair turned by one angle.
    Command: kerasd2l run positional_encoding --out figures
    """
    if num_steps < 10 or width < 10:
        raise ValueError(
            "`num_steps` and `width` must be at least 10. "
            f"Received: num_steps={num_steps}, width={width}."
        )
    return Demo("self-attention-and-positional-encoding", lambda: _show_positions(num_steps, width))


def _show_positions(num_steps: int, width: int) -> DemoResult:
    waves = layers.positional_encoding(num_steps, width)
    columns = figures.lines(
        np.arange(num_steps),
        {f"column {j}": waves[:, j] for j in range(6, 10)},
        title="Four columns of P",
        xlabel="position",
        ylabel="P",
    )
    figure, panels = figures.new_figure(1, 1, width=4, height=5)
    figures.heatmap(panels[0, 0], waves, title="P: positions down, columns", numbers=None)
    pairs = waves[:, : width // 2 * 2].reshape(num_steps, -1, 2)
    shift = 5
    angles = shift / 10000 ** (2 * np.arange(pairs.shape[1]) / width)
    turned = np.stack(
        [
            np.cos(angles) * pairs[..., 0] + np.sin(angles) * pairs[..., 1],
            np.cos(angles) * pairs[..., 1] - np.sin(angles) * pairs[..., 0],
        ],
        axis=-1,
    )
    error = float(np.abs(turned[:-shift] - pairs[shift:]).max())
    values: dict[str, Any] = {f"{i} in binary": f"{i:03b}" for i in range(8)}
    values["P[0]"] = waves[0, :4].tolist()
    values["P[i + 5] against P[i] turned"] = error
    return DemoResult(values, {"columns": columns, "positions": figure})


def attention_complexity(*, width: int = 64, repeats: int = 3) -> Demo:
    """Measure what a convolution, a recurrent layer and self-attention cost over the length.

    Section: "self-attention-and-positional-encoding". One layer of the same width each on texts of
    64 to 1024 steps; convolution O(k n d^2), recurrence O(n d^2) one step after the other,
    attention O(n^2 d), Linformer's to 64 mixtures O(n d).
    Expected: attention's time grows with the square for long texts, all others' in proportion.
    Command: kerasd2l run attention_complexity --out figures
    """
    if width < 8 or width % 8 or repeats < 1:
        raise ValueError(
            "`width` must be a multiple of 8, `repeats` at least 1. "
            f"Received: width={width}, repeats={repeats}."
        )
    return Demo("self-attention-and-positional-encoding", lambda: _time_layers(width, repeats))


def _time_layers(width: int, repeats: int) -> DemoResult:
    lengths = [64, 128, 256, 512, 1024]
    makers = {
        "convolution, k = 3": lambda: keras.layers.Conv1D(width, 3, padding="same"),
        "recurrent (GRU)": lambda: layers.GRU(width, return_sequences=True),
        "self-attention": lambda: layers.MultiHeadAttention(width, 8),
        "Linformer, 64 mixtures": lambda: layers.LinformerAttention(width, 8, max_len=1024),
    }
    seconds = {
        name: [_seconds(make(), length, width, repeats) for length in lengths]
        for name, make in makers.items()
    }
    figure = figures.lines(
        lengths,
        {name: [1000 * one for one in line] for name, line in seconds.items()},
        title=f"One layer of width {width}, 8 texts at once",
        xlabel="steps",
        ylabel="milliseconds",
        xscale="log",
        yscale="log",
    )
    values = {
        f"{name}: time for 1024 steps over that for 256": line[-1] / line[2]
        for name, line in seconds.items()
    }
    return DemoResult(values, {"time": figure})


def _seconds(layer: Any, length: int, width: int, repeats: int) -> float:
    """Return the least time of a call in a graph."""
    call = tf.function(layer)
    x = tf.ones((8, length, width))
    call(x)  # traced
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        np.asarray(call(x))
        times.append(time.perf_counter() - start)
    return min(times)
