"""Figures without global state: lines, pictures, and a sheet of labelled pictures.

The functions return matplotlib Figures; whoever calls saves them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(rows: int = 1, columns: int = 1, *, width: float = 4.5, height: float = 3.2):
    """Make a figure of rows x columns panels.

    Args:
        rows: int, panels in a column.
        columns: int, panels in a row.
        width: float, inches of one panel.
        height: float, inches of one panel.

    Returns:
        (Figure, array (rows, columns) of matplotlib Axes).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def lines(
    x: Any,
    series: Mapping[str, Any],
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    xscale: str = "linear",
    yscale: str = "linear",
) -> Figure:
    """Draw named lines over x, with title, axis labels and legend.

    Args:
        x: (n,) numbers, or a mapping name -> (n,) where the lines have their own.
        series: name -> (n,) numbers.
        title: str.
        xlabel: str, with the unit.
        ylabel: str, with the unit.
        xscale: "linear" or "log".
        yscale: "linear" or "log".
    """
    figure, panels = new_figure(width=5.5, height=3.8)
    axes = panels[0, 0]
    for i, (name, y) in enumerate(series.items()):
        style = ("-", "--", "-.", ":")[i % 4]  # told apart without colour, too
        axes.plot(
            np.asarray(x[name] if isinstance(x, Mapping) else x), np.asarray(y), style, label=name
        )
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel, xscale=xscale, yscale=yscale)
    axes.grid(alpha=0.3)
    if len(series) > 1:
        axes.legend()
    return figure


def gradient_by_lag(lengths: Mapping[str, Any]) -> Figure:
    """Draw how much of the gradient of the last state reaches an input k steps back.

    Args:
        lengths: name -> (T,) lengths of the gradient for k = 0, 1, ..., relative to k = 0.
    """
    return lines(
        {name: np.arange(len(line)) for name, line in lengths.items()},
        lengths,
        title="How far back a gradient reaches",
        xlabel="lag k (steps back)",
        ylabel=r"length of $\partial H_T / \partial X_{T-k}$, k = 0 is 1",
        yscale="log",
    )


def pictures(
    images: Sequence[Any],
    titles: Sequence[str] = (),
    *,
    columns: int = 8,
    title: str = "",
    scale: float = 1.5,
) -> Figure:
    """Draw a sheet of pictures with a title under each: the book's `show_images`.

    Args:
        images: arrays (H, W), (H, W, 1) or (H, W, 3); grey ones are scaled to their own range.
        titles: a text for each picture; may be shorter.
        columns: int, pictures in a row.
        title: str, above the sheet.
        scale: float, inches of one picture.
    """
    rows = math.ceil(len(images) / columns)
    tallest = max((image.shape[0] / image.shape[1] for image in map(np.asarray, images)), default=1)
    height = scale * (min(tallest, 1.5) + 0.25)  # with a title; none leaves rows far apart
    figure, panels = new_figure(rows, min(columns, len(images)), width=scale, height=height)
    figure.suptitle(title)
    for i, axes in enumerate(panels.flat):
        axes.set_axis_off()
        if i < len(images):
            image = np.asarray(images[i])
            axes.imshow(image[..., 0] if image.shape[-1:] == (1,) else image, cmap="gray")
            axes.set_title(titles[i] if i < len(titles) else "", fontsize=8)
    return figure


def heatmap(axes: Any, values: Any, *, title: str = "", numbers: str | None = "{:g}") -> Any:
    """Draw a matrix into a panel as coloured squares with its numbers in them.

    Args:
        axes: matplotlib Axes.
        values: (rows, columns) numbers.
        title: str, above the panel; the number of rows and columns is added.
        numbers: str, format of one number, or None to leave them out.

    Returns:
        The matplotlib image, for a colour bar.
    """
    values = np.asarray(values, float)
    image = axes.imshow(values, cmap="viridis")
    axes.set(xticks=[], yticks=[])
    axes.set_title(f"{title}\n{values.shape[0]} x {values.shape[1]}", fontsize=9)
    axes.figure.set_layout_engine("compressed")  # square cells do not fill their panels
    middle = (values.min() + values.max()) / 2
    if numbers is not None:
        for (i, j), value in np.ndenumerate(values):
            colour = "white" if value <= middle else "black"
            axes.text(j, i, numbers.format(value), ha="center", va="center", color=colour, size=8)
    return image


def bbox_to_rect(bbox: Any, color: Any) -> Any:
    """Return the matplotlib Rectangle of a box in pixels, to be added to a panel.

    Args:
        bbox: (4,) numbers, x1, y1, x2, y2.
        color: matplotlib colour of the edge.
    """
    from matplotlib.patches import Rectangle

    x1, y1, x2, y2 = (float(v) for v in np.asarray(bbox))
    return Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=color, linewidth=2)


def show_bboxes(
    axes: Any,
    bboxes: Any,
    labels: Sequence[str] | str | None = None,
    colors: Any = None,
    *,
    inside: bool = False,
) -> None:
    """Draw boxes with their names into a panel that shows a picture: the book's `show_bboxes`.

    Args:
        axes: matplotlib Axes.
        bboxes: (n, 4) numbers, corners in pixels.
        labels: a text for each box; may be shorter.
        colors: a colour or several that take turns. Default: blue, green, red, magenta, cyan.
        inside: bool, names stand inside their boxes, where the edge of the picture cuts none off.
            Default: around the upper left corner, as in the book.
    """
    labels = [labels] if isinstance(labels, str) else list(labels or ())
    colors = [colors] if isinstance(colors, str) else list(colors or ("b", "g", "r", "m", "c"))
    for i, bbox in enumerate(np.asarray(bboxes, float).reshape(-1, 4)):
        color = colors[i % len(colors)]
        axes.add_patch(bbox_to_rect(bbox, color))
        if i < len(labels):
            axes.text(
                *bbox[:2],
                labels[i],
                va="top" if inside else "center",
                ha="left" if inside else "center",
                size=8,
                color="k" if color == "w" else "w",
                bbox={"facecolor": color, "lw": 0, "pad": 2},
                clip_on=True,
            )


def boxes_on_pictures(
    images: Sequence[Any], boxes: Sequence[Any], labels: Sequence[Any] = (), titles: Any = ()
) -> Figure:
    """Draw pictures beside each other, each with its boxes.

    Args:
        images: arrays (H, W, 3).
        boxes: for each picture (n, 4) numbers, corners in pixels.
        labels: for each picture the texts of its boxes.
        titles: a text for each picture; may be shorter.
    """
    figure, panels = new_figure(1, len(images), width=4.5, height=3.3)
    for i, axes in enumerate(panels[0]):
        axes.imshow(np.asarray(images[i]))
        axes.set_axis_off()
        axes.set_title(titles[i] if i < len(titles) else "", fontsize=9)
        show_bboxes(axes, boxes[i], labels[i] if i < len(labels) else None)
    return figure
