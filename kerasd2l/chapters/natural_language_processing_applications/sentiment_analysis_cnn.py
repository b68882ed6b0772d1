"""15.3 Sentiment analysis with convolutional neural networks."""

from __future__ import annotations

from typing import Any

from kerasd2l import scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult, Recipe
from kerasd2l.tasks.descent import PlainAdam
from kerasd2l.tasks.text_classification import Reviews, WordVectors, text_classification

models = lazy("kerasd2l.models")
np = lazy("numpy")


def textcnn(
    *,
    kernel_sizes: tuple[int, ...] = (3, 4, 5),
    num_channels: tuple[int, ...] = (100, 100, 100),
    dropout_rate: float = 0.5,
    reviews: Reviews = Reviews(),
    word_vectors: WordVectors = WordVectors(),
    descent: PlainAdam = PlainAdam(learning_rate=0.001),
) -> Recipe:
    """Train convolutions over words to tell whether a review praises or blames a film.

    Section: "sentiment-analysis-cnn". IMDB's 25,000 + 25,000 reviews, 500 words each, batches of
    64; two embeddings of 100, one learned and one fixed, kernels of 3, 4 and 5 words with 100
    channels each, their maximum over time (the book's PyTorch code takes the average), dropout
    0.5, Adam at 0.001, 5 epochs. Padding changes nothing. The builtin stand-in are 1,600 + 400
    reviews made from a small grammar.
    Expected: book, with GloVe, train loss 0.066, test accuracy 0.861-0.868 (25,000 reviews).
    Command: kerasd2l train textcnn --data builtin --export
    """

    def build(vocab_size: int, **arguments: Any) -> Any:
        return models.textcnn(
            vocab_size,
            kernel_sizes=kernel_sizes,
            num_channels=num_channels,
            dropout_rate=dropout_rate,
            **arguments,
        )

    return text_classification(
        "sentiment-analysis-cnn",
        build,
        reviews=reviews,
        word_vectors=word_vectors,
        descent=descent,
    )


def one_dimensional_convolution() -> Demo:
    """Slide kernels along a sequence, with one channel and with several, as the section does.

    Section: "sentiment-analysis-cnn". Several channels in one dimension are one channel in two.
    Expected: 2, 5, 8, 11, 14, 17 and 2, 8, 14, 20, 26, 32 (d2l).
    Command: kerasd2l run one_dimensional_convolution
    """
    return Demo("sentiment-analysis-cnn", _slide)


def _slide() -> DemoResult:
    steps = np.arange(7.0)
    X = np.stack([steps, steps + 1, steps + 2], axis=1)  # (T, C)
    K = np.array([[1.0, 3.0, -1.0], [2.0, 4.0, -3.0]])  # (k, C)
    found = scratch.corr1d_multi_in(X, K)
    plane = scratch.corr2d(X, K)
    return DemoResult(
        {
            "one channel": scratch.corr1d(steps, np.array([1.0, 2.0])).numpy().tolist(),
            "three channels": found.numpy().tolist(),
            "the same in two dimensions": plane.numpy()[:, 0].tolist(),
        }
    )
