"""What a training shows: a line per epoch, the curves of loss and metrics, and the best epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SPLITS = ("train", "valid", "test")


def epoch_line(event: dict[str, Any], epochs: int) -> str:
    """Describe one epoch in one line: figures of each split, speed, seconds."""
    figures = [
        f"{key} {event[key]:.4f}"
        for split in SPLITS
        for key in event
        if key.startswith(f"{split}_") and not key.endswith("_examples")
    ]
    speed = event["examples_per_second"]
    speed = f"{speed:,.0f} examples/s" if speed else "a single step: no speed"
    return (
        f"epoch {event['epoch']}/{epochs}  {'  '.join(figures)}  {speed}  {event['seconds']:.1f} s"
    )


def metric_names(history: Sequence[dict[str, Any]]) -> list[str]:
    """Return the names of the figures without their split, the loss first."""
    names: dict[str, None] = {}
    for event in history:
        for key in event:
            split, _, name = key.partition("_")
            if split in SPLITS and name != "examples":
                names[name] = None
    return sorted(names, key=lambda name: (name != "loss", name))


def curves(history: Sequence[dict[str, Any]], title: str = "") -> Figure:
    """Draw one panel per figure (loss, accuracy, ...) with a line per split over the epochs.

    Args:
        history: the epochs, as `training.train` returns them.
        title: str, above the panels.

    Returns:
        A matplotlib Figure.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = metric_names(history)
    figure = Figure(figsize=(5 * max(len(names), 1), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    styles = {"train": "-", "valid": "-.", "test": "--"}
    for i, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), i + 1)
        for split in SPLITS:
            points = [(e["epoch"], e[f"{split}_{name}"]) for e in history if f"{split}_{name}" in e]
            if points:
                marker = "o" if len(points) == 1 else None  # a line of one point is invisible
                axes.plot(*zip(*points, strict=True), styles[split], label=split, marker=marker)
        axes.set(xlabel="epoch", ylabel=name.replace("_", " "))
        locator: Any = axes.xaxis.get_major_locator()  # an AutoLocator
        locator.set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def is_best(history: list[dict[str, Any]]) -> bool:
    """Whether the last epoch has the smallest validation loss (training loss without that set)."""
    monitor = "valid_loss" if "valid_loss" in history[-1] else "train_loss"
    return monitor in history[-1] and history[-1][monitor] == min(e[monitor] for e in history)


def keras_logs(event: dict[str, Any]) -> dict[str, Any]:
    """Name the figures of an epoch as Keras callbacks know them: loss, val_loss, ..."""
    other = "valid_" if any(key.startswith("valid_") for key in event) else "test_"
    logs = {}
    for key, value in event.items():
        if key.startswith("train_"):
            logs[key.removeprefix("train_")] = value
        elif key.startswith(other):
            logs["val_" + key.removeprefix(other)] = value
    return {key: value for key, value in logs.items() if not key.endswith("examples")}
