"""15.5 Natural language inference with attention."""

from __future__ import annotations

from typing import Any

from kerasd2l._lazy import lazy
from kerasd2l.recipe import Recipe
from kerasd2l.tasks.descent import PlainAdam
from kerasd2l.tasks.natural_language_inference import SentencePairs, natural_language_inference
from kerasd2l.tasks.text_classification import WordVectors

models = lazy("kerasd2l.models")


def decomposable_attention(
    *,
    num_hiddens: int = 200,
    dropout_rate: float = 0.2,
    pairs: SentencePairs = SentencePairs(),
    word_vectors: WordVectors = WordVectors(),
    descent: PlainAdam = PlainAdam(learning_rate=0.001, batch_size=256, epochs=4),
) -> Recipe:
    """Train decomposable attention to tell whether a sentence follows from another one.

    Section: "natural-language-inference-attention". SNLI's 549,367 + 9,824 pairs of at most 50
    words, batches of 256; an embedding of 100 that begins at random or with vectors of a file
    (--set vectors=glove.6B.100d.txt), dense layers of 200 units with dropout 0.2, Adam at 0.001, 4
    epochs. Padding changes nothing; the book's model attends to it. corpus=sick reads SICK, with a
    split of its own; corpus=snli_parts trains on a part of SNLI's dev set. The builtin stand-in are
    3,201 + 801 pairs about journeys.
    Expected: book, with GloVe, train loss 0.496, test accuracy 0.828 (d2l-en, SNLI).
    Command: kerasd2l train decomposable_attention --data builtin --export
    """

    def build(vocab_size: int, **arguments: Any) -> Any:
        return models.decomposable_attention(
            vocab_size, num_hiddens=num_hiddens, dropout_rate=dropout_rate, **arguments
        )

    return natural_language_inference(
        "natural-language-inference-attention",
        build,
        pairs=pairs,
        word_vectors=word_vectors,
        descent=descent,
    )
