"""Show what a detector answered: a line of text for each picture, or the pictures with boxes."""

from __future__ import annotations

import io
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

MOST_NAMED = 20  # objects of a picture that a line of text names
_COVER = 0.5  # of a mask over its picture
_OUTPUTS = ("boxes", "scores", "class_ids", "class_names", "num_detections")


def finds(outputs: Mapping[str, Any]) -> bool:
    """Whether outputs are those of a detector: boxes with names and scores."""
    return all(name in outputs for name in _OUTPUTS)


def box_texts(outputs: Mapping[str, Any]) -> list[str]:
    """Say for each picture what was found where, the surest first."""
    texts = []
    for boxes, scores, _, names in _each(outputs):
        said = [
            f"{name} {score:.2f} ({x1:.0f}, {y1:.0f})-({x2:.0f}, {y2:.0f})"
            for name, score, (x1, y1, x2, y2) in zip(names, scores, boxes, strict=True)
        ]
        more = ["..."] * (len(said) > MOST_NAMED)
        found = f"{len(said)} object{'s' * (len(said) != 1)}"
        texts.append(": ".join([found, ", ".join(said[:MOST_NAMED] + more)] if said else [found]))
    return texts


def boxes_figure(pictures: Sequence[Any], outputs: Mapping[str, Any]) -> Figure:
    """Draw pictures with the boxes that were found, their names and scores; at most 16 pictures.

    Where there are masks, each object has a colour, which covers it; else each class has one.

    Args:
        pictures: file names, or arrays (H, W), (H, W, 1) or (H, W, 3) in [0, 1].
        outputs: what `Served.predict` returned, with `boxes` in pixels of these pictures and maybe
            `mask_png`, whose grey levels are the rows of the boxes.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: no boxes, or not those of as many pictures.
    """
    of_each = finds(outputs) and len(outputs["boxes"]) == len(pictures)
    check_answers(of_each, f"{len(pictures)} pictures needs the boxes of each", outputs)
    shown = min(len(pictures), MOST_PICTURES)
    columns = math.ceil(math.sqrt(shown))
    side = 6.4 if shown == 1 else 4.5
    figure, panels = figures.new_figure(
        math.ceil(shown / columns), columns, width=side, height=side
    )
    for axes in panels.flat:
        axes.set_axis_off()
    masks = outputs.get("mask_png", [None] * len(pictures))
    each = zip(panels.flat, pictures, _each(outputs), masks, strict=False)
    for axes, picture, (boxes, scores, ids, names), mask in each:
        pixels, title, (height, width) = read_picture(picture, most=1024)
        edges = (0, width, height, 0)
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, extent=edges)
        axes.set_title(crop(title), fontsize=10, parse_math=False)
        labels = [
            f"{crop(name)} {score:.2f}".replace("$", r"\$")
            for name, score in zip(names, scores, strict=True)
        ]
        colors = [f"C{number % 10}" for number in (ids if mask is None else range(len(ids)))]
        if mask is not None:
            axes.imshow(_covers(mask, colors), extent=edges, interpolation="nearest")
        figures.show_bboxes(axes, boxes, labels, colors, inside=True)
    say_rest(figure, len(pictures))
    return figure


def _covers(mask: bytes, colors: Sequence[str]) -> np.ndarray:
    """Return the colours of objects, where they are: (h, w, 4), see-through elsewhere."""
    from matplotlib.colors import to_rgba
    from PIL import Image

    with Image.open(io.BytesIO(mask), formats=("PNG",)) as picture:
        picture.thumbnail((1024, 1024), Image.Resampling.NEAREST)
        numbers = np.asarray(picture.convert("L"))
    table = np.zeros((256, 4), "float32")
    for number, color in enumerate(colors[:255], start=1):
        table[number] = to_rgba(color, _COVER)
    return table[numbers]


def _each(outputs: Mapping[str, Any]) -> Iterator[tuple[np.ndarray, ...]]:
    """Return for each picture boxes, scores, class ids and names, without the padding."""
    for i, count in enumerate(np.asarray(outputs["num_detections"])):
        yield tuple(np.asarray(outputs[name])[i][:count] for name in _OUTPUTS[:-1])
