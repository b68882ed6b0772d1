"""8.5 Recurrent neural networks from scratch."""

from __future__ import annotations

from typing import Any

from kerasd2l import data, figures, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult, Recipe
from kerasd2l.tasks.descent import ClippedDescent
from kerasd2l.tasks.language_model import Corpus, Network, Writing, language_model

keras = lazy("keras")
np = lazy("numpy")
tf = lazy("tensorflow")


def rnn_scratch_lm(
    *,
    network: Network = Network("scratch", num_hiddens=512),
    corpus: Corpus = Corpus(),
    descent: ClippedDescent = ClippedDescent(),
    writing: Writing = Writing(),
) -> Recipe:
    """Train the section's recurrent network by hand to predict the next character.

    Section: "rnn-scratch". 512 units, weights from N(0, 0.01^2); 10,000 characters of The Time
    Machine, one-hot; batches of 32 x 35; SGD at 1, gradients clipped to norm 1.
    Expected: perplexity on the training text 1.0 with sequential and 1.5 with random partitioning,
    500 epochs (d2l-zh, PyTorch).
    Command: kerasd2l train rnn_scratch_lm --data files --export
    """
    as_published = network == Network("scratch", num_hiddens=512)
    perplexity = 1.0 if corpus.partition == "sequential" else 1.5
    return language_model(
        "rnn-scratch",
        "rnn",
        network=network,
        corpus=corpus,
        descent=descent,
        writing=writing,
        published=perplexity if as_published else None,
    )


def rnn_from_scratch(
    *,
    source: data.Kind = "builtin",
    units: int = 64,
    stddev: float = 0.2,
    learning_rate: float = 1.0,
    theta: float = 1.0,
    epochs: int = 10,
    seed: int = 0,
) -> Demo:
    """Train a language model with a loop of its own, with and without gradient clipping.

    Section: "rnn-scratch". First the section's sizes: tokens (2, 5) as one-hot vectors of 28, an
    untrained network of 512 units. Then The Time Machine (builtin: the text of Python's help), its
    first 10,000 characters in sequential batches of 32 x 35: the state goes from batch to batch,
    its gradient does not; plain SGD. The weights begin with a standard deviation of 0.2, so that
    gradients explode at once; from the book's 0.01 none was longer than 1 in 100 epochs of the
    builtin text. Figure: perplexity, and the gradients' global norm.
    Expected: output (10, 28), state (2, 512), 291,356 parameters; with clipping the perplexity
    falls, without it is far above that of an even guess, 28. The recipe `rnn_lm` trains in full.
    Command: kerasd2l run rnn_from_scratch --out figures
    """
    for name, value in (("units", units), ("epochs", epochs)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")
    for name, number in (("stddev", stddev), ("theta", theta)):
        if not number > 0:
            raise ValueError(f"`{name}` must be positive. Received: {name}={number}.")

    def network(vocab_size: int) -> Any:
        return scratch.RNNModelScratch(vocab_size, units, stddev=stddev, seed=seed)

    return Demo("rnn-scratch", lambda: _from_scratch(source, network, learning_rate, theta, epochs))


def _from_scratch(source, network, learning_rate, theta, epochs) -> DemoResult:
    batches = data.time_machine.load(
        source, batch_size=32, num_steps=35, held_out_tokens=0, partition="sequential"
    )
    values: dict[str, Any] = _sizes()
    curves: dict[str, tuple[list[float], list[float]]] = {}
    for name, limit in ((f"clipped at {theta:g}", theta), ("not clipped", None)):
        model = network(len(batches.assets["vocabulary"]))
        perplexities, norms = _train(model, batches, learning_rate, limit, epochs)
        curves[name] = perplexities, norms
        values[name] = {
            "perplexity of the first epoch": perplexities[0],
            "perplexity of the last epoch": perplexities[-1],
            "longest gradient": float(np.max(norms)),
            "share of gradients longer than theta": float(np.mean(np.array(norms) > theta)),
        }
    return DemoResult(values, {"clipping": _draw(curves, theta)})


def _sizes() -> dict[str, Any]:
    """Return the section's shapes, batch first."""
    model = scratch.RNNModelScratch(28, 512)
    tokens = np.arange(10).reshape(2, 5)
    logits, state = model.forward(tokens, model.begin_state(2))
    return {
        "one-hot tokens": list(keras.ops.one_hot(tokens, 28).shape),
        "output, all steps below each other": [logits.shape[0] * logits.shape[1], logits.shape[2]],
        "state": [list(H.shape) for H in state],
        "parameters": model.count_params(),
    }


def _train(model, batches, learning_rate: float, theta: float | None, epochs: int):
    """Train as the section does; return the perplexity of each epoch, the norm of each step."""

    @tf.function(autograph=False)
    def step(X, Y, state):
        with tf.GradientTape() as tape:
            logits, state = model.forward(X, state)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(Y, logits)  # (B, T)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, [weight.value for weight in params])
        norm = scratch.global_norm(gradients)
        if theta is not None:
            gradients = scratch.grad_clipping(gradients, theta)
        for weight, gradient in zip(params, gradients, strict=True):
            weight.assign(weight - learning_rate * gradient)
        return loss, norm, state  # a value: the next batch sends no gradient back into it

    model.build((None, None))
    params = model.get_params()
    perplexities, norms = [], []
    for epoch in range(epochs):
        state, losses = None, []
        for X, Y in batches.epoch(epoch):
            state = model.begin_state(X.shape[0]) if state is None else state
            loss, norm, state = step(X, Y, state)
            losses.append(float(loss))
            norms.append(float(norm))
        with np.errstate(over="ignore"):
            perplexities.append(float(np.exp(np.mean(losses))))
    return perplexities, norms


def _draw(curves, theta: float):
    figure, ((left, right),) = figures.new_figure(1, 2)
    for (name, (perplexities, norms)), style in zip(curves.items(), ("-", "--"), strict=True):
        left.semilogy(np.arange(1, len(perplexities) + 1), perplexities, style, label=name)
        right.semilogy(np.arange(1, len(norms) + 1), norms, style, label=name, linewidth=0.9)
    right.axhline(theta, color="black", linestyle=":", label=f"theta = {theta:g}")
    left.set(title="Perplexity of the training", xlabel="epoch", ylabel="perplexity")
    right.set(title="Gradient before clipping", xlabel="step", ylabel="global norm")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return figure
