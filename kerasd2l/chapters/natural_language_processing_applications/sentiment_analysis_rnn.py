"""15.2 Sentiment analysis with recurrent neural networks."""

from __future__ import annotations

from typing import Any

from kerasd2l._lazy import lazy
from kerasd2l.recipe import Recipe
from kerasd2l.tasks.descent import PlainAdam
from kerasd2l.tasks.text_classification import Reviews, WordVectors, text_classification

models = lazy("kerasd2l.models")


def birnn(
    *,
    num_hiddens: int = 100,
    num_layers: int = 2,
    reviews: Reviews = Reviews(),
    word_vectors: WordVectors = WordVectors(),
    descent: PlainAdam = PlainAdam(learning_rate=0.01),
) -> Recipe:
    """Train two bidirectional LSTM layers to tell whether a review praises or blames a film.

    Section: "sentiment-analysis-rnn". IMDB's 25,000 + 25,000 reviews, 500 words each, batches of
    64; an embedding of 100 that is learned, or GloVe's that is not (--set
    vectors=glove.6B.100d.txt), two layers of 100 units, Adam at 0.01, 5 epochs. Padding changes
    nothing; the book's model reads it. The builtin stand-in are 1,600 + 400 reviews made from a
    small grammar.
    Expected: book, with GloVe, train loss 0.262-0.277, test accuracy 0.861-0.864 (25,000 reviews).
    Command: kerasd2l train birnn --data builtin --export
    """

    def build(vocab_size: int, **arguments: Any) -> Any:
        return models.birnn(vocab_size, num_hiddens=num_hiddens, num_layers=num_layers, **arguments)

    return text_classification(
        "sentiment-analysis-rnn",
        build,
        reviews=reviews,
        word_vectors=word_vectors,
        descent=descent,
    )
