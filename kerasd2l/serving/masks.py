"""Show masks: a line of text for each picture, or the masks in colours over the pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l import figures
from kerasd2l.serving.drawing import (
    MOST_PICTURES,
    check_answers,
    crop,
    read_picture,
    say_rest,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NO_CLASS = 255  # what pads a mask
_COVER = 0.6  # of a mask over its picture


def segments(outputs: Mapping[str, Any]) -> bool:
    """Whether outputs are those of a segmenter: masks of pictures and their sizes."""
    return "mask" in outputs and "sizes" in outputs


def mask_texts(outputs: Mapping[str, Any], class_names: Sequence[str] | None) -> list[str]:
    """Say for each picture which part of it each class has, the largest first; none below 0.5 %."""
    texts = []
    for mask in _each(outputs):
        shares = np.bincount(mask.ravel(), minlength=256) / max(1, mask.size)
        order = [int(k) for k in np.argsort(-shares, kind="stable") if shares[k] >= 0.005]
        texts.append(", ".join(f"{_name(class_names, k)} {shares[k]:.2f}" for k in order))
    return texts


def mask_figure(
    pictures: Sequence[Any],
    outputs: Mapping[str, Any],
    class_names: Sequence[str] | None = None,
    colours: Sequence[Sequence[int]] | None = None,
) -> Figure:
    """Draw pictures, each beside itself with its mask in colours over it; at most 16 pictures.

    Args:
        pictures: file names, or arrays (H, W), (H, W, 1) or (H, W, 3) in [0, 1].
        outputs: what `Served.predict` returned, with `mask` (B, H, W) and `sizes` (B, 2).
        class_names: names of the classes, for the legend. Default: their numbers.
        colours: red, green, blue in 0-255 of each class. Default: matplotlib's.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: no masks, or not those of as many pictures.
    """
    of_each = segments(outputs) and len(outputs["mask"]) == len(pictures)
    check_answers(of_each, f"{len(pictures)} pictures needs the mask of each", outputs)
    shown = min(len(pictures), MOST_PICTURES)
    columns = 1 if shown < 3 else 2
    rows = math.ceil(shown / columns)
    drawing, panels = figures.new_figure(rows, 2 * columns, width=4.0, height=3.4)
    drawing.set_layout_engine("compressed")  # pictures do not fill their panels
    table, there = _table(colours), set()
    for axes in panels.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    of_pictures = panels.reshape(-1, 2)
    for (left, right), picture, mask in zip(of_pictures, pictures, _each(outputs), strict=False):
        pixels, title, _ = read_picture(picture, most=1024)
        high, wide = pixels.shape[:2]
        mask = mask[_middles(mask.shape[0], high)][:, _middles(mask.shape[1], wide)]
        there |= set(np.unique(mask).tolist())
        for panel in (left, right):
            panel.imshow(pixels, cmap="gray", vmin=0, vmax=1)
        right.imshow(table[mask], alpha=_COVER, interpolation="nearest")
        left.set_title(crop(title), fontsize=10, parse_math=False)
    _add_legend(drawing, table, sorted(there), class_names)
    say_rest(drawing, len(pictures))
    return drawing


def _each(outputs: Mapping[str, Any]) -> Iterator[np.ndarray]:
    """Yield the mask of each picture, without what pads it."""
    for mask, (height, width) in zip(outputs["mask"], outputs["sizes"], strict=True):
        yield np.asarray(mask)[:height, :width]


def _middles(before: int, after: int) -> np.ndarray:
    """Return the places of `after` pixels among `before` ones: each that of its middle."""
    return np.floor((np.arange(after) + 0.5) * before / after).astype(int)


def _table(colours: Sequence[Sequence[int]] | None) -> np.ndarray:
    """Return the colour of each class: (256, 3) in [0, 1]."""
    from matplotlib import colormaps

    many = colormaps["tab20"](range(20))[:, :3]
    table = np.array([many[(2 * k + k // 10) % 20] for k in range(256)])  # strong ones first
    if colours:
        table[: len(colours)] = np.asarray(colours) / 255
    return table


def _add_legend(
    drawing: Any, table: np.ndarray, classes: Sequence[int], class_names: Sequence[str] | None
) -> None:
    """Name the colours of the classes that are there, at the bottom."""
    from matplotlib.patches import Patch

    patches = [
        Patch(
            facecolor=table[k],
            edgecolor="0.5",
            label=crop(_name(class_names, k)).replace("$", r"\$"),
        )
        for k in classes
    ]
    drawing.legend(
        handles=patches, loc="outside lower center", ncols=min(6, len(patches)), fontsize=9
    )


def _name(class_names: Sequence[str] | None, k: int) -> str:
    if k == NO_CLASS:
        return "no class"
    return class_names[k] if class_names and k < len(class_names) else f"class {k}"
