"""Texts through convolutions: the strongest answer of each kernel anywhere in the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kerasd2l.models.sequence.birnn import word_embedding
from kerasd2l.models.sequence.recurrent_stack import check_sizes, drawn


@keras.saving.register_keras_serializable("kerasd2l")
class ConvolutionsOverTime(keras.layers.Layer):
    """Convolve texts with kernels of several widths; of each channel the largest answer stays.

    y_c = max over t of relu(sum over i of x_(t + i) W_ic + b_c), where the window from t on ends
    before the text does. Section: "sentiment-analysis-cnn". A text that is shorter than a kernel
    has one window, filled with zeros. What lies beyond a text's length changes nothing.

    Args:
        kernel_sizes: ints >= 1, words of a window.
        num_channels: as many ints >= 1, kernels of each width.
        seed: int or None, of the initial weights.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: (B, T, D) float.
        lengths: (B,) int, words of each text.

    Returns:
        (B, sum of num_channels).

    Raises:
        ValueError: a number below 1, none at all, or not as many of both.

    Example:
        >>> layer = ConvolutionsOverTime((3, 4, 5), (100, 100, 100))
        >>> tuple(layer(ops.ones((2, 9, 8)), ops.array([9, 1])).shape)
        (2, 300)

    Reference:
        Kim, Convolutional neural networks for sentence classification, 2014.
    """

    def __init__(
        self,
        kernel_sizes: Sequence[int],
        num_channels: Sequence[int],
        seed: int | None = None,
        **kwargs: Any,
    ):
        sizes, channels = list(kernel_sizes), list(num_channels)
        if len(sizes) != len(channels) or not sizes or min(sizes + channels) < 1:
            raise ValueError(
                "`kernel_sizes` and `num_channels` must be as many numbers of at least 1. "
                f"Received: kernel_sizes={sizes}, num_channels={channels}."
            )
        super().__init__(**kwargs)
        self.kernel_sizes, self.num_channels, self.seed = sizes, channels, seed
        self.convolutions = [
            keras.layers.Conv1D(
                filters,
                size,
                kernel_initializer=keras.initializers.GlorotUniform(drawn(seed, i)),
                data_format="channels_last",
                dtype=self.dtype_policy,
                name=f"convolution_{i + 1}",
            )
            for i, (size, filters) in enumerate(zip(sizes, channels, strict=True))
        ]

    def build(self, inputs_shape, lengths_shape=None):
        for convolution in self.convolutions:
            convolution.build(inputs_shape)

    def call(self, inputs, lengths):
        lengths = ops.cast(lengths, "int32")[:, None]  # (B, 1)
        steps = ops.arange(ops.shape(inputs)[1], dtype="int32")
        inputs = inputs * ops.cast(steps < lengths, inputs.dtype)[..., None]
        strongest = []
        for size, convolution in zip(self.kernel_sizes, self.convolutions, strict=True):
            padded = ops.pad(inputs, ((0, 0), (0, size - 1), (0, 0)))
            answers = ops.relu(convolution(padded))  # (B, T, C)
            # no answer is negative: a window that is left out counts as 0
            counts = steps < ops.maximum(lengths - size + 1, 1)
            answers = answers * ops.cast(counts, answers.dtype)[..., None]
            strongest.append(ops.max(answers, axis=1))
        return ops.concatenate(strongest, axis=-1)

    def compute_output_spec(self, inputs: Any, lengths: Any) -> keras.KerasTensor:
        return keras.KerasTensor((inputs.shape[0], sum(self.num_channels)), self.compute_dtype)

    def get_config(self):
        names = ("kernel_sizes", "num_channels", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def textcnn(
    vocab_size: int,
    *,
    num_classes: int = 2,
    embed_size: int = 100,
    kernel_sizes: Sequence[int] = (3, 4, 5),
    num_channels: Sequence[int] = (100, 100, 100),
    dropout_rate: float = 0.5,
    vectors: Any = None,
    seed: int | None = None,
    name: str = "textcnn",
) -> keras.Model:
    """Build the book's TextCNN: two embeddings, convolutions, the maximum over time, logits.

    o = W dropout(max over t of relu(conv_k([e_t; c_t])), for every k) + b, with e learned and c
    fixed. Section: "sentiment-analysis-cnn".

    Follows the text and the paper, which take the maximum over time; the book's PyTorch code takes
    the average. Both embeddings begin with the vectors of a file, or are drawn from N(0, 0.3).
    Unlike the book's, a text ends at its length: padding changes nothing. Convolutions are
    Glorot-uniform, as Keras has them. 240,902 parameters and both embeddings'.

    Args:
        vocab_size: int >= 2, V.
        num_classes: int >= 2, K.
        embed_size: int >= 1, of each embedding, without `vectors`.
        kernel_sizes: ints >= 1, words of a window.
        num_channels: as many ints >= 1.
        dropout_rate: float in [0, 1), before the last layer.
        vectors: (V, embed_size) array, where both embeddings begin, or None.
        seed: int or None, of weights and dropout.
        name: str, name of the model.

    Call arguments:
        inputs: dict of tokens (B, T) int32 and lengths (B,) int32.

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: a number out of range, or vectors of another shape.

    Example:
        >>> textcnn(1000).count_params()
        440902

    Reference:
        Kim, Convolutional neural networks for sentence classification, 2014.
    """
    check_sizes(embed_size=embed_size)
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    lengths = keras.Input((), dtype="int32", name="lengths")
    embeddings = [
        word_embedding(
            vocab_size, embed_size, vectors, trainable=learned, seed=drawn(seed, i), name=of
        )
        for i, (of, learned) in enumerate((("embedding", True), ("constant_embedding", False)))
    ]
    x = keras.layers.Concatenate(name="joined")([embedding(tokens) for embedding in embeddings])
    convolutions = ConvolutionsOverTime(
        kernel_sizes, num_channels, seed=drawn(seed, 2), name="convolutions"
    )
    x = convolutions(x, lengths)  # (B, sum of num_channels)
    x = keras.layers.Dropout(dropout_rate, seed=drawn(seed, 100), name="dropout")(x)
    logits = keras.layers.Dense(
        num_classes,
        kernel_initializer=keras.initializers.GlorotUniform(drawn(seed, 101)),
        dtype="float32",
        name="logits",
    )(x)
    return keras.Model({"tokens": tokens, "lengths": lengths}, logits, name=name)
