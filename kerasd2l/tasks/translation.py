"""Translation: sentence pairs in, the loss of real tokens, sentences out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from kerasd2l import data, endpoints
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Recipe
from kerasd2l.tasks.descent import ClippedAdam

models = lazy("kerasd2l.models")
keras = lazy("keras")
metrics = lazy("kerasd2l.metrics")


@dataclass(frozen=True)
class Pairs:
    """Which sentence pairs, and how they become numbers.

    Args:
        corpus: "multi30k" (captions) or "fra" (the book's fra.txt).
        num_examples: int, pairs to train on, or None for all.
        num_steps: int >= 2, tokens of a sentence.
        min_freq: int >= 1, a rarer word is `<unk>`.
        longer: what happens to longer sentences: "cut" or "drop".
        divide_by: the loss is the mean over "tokens", or over all "steps", padding included.
    """

    corpus: Literal["multi30k", "fra"] = "multi30k"
    num_examples: int | None = 600
    num_steps: int = 10
    min_freq: int = 2
    longer: Literal["cut", "drop"] = "cut"
    divide_by: Literal["tokens", "steps"] = "tokens"


@dataclass(frozen=True)
class Network:
    """An encoder and a decoder of the same sizes.

    Args:
        embed_size: int >= 1, width of the embeddings.
        num_hiddens: int >= 1, units of every recurrent layer.
        num_layers: int >= 1.
        dropout_rate: float in [0, 1), between the layers.
    """

    embed_size: int = 32
    num_hiddens: int = 32
    num_layers: int = 2
    dropout_rate: float = 0.1


@dataclass(frozen=True)
class Search:
    """How the served model searches.

    Args:
        beam_size: int, 1 to 100; 1 is the greedy choice.
        length_exponent: float >= 0, a larger one favours long translations.
    """

    beam_size: int = 4
    length_exponent: float = 0.75


def recurrent(
    cell: Literal["gru", "lstm"], network: Network, *, use_context: bool = True
) -> Callable[[int, int], Any]:
    """Return the builder of a recurrent translator.

    Args:
        cell: the kind of its layers.
        network: their sizes.
        use_context: bool, join the encoder's last state to every step of the decoder.
    """

    def build(source_vocab_size: int, target_vocab_size: int) -> Any:
        return models.seq2seq(
            source_vocab_size,
            target_vocab_size,
            embed_size=network.embed_size,
            num_hiddens=network.num_hiddens,
            num_layers=network.num_layers,
            dropout_rate=network.dropout_rate,
            cell=cell,
            use_context=use_context,
            name=f"seq2seq_{cell}",
        )

    return build


def translation(
    section: str,
    build: Callable[[int, int], Any],
    *,
    pairs: Pairs,
    descent: ClippedAdam,
    search: Search,
) -> Recipe:
    """Make the recipe of a translator.

    Args:
        section: str, the book's label.
        build: (source_vocab_size, target_vocab_size) -> models.EncoderDecoder.
        pairs: the data.
        descent: the optimizer's numbers.
        search: of the served model.

    Raises:
        ValueError: `clip_norm` is not positive.
    """
    if descent.clip_norm <= 0:
        raise ValueError(f"`clip_norm` must be positive. Received: clip_norm={descent.clip_norm}.")

    return Recipe(
        section=section,
        dataset="translation",
        data=lambda source: data.translation.load(
            source,
            corpus=pairs.corpus,
            batch_size=descent.batch_size,
            num_steps=pairs.num_steps,
            num_examples=pairs.num_examples,
            min_freq=pairs.min_freq,
            longer=pairs.longer,
            weights=pairs.divide_by,
        ),
        model=lambda d: build(
            len(d.assets["source_vocabulary"]), len(d.assets["target_vocabulary"])
        ),
        optimizer=descent.optimizer,
        # the weights that come with the labels leave out the padding
        loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=lambda: [metrics.Perplexity(ignore_id=data.translation.PAD)],
        epochs=descent.epochs,
        batch_size=descent.batch_size,
        endpoints=endpoints.translator(
            beam_size=search.beam_size, length_exponent=search.length_exponent
        ),
        small_steps=True,  # measured: the book's sizes train 1.4 times as quickly
    )
