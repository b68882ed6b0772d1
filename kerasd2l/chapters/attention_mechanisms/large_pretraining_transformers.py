"""10.9 Large-scale pre-training with Transformers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kerasd2l._lazy import lazy
from kerasd2l.recipe import Recipe
from kerasd2l.tasks.descent import ClippedAdam
from kerasd2l.tasks.language_model import Corpus, Writing, next_token

models = lazy("kerasd2l.models")


@dataclass(frozen=True)
class Blocks:
    """A Transformer that only writes.

    Args:
        num_hiddens: int >= 1, width of the tokens' vectors.
        num_layers: int >= 1, blocks.
        num_heads: int; it divides num_hiddens.
        dropout_rate: float in [0, 1).
    """

    num_hiddens: int = 128
    num_layers: int = 4
    num_heads: int = 4
    dropout_rate: float = 0.1


def gpt_lm(
    *,
    blocks: Blocks = Blocks(),
    corpus: Corpus = Corpus(
        partition="random", max_tokens=None, held_out_tokens=10_000, num_steps=128
    ),
    descent: ClippedAdam = ClippedAdam(0.001, batch_size=32, epochs=10),
    writing: Writing = Writing(),
) -> Recipe:
    """Train a decoder-only Transformer to predict the next character of The Time Machine.

    Section: "large-pretraining-transformers". The architecture of GPT-2 in small: four pre-norm
    blocks of width 128, causal attention over 128 characters, GELU, learned positions, the table of
    the embedding also as output; Adam at 0.001, gradients clipped to norm 1. The whole text but its
    last 10,000 characters; corpus=shakespeare is the other text.
    Expected: no figure is published; the section is text.
    Command: kerasd2l train gpt_lm --data files --export
    """

    def build(vocab_size: int) -> Any:
        return models.GPT(
            vocab_size,
            num_hiddens=blocks.num_hiddens,
            num_layers=blocks.num_layers,
            num_heads=blocks.num_heads,
            dropout_rate=blocks.dropout_rate,
            max_len=corpus.num_steps,
        )

    return next_token(
        "large-pretraining-transformers",
        build,
        corpus=corpus,
        descent=descent,
        writing=writing,
    )
