"""8.6 Concise recurrent neural networks."""

from __future__ import annotations

from kerasd2l.recipe import Recipe
from kerasd2l.tasks.descent import ClippedDescent
from kerasd2l.tasks.language_model import (
    Corpus,
    Network,
    Writing,
    language_model,
    usual_units,
)


def rnn_lm(
    *,
    network: Network = Network(num_hiddens=None),
    corpus: Corpus = Corpus(),
    descent: ClippedDescent = ClippedDescent(),
    writing: Writing = Writing(),
) -> Recipe:
    """Train a recurrent network to predict the next character of The Time Machine.

    Section: "rnn-concise"; with implementation=scratch "rnn-scratch". 10,000 characters, one-hot;
    batches of 32 x 35; SGD at 1, gradients clipped to norm 1. `num_hiddens` none means the book's:
    256, by hand 512. The 5,000 characters that follow are held out, which the book's are not: so
    small a text is learned by heart.
    Expected: perplexity on the training text 1.3; by hand 1.0 with sequential and 1.5 with random
    partitioning, 500 epochs (d2l-zh, PyTorch). Measured on the held-out text: 9.6 after 19 epochs,
    63 after 500. Served: the beginning of a text in, the text out.
    Command: kerasd2l train rnn_lm --data files --export
    """
    usual = usual_units("rnn", network)
    published = {(True, "sequential"): 1.0, (True, "random"): 1.5, (False, "sequential"): 1.3}
    as_published = network.num_hiddens in (None, usual) and network.num_layers == 1
    return language_model(
        f"rnn-{network.implementation}",
        "rnn",
        network=network,
        corpus=corpus,
        descent=descent,
        writing=writing,
        published=published.get((network.by_hand, corpus.partition)) if as_published else None,
    )
