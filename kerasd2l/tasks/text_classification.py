"""Text classification: words in, cross-entropy, the name of a class out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from kerasd2l import data, endpoints
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Data, Endpoint, Recipe
from kerasd2l.tasks.descent import PlainAdam

keras = lazy("keras")

EXAMPLE = (
    "this movie is so great",
    "this movie is so bad",
    "",
    "\u738b \U0001f600 \u05e9\u05dc\u05d5\u05dd",
)


@dataclass(frozen=True)
class Reviews:
    """Which reviews, and how they become numbers.

    Args:
        file: str, the folder or archive in DIR/sentiment; None: aclImdb, else the largest archive.
        num_steps: int >= 1, words of a review.
        min_freq: int >= 1, a rarer word is `<unk>`.
        words: "clean" (lower case, signs apart) or "book" (what stands between white space).
    """

    file: str | None = None
    num_steps: int = 500
    min_freq: int = 5
    words: Literal["clean", "book"] = "clean"


@dataclass(frozen=True)
class WordVectors:
    """Where the embedding of words begins.

    Args:
        vectors: str, a file of word vectors such as glove.6B.100d.txt; None: random ones, learned.
        embed_size: int >= 1, their width, where there is no file.
    """

    vectors: str | None = None
    embed_size: int = 100

    def arguments(self, vocabulary: list[str]) -> dict[str, Any]:
        """Return `embed_size` and `vectors` for a model with this vocabulary.

        Raises:
            DataError: the file is not right, or has none of the words.
        """
        if not self.vectors:
            return {"embed_size": self.embed_size, "vectors": None}
        found = data.TokenEmbedding.read(self.vectors, only=vocabulary)
        return {"embed_size": self.embed_size, "vectors": found[vocabulary]}


def text_classification(
    section: str,
    build: Callable[..., Any],
    *,
    reviews: Reviews,
    word_vectors: WordVectors,
    descent: PlainAdam,
    small_steps: bool = False,
) -> Recipe:
    """Make the recipe of a classifier of reviews.

    Args:
        section: str, the book's label.
        build: (vocab_size, num_classes=, embed_size=, vectors=) -> keras.Model with logits.
        reviews: the data.
        word_vectors: of the embedding.
        descent: the optimizer's numbers.
        small_steps: bool, as in Recipe.
    """
    return words_in_class_out(
        section,
        "imdb",
        lambda source: data.imdb.load(
            source,
            file=reviews.file,
            batch_size=descent.batch_size,
            num_steps=reviews.num_steps,
            min_freq=reviews.min_freq,
            words=reviews.words,
        ),
        build,
        word_vectors=word_vectors,
        descent=descent,
        signatures=endpoints.sentence_classifier(example=EXAMPLE),
        small_steps=small_steps,
    )


def words_in_class_out(
    section: str,
    dataset: str,
    load: Callable[[Any], Data],
    build: Callable[..., Any],
    *,
    word_vectors: WordVectors,
    descent: PlainAdam,
    signatures: tuple[Endpoint, ...],
    small_steps: bool = False,
) -> Recipe:
    """Make the recipe of any model that maps words, of one text or several, to a class.

    Args:
        section: str, the book's label.
        dataset: str, its name.
        load: (source) -> Data with `vocabulary` and `class_names` in its assets.
        build: (vocab_size, num_classes=, embed_size=, vectors=) -> keras.Model with logits.
        word_vectors: of the embedding.
        descent: the optimizer's numbers.
        signatures: of the served model.
        small_steps: bool, as in Recipe.
    """
    return Recipe(
        section=section,
        dataset=dataset,
        data=load,
        model=lambda d: build(
            len(d.assets["vocabulary"]),
            num_classes=len(d.assets["class_names"]),
            **word_vectors.arguments(d.assets["vocabulary"]),
        ),
        optimizer=descent.optimizer,
        loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=lambda: [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        epochs=descent.epochs,
        batch_size=descent.batch_size,
        endpoints=signatures,
        small_steps=small_steps,
    )
