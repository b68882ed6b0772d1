"""Writing sequences token by token: greedily, by chance, and by beam search, inside a graph.

A model is known by two functions here, whatever its state is made of: what the state is before
the first token, and `step(token, state) -> (logits, state)`. Any structure of tensors whose first
axis is the row will do as a state: the vectors of recurrent layers, or the text so far.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from keras import ops

UNKNOWN = 0  # the token that `generate` never writes
FIRST = 1  # the most frequent token: what an empty prefix goes on from


def generate(
    begin: Callable[[Any, Any], Any],
    step: Callable[[Any, Any, Any], tuple[Any, Any]],
    tokens: Any,
    *,
    num_tokens: Any,
    lengths: Any = None,
    temperature: Any = 0.0,
    top_k: Any = 0,
    top_p: Any = 1.0,
    seed: int = 0,
    noise: Callable[[Any], Any] | None = None,
) -> Any:
    """Return the tokens with which a language model goes on.

    The state is warmed up on the prefix; then y_t = argmax_v (logit_v / temperature + g_v), g from
    the Gumbel distribution, which draws from softmax(logits / temperature); with temperature 0
    y_t = argmax_v logit_v. y_t is the next input. Drawing may be limited to the k most probable
    tokens, and to the fewest whose probabilities reach p. Section: "rnn-scratch" (`predict`).

    Token 0, `<unk>`, is read but never written. An empty prefix goes on from token 1, the most
    frequent one. In `tf.function(..., jit_compile=True)`, which needs `num_tokens` and the shape of
    `tokens` beforehand, a Transformer writes 1.3 to 1.9 times as fast on a CPU (RESULTS.md); XLA
    draws other numbers with the same seed.

    Args:
        begin: (rows, places) -> the state before the first token, for texts of at most so many.
        step: (t, token (B,), state) -> (logits (B, V), state), t the place of the token.
        tokens: (B, P) int, prefixes, filled at the end. P may be 0.
        num_tokens: int >= 0, tokens to write after each prefix.
        lengths: (B,) int, tokens of each prefix; None: P.
        temperature: float >= 0.
        top_k: int >= 0, draw from the k most probable tokens; 0: from all. Default: 0.
        top_p: float in (0, 1], draw from the most probable tokens that together have the
            probability p, at least one. Default: 1, all.
        seed: int in 0..2^31 - 1. The draw depends on it, on the row and on the place in the text.
        noise: (t) -> (B, V) float in [0, 1), uniform; None: from the seed.

    Returns:
        (B, num_tokens) int32.

    Raises:
        ValueError: prefixes that are not (B, P), or a number out of range; numbers that are tensors
            are taken as they are.

    Example:
        >>> from kerasd2l.models import language_model, step_by_step
        >>> gru = keras.layers.GRU(8, return_sequences=True, return_state=True)
        >>> model = language_model(5, gru)
        >>> generate(*step_by_step(model), [[1, 2], [3, 0]], num_tokens=7).shape
        TensorShape([2, 7])
    """
    tokens = ops.cast(ops.convert_to_tensor(tokens), "int32")
    _check(tokens, num_tokens, temperature, seed)
    _check_limits(top_k, top_p)
    rows = ops.shape(tokens)[0]
    if lengths is None:
        lengths = ops.broadcast_to(ops.shape(tokens)[1], (rows,))
    lengths = ops.cast(lengths, "int32")
    # a column more, so that an empty prefix has its token 1
    tokens = ops.concatenate([tokens, ops.zeros_like(lengths)[:, None]], axis=1)
    tokens = ops.where((lengths == 0)[:, None], FIRST, tokens)
    lengths = ops.maximum(lengths, 1)
    choose = _chooser(temperature, top_k, top_p)
    greedy = isinstance(temperature, (int, float)) and not temperature  # nothing is drawn
    draw: Any = None if greedy or noise is not None else _drawn_by(seed)
    places = ops.arange(num_tokens, dtype="int32")
    last = _longest(lengths) + num_tokens - 1

    def advance(t, token, state, written):
        logits, state = step(t, _current(tokens, lengths, t, token), state)
        if greedy:
            uniform = None
        elif noise is not None:
            uniform = noise(t)
        else:
            uniform = draw((rows, logits.shape[-1]), t)
        token = choose(logits, uniform)
        return t + 1, token, state, _note(written, places, lengths, t, token)

    state = begin(rows, ops.shape(tokens)[1] + num_tokens)
    written = ops.zeros((rows, num_tokens), "int32")
    start = (ops.convert_to_tensor(0), ops.zeros_like(lengths), state, written)
    return ops.while_loop(lambda t, *_: t < last, advance, start)[3]


def _drawn_by(seed) -> Callable[[Any, Any], Any]:
    """Return (shape, t) -> uniform numbers, other ones at each place t.

    TensorFlow draws without a SeedGenerator: that is a variable, which no `tf.function` makes.
    """
    if keras.backend.backend() == "tensorflow":
        return lambda shape, t: _quick_uniform(shape, seed, t)
    generator = keras.random.SeedGenerator(seed)
    return lambda shape, t: keras.random.uniform(shape, seed=generator)


def _quick_uniform(shape, seed, t):
    """Draw what `keras.random.uniform` does with a SeedGenerator that was asked t times."""
    import tensorflow as tf

    return tf.random.stateless_uniform(shape, tf.stack([tf.cast(x, tf.int64) for x in (seed, t)]))


def _check(tokens, num_tokens, temperature, seed) -> None:
    if len(tokens.shape) != 2:
        raise ValueError(
            f"`tokens` must be (B, P): one prefix is [[1, 2]]. Received: shape {tokens.shape}."
        )
    for name, value, end in (
        ("num_tokens", num_tokens, 2**31),
        ("temperature", temperature, float("inf")),
        ("seed", seed, 2**31),
    ):
        if isinstance(value, (int, float)) and not 0 <= value < end:
            raise ValueError(f"`{name}` must be 0 or more, below {end}. Received: {name}={value}.")


def _check_limits(top_k, top_p) -> None:
    if isinstance(top_k, int) and top_k < 0:
        raise ValueError(f"`top_k` must be 0 (all) or more. Received: top_k={top_k}.")
    if isinstance(top_p, (int, float)) and not 0 < top_p <= 1:
        raise ValueError(f"`top_p` must be above 0, at most 1 (all). Received: top_p={top_p}.")


def _longest(lengths) -> Any:
    """Return the largest length; 0 without rows."""
    return ops.max(ops.concatenate([lengths, ops.zeros((1,), "int32")]))


def _current(tokens, lengths, t, token) -> Any:
    """Return the token at place t: (B,), of the prefix, or behind it the one written last."""
    place = ops.minimum(t, ops.shape(tokens)[1] - 1)
    return ops.where(t < lengths, ops.take(tokens, place, axis=1), token)


def _note(written, places, lengths, t, token) -> Any:
    """Put the token that follows place t to those written: (B, num_tokens)."""
    here = places == (t + 1 - lengths)[:, None]  # nowhere, while the prefix lasts
    return ops.where(here, token[:, None], written)


def _chooser(temperature: Any, top_k: Any, top_p: Any) -> Callable[[Any, Any], Any]:
    """Return (logits (B, V), uniform (B, V) or None: be greedy) -> token (B,)."""
    temperature = ops.cast(ops.convert_to_tensor(temperature), "float32")
    # a smaller one is greedy anyway, and must not overflow
    divisor = ops.maximum(temperature, 1e-6)
    free = isinstance(top_k, int) and not top_k and isinstance(top_p, (int, float)) and top_p == 1

    def choose(logits, uniform):
        logits = ops.cast(logits, "float32")
        known = ops.arange(ops.shape(logits)[-1]) != UNKNOWN
        logits = ops.where(known, logits, -float("inf"))
        if uniform is None:
            return ops.argmax(logits, axis=-1)
        scaled = logits / divisor
        if not free:
            scaled = _limited(scaled, top_k, top_p)
        drawn = scaled - ops.log(-ops.log(uniform))
        return ops.argmax(ops.where(temperature > 0, drawn, logits), axis=-1)

    return choose


def _limited(logits: Any, top_k: Any, top_p: Any) -> Any:
    """Put -inf in the place of all logits (B, V) but the most probable ones."""
    falling = ops.flip(ops.sort(logits, axis=-1), axis=-1)  # (B, V)
    shares = ops.softmax(falling)
    before = ops.cumsum(shares, axis=-1) - shares  # the probability of those before
    top_k = ops.cast(ops.convert_to_tensor(top_k), "int32")
    most = ops.where(top_k > 0, top_k, ops.shape(logits)[-1])
    first = ops.arange(ops.shape(logits)[-1], dtype="int32") == 0  # one stays, whatever p is
    kept = (ops.arange(ops.shape(logits)[-1], dtype="int32") < most) & (before < top_p) | first
    least = ops.min(ops.where(kept, falling, float("inf")), axis=-1, keepdims=True)
    return ops.where(logits >= least, logits, -float("inf"))


def beam_search(
    step: Callable[[Any, Any], tuple[Any, Any]],
    state: Any,
    *,
    max_steps: int,
    beam_size: Any = 4,
    length_exponent: Any = 0.75,
    begin: int = 2,
    end: int = 3,
    forbidden: Sequence[int] = (1, 2),
) -> dict[str, Any]:
    """Search for the most probable sequences, k at a time, for a batch and inside a graph.

    At each step every unfinished hypothesis is continued by every token, and the most probable
    continuations stay, as many as the beam has places; one that ends is finished and keeps its
    place. So k = 1 is the greedy choice, and a k as large as the number of sequences misses none.
    Finished ones, and those as long as allowed, are ranked by log P / L^exponent, where L counts
    `end`, too. The search stops when all have ended. Section: "beam-search".

    Args:
        step: (token (n,), state) -> (logits (n, V), state).
        state: tensors (B, ...) in any structure: what `step` goes on from.
        max_steps: int T, no sequence has more tokens.
        beam_size: int k >= 1, or a scalar tensor.
        length_exponent: float, 0: no reward for length; or a scalar tensor.
        begin: int, the token that `step` begins with. Default: 2, `<bos>`.
        end: int, the token that ends a sequence. Default: 3, `<eos>`.
        forbidden: tokens that no sequence holds; their probability is lost, not shared out.

    Returns:
        "ids" (B, k, T) int32, best first, filled with `end`; "lengths" (B, k) int32, tokens with
        `end`; "log_probs" and "scores" (B, k) float32. Where there are fewer than k sequences, the
        rest has the score -inf.

    Reference:
        Sutskever et al., Sequence to sequence learning with neural networks, 2014.
    """
    k = ops.cast(ops.convert_to_tensor(beam_size), "int32")
    batch = ops.shape(keras.tree.flatten(state)[0])[0]
    copies = ops.arange(batch * k, dtype="int32") // k
    state = _rows(state, copies)
    row = ops.zeros((batch, k), "int32")
    best = ops.arange(k, dtype="int32") == 0
    beam = {
        "ids": ops.broadcast_to(end, (batch, k, max_steps)),
        "lengths": row,
        "log_probs": ops.where(best, 0.0, -float("inf")) + ops.cast(row, "float32"),
        "finished": row > 0,
        "last": row + begin,
    }

    def goes_on(t, beam, state):
        open_ = ~beam["finished"] & (beam["log_probs"] > -float("inf"))
        return (t < max_steps) & ops.any(open_)

    def advance(t, beam, state):
        logits, state = step(ops.reshape(beam["last"], (-1,)), state)
        beam, rows = _select(beam, _log_probabilities(logits, forbidden), t, end)
        return t + 1, beam, _rows(state, rows)

    start = (ops.convert_to_tensor(0), beam, state)
    _, beam, _ = ops.while_loop(goes_on, advance, start)
    lengths = ops.cast(ops.maximum(beam["lengths"], 1), "float32")
    scores, order = ops.top_k(beam["log_probs"] / lengths**length_exponent, k)
    found = {key: _pick(beam[key], order) for key in ("ids", "lengths", "log_probs")}
    return {**found, "scores": scores}


def _rows(state: Any, rows: Any) -> Any:
    """Take rows of every tensor of a state."""
    return keras.tree.map_structure(lambda part: ops.take(part, rows, axis=0), state)


def _pick(part: Any, places: Any) -> Any:
    """Take places (B, k) of the second axis of a tensor (B, m, ...), row by row."""
    batch, m = ops.shape(part)[0], ops.shape(part)[1]
    rows = ops.arange(batch, dtype="int32")[:, None] * m + places  # (B, k)
    return ops.take(ops.reshape(part, (-1, *part.shape[2:])), rows, axis=0)


def _log_probabilities(logits: Any, forbidden: Sequence[int]) -> Any:
    """Return log-probabilities (n, V) of the next token from logits (n, V)."""
    size = logits.shape[-1]
    banned = [-float("inf") if token in forbidden else 0.0 for token in range(size)]
    return ops.log_softmax(ops.cast(logits, "float32")) + ops.convert_to_tensor(banned)


def _select(
    beam: Mapping[str, Any], log_probs: Any, step: Any, end: int
) -> tuple[dict[str, Any], Any]:
    """Choose the k best continuations; return the new beam, and the old rows they come from."""
    batch, k = ops.shape(beam["last"])[0], ops.shape(beam["last"])[1]
    size = log_probs.shape[-1]
    is_end = ops.arange(size) == end  # (V,)
    finished = beam["finished"][..., None]
    stays = finished & is_end  # (B, k, V): a finished one as it is
    more = ops.where(
        finished,
        ops.where(is_end, 0.0, -float("inf")),
        ops.reshape(log_probs, (batch, k, size)),
    )
    total = beam["log_probs"][..., None] + more
    rank = ops.reshape(ops.where(stays, float("inf"), total), (batch, k * size))
    _, places = ops.top_k(rank, k)  # (B, k)
    parents, last = places // size, places % size
    found = {key: _pick(beam[key], parents) for key in ("ids", "lengths", "finished")}
    reached = _pick(ops.reshape(total, (batch, k * size)), places)
    alive = reached > -float("inf")
    grows = alive & ~found["finished"]
    here = (ops.arange(beam["ids"].shape[2], dtype="int32") == step) & grows[..., None]  # (B, k, T)
    rows = ops.reshape(parents + ops.arange(batch, dtype="int32")[:, None] * k, (-1,))
    return {
        "ids": ops.where(here, last[..., None], found["ids"]),
        "lengths": found["lengths"] + ops.cast(grows, "int32"),
        "log_probs": reached,
        "finished": alive & (last == end),
        "last": last,
    }, rows
