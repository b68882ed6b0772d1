"""Show what a SavedModel answered: lines of text, or a figure with the pictures."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l.serving import boxes, masks
from kerasd2l.serving.drawing import (
    MOST_PICTURES,
    crop,
    read_picture,
    say_rest,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_WORDS = 60  # of a sentence in a heat map: more cannot be read
# Outputs that name the rows and the columns of the output `attention`.
_SIDES = (("premise_tokens", "hypothesis_tokens"),)


def format_prediction(
    outputs: Mapping[str, Any],
    *,
    names: Sequence[str] = (),
    class_names: Sequence[str] | None = None,
    top: int = 5,
) -> list[str]:
    """Say a prediction in lines of text, one for each example.

    With `probabilities` and class names: "shirt.png: ankle boot 0.93, sneaker 0.05, ...". With
    boxes: "street.png: 2 objects: car 0.93 (12, 30)-(80, 95), ...", pixels of the picture. With
    masks: "street.png: road 0.61, car 0.20, ...", parts of the picture. Else one
    line "name: value" for each output, or with several examples one line for each example. What of
    a text was not read, outputs that end in `_left_out`, is said where there is such.

    Args:
        outputs: what `Served.predict` returned.
        names: what to call the examples, such as the file names.
        class_names: names of the classes, from the manifest.
        top: int, how many classes to name. Default: 5.
    """
    if boxes.finds(outputs):
        return [f"{_label(names, i)}: {text}" for i, text in enumerate(boxes.box_texts(outputs))]
    if masks.segments(outputs):
        texts = masks.mask_texts(outputs, class_names)
        return [f"{_label(names, i)}: {text}" for i, text in enumerate(texts)]
    ranked = _ranked(outputs, class_names, top)
    if ranked:
        return [
            f"{_label(names, i)}: "
            + ", ".join(f"{name} {value:.2f}" for name, value in best)
            + _left_out(outputs, i)
            for i, best in enumerate(ranked)
        ]
    arrays = {
        key: np.asarray(value)
        for key, value in outputs.items()
        if not key.endswith("_left_out") or np.any(value)
    }
    sizes = {array.shape[:1] for array in arrays.values()}
    if len(sizes) > 1 or sizes == {()} or sizes == {(1,)}:
        return [
            f"{key}: {_text(array[0] if array.shape[:1] == (1,) else array)}"
            for key, array in arrays.items()
        ]
    return [
        f"{_label(names, i)}: "
        + ", ".join(f"{key} {_text(array[i])}" for key, array in arrays.items())
        for i in range(*sizes.pop())
    ]


def figure(
    pictures: Sequence[Any],
    outputs: Mapping[str, Any],
    class_names: Sequence[str],
    *,
    names: Sequence[str] = (),
    top: int = 5,
) -> Figure:
    """Draw pictures with their most probable classes as bars; at most 16 pictures.

    Args:
        pictures: file names, or arrays (H, W), (H, W, 1) or (H, W, 3) in [0, 1].
        outputs: what `Served.predict` returned, with `probabilities` (B, K).
        class_names: names of the K classes.
        names: titles. Default: the file names, without folders.
        top: int, how many classes to show. Default: 5.

    Returns:
        A matplotlib figure; `figure(...).savefig("out.png")` writes it.

    Raises:
        ValueError: no probabilities, or not as many as pictures or class names.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ranked = _ranked(outputs, class_names, top)
    if ranked is None or len(ranked) != len(pictures):
        raise ValueError(
            f"a figure of {len(pictures)} pictures with {len(class_names)} classes needs "
            "`probabilities` of that shape. Received: "
            + ", ".join(f"{key} {np.shape(value)}" for key, value in outputs.items())
        )
    shown = min(len(pictures), MOST_PICTURES)
    columns = min(shown, 1 if shown < 3 else 2)
    rows = math.ceil(shown / columns)
    drawing = Figure(figsize=(6.4 * columns, 2.3 * rows + 0.5), layout="constrained")
    FigureCanvasAgg(drawing)
    axes = drawing.subplots(
        rows, 2 * columns, squeeze=False, width_ratios=[1.0, 1.6] * columns
    ).reshape(-1, 2)
    for i, (left, right) in enumerate(axes):
        if i >= shown:
            left.set_axis_off()
            right.set_axis_off()
            continue
        pixels, title, _ = read_picture(pictures[i])
        left.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        title = crop(str(names[i]) if i < len(names) else title or f"{i + 1}")
        left.set_title(title, fontsize=10, parse_math=False)
        left.set_axis_off()
        _bars(right, ranked[i])
    say_rest(drawing, len(pictures))
    return drawing


def attends(outputs: Mapping[str, Any]) -> bool:
    """Whether outputs have an `attention` and the words that it is between."""
    return "attention" in outputs and any(set(sides) <= set(outputs) for sides in _SIDES)


def attention_figure(outputs: Mapping[str, Any]) -> Figure:
    """Draw which words look at which: a heat map for each example, at most 16.

    Args:
        outputs: what `Served.predict` returned, with `attention` (B, S, T) and the words of its
            rows and columns, such as `premise_tokens` and `hypothesis_tokens`; `label` is the
            title. Of a sentence the first 60 words are drawn.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: no attention, or no words.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not attends(outputs):
        raise ValueError(
            "a heat map needs `attention` and the words of its rows and columns. "
            f"Received: {', '.join(outputs)}."
        )
    sides = next(sides for sides in _SIDES if set(sides) <= set(outputs))
    weights = np.asarray(outputs["attention"])
    shown = min(len(weights), MOST_PICTURES)
    words = [
        [[word for word in row if word][:MOST_WORDS] or ["(no word)"] for row in outputs[side]]
        for side in sides
    ]
    height, width = (max(map(len, side[:shown])) for side in words)
    drawing = Figure(
        figsize=(max(4.5, 0.35 * width + 2.5), shown * (0.28 * height + 1.8)), layout="constrained"
    )
    FigureCanvasAgg(drawing)
    for i, axes in enumerate(drawing.subplots(shown, 1, squeeze=False)[:, 0]):
        rows, columns = words[0][i], words[1][i]
        image = axes.imshow(weights[i, : len(rows), : len(columns)], cmap="Reds", vmin=0, vmax=1)
        axes.set_yticks(range(len(rows)), map(crop, rows), parse_math=False)
        axes.set_xticks(range(len(columns)), map(crop, columns), rotation=90, parse_math=False)
        axes.set_ylabel(sides[0].removesuffix("_tokens"))
        axes.set_xlabel(sides[1].removesuffix("_tokens"))
        axes.set_title(crop(str(outputs["label"][i])) if "label" in outputs else f"{i + 1}")
        drawing.colorbar(image, ax=axes, label="attention")
    say_rest(drawing, len(weights), "examples")
    return drawing


def _left_out(outputs: Mapping[str, Any], i: int) -> str:
    """Say how much of the texts of an example was not read; nothing if all was."""
    said = []
    for key in sorted(outputs):
        what = re.fullmatch(r"(?:(.*)_)?(word|character)s_left_out", key)
        count = int(np.asarray(outputs[key])[i]) if what else 0
        if what and count > 0:
            of, one = what.groups()
            said.append(f"{count} {one}{'s' * (count > 1)} left out" + (f" of {of}" if of else ""))
    return f" ({', '.join(said)})" if said else ""


def _bars(axes: Any, best: Sequence[tuple[str, float]]) -> None:
    """Draw classes and their probabilities as horizontal bars, the best on top."""
    labels = [crop(name, 22) for name, _ in best]
    values = [value for _, value in best]
    bars = axes.barh(range(len(best)), values, color=["C0"] + ["C7"] * (len(best) - 1))
    axes.bar_label(bars, [f"{value:.2f}" for value in values], padding=3, fontsize=9)
    axes.set_yticks(range(len(best)), labels, fontsize=9, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("probability", fontsize=9)
    axes.tick_params(axis="x", labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def _ranked(
    outputs: Mapping[str, Any], class_names: Sequence[str] | None, top: int
) -> list[list[tuple[str, float]]] | None:
    """Return the best classes of every example, or None where there are none to name."""
    if class_names is None or "probabilities" not in outputs:
        return None
    probabilities = np.asarray(outputs["probabilities"])
    if probabilities.ndim != 2 or probabilities.shape[1] != len(class_names):
        return None
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    return [
        [(class_names[k], float(row[k])) for k in best]
        for row, best in zip(probabilities, order, strict=True)
    ]


def _label(names: Sequence[str], i: int) -> str:
    """Return what to call an example: its number, or its name on one line, no whole book."""
    if i >= len(names):
        return f"{i + 1}"
    name = " ".join(str(names[i]).splitlines())
    return name if len(name) <= 200 else name[:199] + "…"


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray) and not value.ndim:
        value = value[()]
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, (float, np.floating)):
        return f"{value:.6g}"
    if isinstance(value, np.ndarray):
        return np.array2string(value, precision=4, threshold=20, separator=", ")
    return str(value)
