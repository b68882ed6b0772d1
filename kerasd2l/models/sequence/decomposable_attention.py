"""Two sentences compared word by word: attend, compare, aggregate."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasd2l.layers import masked_softmax
from kerasd2l.models.sequence.birnn import word_embedding
from kerasd2l.models.sequence.recurrent_stack import check_sizes, drawn


class _TwoLayers(keras.layers.Layer):
    """Two dense layers with ReLU, dropout before each: the book's `mlp`, for all three steps."""

    def __init__(
        self, num_hiddens: int, dropout_rate: float = 0.2, seed: int | None = None, **kwargs: Any
    ):
        check_sizes(num_hiddens=num_hiddens)
        super().__init__(**kwargs)
        self.num_hiddens, self.dropout_rate, self.seed = num_hiddens, dropout_rate, seed
        self.dropouts, self.denses = [], []
        for i in range(2):
            glorot = keras.initializers.GlorotUniform(drawn(seed, 2 * i))
            rest: dict[str, Any] = {"dtype": self.dtype_policy}
            self.dropouts.append(
                keras.layers.Dropout(
                    dropout_rate, seed=drawn(seed, 2 * i + 1), name=f"dropout_{i + 1}", **rest
                )
            )
            self.denses.append(
                keras.layers.Dense(
                    num_hiddens, "relu", kernel_initializer=glorot, name=f"dense_{i + 1}", **rest
                )
            )

    def build_layers(self, width: int) -> None:
        self.denses[0].build((None, width))
        self.denses[1].build((None, self.num_hiddens))

    def two_layers(self, x: Any, training: bool) -> Any:
        for dropout, dense in zip(self.dropouts, self.denses, strict=True):
            x = dense(dropout(x, training=training))
        return x

    def get_config(self):
        names = ("num_hiddens", "dropout_rate", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("kerasd2l")
class Attend(_TwoLayers):
    """Align each word of one sentence with those of the other.

    e_ij = f(a_i) . f(b_j); beta_i = sum over j of softmax_j(e_ij) b_j; alpha_j = sum over i of
    softmax_i(e_ij) a_i; f is two dense layers. Section: "natural-language-inference-attention".
    Words beyond a sentence's length get no weight, which the book's do.

    Args:
        num_hiddens: int >= 1, width of both layers of f.
        dropout_rate: float in [0, 1), before each of them.
        seed: int or None, of weights and dropout.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        premise: (B, S, D) float, a.
        hypothesis: (B, T, D) float, b.
        premise_lengths: (B,) int.
        hypothesis_lengths: (B,) int.
        training: bool.

    Returns:
        (beta (B, S, D), alpha (B, T, D), the weights softmax_j(e_ij) (B, S, T)).

    Raises:
        ValueError: `num_hiddens` below 1.

    Reference:
        Parikh et al., A decomposable attention model for natural language inference, 2016.
    """

    def build(self, premise_shape, *shapes, **named_shapes):
        self.build_layers(premise_shape[-1])

    def call(self, premise, hypothesis, premise_lengths, hypothesis_lengths, training=False):
        a, b = (self.two_layers(side, training) for side in (premise, hypothesis))
        e = ops.matmul(a, ops.swapaxes(b, 1, 2))  # (B, S, T)
        weights = masked_softmax(e, hypothesis_lengths)
        beta = ops.matmul(weights, hypothesis)  # (B, S, D)
        back = masked_softmax(ops.swapaxes(e, 1, 2), premise_lengths)  # (B, T, S)
        return beta, ops.matmul(back, premise), weights

    def compute_output_spec(
        self, premise, hypothesis, premise_lengths, hypothesis_lengths, training=False
    ):
        beta, alpha = (
            keras.KerasTensor(side.shape, self.compute_dtype) for side in (premise, hypothesis)
        )
        shape = (*premise.shape[:2], hypothesis.shape[1])
        return beta, alpha, keras.KerasTensor(shape, self.compute_dtype)


@keras.saving.register_keras_serializable("kerasd2l")
class Compare(_TwoLayers):
    """Compare each word with what it is aligned with, and add the results up.

    v = sum over i of g([a_i; beta_i]) over the words of the sentence; g is two dense layers.
    Section: "natural-language-inference-attention". The sum, the book's first step of Aggregate,
    leaves out what lies beyond the length, where the book adds it, too.

    Args:
        num_hiddens: int >= 1, width of both layers of g.
        dropout_rate: float in [0, 1), before each of them.
        seed: int or None, of weights and dropout.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        words: (B, T, D) float.
        aligned: (B, T, D) float.
        lengths: (B,) int.
        training: bool.

    Returns:
        (B, num_hiddens).

    Raises:
        ValueError: `num_hiddens` below 1.
    """

    def build(self, words_shape, *shapes, **named_shapes):
        self.build_layers(2 * words_shape[-1])

    def call(self, words, aligned, lengths, training=False):
        compared = self.two_layers(ops.concatenate([words, aligned], axis=-1), training)
        steps = ops.arange(ops.shape(words)[1], dtype="int32")
        counts = ops.cast(steps < ops.cast(lengths, "int32")[:, None], compared.dtype)  # (B, T)
        return ops.sum(compared * counts[..., None], axis=1)

    def compute_output_spec(self, words, aligned, lengths, training=False):
        return keras.KerasTensor((words.shape[0], self.num_hiddens), self.compute_dtype)


@keras.saving.register_keras_serializable("kerasd2l")
class Aggregate(_TwoLayers):
    """Conclude from both sentences' sums.

    o = W h([v_a; v_b]) + b; h is two dense layers. Section: "natural-language-inference-attention".

    Args:
        num_hiddens: int >= 1, width of both layers of h.
        num_classes: int >= 2, K.
        dropout_rate: float in [0, 1), before each of them.
        seed: int or None, of weights and dropout.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        premise: (B, D) float.
        hypothesis: (B, D) float.
        training: bool.

    Returns:
        (B, K) float32.

    Raises:
        ValueError: a number out of range.
    """

    def __init__(
        self,
        num_hiddens: int,
        num_classes: int = 3,
        dropout_rate: float = 0.2,
        seed: int | None = None,
        **kwargs: Any,
    ):
        check_sizes(num_classes=num_classes)
        super().__init__(num_hiddens, dropout_rate, seed, **kwargs)
        self.num_classes = num_classes
        self.logits = keras.layers.Dense(
            num_classes,
            kernel_initializer=keras.initializers.GlorotUniform(drawn(seed, 4)),
            dtype="float32",
            name="logits",
        )

    def build(self, premise_shape, *shapes, **named_shapes):
        self.build_layers(2 * premise_shape[-1])
        self.logits.build((None, self.num_hiddens))

    def call(self, premise, hypothesis, training=False):
        both = ops.concatenate([premise, hypothesis], axis=-1)
        return self.logits(self.two_layers(both, training))

    def compute_output_spec(self, premise, hypothesis, training=False):
        return keras.KerasTensor((premise.shape[0], self.num_classes), "float32")

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}


def decomposable_attention(
    vocab_size: int,
    *,
    num_classes: int = 3,
    embed_size: int = 100,
    num_hiddens: int = 200,
    dropout_rate: float = 0.2,
    vectors: Any = None,
    seed: int | None = None,
    name: str = "decomposable_attention",
) -> keras.Model:
    """Build the book's decomposable attention: an embedding, Attend, Compare, Aggregate.

    Section: "natural-language-inference-attention". Follows the book's sizes; the embedding begins
    with the vectors of a file, or with N(0, 0.3), which is about as wide, and is trained. Unlike
    the book's, a sentence ends at its length: padding changes nothing. Dense layers are
    Glorot-uniform. The layer named `attend` gives the weights of each word of the premise over the
    hypothesis. 261,803 parameters and the embedding's.

    Args:
        vocab_size: int >= 2, V.
        num_classes: int >= 2, K.
        embed_size: int >= 1, without `vectors`.
        num_hiddens: int >= 1, of all dense layers.
        dropout_rate: float in [0, 1), before each of them.
        vectors: (V, embed_size) array, where the embedding begins, or None.
        seed: int or None, of weights and dropout.
        name: str, name of the model.

    Call arguments:
        inputs: dict of premise (B, S) int32, premise_lengths (B,) int32, hypothesis (B, T) int32
            and hypothesis_lengths (B,) int32.

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: a number out of range, or vectors of another shape.

    Example:
        >>> decomposable_attention(1000).count_params()
        361803

    Reference:
        Parikh et al., A decomposable attention model for natural language inference, 2016.
    """
    check_sizes(embed_size=embed_size)
    sides = ("premise", "hypothesis")
    tokens = {side: keras.Input((None,), dtype="int32", name=side) for side in sides}
    lengths = {side: keras.Input((), dtype="int32", name=f"{side}_lengths") for side in sides}
    embedding = word_embedding(
        vocab_size, embed_size, vectors, trainable=True, seed=seed, name="embedding"
    )
    a, b = (embedding(tokens[side]) for side in sides)
    attend, compare = (
        kind(num_hiddens, dropout_rate, seed=drawn(seed, place), name=kind.__name__.lower())
        for kind, place in ((Attend, 10), (Compare, 20))
    )
    beta, alpha, _ = attend(a, b, lengths["premise"], lengths["hypothesis"])
    sums = compare(a, beta, lengths["premise"]), compare(b, alpha, lengths["hypothesis"])
    aggregate = Aggregate(num_hiddens, num_classes, dropout_rate, drawn(seed, 30), name="aggregate")
    inputs = tokens | {f"{side}_lengths": lengths[side] for side in sides}
    return keras.Model(inputs, aggregate(*sums), name=name)
