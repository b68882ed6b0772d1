"""Encoder, decoder and the translators made of them: recipes."""

from __future__ import annotations

from typing import Literal

from kerasd2l import data, endpoints
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Recipe

models = lazy("kerasd2l.models")
keras = lazy("keras")
metrics = lazy("kerasd2l.metrics")


def seq2seq_gru(
    *,
    corpus: Literal["multi30k", "fra"] = "multi30k",
    num_examples: int | None = 600,
    num_steps: int = 10,
    min_freq: int = 2,
    longer: Literal["cut", "drop"] = "cut",
    embed_size: int = 32,
    num_hiddens: int = 32,
    num_layers: int = 2,
    dropout_rate: float = 0.1,
    divide_by: Literal["tokens", "steps"] = "tokens",
    learning_rate: float = 0.005,
    clip_norm: float = 1.0,
    batch_size: int = 64,
    epochs: int = 300,
    beam_size: int = 4,
    length_exponent: float = 0.75,
) -> Recipe:
    """Train a GRU encoder and decoder to translate English into French, with teacher forcing.

    Section: "seq2seq". The book's sizes: 600 pairs of at most 10 tokens, embedding 32, two layers
    of 32 units, dropout 0.1, Adam at 0.005, gradients clipped to norm 1. Its data is fra.txt
    (corpus=fra); Multi30k's captions are longer. The loss is the mean over real tokens;
    divide_by=steps is the book's, divided by all B x T places. The book prints the latter's sum
    over the number of real tokens, a tenth of the mean over tokens.
    For translations that can be read take more: num_examples=15000 num_steps=16 longer=drop
    min_freq=3 embed_size=128 num_hiddens=256 dropout_rate=0.2 batch_size=128 learning_rate=0.002
    and 12 epochs of Multi30k, test perplexity 8.9; for dates num_examples=none num_steps=8
    min_freq=1 embed_size=64 num_hiddens=128 num_layers=1 and 40 epochs, test perplexity 1.002.
    Expected: book 0.019 to 0.029 as it prints it, which is 0.19 to 0.29 a token (fra.txt).
    Command: kerasd2l train seq2seq_gru --data builtin --export
    """
    return _translator("gru", True, **locals())


def seq2seq_lstm(
    *,
    corpus: Literal["multi30k", "fra"] = "multi30k",
    num_examples: int | None = 600,
    num_steps: int = 10,
    min_freq: int = 2,
    longer: Literal["cut", "drop"] = "cut",
    embed_size: int = 32,
    num_hiddens: int = 32,
    num_layers: int = 2,
    dropout_rate: float = 0.1,
    divide_by: Literal["tokens", "steps"] = "tokens",
    use_context: bool = False,
    learning_rate: float = 0.005,
    clip_norm: float = 1.0,
    batch_size: int = 64,
    epochs: int = 300,
    beam_size: int = 4,
    length_exponent: float = 0.75,
) -> Recipe:
    """Train an LSTM encoder and decoder: the variant of the notes, without the repeated context.

    Section: "seq2seq". All as in seq2seq_gru, but the encoder hands over its states (hidden and
    cell) at the beginning only; use_context=true joins the last one to every step as there.
    Expected: no figure is published for this variant.
    Command: kerasd2l train seq2seq_lstm --data builtin --export
    """
    return _translator("lstm", **locals())


def _translator(
    cell: str,
    use_context: bool,
    *,
    corpus: str,
    num_examples: int | None,
    num_steps: int,
    min_freq: int,
    longer: str,
    embed_size: int,
    num_hiddens: int,
    num_layers: int,
    dropout_rate: float,
    divide_by: str,
    learning_rate: float,
    clip_norm: float,
    batch_size: int,
    epochs: int,
    beam_size: int,
    length_exponent: float,
) -> Recipe:
    if clip_norm <= 0:
        raise ValueError(f"`clip_norm` must be positive. Received: clip_norm={clip_norm}.")

    def network(loaded):
        return models.seq2seq(
            len(loaded.assets["source_vocabulary"]),
            len(loaded.assets["target_vocabulary"]),
            embed_size=embed_size,
            num_hiddens=num_hiddens,
            num_layers=num_layers,
            dropout_rate=dropout_rate,
            cell=cell,
            use_context=use_context,
            name=f"seq2seq_{cell}",
        )

    return Recipe(
        section="seq2seq",
        dataset="translation",
        data=lambda source: data.translation.load(
            source,
            corpus=corpus,
            batch_size=batch_size,
            num_steps=num_steps,
            num_examples=num_examples,
            min_freq=min_freq,
            longer=longer,
            weights=divide_by,
        ),
        model=network,
        optimizer=lambda: keras.optimizers.Adam(
            learning_rate, epsilon=1e-8, global_clipnorm=clip_norm
        ),
        # the weights that come with the labels leave out the padding
        loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=lambda: [metrics.Perplexity(ignore_id=data.translation.PAD)],
        epochs=epochs,
        batch_size=batch_size,
        endpoints=endpoints.translator(beam_size=beam_size, length_exponent=length_exponent),
        intra_op_threads=1,  # measured: the book's sizes train 1.4 times as quickly
    )
