"""Natural language inference: two sentences in, whether the second follows from the first out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from kerasd2l import data, endpoints
from kerasd2l.recipe import Recipe
from kerasd2l.tasks.descent import PlainAdam
from kerasd2l.tasks.text_classification import WordVectors, words_in_class_out

EXAMPLE = (
    ("he is good .", "he is bad ."),
    ("The journey to Chile begins in May.", "It begins before June."),
    ("", ""),
    ("", "\u738b \U0001f600"),
)


@dataclass(frozen=True)
class SentencePairs:
    """Which pairs of sentences, and how they become numbers.

    Args:
        corpus: "snli", "snli_parts" (its dev part to train on) or "sick".
        num_steps: int >= 1, words of a sentence.
        min_freq: int >= 1, a rarer word is `<unk>`.
        words: "clean" (lower case, signs apart) or "book" (the words of SNLI's parses).
    """

    corpus: Literal["snli", "snli_parts", "sick"] = "snli"
    num_steps: int = 50
    min_freq: int = 5
    words: Literal["clean", "book"] = "clean"


def natural_language_inference(
    section: str,
    build: Callable[..., Any],
    *,
    pairs: SentencePairs,
    word_vectors: WordVectors,
    descent: PlainAdam,
) -> Recipe:
    """Make the recipe of a classifier of pairs.

    Args:
        section: str, the book's label.
        build: (vocab_size, num_classes=, embed_size=, vectors=) -> keras.Model with logits.
        pairs: the data.
        word_vectors: of the embedding.
        descent: the optimizer's numbers.
    """
    return words_in_class_out(
        section,
        "snli",
        lambda source: data.snli.load(
            source,
            corpus=pairs.corpus,
            batch_size=descent.batch_size,
            num_steps=pairs.num_steps,
            min_freq=pairs.min_freq,
            words=pairs.words,
        ),
        build,
        word_vectors=word_vectors,
        descent=descent,
        signatures=endpoints.pair_classifier(example=EXAMPLE),
    )
