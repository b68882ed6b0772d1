"""Language models: what comes next, told from a recurrent state.

Sections: "rnn-scratch", "rnn-concise", "gru", "lstm", "deep-rnn", "bi-rnn". A model is an encoding
of tokens, recurrent layers, and a dense layer to one logit for each token; `decoding` makes it
write.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import ops


def language_model(
    vocab_size: int,
    recurrent: keras.layers.Layer | Sequence[keras.layers.Layer],
    *,
    embed_size: int | None = None,
    state: Literal["zero", "carried", "explicit"] = "zero",
    batch_size: int | None = None,
    output_initializer: Any = "glorot_uniform",
    name: str = "language_model",
) -> keras.Model:
    """Build the book's RNNModel: logits of the token after each token.

    logits_t = W h_t + b, h_t, s_t = recurrent(encode(x_t), s_{t-1}). Sections: "rnn-concise",
    "gru", "lstm", "deep-rnn", "bi-rnn". Tokens go in as one-hot vectors, as in the book, or through
    an embedding.

    Args:
        vocab_size: int V >= 2.
        recurrent: recurrent layer or list of them, bottom first, of Keras, `kerasd2l.layers` or
            `kerasd2l.scratch`; with return_sequences=True and return_state=True.
        embed_size: int, width of the embedding; None: one-hot vectors of width V.
        state: where s_0 comes from. "zero": from nowhere. "carried": from the batch before, for
            data with a sequential partition; see `CarriedState`. "explicit": from the inputs.
        batch_size: int, rows of a batch; "carried" needs it.
        output_initializer: of W.
        name: str.

    Returns:
        Functional model. Inputs: tokens (B, T) int32; with "carried" the dict {"tokens", "start"
        (B,) bool, "row" (B,) int32}; with "explicit" the dict {"tokens", "state_0", "state_1",
        ...}, (B, units) each. Output: logits (B, T, V) float32; with "explicit" the dict
        {"logits", "state_0", ...}, the states after the last token.

    Raises:
        ValueError: an argument out of range, layers that do not return sequences and state, or an
            explicit state of bidirectional layers, which have none to go on from.

    Example:
        >>> gru = keras.layers.GRU(256, return_sequences=True, return_state=True)
        >>> model = language_model(28, gru)
        >>> model(ops.zeros((2, 35), "int32")).shape, model.count_params()
        (TensorShape([2, 35, 28]), 226844)
    """
    found = list(recurrent) if isinstance(recurrent, (list, tuple)) else [recurrent]
    _check(vocab_size, found, embed_size, state, batch_size)
    encode: keras.layers.Layer = OneHot(vocab_size, name="encode")
    if embed_size is not None:
        encode = keras.layers.Embedding(
            vocab_size, embed_size, embeddings_initializer="random_normal", name="encode"
        )
    output = keras.layers.Dense(
        vocab_size, kernel_initializer=output_initializer, dtype="float32", name="logits"
    )
    return _assemble(encode, found, output, state, batch_size, name)


def with_state(model: keras.Model) -> keras.Model:
    """Return a language model with its state as inputs and outputs; the weights are the same ones.

    Args:
        model: what `language_model` built, whatever its `state`.

    Returns:
        Functional model as `language_model(state="explicit")`.

    Raises:
        ValueError: not such a model, or a bidirectional one.
    """
    encode, recurrent, output = parts(model)
    _check_directions(recurrent)
    return _assemble(encode, recurrent, output, "explicit", None, f"{model.name}_with_state")


def parts(
    model: keras.Model,
) -> tuple[keras.layers.Layer, list[keras.layers.Layer], keras.layers.Layer]:
    """Return the layers of a language model: the encoding, the recurrent ones, the output.

    Raises:
        ValueError: not what `language_model` built.
    """
    found = {layer.name: layer for layer in model.layers}
    recurrent = [getattr(layer, "layer", layer) for layer in model.layers if _is_recurrent(layer)]
    if "encode" not in found or "logits" not in found or not recurrent:
        raise ValueError(
            "expected a model made by `language_model`: layers `encode`, recurrent ones, `logits`. "
            f"Received: {', '.join(found)}."
        )
    return found["encode"], recurrent, found["logits"]


def state_sizes(layer: keras.layers.Layer) -> list[int]:
    """Return the size of each state of a recurrent layer; of a bidirectional one: forwards."""
    if isinstance(layer, keras.layers.Bidirectional):
        layer = layer.forward_layer
    if hasattr(layer, "cell"):
        size = layer.cell.state_size
        return list(size) if isinstance(size, (list, tuple)) else [size]
    return [layer.units] * len(layer.state_names)  # kerasd2l.scratch


def _assemble(encode, recurrent, output, state, batch_size, name) -> keras.Model:
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    inputs: dict[str, Any] = {"tokens": tokens}
    if state == "carried":
        inputs["start"] = keras.Input((), dtype="bool", name="start")
        inputs["row"] = keras.Input((), dtype="int32", name="row")
    x = encode(tokens)  # (B, T, D)
    states: list[Any] = []
    for layer in recurrent:
        if state == "carried":
            carried = CarriedState(layer, batch_size, name=f"carried_{layer.name}")
            x = carried(x, inputs["start"], inputs["row"])
        elif state == "explicit":
            before = [
                keras.Input((size,), dtype=layer.compute_dtype, name=f"state_{len(states) + i}")
                for i, size in enumerate(state_sizes(layer))
            ]
            inputs |= {one.name: one for one in before}
            x, *after = layer(x, initial_state=before)
            states += after
        else:
            x, *_ = layer(x)
    logits = output(x)
    if state == "explicit":
        outputs = {"logits": logits} | {f"state_{i}": one for i, one in enumerate(states)}
        return keras.Model(inputs, outputs, name=name)
    return keras.Model(tokens if state == "zero" else inputs, logits, name=name)


def _check(vocab_size, recurrent, embed_size, state, batch_size) -> None:
    for key, value in (("vocab_size", vocab_size), ("embed_size", embed_size)):
        least = 2 if key == "vocab_size" else 1
        if value is not None and value < least:
            raise ValueError(f"`{key}` must be at least {least}. Received: {key}={value}.")
    if state not in ("zero", "carried", "explicit"):
        raise ValueError(f"`state` must be zero, carried or explicit. Received: state={state!r}.")
    if state == "carried" and (batch_size is None or batch_size < 1):
        raise ValueError(
            'state="carried" keeps one state for each row of a batch: `batch_size` must be at '
            f"least 1. Received: batch_size={batch_size}."
        )
    if not recurrent:
        raise ValueError("`recurrent` must have at least one layer. Received: none.")
    for layer in recurrent:
        if not (_is_recurrent(layer) and layer.return_sequences and layer.return_state):
            raise ValueError(
                "`recurrent` must be recurrent layers with return_sequences=True and "
                f"return_state=True. Received: {layer.name} ({type(layer).__name__})."
            )
        if getattr(layer, "go_backwards", False):
            raise ValueError(
                f"{layer.name} goes backwards: step t of what it returns belongs to another token. "
                "Use layers with go_backwards=False, or keras.layers.Bidirectional."
            )
    if state == "explicit":
        _check_directions(recurrent)


def _check_directions(recurrent: Sequence[keras.layers.Layer]) -> None:
    for layer in recurrent:
        if isinstance(layer, keras.layers.Bidirectional):
            raise ValueError(
                f"{layer.name} reads from both ends: it has no state to go on from. Use layers "
                "that read forwards, or the model without its state."
            )


def _is_recurrent(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, CarriedState) or hasattr(layer, "return_state")


@keras.saving.register_keras_serializable(package="kerasd2l")
class OneHot(keras.layers.Layer):
    """Tokens as unit vectors.

    y_t = e_{x_t}. Section: "rnn-scratch".

    Args:
        num_tokens: int V, length of the vectors.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: (...) int in 0..V - 1; another number becomes zeros.

    Returns:
        (..., V) float.

    Raises:
        ValueError: `num_tokens` below 1.

    Example:
        >>> OneHot(28)(ops.transpose(ops.reshape(ops.arange(10), (2, 5)))).shape
        TensorShape([5, 2, 28])
    """

    def __init__(self, num_tokens: int, **kwargs: Any):
        if num_tokens < 1:
            raise ValueError(f"`num_tokens` must be at least 1. Received: num_tokens={num_tokens}.")
        super().__init__(**kwargs)
        self.num_tokens = num_tokens

    def build(self, inputs_shape):
        pass

    def call(self, inputs):
        return ops.one_hot(ops.cast(inputs, "int32"), self.num_tokens, dtype=self.compute_dtype)

    def compute_output_shape(self, inputs_shape):
        return (*inputs_shape, self.num_tokens)

    def get_config(self):
        return {**super().get_config(), "num_tokens": self.num_tokens}


class _Untracked:
    """Variables that are no weights: neither a checkpoint nor a file has them."""

    def __init__(self, variables: list[keras.Variable]):
        self.variables = variables


@keras.saving.register_keras_serializable(package="kerasd2l")
class CarriedState(keras.layers.Wrapper):
    """A recurrent layer that goes on, in each row, from the state of the batch before.

    s_0 of row b = s_T of row b one batch ago, no gradient through it; zero where `start` is set.
    Section: "rnn-scratch", sequential partitioning. Training and evaluation have states of their
    own: an evaluation between two steps of a training leaves it alone. Replicas that share a batch
    keep the states of their rows, and the checkpoint has them all; the state of an evaluation,
    which begins anew, is in no file. Of a bidirectional layer, the forward direction goes on; the
    backward one begins with zeros.

    Args:
        layer: recurrent layer with return_sequences=True and return_state=True.
        batch_size: int, rows of the global batch.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: (B, T, D) float.
        start: (B,) bool, True: this row begins with zeros.
        row: (B,) int32 in 0..batch_size - 1, which row of the global batch this is.
        training: bool.

    Returns:
        (B, T, units), the layer's outputs.

    Raises:
        ValueError: `batch_size` below 1.

    Example:
        >>> gru = keras.layers.GRU(4, return_sequences=True, return_state=True)
        >>> layer = CarriedState(gru, batch_size=2)
        >>> x, row, yes, no = ops.ones((2, 3, 1)), ops.arange(2), [True] * 2, [False] * 2
        >>> halves = [layer(x, ops.array(yes), row), layer(x, ops.array(no), row)]
        >>> whole = layer(ops.ones((2, 6, 1)), ops.array(yes), row)
        >>> bool(ops.all(ops.abs(whole - ops.concatenate(halves, 1)) < 1e-6))
        True
    """

    def __init__(self, layer: keras.layers.Layer, batch_size: int, **kwargs: Any):
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1. Received: batch_size={batch_size}.")
        super().__init__(layer, **kwargs)
        self.batch_size = batch_size

    def build(self, inputs_shape, start_shape=None, row_shape=None):
        if not self.layer.built:
            self.layer.build(inputs_shape)
        sizes = state_sizes(self.layer)
        # Each replica adds zeros for the rows of the others, so that all know all rows.
        self.training_state = [
            self.add_weight(
                shape=(self.batch_size, size),
                initializer="zeros",
                trainable=False,
                autocast=False,
                aggregation="sum",
                name=f"training_state_{i}",
            )
            for i, size in enumerate(sizes)
        ]
        # Each replica keeps its own, and no file has it: to read it would need all the workers.
        states = [
            keras.Variable(
                initializer="zeros",
                shape=(self.batch_size, size),
                dtype=self.variable_dtype,
                trainable=False,
                autocast=False,
                aggregation="only_first_replica",
                synchronization="on_read",
                name=f"evaluation_state_{i}",
            )
            for i, size in enumerate(sizes)
        ]
        self._evaluation = _Untracked(states)

    def call(self, inputs, start, row, training=False):
        variables = self.training_state if training else self._evaluation.variables
        begin = []
        for variable in variables:
            mine = ops.take(variable, row, axis=0)  # (B, units)
            mine = ops.where(start[:, None], ops.zeros_like(mine), mine)
            begin.append(ops.cast(mine, self.layer.compute_dtype))
        if isinstance(self.layer, keras.layers.Bidirectional):
            begin += [ops.zeros_like(one) for one in begin]
        outputs, *after = self.layer(inputs, initial_state=begin)
        for variable, one in zip(variables, after[: len(variables)], strict=True):
            one = ops.cast(ops.stop_gradient(one), variable.dtype)
            variable.assign(ops.scatter(row[:, None], one, variable.shape))
        return outputs

    def compute_output_shape(self, inputs_shape, start_shape=None, row_shape=None):
        return self.layer.compute_output_shape(inputs_shape)[0]

    def get_config(self):
        return {**super().get_config(), "batch_size": self.batch_size}
