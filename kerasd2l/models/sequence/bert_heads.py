"""BERT for other tasks: a text or a pair in classes, every token in classes, an answer in a text.

Section: "finetuning-bert".
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasd2l.models.sequence.bert import BERTEncoder, BERTModel, pooler
from kerasd2l.models.sequence.recurrent_stack import check_sizes, drawn


class _FineTuned(keras.Model):
    """An encoder with a head; subclasses say what the head reads."""

    def __init__(
        self,
        vocab_size: int,
        num_hiddens: int,
        ffn_num_hiddens: int,
        num_heads: int,
        num_layers: int,
        num_outputs: int,
        dropout_rate: float = 0.0,
        max_len: int = 1000,
        activation: str = "relu",
        embed_norm: bool = False,
        epsilon: float = 1e-5,
        seed: int | None = None,
        **kwargs: Any,
    ):
        check_sizes(num_outputs=num_outputs)
        super().__init__(**kwargs)
        sizes = (vocab_size, num_hiddens, ffn_num_hiddens, num_heads, num_layers)
        options: Any = (dropout_rate, max_len, activation, embed_norm, epsilon, seed)
        self.encoder = BERTEncoder(*sizes, *options, dtype=self.dtype_policy, name="encoder")
        self.hidden: Any = None
        self.dropout = keras.layers.Dropout(
            dropout_rate, seed=drawn(seed, 12), dtype=self.dtype_policy, name="dropout"
        )
        self.logits = keras.layers.Dense(
            num_outputs,
            kernel_initializer=keras.initializers.GlorotUniform(drawn(seed, 13)),
            dtype="float32",
            name="logits",
        )

    def build(self, input_shape):
        tokens = tuple(input_shape["tokens"])
        encoded = (*tokens, self.encoder.num_hiddens)
        self.encoder.build(tokens)
        if self.hidden is not None:
            self.hidden.build((tokens[0], encoded[-1]))
        self.logits.build(encoded)

    def start_from(self, bert: BERTModel) -> None:
        """Take over the encoder's weights of a pre-trained model, and those of its hidden layer.

        Raises:
            ValueError: its encoder has other sizes.
        """
        for name in ("encoder", "hidden"):
            mine, theirs = getattr(self, name), getattr(bert, name)
            if mine is None:
                continue
            shapes = [[tuple(w.shape) for w in layer.weights] for layer in (mine, theirs)]
            if shapes[0] != shapes[1]:
                raise ValueError(
                    f"the {name} of the pre-trained model has other sizes. Build this model with "
                    f"the arguments of its encoder: {bert.encoder.arguments}."
                )
            mine.set_weights(theirs.get_weights())

    def _encode(self, inputs, training):
        lens = inputs["valid_lens"]
        return self.encoder(inputs["tokens"], inputs["segments"], lens, training=training)

    def get_config(self):
        return {**super().get_config(), **self.encoder.arguments}


@keras.saving.register_keras_serializable("kerasd2l")
class BERTClassifier(_FineTuned):
    """Classes of a text, or of a pair of texts, from the vector of `<cls>`.

    o = W dropout(tanh(W_h x_0 + b_h)) + b. Sections: "finetuning-bert",
    "natural-language-inference-bert".

    Args:
        num_classes: int K >= 1; 1: a number instead of classes, as for the likeness of two texts.
        **arguments: vocab_size, num_hiddens, ffn_num_hiddens, num_heads, num_layers, dropout_rate,
            max_len, activation, embed_norm, epsilon and seed of `BERTEncoder`; those of
            `keras.Model`.

    Call arguments:
        inputs: dict of tokens (B, T) int, segments (B, T) int and valid_lens (B,) int.
        training: bool.

    Returns:
        (B, K) float32 logits.

    Raises:
        ValueError: a number out of range.

    Example:
        >>> model = BERTClassifier(
        ...     3, vocab_size=99, num_hiddens=8, ffn_num_hiddens=16, num_heads=2, num_layers=1
        ... )
        >>> tokens = ops.zeros((2, 5), "int32")
        >>> model({"tokens": tokens, "segments": tokens, "valid_lens": ops.array([5, 3])}).shape
        TensorShape([2, 3])
    """

    def __init__(self, num_classes: int, name: str = "bert_classifier", **arguments: Any):
        super().__init__(num_outputs=num_classes, name=name, **arguments)
        self.num_classes = num_classes
        width, seed = arguments["num_hiddens"], arguments.get("seed")
        self.hidden = pooler(width, drawn(seed, 11), self.dtype_policy)

    def call(self, inputs, training=False):
        first = self.hidden(self._encode(inputs, training)[:, 0])
        return self.logits(self.dropout(first, training=training))

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}


@keras.saving.register_keras_serializable("kerasd2l")
class BERTTagger(_FineTuned):
    """A class for every token, from its own vector.

    o_t = W dropout(x_t) + b. Section: "finetuning-bert".

    Args:
        num_classes: int K >= 1.
        **arguments: vocab_size, num_hiddens, ffn_num_hiddens, num_heads, num_layers, dropout_rate,
            max_len, activation, embed_norm, epsilon and seed of `BERTEncoder`; those of
            `keras.Model`.

    Call arguments:
        inputs: dict of tokens (B, T) int, segments (B, T) int and valid_lens (B,) int.
        training: bool.

    Returns:
        (B, T, K) float32 logits.

    Raises:
        ValueError: a number out of range.

    Example:
        >>> model = BERTTagger(
        ...     4, vocab_size=99, num_hiddens=8, ffn_num_hiddens=16, num_heads=2, num_layers=1
        ... )
        >>> tokens = ops.zeros((2, 5), "int32")
        >>> model({"tokens": tokens, "segments": tokens, "valid_lens": ops.array([5, 3])}).shape
        TensorShape([2, 5, 4])
    """

    def __init__(self, num_classes: int, name: str = "bert_tagger", **arguments: Any):
        super().__init__(num_outputs=num_classes, name=name, **arguments)
        self.num_classes = num_classes

    def call(self, inputs, training=False):
        return self.logits(self.dropout(self._encode(inputs, training), training=training))

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}


NO_ANSWER = -1e9  # the logit of a place where no answer is


@keras.saving.register_keras_serializable("kerasd2l")
class BERTSpan(_FineTuned):
    """Where in the second text the answer to the first begins, and where it ends.

    (s_t, e_t) = W dropout(x_t) + b for the words of the second text, -1e9 elsewhere. Section:
    "finetuning-bert".

    Args:
        **arguments: vocab_size, num_hiddens, ffn_num_hiddens, num_heads, num_layers, dropout_rate,
            max_len, activation, embed_norm, epsilon and seed of `BERTEncoder`; those of
            `keras.Model`.

    Call arguments:
        inputs: dict of tokens (B, T) int, segments (B, T) int and valid_lens (B,) int; the
            last valid token is `<sep>`.
        training: bool.

    Returns:
        dict of start (B, T) and end (B, T), float32 logits.

    Raises:
        ValueError: a number out of range.

    Example:
        >>> model = BERTSpan(
        ...     vocab_size=99, num_hiddens=8, ffn_num_hiddens=16, num_heads=2, num_layers=1
        ... )
        >>> tokens = ops.ones((2, 5), "int32")
        >>> x = {"tokens": tokens, "segments": tokens, "valid_lens": ops.array([5, 3])}
        >>> model(x)["start"].shape
        TensorShape([2, 5])
    """

    def __init__(self, name: str = "bert_span", **arguments: Any):
        super().__init__(num_outputs=2, name=name, **arguments)

    def call(self, inputs, training=False):
        logits = self.logits(self.dropout(self._encode(inputs, training), training=training))
        places = ops.arange(ops.shape(logits)[1], dtype="int32")[None]
        before_end = places < ops.cast(inputs["valid_lens"], "int32")[:, None] - 1
        answers = ops.equal(inputs["segments"], 1) & before_end  # (B, T)
        start, end = (ops.where(answers, logits[..., i], NO_ANSWER) for i in range(2))
        return {"start": start, "end": end}
