"""S.1 Normalization."""

from __future__ import annotations

from typing import Any

from kerasd2l import figures, layers
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

keras = lazy("keras")
np = lazy("numpy")

_EXAMPLES, _CHANNELS, _SIDE = 4, 6, 3


def normalization_layers(*, groups: int = 3) -> Demo:
    """Show which values BatchNorm, LayerNorm, GroupNorm and InstanceNorm each normalise.

    Section: "norm-layers". Four examples with six channels of 3 x 3 pixels, each channel of each
    example with a mean and spread of its own. In the figure, cells of one colour share their
    statistics (for LayerNorm all values of an example do); below, the mean that is left in every
    cell. Then the experiments of the catalogue: BatchNorm over 0, 1, 2, ... in (32, 16, 128, 128),
    and LayerNorm in (32, 100, 2048).
    Expected: means 0; standard deviations (n - 1 in the denominator) 1.000001 and 1.000244.
    Command: kerasd2l run normalization_layers --out figures
    """
    if groups < 1 or _CHANNELS % groups:
        raise ValueError(
            f"`groups` must divide the {_CHANNELS} channels: 1, 2, 3 or 6. "
            f"Received: groups={groups}."
        )
    return Demo(section="norm-layers", run=lambda: _run(groups))


def _run(groups: int) -> DemoResult:
    x = _pictures()
    kinds = _normalizations(groups)
    values: dict[str, Any] = {}
    panels_of = {}
    for name, (layer, sets) in kinds.items():
        y = np.asarray(layer(x, training=True) if name == "BatchNorm" else layer(x))
        left = y.mean((1, 2)), y.var((1, 2))  # of each example and channel
        means = [y[_members(sets, k)].mean() for k in range(sets.max() + 1)]
        variances = [y[_members(sets, k)].var() for k in range(sets.max() + 1)]
        values[name] = {
            "sets of values with statistics of their own": int(sets.max() + 1),
            "values in a set": int((sets == 0).sum()) * _SIDE * _SIDE,
            "largest mean of a set": float(np.abs(means).max()),
            "variance of the sets": [float(min(variances)), float(max(variances))],
            "largest mean of a channel of an example": float(np.abs(left[0]).max()),
        }
        panels_of[name] = sets, left[0]
    values["SwitchableNorm, mixture at the start"] = _mixture(x)
    values |= _ranges()
    return DemoResult(values, {"statistics": _figure(x, panels_of)})


def _pictures():
    """Make (B, H, W, C) pictures whose channels differ in mean and spread."""
    rng = np.random.default_rng(0)
    mean = rng.normal(0, 3, (_EXAMPLES, 1, 1, _CHANNELS))
    spread = rng.uniform(0.5, 3, (_EXAMPLES, 1, 1, _CHANNELS))
    noise = rng.normal(size=(_EXAMPLES, _SIDE, _SIDE, _CHANNELS))
    return (mean + spread * noise).astype("float32")


def _normalizations(groups: int):
    """Return name -> (layer, (examples, channels) number of the set that each channel is in)."""
    example, channel = np.indices((_EXAMPLES, _CHANNELS))
    group = channel // (_CHANNELS // groups)
    plain = {"epsilon": 1e-5, "center": False, "scale": False}
    return {
        "BatchNorm": (keras.layers.BatchNormalization(**plain), channel),
        "LayerNorm": (keras.layers.LayerNormalization(axis=[1, 2, 3], **plain), example),
        f"GroupNorm, {groups} groups": (
            keras.layers.GroupNormalization(groups, **plain),
            example * groups + group,
        ),
        "InstanceNorm": (layers.InstanceNorm(), example * _CHANNELS + channel),
    }


def _members(sets, number: int):
    """Return a mask (B, H, W, C) of the values in one set."""
    return np.broadcast_to((sets == number)[:, None, None, :], (_EXAMPLES, _SIDE, _SIDE, _CHANNELS))


def _mixture(x) -> dict[str, list[float]]:
    """Return the shares of (instance, layer, batch) in a SwitchableNorm that has not learned."""
    layer = layers.SwitchableNorm()
    layer(x)
    return {
        "mean": np.asarray(keras.ops.softmax(layer.mean_mixture)).tolist(),
        "variance": np.asarray(keras.ops.softmax(layer.variance_mixture)).tolist(),
    }


def _ranges() -> dict[str, dict[str, float]]:
    """Repeat the two experiments of the notes, which print a mean and a standard deviation."""
    plain = {"epsilon": 1e-5, "center": False, "scale": False}
    pictures = np.arange(32 * 16 * 128 * 128).reshape(32, 16, 128, 128)
    # Channels do not mix: channel 0 is enough. In float64, because TensorFlow's float32 sums of
    # half a million numbers lose three digits on a CPU.
    first = pictures[:, 0, :, :, None].astype("float64")
    batch = keras.layers.BatchNormalization(**plain, dtype="float64")
    channel = np.asarray(batch(first, training=True))
    texts = np.arange(32 * 100 * 2048, dtype="float32").reshape(32, 100, 2048)
    layer = keras.layers.LayerNormalization(**plain)
    token = np.asarray(layer(texts[:1]))[0, 0].astype("float64")  # examples do not mix
    return {
        name: {"mean": float(y.mean()), "standard deviation": float(y.std(ddof=1))}
        for name, y in (("BatchNorm, channel 0", channel), ("LayerNorm, token 0", token))
    }


def _figure(x, panels_of):
    figure, panels = figures.new_figure(2, 5, width=2.8, height=2.5)
    panels[0, 0].set_axis_off()
    panels[0, 0].text(
        0.5,
        0.5,
        "One row is an example,\none column a channel,\none cell 3 x 3 pixels.\n\nAbove: cells of"
        " one colour\nare normalised together.\nBelow: the mean of each cell\nafterwards.",
        ha="center",
        va="center",
    )
    rows = [("input: means", x.mean((1, 2)))] + [
        (name, left) for name, (_, left) in panels_of.items()
    ]
    for axes, (name, (sets, _)) in zip(panels[0, 1:], panels_of.items(), strict=True):
        shuffled = np.random.default_rng(1).permutation(sets.max() + 1)[sets]  # neighbours differ
        axes.imshow(shuffled, cmap="nipy_spectral")
        axes.set_title(f"{name}\n{sets.max() + 1} sets", fontsize=9)
    for axes, (name, means) in zip(panels[1], rows, strict=True):
        image = axes.imshow(means, cmap="coolwarm", vmin=-2, vmax=2)
        axes.set_title(name, fontsize=9)
    for axes in [*panels[0, 1:], *panels[1]]:
        axes.set(
            xlabel="channel", ylabel="example", xticks=range(_CHANNELS), yticks=range(_EXAMPLES)
        )
    figure.colorbar(image, ax=panels[1].tolist(), label="mean of a cell", shrink=0.8, extend="both")
    return figure
