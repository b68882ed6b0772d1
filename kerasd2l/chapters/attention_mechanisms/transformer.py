"""10.7 The Transformer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from kerasd2l._lazy import lazy
from kerasd2l.recipe import Recipe
from kerasd2l.tasks.descent import ClippedAdam
from kerasd2l.tasks.translation import Pairs, Search, translation

models = lazy("kerasd2l.models")


@dataclass(frozen=True)
class Blocks:
    """An encoder and a decoder made of attention.

    Args:
        num_hiddens: int >= 1, width of the tokens' vectors.
        num_layers: int >= 1, blocks of each side.
        ffn_num_hiddens: int >= 1, width inside the network of a block.
        num_heads: int; it divides num_hiddens.
        dropout_rate: float in [0, 1).
        norm: "post" (behind each addition, as the book) or "pre".
    """

    num_hiddens: int = 32
    num_layers: int = 2
    ffn_num_hiddens: int = 64
    num_heads: int = 4
    dropout_rate: float = 0.1
    norm: Literal["post", "pre"] = "post"


def transformer(
    *,
    pairs: Pairs = Pairs(),
    blocks: Blocks = Blocks(),
    descent: ClippedAdam = ClippedAdam(epochs=200),
    search: Search = Search(),
) -> Recipe:
    """Train a Transformer to translate English into French.

    Section: "transformer". The book's sizes: 600 pairs of at most 10 tokens, two blocks of width
    32 on each side, 4 heads, dropout 0.1, Adam at 0.005, gradients clipped to norm 1. Its data is
    fra.txt (corpus=fra); Multi30k's captions are longer. In writing, every token is at its own
    position; the book's are all at position 0.
    Expected: book 0.030 as it prints it, a tenth of the mean over tokens (fra.txt).
    Command: kerasd2l train transformer --data builtin --export
    """

    def build(source_vocab_size: int, target_vocab_size: int) -> Any:
        return models.transformer(
            source_vocab_size,
            target_vocab_size,
            num_hiddens=blocks.num_hiddens,
            num_layers=blocks.num_layers,
            ffn_num_hiddens=blocks.ffn_num_hiddens,
            num_heads=blocks.num_heads,
            dropout_rate=blocks.dropout_rate,
            norm=blocks.norm,
        )

    return translation("transformer", build, pairs=pairs, descent=descent, search=search)
