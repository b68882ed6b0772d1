"""Word vectors learned from the mean of several: CBOW, and fastText's words made of parts.

Sections: "word2vec", "subword-embedding".
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasd2l.models.sequence.skip_gram import SkipGram, look_up


@keras.saving.register_keras_serializable("kerasd2l")
class CBOW(SkipGram):
    """Score words beside the mean of the vectors of several inputs: continuous bag of words.

    logits_m = u_(o_m) . mean of v_i over the inputs i > 0; 0 is padding. The inputs are the
    neighbours of a word, or, in fastText, a word and its character n-grams. Sections: "word2vec",
    "subword-embedding".

    Args:
        vocab_size: int V >= 2, rows of both tables.
        embed_size: int D, length of a vector. Default: 100.
        num_extra: int >= 0, further rows of the inputs' table: buckets of n-grams. Default: 0.
        seed: int or None, of the weights.
        name: str, name of the model.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: {"inputs": (B, C) int, "outputs": (B, M) int}.

    Returns:
        (B, M) float32 logits.

    Example:
        >>> model = CBOW(20, embed_size=4)
        >>> inputs = {"inputs": ops.ones((2, 3), "int32"), "outputs": ops.ones((2, 5), "int32")}
        >>> model(inputs).shape
        TensorShape([2, 5])

    Reference:
        Mikolov et al., Efficient estimation of word representations in vector space, 2013.
    """

    def __init__(self, vocab_size: int, *, name: str = "cbow", **kwargs: Any):
        super().__init__(vocab_size, name=name, **kwargs)

    def vectors(self, words: Any) -> Any:
        """Return the mean vectors (B, D) of rows of inputs (B, C); of (B,) words, their own."""
        if len(words.shape) == 1:
            return super().vectors(words)
        rows = look_up(self.v, words, self.compute_dtype)  # (B, C, D)
        real = ops.cast(ops.greater(words, 0), rows.dtype)
        count = ops.maximum(ops.sum(real, axis=1, keepdims=True), 1)
        return ops.sum(rows * ops.expand_dims(real / count, -1), axis=1)
