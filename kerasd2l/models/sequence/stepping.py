"""A language model taken apart into single steps, as `decoding.generate` needs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from kerasd2l.models.sequence.gpt import GPT
from kerasd2l.models.sequence.language_model import parts


def step_by_step(model: keras.Model) -> tuple[Callable, Callable]:
    """Return the functions with which `decoding.generate` writes.

    A model that reads forwards computes one step of its cells for each token; a Transformer
    remembers keys and values, of the last `max_len` tokens at most; a bidirectional one reads the
    whole text anew each time, since its states depend on the end. Section: "rnn-scratch".

    Args:
        model: what `language_model` built, whatever its `state`, or a GPT.

    Returns:
        begin: (rows, places) -> the state before the first token.
        step: (t, token (B,), state) -> (logits (B, V), state).

    Raises:
        ValueError: not such a model.

    Example:
        >>> from kerasd2l.models import language_model
        >>> gru = keras.layers.GRU(8, return_sequences=True, return_state=True)
        >>> begin, step = step_by_step(language_model(5, gru))
        >>> step(0, ops.convert_to_tensor([1, 2]), begin(2, 9))[0].shape
        TensorShape([2, 5])
    """
    if isinstance(model, GPT):
        return _remembering(model)
    encode, recurrent, output = parts(model)
    if any(isinstance(layer, keras.layers.Bidirectional) for layer in recurrent):
        return _rereading(encode, recurrent, output)

    def begin(rows, places):
        return [_begin(layer, rows) for layer in recurrent]

    def step(t, token, state):
        x, after = encode(token), []  # (B, D)
        for layer, before in zip(recurrent, state, strict=True):
            x, now = _step(layer, x, before)
            after.append(now)
        return output(x), after

    return begin, step


def _remembering(model: GPT) -> tuple[Callable, Callable]:
    """Let a Transformer remember; where its positions end, it reads the last half of them anew."""
    most = model.max_len

    def begin(rows, places):
        caches = model.begin(rows, ops.minimum(places, most))
        return {"text": ops.zeros((rows, places), "int32"), "caches": caches}

    def step(t, token, state):
        text = ops.where(
            ops.arange(ops.shape(state["text"])[1]) == t, token[:, None], state["text"]
        )

        def shorter():
            empty = keras.tree.map_structure(ops.zeros_like, state["caches"])
            recent = ops.take(text, t - most // 2 + ops.arange(most // 2), axis=1)
            return model.step(recent, empty)[1]

        full = ops.max(state["caches"][0]["place"]) >= most
        caches = ops.cond(full, shorter, lambda: state["caches"])
        logits, caches = model.step(token[:, None], caches)
        return logits[:, 0], {"text": text, "caches": caches}

    return begin, step


def _rereading(encode, recurrent, output) -> tuple[Callable, Callable]:
    """Make the text so far the state, and read it anew for each token."""

    def begin(rows, places):
        return ops.zeros((rows, places), "int32")

    def step(t, token, text):
        text = ops.where(ops.arange(ops.shape(text)[1]) == t, token[:, None], text)
        x = encode(text[:, : t + 1])  # (B, t + 1, D)
        for layer in recurrent:
            x, *_ = layer(x)
        return output(x[:, -1]), text

    return begin, step


def _begin(layer: keras.layers.Layer, rows: Any) -> list[Any]:
    """Return the states before the first token."""
    if hasattr(layer, "cell"):
        first = layer.cell.get_initial_state(rows)
        return list(first) if isinstance(first, (list, tuple)) else [first]
    return list(layer.begin_state(rows))


def _step(layer: keras.layers.Layer, x: Any, before: Sequence[Any]) -> tuple[Any, list[Any]]:
    """Return output and states of one step of a recurrent layer."""
    if hasattr(layer, "cell"):
        x, after = layer.cell(x, before, training=False)
        return x, list(after) if isinstance(after, (list, tuple)) else [after]
    after = list(layer.step(x, before))
    return after[0], after
