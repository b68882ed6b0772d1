"""9.5 Machine translation and the data set."""

from __future__ import annotations

from typing import Literal

from kerasd2l import data, figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")


def translation_lengths(
    *,
    source: data.Kind = "builtin",
    corpus: Literal["multi30k", "fra"] = "multi30k",
    num_steps: int = 10,
) -> Demo:
    """Clean English-French sentence pairs, cut them into words, and show how long they are.

    Section: "machine-translation-and-dataset". Multi30k's 29,000 captions, or the book's fra.txt
    with --set corpus=fra; the builtin stand-in is 4,575 dates and amounts.
    Expected: most of the book's pairs have fewer than 20 words; its English vocabulary with
    minimum frequency 2 has 10,012 words (d2l-zh).
    Command: kerasd2l run translation_lengths --set source=files --out figures
    """
    if num_steps < 2:
        raise ValueError(f"`num_steps` must be at least 2. Received: num_steps={num_steps}.")
    return Demo("machine-translation-and-dataset", lambda: _show_lengths(source, corpus, num_steps))


def _show_lengths(source: str, corpus: str, num_steps: int) -> DemoResult:
    translation = data.translation
    pairs = translation.pairs(source, corpus=corpus)["train"]
    sides = dict(zip(("English", "French"), translation.tokenize_pairs(pairs), strict=True))
    values, lengths = {"pairs": len(pairs), "first pair": list(pairs[0])}, {}
    for language, lines in sides.items():
        vocab = data.Vocab(lines, min_freq=2, reserved_tokens=translation.RESERVED)
        _, valid = translation.build_array(lines[:1], vocab, num_steps)
        ids = data.truncate_pad([*vocab[lines[0]], vocab["<eos>"]], num_steps, vocab["<pad>"])
        lengths[language] = np.array([len(line) for line in lines])
        values |= {
            f"{language}: first sentence": lines[0],
            f"{language}: in numbers, with <eos>, cut or padded": ids,
            f"{language}: its valid length": int(valid[0]),
            f"{language}: words in the vocabulary": len(vocab),
            f"{language}: mean length (words)": float(lengths[language].mean()),
            f"{language}: share of sentences below 20 words": float(
                np.mean(lengths[language] < 20)
            ),
        }
    figure, panels = figures.new_figure(width=5.5, height=3.8)
    axes = panels[0, 0]
    edges = np.arange(0.5, max(map(np.max, lengths.values())) + 1.5)
    axes.hist(list(lengths.values()), edges, label=list(lengths))
    axes.set(
        title="Lengths of the sentences", xlabel="words in a sentence", ylabel="sentences (number)"
    )
    axes.legend()
    return DemoResult(values, {"lengths": figure})
