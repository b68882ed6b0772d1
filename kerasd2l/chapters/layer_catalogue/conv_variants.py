"""S.5 Variants of convolution."""

from __future__ import annotations

import math
from typing import Any

from kerasd2l import figures, layers
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

keras = lazy("keras")
np = lazy("numpy")


def convolution_variants(*, channels: int = 64, filters: int = 32, groups: int = 8) -> Demo:
    """Count the weights of plain, grouped, depthwise-separable and transposed convolutions.

    Section: "conv-variants". Pictures (1, 128, 128, channels), 3 x 3 kernels. The catalogue's
    formula adds a bias for every pixel of a kernel; there is one for every kernel.
    Expected: 18464, 2336, 640 + 2080 and 18496 parameters; 126 x 126 pixels, and 128 x 128 again
    from the transposed one (layer catalogue).
    Command: kerasd2l run convolution_variants --out figures
    """
    if min(channels, filters, groups) < 1 or channels % groups or filters % groups:
        common = math.gcd(max(channels, 1), max(filters, 1))
        fitting = [g for g in range(1, common + 1) if common % g == 0]
        raise ValueError(
            "`groups` must divide `channels` and `filters`. Received: "
            f"groups={groups}, channels={channels}, filters={filters}. "
            f"Try groups={' or '.join(map(str, fitting[-3:]))}."
        )
    if max(channels, filters) > 256:
        raise ValueError(
            "`channels` and `filters` must be at most 256 here. "
            f"Received: channels={channels}, filters={filters}."
        )
    return Demo(section="conv-variants", run=lambda: _run_variants(channels, filters, groups))


def _run_variants(channels: int, filters: int, groups: int) -> DemoResult:
    x = np.random.default_rng(0).normal(size=(1, 128, 128, channels)).astype("float32")
    grouped = layers.GroupedConv2D(filters, 3, groups=groups)
    made = {
        "plain": [keras.layers.Conv2D(filters, 3)],
        f"{groups} groups": [grouped],
        "depthwise, then 1 x 1": [keras.layers.DepthwiseConv2D(3), keras.layers.Conv2D(filters, 1)],
    }
    values: dict[str, Any] = {}
    outputs = {}
    for name, stack in made.items():
        y = x
        for layer in stack:
            y = layer(y)
        outputs[name] = y
        values[name] = _facts(stack, y)
    back = layers.TransposedConv2D(channels, 3)
    values["transposed, back from the plain one"] = _facts([back], back(outputs["plain"]))
    twin = keras.layers.Conv2D(filters, 3, groups=groups)
    twin.build(x.shape)
    twin.set_weights(grouped.get_weights())
    difference = np.abs(twin(x) - outputs[f"{groups} groups"]).max()
    values["largest difference of the groups from Keras' own"] = float(difference)
    values["weights without biases"] = {
        "plain": channels * filters * 9,
        "depthwise, then 1 x 1": channels * 9 + channels * filters,
    }
    counts = {
        name: fact["all parameters"] for name, fact in values.items() if "output" in str(fact)
    }
    figure, panels = figures.new_figure(width=8, height=2.8)
    bars = panels[0, 0].barh(list(counts), list(counts.values()))
    panels[0, 0].bar_label(bars, fmt="{:,.0f}", padding=3)
    panels[0, 0].set(
        title=f"3 x 3 convolutions, {channels} channels to {filters}",
        xlabel="parameters (number)",
    )
    panels[0, 0].margins(x=0.12)
    return DemoResult(values, {"parameters": figure})


def _facts(stack, y) -> dict:
    return {
        "output shape": list(y.shape[1:]),
        "kernel shapes": [list(layer.weights[0].shape) for layer in stack],
        "parameters": [layer.count_params() for layer in stack],
        "all parameters": sum(layer.count_params() for layer in stack),
    }


def dilated_convolution(
    *, rates: tuple[int, ...] = (2, 2, 2), others: tuple[int, ...] = (1, 2, 5)
) -> Demo:
    """Count how often each input pixel is used by stacked dilated 3 x 3 convolutions.

    Section: "conv-variants". Equal rates skip pixels (the grid artefact); rates that grow and share
    no divisor leave no holes.
    Expected: rates 2, 2, 2 reach 13 x 13 pixels and use 49; rates 1, 2, 5 use all of 17 x 17.
    Command: kerasd2l run dilated_convolution --out figures
    """
    for name, value in (("rates", rates), ("others", others)):
        if not 1 <= len(value) <= 6 or min(value) < 1 or max(value) > 16:
            raise ValueError(
                f"`{name}` must be 1 to 6 dilation rates from 1 to 16. Received: {name}={value}."
            )
    return Demo(section="conv-variants", run=lambda: _run_dilated(rates, others))


def _run_dilated(*stacks: tuple[int, ...]) -> DemoResult:
    values = {}
    figure, panels = figures.new_figure(1, len(stacks), width=5, height=4.6)
    for axes, rates in zip(panels[0], stacks, strict=True):
        side = layers.receptive_field([3] * len(rates), dilation_rates=rates)
        ways = _ways(side, rates)
        name = "rates " + ", ".join(map(str, rates))
        values[name] = {
            "side of the receptive field": side,
            "pixels in reach": side * side,
            "pixels used": int((ways > 0).sum()),
            "most ways from one pixel": int(ways.max()),
        }
        image = figures.heatmap(
            axes, np.where(ways > 0, ways, np.nan), title=f"{name} (white: unused)", numbers=None
        )
        figure.colorbar(image, ax=axes, label="ways from this pixel to the output (number)")
    return DemoResult(values, {"coverage": figure})


def _ways(side: int, rates: tuple[int, ...]):
    """Count the paths from every input pixel to the one output pixel of a stack of layers."""
    ways = np.ones((1, 1, 1, 1), "float32")
    for rate in reversed(rates):  # from the output back: each window spreads over its taps
        taps = layers.Unfold(1)(ways)  # (1, pixels, 1)
        size = ways.shape[1] + 2 * rate
        fold = layers.Fold(size, 3, dilation_rate=rate)
        ways = np.asarray(fold(keras.ops.repeat(taps, 9, axis=-1)))
    return ways[0, ..., 0]


def transposed_convolution() -> Demo:
    """Write a convolution as a matrix, and enlarge with the transpose of that matrix.

    Section: "conv-variants". Pictures of 3 x 3, the kernel [[1, 2], [3, 4]]; 4 x 9 is the matrix.
    Then [[0, 1], [2, 3]] through a kernel of the same numbers: plain, padding 1, strides 2.
    Expected: [[27, 37], [57, 67]] from 0..8; [[0, 0, 1], [0, 4, 6], [4, 12, 9]]; 4; and
    [[0, 0, 0, 1], [0, 0, 2, 3], [0, 2, 0, 3], [4, 6, 6, 9]] (course notes and d2l-zh).
    Command: kerasd2l run transposed_convolution --out figures
    """
    return Demo(section="conv-variants", run=_run_transposed)


def _run_transposed() -> DemoResult:
    kernel = np.array([[1, 2], [3, 4]], "float32")
    conv = _with_kernel(keras.layers.Conv2D(1, 2, use_bias=False), (1, 3, 3, 1), kernel)
    units = np.eye(9, dtype="float32").reshape(9, 3, 3, 1)
    matrix = np.asarray(conv(units)).reshape(9, 4).T  # column k: what pixel k alone becomes
    x = np.arange(9, dtype="float32")
    y = matrix @ x
    back = _with_kernel(layers.TransposedConv2D(1, 2, use_bias=False), (1, 2, 2, 1), kernel)
    by_layer = np.asarray(back(y.reshape(1, 2, 2, 1))).ravel()
    square = np.array([[0, 1], [2, 3]], "float32")
    values = {
        "matrix of the convolution": matrix.astype(int).tolist(),
        "matrix times 0..8": y.astype(int).reshape(2, 2).tolist(),
        "largest difference of the transpose from the layer": float(
            np.abs(matrix.T @ y - by_layer).max()
        ),
    }
    maps = {"input and kernel": square}
    for name, arguments in (
        ("plain", {}),
        ("padding 1", {"padding": 1}),
        ("strides 2", {"strides": 2}),
    ):
        layer = layers.TransposedConv2D(1, 2, use_bias=False, **arguments)
        layer = _with_kernel(layer, (1, 2, 2, 1), square)
        maps[name] = np.asarray(layer(square[None, ..., None]))[0, ..., 0]
        values[name] = maps[name].astype(int).tolist()
    drawn, panels = figures.new_figure(1, 2, width=5, height=3.6)
    figures.heatmap(panels[0, 0], matrix, title="matrix of the convolution")
    figures.heatmap(panels[0, 1], matrix.T, title="matrix of the transposed convolution")
    enlarged, panels = figures.new_figure(1, 4, width=2.6, height=3)
    for axes, (name, numbers) in zip(panels[0], maps.items(), strict=True):
        figures.heatmap(axes, numbers, title=name)
    return DemoResult(values, {"matrices": drawn, "enlarged": enlarged})


def _with_kernel(layer, input_shape, kernel):
    layer.build(input_shape)
    layer.kernel.assign(kernel[..., None, None])
    return layer
