"""15.4 Natural language inference and the data set."""

from __future__ import annotations

from typing import Any, Literal

from kerasd2l import data, figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")


def inference_pairs(
    *,
    source: data.Kind = "builtin",
    corpus: Literal["snli", "snli_parts", "sick"] = "snli",
) -> Demo:
    """Read pairs of sentences, show some, and count what is said of them.

    Section: "natural-language-inference-and-dataset". SNLI's pairs as the book reads them, from the
    parses and without those that have no gold label; the builtin stand-in are 3,201 + 801 pairs
    about journeys.
    Expected: 549,367 + 9,824 pairs; entailment, contradiction, neutral 183,416, 183,187, 182,764
    and 3,368, 3,237, 3,219; 18,678 words (d2l).
    Command: kerasd2l run inference_pairs --set source=builtin --out figures
    """
    return Demo("natural-language-inference-and-dataset", lambda: _show(source, corpus))


def _show(source: str, corpus: data.snli.Corpus) -> DemoResult:
    names = data.snli.CLASS_NAMES
    values: dict[str, Any] = {}
    sides: dict[str, list[int]] = {}
    for split, pairs in data.snli.pairs(source, corpus=corpus, parsed=True).items():
        counts = [0] * len(names)
        lengths: dict[str, list[int]] = {"premise": [], "hypothesis": []}
        for premise, hypothesis, label in pairs:
            first = f"{split}: first pair of {names[label]}"
            if not counts[label]:
                values[first] = [premise, hypothesis]
            counts[label] += 1
            for side, sentence in (("premise", premise), ("hypothesis", hypothesis)):
                lengths[side].append(len(sentence.split()))
        values |= {f"{split}: {name}": n for name, n in zip(names, counts, strict=True)}
        sides = sides or lengths  # of the training pairs, which come first
    figure, panels = figures.new_figure(width=5.5, height=3.8)
    axes = panels[0, 0]
    edges = np.arange(0.5, max(map(max, sides.values())) + 1.5)
    axes.hist(list(sides.values()), edges, label=list(sides))
    axes.set(
        title="Lengths of the sentences", xlabel="words in a sentence", ylabel="sentences (number)"
    )
    axes.legend()
    return DemoResult(values, {"lengths": figure})
