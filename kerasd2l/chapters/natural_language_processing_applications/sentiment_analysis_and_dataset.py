"""15.1 Sentiment analysis and the data set."""

from __future__ import annotations

from kerasd2l import data, figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")


def review_lengths(
    *, source: data.Kind = "builtin", file: str | None = None, num_steps: int = 500
) -> Demo:
    """Read reviews of films, cut them into words and show how long they are.

    Section: "sentiment-analysis-and-dataset". IMDB's 25,000 training reviews, words as in the book,
    minimum frequency 5; the builtin stand-in are 1,600 reviews made from a small grammar.
    Expected: 25,000 reviews, 12,500 of them positive, in numbers (25000, 500) (d2l).
    Command: kerasd2l run review_lengths --set source=files --out figures
    """
    return Demo("sentiment-analysis-and-dataset", lambda: _show(source, file, num_steps))


def _show(source: str, file: str | None, num_steps: int) -> DemoResult:
    imdb = data.imdb
    reviews = imdb.reviews(source, file=file)["train"]
    lines = [imdb.TOKENIZERS["book"](review) for review, _ in reviews]
    vocab = data.Vocab(lines, min_freq=5, reserved_tokens=["<pad>"])
    ids = [data.truncate_pad(vocab[line], num_steps, vocab["<pad>"]) for line in lines]
    lengths = np.array([len(line) for line in lines])
    figure, panels = figures.new_figure(width=5.5, height=3.8)
    axes = panels[0, 0]
    axes.hist(lengths, bins=range(0, 1000, 50) if lengths.max() > 100 else 20)
    axes.set(title="Lengths of the reviews", xlabel="words in a review", ylabel="reviews (number)")
    values = {
        "reviews": len(reviews),
        "positive": sum(label for _, label in reviews),
        "first review": reviews[0][0][:60],
        "its label": imdb.CLASS_NAMES[reviews[0][1]],
        "words in the vocabulary": len(vocab),
        "shape of the numbers": list(np.shape(ids)),
        "mean length (words)": float(lengths.mean()),
        f"share of at most {num_steps} words": float(np.mean(lengths <= num_steps)),
    }
    return DemoResult(values, {"lengths": figure})
