"""Language models with gates, with depth, and with both directions: one too many."""

from __future__ import annotations

from kerasd2l.chapters._language_model import (
    Corpus,
    Implementation,
    Partition,
    Token,
    language_recipe,
)
from kerasd2l.recipe import Recipe


def gru_lm(
    *,
    implementation: Implementation = "concise",
    num_hiddens: int = 256,
    num_layers: int = 1,
    corpus: Corpus = "time_machine",
    token: Token = "char",
    partition: Partition = "sequential",
    embed_size: int | None = None,
    max_tokens: int | None = 10_000,
    held_out_tokens: int = 5_000,
    num_steps: int = 35,
    learning_rate: float = 1.0,
    clip_norm: float = 1.0,
    num_tokens: int = 50,
    temperature: float = 0.0,
    jit_compile: bool = False,
    batch_size: int = 32,
    epochs: int = 500,
) -> Recipe:
    """Train gated recurrent units to predict the next character of The Time Machine.

    Section: "gru". 256 units; the first 10,000 characters, one-hot; batches of 32 x 35; SGD at 1,
    gradients clipped to norm 1. By hand (implementation=scratch), the reset gate is applied before
    the product with the weights, as in the book; Keras' layer applies it afterwards.
    Expected: perplexity on the training text 1.0; by hand 1.1, 500 epochs (d2l-zh, PyTorch).
    Measured on the 5,000 characters that follow: 7.3 after 149 epochs, 91 after 500.
    Command: kerasd2l train gru_lm --data files --export
    """
    numbers = dict(locals())
    published = 1.1 if implementation == "scratch" else 1.0
    return language_recipe(
        "gru", "gru", published if (num_hiddens, num_layers) == (256, 1) else None, **numbers
    )


def lstm_lm(
    *,
    implementation: Implementation = "concise",
    num_hiddens: int = 256,
    num_layers: int = 1,
    corpus: Corpus = "time_machine",
    token: Token = "char",
    partition: Partition = "sequential",
    embed_size: int | None = None,
    max_tokens: int | None = 10_000,
    held_out_tokens: int = 5_000,
    num_steps: int = 35,
    learning_rate: float = 1.0,
    clip_norm: float = 1.0,
    num_tokens: int = 50,
    temperature: float = 0.0,
    jit_compile: bool = False,
    batch_size: int = 32,
    epochs: int = 500,
) -> Recipe:
    """Train long short-term memory to predict the next character of The Time Machine.

    Section: "lstm". 256 units; the first 10,000 characters, one-hot; batches of 32 x 35; SGD at 1,
    gradients clipped to norm 1. Keras' layer begins with forget gates of bias 1, PyTorch's and the
    one by hand with 0.
    Expected: perplexity on the training text 1.1; by hand 1.3, 500 epochs (d2l-zh, PyTorch).
    Measured on the 5,000 characters that follow: 8.3 after 123 epochs, 94 after 500.
    Command: kerasd2l train lstm_lm --data files --export
    """
    numbers = dict(locals())
    published = 1.3 if implementation == "scratch" else 1.1
    return language_recipe(
        "lstm", "lstm", published if (num_hiddens, num_layers) == (256, 1) else None, **numbers
    )


def deep_lstm_lm(
    *,
    implementation: Implementation = "concise",
    num_hiddens: int = 256,
    num_layers: int = 2,
    corpus: Corpus = "time_machine",
    token: Token = "char",
    partition: Partition = "sequential",
    embed_size: int | None = None,
    max_tokens: int | None = 10_000,
    held_out_tokens: int = 5_000,
    num_steps: int = 35,
    learning_rate: float = 2.0,
    clip_norm: float = 1.0,
    num_tokens: int = 50,
    temperature: float = 0.0,
    jit_compile: bool = False,
    batch_size: int = 32,
    epochs: int = 500,
) -> Recipe:
    """Train two layers of long short-term memory on The Time Machine, one on top of the other.

    Section: "deep-rnn". 2 x 256 units; the first 10,000 characters, one-hot; batches of 32 x 35;
    SGD at 2, gradients clipped to norm 1.
    Expected: perplexity on the training text 1.0, 500 epochs (d2l-zh, PyTorch).
    Command: kerasd2l train deep_lstm_lm --data files --export
    """
    numbers = dict(locals())
    as_published = (num_hiddens, num_layers, implementation) == (256, 2, "concise")
    return language_recipe("deep-rnn", "lstm", 1.0 if as_published else None, **numbers)


def bidirectional_lstm_lm(
    *,
    implementation: Implementation = "concise",
    num_hiddens: int = 256,
    num_layers: int = 2,
    corpus: Corpus = "time_machine",
    token: Token = "char",
    partition: Partition = "sequential",
    embed_size: int | None = None,
    max_tokens: int | None = 10_000,
    held_out_tokens: int = 5_000,
    num_steps: int = 35,
    learning_rate: float = 1.0,
    clip_norm: float = 1.0,
    num_tokens: int = 50,
    temperature: float = 0.0,
    jit_compile: bool = False,
    batch_size: int = 32,
    epochs: int = 500,
) -> Recipe:
    """Train a network that reads from both ends to predict the next character: the wrong tool.

    Section: "bi-rnn". Two bidirectional layers of 2 x 256 LSTM units; the first 10,000 characters,
    one-hot; batches of 32 x 35; SGD at 1, gradients clipped to norm 1. In training the backward
    direction has seen the very character that is asked for: the perplexity falls to 1 on any text
    and says nothing. When the network writes, there is no future to copy from, and out comes
    nonsense. The text so far is read anew for each character: slow, but what the network computes.
    Expected: perplexity on the training text 1.1, and "erererer" as text (d2l-zh, PyTorch).
    Command: kerasd2l train bidirectional_lstm_lm --data files --export
    """
    numbers = dict(locals())
    as_published = (num_hiddens, num_layers, implementation) == (256, 2, "concise")
    return language_recipe(
        "bi-rnn", "lstm", 1.1 if as_published else None, bidirectional=True, **numbers
    )
