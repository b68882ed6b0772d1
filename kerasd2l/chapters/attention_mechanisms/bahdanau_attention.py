"""10.4 Bahdanau attention."""

from __future__ import annotations

from typing import Any, Literal

from kerasd2l._lazy import lazy
from kerasd2l.recipe import Recipe
from kerasd2l.tasks.descent import ClippedAdam
from kerasd2l.tasks.translation import Network, Pairs, Search, translation

models = lazy("kerasd2l.models")


def bahdanau(
    *,
    cell: Literal["gru", "lstm"] = "gru",
    pairs: Pairs = Pairs(),
    network: Network = Network(),
    descent: ClippedAdam = ClippedAdam(epochs=250),
    search: Search = Search(),
) -> Recipe:
    """Train a recurrent translator whose decoder looks back at the source before each word.

    Section: "bahdanau-attention". The book's sizes: 600 pairs of at most 10 tokens, embedding 32,
    two layers of 32 units, dropout 0.1, Adam at 0.005, gradients clipped to norm 1. cell=lstm is
    the variant of the notes. The book's data is fra.txt (corpus=fra).
    Expected: book 0.021 as it prints it, a tenth of the mean over tokens (fra.txt).
    Command: kerasd2l train bahdanau --data builtin --export
    """

    def build(source_vocab_size: int, target_vocab_size: int) -> Any:
        return models.bahdanau(
            source_vocab_size,
            target_vocab_size,
            embed_size=network.embed_size,
            num_hiddens=network.num_hiddens,
            num_layers=network.num_layers,
            dropout_rate=network.dropout_rate,
            cell=cell,
        )

    return translation("bahdanau-attention", build, pairs=pairs, descent=descent, search=search)
