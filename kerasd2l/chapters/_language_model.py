"""The recipe of a language model, which two chapters make with numbers of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from kerasd2l import data, endpoints, layers, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Expected, Recipe

models = lazy("kerasd2l.models")
keras = lazy("keras")
metrics = lazy("kerasd2l.metrics")

Corpus = Literal["time_machine", "shakespeare"]
Token = Literal["char", "word"]
Partition = Literal["sequential", "random"]
Implementation = Literal["concise", "scratch"]
Cell = Literal["rnn", "gru", "lstm"]
PREFIX = "time traveller"


def language_recipe(
    section: str,
    cell: Cell,
    published: float | None,
    *,
    implementation: Implementation,
    num_hiddens: int,
    num_layers: int,
    corpus: str,
    token: str,
    partition: str,
    embed_size: int | None,
    max_tokens: int | None,
    held_out_tokens: int,
    num_steps: int,
    learning_rate: float,
    clip_norm: float,
    num_tokens: int,
    temperature: float,
    batch_size: int,
    epochs: int,
    bidirectional: bool = False,
) -> Recipe:
    """Make the recipe of a language model.

    `section` is the book's label, `published` its perplexity with these layers, if it has one; all
    else is as in the chapters' recipes.

    Raises:
        ValueError: a size or `clip_norm` is not positive.
    """
    _check_sizes(num_hiddens=num_hiddens, num_layers=num_layers, clip_norm=clip_norm)
    corpora = {"time_machine": data.time_machine, "shakespeare": data.shakespeare}
    by_hand, carried = implementation == "scratch", partition == "sequential"
    text = (corpus, token, max_tokens, num_steps, embed_size, clip_norm)
    expected = None
    if published is not None and text == ("time_machine", "char", 10_000, 35, None, 1.0):
        expected = Expected("train_perplexity", published, published, "d2l-zh PyTorch, 500 epochs")
    return Recipe(
        section=section,
        dataset=corpus,
        data=lambda source: corpora[corpus].load(
            source,
            batch_size=batch_size,
            num_steps=num_steps,
            max_tokens=max_tokens,
            held_out_tokens=held_out_tokens,
            partition=partition,
            level=token,
            mark_start=carried,
        ),
        model=lambda d: models.language_model(
            len(d.assets["vocabulary"]),
            _recurrent_layers(cell, num_hiddens, num_layers, implementation, bidirectional),
            embed_size=embed_size,
            state="carried" if carried else "zero",
            batch_size=batch_size,
            output_initializer=_small() if by_hand else "glorot_uniform",
            name=section.replace("-", "_"),
        ),
        optimizer=lambda: keras.optimizers.SGD(learning_rate, global_clipnorm=clip_norm),
        loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=lambda: [metrics.Perplexity()],
        epochs=epochs,
        batch_size=batch_size,
        endpoints=endpoints.text_generator(
            lambda *inputs, **settings: models.generate(*inputs, **settings),
            num_tokens=num_tokens,
            temperature=temperature,
            prefix=PREFIX,
        ),
        expected=expected,
        small_steps=True,
    )


def _recurrent_layers(
    cell: Cell, num_hiddens: int, num_layers: int, implementation: Implementation, both: bool
) -> list[Any]:
    """Return the recurrent layers, bottom first; `both`: each reads from both ends."""
    concise = {"rnn": layers.SimpleRNN, "gru": layers.GRU, "lstm": layers.LSTM}
    by_hand = {"rnn": scratch.RNNScratch, "gru": scratch.GRUScratch, "lstm": scratch.LSTMScratch}
    make: Callable = by_hand[cell] if implementation == "scratch" else concise[cell]
    found = []
    for number in range(1, num_layers + 1):
        layer = make(num_hiddens, return_sequences=True, return_state=True, name=f"{cell}_{number}")
        if both:
            layer = keras.layers.Bidirectional(layer, name=f"bidirectional_{number}")
        found.append(layer)
    return found


def _check_sizes(**arguments: float) -> None:
    """Refuse what is not positive, by the name of the argument."""
    for name, value in arguments.items():
        if not 0 < value < float("inf"):
            raise ValueError(f"`{name}` must be positive. Received: {name}={value}.")


def _small() -> Any:
    """Return the initializer of the sections that start from scratch."""
    return keras.initializers.RandomNormal(stddev=0.01)
