"""Language models: a text in, the loss of its next token, and text out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from kerasd2l import data, endpoints, layers, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Expected, Recipe
from kerasd2l.tasks.descent import ClippedAdam, ClippedDescent

models = lazy("kerasd2l.models")
keras = lazy("keras")
metrics = lazy("kerasd2l.metrics")

PREFIX = "time traveller"  # the example of the served signatures


@dataclass(frozen=True)
class Corpus:
    """Which text, and how it is cut into batches.

    Args:
        corpus: "time_machine" or "shakespeare".
        token: "char" or "word".
        partition: "sequential" (row b of a batch goes on where it ended in the one before) or
            "random".
        max_tokens: int, tokens to train on, or None for all.
        held_out_tokens: int, tokens behind them to test on; 0: none.
        num_steps: int >= 1, tokens of a row of a batch.
    """

    corpus: Literal["time_machine", "shakespeare"] = "time_machine"
    token: Literal["char", "word"] = "char"
    partition: Literal["sequential", "random"] = "sequential"
    max_tokens: int | None = 10_000
    held_out_tokens: int = 5_000
    num_steps: int = 35


@dataclass(frozen=True)
class Network:
    """Recurrent layers on top of each other.

    Args:
        implementation: "concise" (layers of this library) or "scratch" (by hand).
        num_hiddens: int >= 1, units of every layer; None: 256, and 512 for the RNN by hand.
        num_layers: int >= 1.
        embed_size: int, width of the embedding; None: one-hot vectors.
    """

    implementation: Literal["concise", "scratch"] = "concise"
    num_hiddens: int | None = 256
    num_layers: int = 1
    embed_size: int | None = None

    @property
    def by_hand(self) -> bool:
        return self.implementation == "scratch"


@dataclass(frozen=True)
class Writing:
    """What the served model writes.

    Args:
        num_tokens: int, 0 to 10000, tokens behind the prefix.
        temperature: float >= 0; 0: always the most probable token.
    """

    num_tokens: int = 50
    temperature: float = 0.0


def language_model(
    section: str,
    cell: Literal["rnn", "gru", "lstm"],
    *,
    network: Network,
    corpus: Corpus,
    descent: ClippedDescent,
    writing: Writing,
    published: float | None = None,
    bidirectional: bool = False,
) -> Recipe:
    """Make the recipe of a language model.

    Args:
        section: str, the book's label.
        cell: the kind of its recurrent layers.
        network: their sizes.
        corpus: the text.
        descent: the optimizer's numbers.
        writing: of the served model.
        published: float, the book's training perplexity with these layers on its own text, or None.
        bidirectional: bool, let each layer read from both ends.

    Raises:
        ValueError: a size or `clip_norm` is not positive.
    """
    num_hiddens = usual_units(cell, network) if network.num_hiddens is None else network.num_hiddens
    _check_sizes(
        num_hiddens=num_hiddens, num_layers=network.num_layers, clip_norm=descent.clip_norm
    )
    carried = corpus.partition == "sequential"

    def build(vocab_size: int) -> Any:
        return models.language_model(
            vocab_size,
            _recurrent_layers(cell, num_hiddens, network, bidirectional),
            embed_size=network.embed_size,
            state="carried" if carried else "zero",
            batch_size=descent.batch_size,
            output_initializer=_small() if network.by_hand else "glorot_uniform",
            name=section.replace("-", "_"),
        )

    return next_token(
        section,
        build,
        corpus=corpus,
        descent=descent,
        writing=writing,
        carried=carried,
        expected=_expected(published, network, corpus, descent),
    )


def next_token(
    section: str,
    build: Callable[[int], Any],
    *,
    corpus: Corpus,
    descent: ClippedDescent | ClippedAdam,
    writing: Writing,
    carried: bool = False,
    expected: Expected | None = None,
) -> Recipe:
    """Make the recipe of any model that tells the next token.

    Args:
        section: str, the book's label.
        build: (vocab_size) -> keras.Model that `models.step_by_step` takes apart.
        corpus: the text.
        descent: the optimizer's numbers.
        writing: of the served model.
        carried: bool, the model carries a state from batch to batch.
        expected: the published figure, or None.
    """
    text = {"time_machine": data.time_machine, "shakespeare": data.shakespeare}[corpus.corpus]
    return Recipe(
        section=section,
        dataset=corpus.corpus,
        data=lambda source: text.load(
            source,
            batch_size=descent.batch_size,
            num_steps=corpus.num_steps,
            max_tokens=corpus.max_tokens,
            held_out_tokens=corpus.held_out_tokens,
            partition=corpus.partition,
            level=corpus.token,
            mark_start=carried,
        ),
        model=lambda d: build(len(d.assets["vocabulary"])),
        optimizer=descent.optimizer,
        loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=lambda: [metrics.Perplexity()],
        epochs=descent.epochs,
        batch_size=descent.batch_size,
        endpoints=endpoints.text_generator(
            lambda model: models.step_by_step(model),
            num_tokens=writing.num_tokens,
            temperature=writing.temperature,
            prefix=PREFIX,
        ),
        expected=expected,
        small_steps=True,
    )


def usual_units(cell: str, network: Network) -> int:
    """Return the book's number of units."""
    return 512 if cell == "rnn" and network.by_hand else 256


def _expected(
    published: float | None, network: Network, corpus: Corpus, descent: ClippedDescent
) -> Expected | None:
    """Return the published perplexity if the text and its encoding are the book's."""
    asked = (corpus.corpus, corpus.token, corpus.max_tokens, corpus.num_steps)
    book = asked == ("time_machine", "char", 10_000, 35)
    if published is None or not book or network.embed_size or descent.clip_norm != 1:
        return None
    return Expected("train_perplexity", published, published, "d2l-zh PyTorch, 500 epochs")


def _recurrent_layers(cell: str, num_hiddens: int, network: Network, both: bool) -> list[Any]:
    """Return the recurrent layers, bottom first; `both`: each reads from both ends."""
    concise = {"rnn": layers.SimpleRNN, "gru": layers.GRU, "lstm": layers.LSTM}
    by_hand = {"rnn": scratch.RNNScratch, "gru": scratch.GRUScratch, "lstm": scratch.LSTMScratch}
    make: Callable = by_hand[cell] if network.by_hand else concise[cell]
    stack = []
    for number in range(1, network.num_layers + 1):
        layer = make(num_hiddens, return_sequences=True, return_state=True, name=f"{cell}_{number}")
        if both:
            layer = keras.layers.Bidirectional(layer, name=f"bidirectional_{number}")
        stack.append(layer)
    return stack


def _check_sizes(**arguments: float) -> None:
    """Refuse what is not positive, by the name of the argument."""
    for name, value in arguments.items():
        if not 0 < value < float("inf"):
            raise ValueError(f"`{name}` must be positive. Received: {name}={value}.")


def _small() -> Any:
    """Return the initializer of the sections that start from scratch."""
    return keras.initializers.RandomNormal(stddev=0.01)
