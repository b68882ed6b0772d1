"""8.3 Language models and the data set."""

from __future__ import annotations

from typing import Any

from kerasd2l import data, figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")


def ngram_statistics(
    *,
    source: data.Kind = "builtin",
    count: int = 10,
) -> Demo:
    """Count words, pairs and triples of words: all three follow Zipf's law.

    Section: "language-models-and-dataset". Words of The Time Machine; the builtin stand-in is the
    text of Python's own help. Frequency falls with the rank as a straight line of slope -alpha
    in a plot with two logarithmic axes.
    Expected: the 2261, i 1267, and 1245; "of the" 309; "the time traveller" 59 (d2l-zh).
    Command: kerasd2l run ngram_statistics --set source=files --out figures
    """
    if count < 1:
        raise ValueError(f"`count` must be at least 1. Received: count={count}.")
    return Demo("language-models-and-dataset", lambda: _count_ngrams(source, count))


def _count_ngrams(source: str, count: int) -> DemoResult:
    tokenizer = data.Tokenizer("word", data.text.LETTERS)
    words = [word for line in data.time_machine.lines(source) for word in tokenizer(line)]
    values: dict[str, Any] = {"words": len(words)}
    ranks, counts = {}, {}
    for n, name in enumerate(("unigrams", "bigrams", "trigrams"), 1):
        frequencies = data.Vocab(data.text.ngrams(words, n)).token_freqs
        y = np.array([frequency for _, frequency in frequencies])
        x = np.arange(1, len(y) + 1)
        # the slope over the middle: the first words and the long tail of ones are off the line
        middle = slice(10, max(12, int(np.sum(y > 2))))
        ranks[name], counts[name] = x, y
        values[name] = {" ".join(ngram): int(number) for ngram, number in frequencies[:count]}
        values[f"different {name}"] = len(y)
        if len(y) >= middle.stop:  # a text of a few words has no slope
            slope = np.polyfit(np.log(x[middle]), np.log(y[middle]), 1)[0]
            values[f"Zipf exponent of {name}"] = float(-slope)
    figure = figures.lines(
        ranks,
        counts,
        title="How often the k-th most frequent n-gram comes",
        xlabel="rank k",
        ylabel="frequency (times in the text)",
        xscale="log",
        yscale="log",
    )
    return DemoResult(values, {"zipf": figure})


def partitioning(
    *, length: int = 35, batch_size: int = 2, num_steps: int = 5, seed: int = 0
) -> Demo:
    """Cut the sequence 0, 1, 2, ... into batches in the book's two ways.

    Section: "language-models-and-dataset". With random sampling the windows of an epoch are mixed;
    with sequential partitioning row b of a batch goes on where it ended in the batch before.
    Expected: three batches with Y = X + 1 from range(35), batch size 2 and 5 steps (d2l-zh).
    Command: kerasd2l run partitioning --out figures
    """
    for name, value in (("batch_size", batch_size), ("num_steps", num_steps)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")
    least = (batch_size + 1) * num_steps  # one batch, and the tokens that the offset may cost
    if length < least:
        raise ValueError(
            f"`length` must be at least {least} for batches of {batch_size} x {num_steps}. "
            f"Received: length={length}."
        )
    sizes = {"batch_size": batch_size, "num_steps": num_steps}
    return Demo("language-models-and-dataset", lambda: _partition(length, sizes, seed))


def _partition(length: int, sizes: dict[str, int], seed: int) -> DemoResult:
    ways = {
        "random": data.sequences.random_batches(range(length), **sizes, seed=seed),
        "sequential": data.sequences.sequential_batches(range(length), **sizes, seed=seed),
    }
    values: dict[str, Any] = {}
    cells = {}
    for way, batches in ways.items():
        pairs = [(np.asarray(x), np.asarray(y)) for x, y in batches.order(0)]
        values[f"{way}: batches"] = len(pairs)
        values[f"{way}: X"] = [x.tolist() for x, _ in pairs]
        values[f"{way}: Y = X + 1"] = all(bool(np.all(y == x + 1)) for x, y in pairs)
        cells[way] = np.full((sizes["batch_size"], length), np.nan)
        for step, (x, _) in enumerate(pairs):
            for row, window in enumerate(x):
                cells[way][row, window] = step
    starts = [[int(row[0]) for row in x] for x in values["sequential: X"]]
    moves = np.diff(starts, axis=0)
    values["sequential: tokens from a row's window to its next one"] = np.unique(moves).tolist()
    return DemoResult(values, {"partitions": _draw_partitions(cells)})


def _draw_partitions(cells):
    figure, panels = figures.new_figure(len(cells), 1, width=8, height=1.5)
    for axes, (way, grid) in zip(panels.flat, cells.items(), strict=True):
        axes.imshow(grid, aspect="auto", cmap="viridis")
        for (row, place), step in np.ndenumerate(grid):
            if np.isfinite(step):
                light = step < np.nanmax(grid) * 0.6
                color = "white" if light else "black"
                axes.text(place, row, int(step), ha="center", va="center", color=color, size=7)
        rows = list(range(len(grid)))
        axes.set(title=f"{way}: number of the batch", ylabel="row", yticks=rows)
    panels[-1, 0].set_xlabel("place in the sequence (tokens)")
    return figure
