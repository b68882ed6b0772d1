"""Word vectors learned by telling neighbours from other words: skip-gram.

Sections: "word2vec", "word2vec-pretraining".
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasd2l.models.sequence.recurrent_stack import check_sizes, drawn


@keras.saving.register_keras_serializable("kerasd2l")
class SkipGram(keras.Model):
    """Score words, or nodes of Huffman's tree, beside a word: two tables of vectors.

    logits_m = u_(o_m) . v_i for the input i and outputs o. Sections: "word2vec",
    "word2vec-pretraining", "approx-training". Both tables start as in the book, by Xavier's rule.

    Args:
        vocab_size: int V >= 2, rows of both tables.
        embed_size: int D, length of a vector. Default: 100.
        num_extra: int >= 0, further rows of the inputs' table, for parts of words. Default: 0.
        seed: int or None, of the weights.
        name: str, name of the model.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: {"inputs": (B,) int, "outputs": (B, M) int}.

    Returns:
        (B, M) float32 logits.

    Raises:
        ValueError: a size below 1.

    Example:
        >>> model = SkipGram(20, embed_size=4)
        >>> inputs = {"inputs": ops.ones((2,), "int32"), "outputs": ops.ones((2, 5), "int32")}
        >>> model(inputs).shape
        TensorShape([2, 5])

    Reference:
        Mikolov et al., Distributed representations of words and phrases, 2013.
    """

    def __init__(
        self,
        vocab_size: int,
        *,
        embed_size: int = 100,
        num_extra: int = 0,
        seed: int | None = None,
        name: str = "skip_gram",
        **kwargs: Any,
    ):
        check_sizes(vocab_size=vocab_size, embed_size=embed_size, num_extra=num_extra + 1)
        super().__init__(name=name, **kwargs)
        self.vocab_size, self.embed_size, self.num_extra = vocab_size, embed_size, num_extra
        self.seed = seed

    def build(self, input_shape):
        rows = {"v": self.vocab_size + self.num_extra, "u": self.vocab_size}
        self.v, self.u = (
            self.add_weight(
                shape=(size, self.embed_size),
                initializer=keras.initializers.GlorotUniform(drawn(self.seed, place)),
                name=table,
            )
            for place, (table, size) in enumerate(rows.items())
        )

    def call(self, inputs):
        given = self.vectors(inputs["inputs"])  # (B, D)
        outputs = look_up(self.u, inputs["outputs"], self.compute_dtype)  # (B, M, D)
        return ops.cast(ops.einsum("bd,bmd->bm", given, outputs), "float32")

    def vectors(self, words: Any) -> Any:
        """Return the vectors (B, D) of words (B,), those that are kept after the training."""
        return look_up(self.v, words, self.compute_dtype)

    def get_config(self):
        names = ("vocab_size", "embed_size", "num_extra", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def look_up(table: Any, numbers: Any, dtype: str) -> Any:
    """Return the rows of a table, with a gradient that is one array and no list of rows."""
    one = ops.ones((), dtype)  # the product's gradient is not sparse: replicas can add it
    return ops.take(ops.cast(ops.convert_to_tensor(table), dtype) * one, numbers, axis=0)
