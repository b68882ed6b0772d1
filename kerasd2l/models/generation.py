"""Let a language model write: step by step from its state, greedily or by chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from kerasd2l.models.language import parts

UNKNOWN = 0  # the token that is never written
FIRST = 1  # the most frequent token: what an empty prefix goes on from


def generate(
    model: keras.Model,
    tokens: Any,
    *,
    num_tokens: Any,
    lengths: Any = None,
    temperature: Any = 0.0,
    seed: int = 0,
    noise: Callable[[Any], Any] | None = None,
) -> Any:
    """Return the tokens with which a language model goes on.

    The state is warmed up on the prefix; then y_t = argmax_v (logit_v / temperature + g_v), g from
    the Gumbel distribution, which draws from softmax(logits / temperature); with temperature 0
    y_t = argmax_v logit_v. y_t is the next input. Section: "rnn-scratch" (`predict`).

    Token 0, `<unk>`, is read but never written. An empty prefix goes on from token 1, the most
    frequent one. A model that reads forwards computes one step of its cells for each token; a
    bidirectional one reads the whole text anew each time, since its states depend on the end.

    Args:
        model: what `language_model` built.
        tokens: (B, P) int, prefixes, filled at the end. P may be 0.
        num_tokens: int >= 0, tokens to write after each prefix.
        lengths: (B,) int, tokens of each prefix; None: P.
        temperature: float >= 0.
        seed: int in 0..2^31 - 1. The draw depends on it, on the row and on the place in the text.
        noise: (t) -> (B, V) float in [0, 1), uniform; None: from the seed.

    Returns:
        (B, num_tokens) int32.

    Raises:
        ValueError: prefixes that are not (B, P), or a number out of range; numbers that are tensors
            are taken as they are.

    Example:
        >>> from kerasd2l.models import language_model
        >>> gru = keras.layers.GRU(8, return_sequences=True, return_state=True)
        >>> generate(language_model(5, gru), [[1, 2], [3, 0]], num_tokens=7).shape
        TensorShape([2, 7])
    """
    tokens = ops.cast(ops.convert_to_tensor(tokens), "int32")
    _check(tokens, num_tokens, temperature, seed)
    rows = ops.shape(tokens)[0]
    if lengths is None:
        lengths = ops.broadcast_to(ops.shape(tokens)[1], (rows,))
    lengths = ops.cast(lengths, "int32")
    # a column more, so that an empty prefix has its token 1
    tokens = ops.concatenate([tokens, ops.zeros_like(lengths)[:, None]], axis=1)
    tokens = ops.where((lengths == 0)[:, None], FIRST, tokens)
    lengths = ops.maximum(lengths, 1)
    _, recurrent, output = parts(model)
    backwards = any(isinstance(layer, keras.layers.Bidirectional) for layer in recurrent)
    if noise is None:
        generator = keras.random.SeedGenerator(seed)

        def noise(t):
            return keras.random.uniform((rows, output.units), seed=generator)

    write = _rereading if backwards else _stepping
    return write(model, tokens, lengths, num_tokens, _chooser(temperature), noise)


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


def _stepping(model, tokens, lengths, num_tokens, choose, noise) -> Any:
    """Write with one step of the cells for each token."""
    encode, recurrent, output = parts(model)
    rows = ops.shape(tokens)[0]
    state = [_begin(layer, rows) for layer in recurrent]
    places = ops.arange(num_tokens, dtype="int32")
    last = _longest(lengths) + num_tokens - 1

    def step(t, token, state, written):
        x = encode(_current(tokens, lengths, t, token))  # (B, D)
        after = []
        for layer, before in zip(recurrent, state, strict=True):
            x, now = _step(layer, x, before)
            after.append(now)
        token = choose(output(x), noise(t))
        return t + 1, token, after, _note(written, places, lengths, t, token)

    written = ops.zeros((rows, num_tokens), "int32")
    start = (ops.convert_to_tensor(0), ops.zeros_like(lengths), state, written)
    return ops.while_loop(lambda t, *_: t < last, step, start)[3]


def _rereading(model, tokens, lengths, num_tokens, choose, noise) -> Any:
    """Write with the whole text so far read anew for each token."""
    encode, recurrent, output = parts(model)
    rows = ops.shape(tokens)[0]
    places = ops.arange(num_tokens, dtype="int32")
    last = _longest(lengths) + num_tokens - 1
    all_places = ops.arange(ops.shape(tokens)[1] + num_tokens, dtype="int32")

    def step(t, token, text, written):
        token = _current(tokens, lengths, t, token)
        text = ops.where(all_places == t, token[:, None], text)
        x = encode(text[:, : t + 1])  # (B, t + 1, D)
        for layer in recurrent:
            x, *_ = layer(x)
        token = choose(output(x[:, -1]), noise(t))
        return t + 1, token, text, _note(written, places, lengths, t, token)

    text = ops.zeros((rows, ops.shape(all_places)[0]), "int32")
    written = ops.zeros((rows, num_tokens), "int32")
    start = (ops.convert_to_tensor(0), ops.zeros_like(lengths), text, written)
    return ops.while_loop(lambda t, *_: t < last, step, start)[3]


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


def _chooser(temperature: Any) -> Callable[[Any, Any], Any]:
    """Return (logits (B, V), uniform (B, V)) -> token (B,)."""
    temperature = ops.cast(ops.convert_to_tensor(temperature), "float32")
    divisor = ops.maximum(
        temperature, 1e-6
    )  # a smaller one is greedy anyway, and must not overflow

    def choose(logits, uniform):
        logits = ops.cast(logits, "float32")
        known = ops.arange(ops.shape(logits)[-1]) != UNKNOWN
        drawn = logits / divisor - ops.log(-ops.log(uniform))
        found = ops.where(temperature > 0, drawn, logits)
        return ops.argmax(ops.where(known, found, -float("inf")), axis=-1)

    return choose


def _begin(layer: keras.layers.Layer, rows: Any) -> list[Any]:
    """Return the states before the first token."""
    if hasattr(layer, "cell"):
        found = layer.cell.get_initial_state(rows)
        return list(found) if isinstance(found, (list, tuple)) else [found]
    return list(layer.begin_state(rows))


def _step(layer: keras.layers.Layer, x: Any, before: Sequence[Any]) -> tuple[Any, list[Any]]:
    """Return output and states of one step of a recurrent layer."""
    if hasattr(layer, "cell"):
        x, after = layer.cell(x, before, training=False)
        return x, list(after) if isinstance(after, (list, tuple)) else [after]
    after = list(layer.step(x, before))
    return after[0], after
