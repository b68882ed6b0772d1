"""Word vectors learned from how often words stand together: GloVe. Section: "glove"."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasd2l.models.sequence.recurrent_stack import check_sizes, drawn
from kerasd2l.models.sequence.skip_gram import look_up


@keras.saving.register_keras_serializable("kerasd2l")
class GloVe(keras.Model):
    """Predict the logarithm of how often two words stand near each other.

    log x_ij is about u_j . v_i + b_i + c_j; trained with the squared error, weighted by
    h(x) = min(x / c, 1)^0.75 (`data.ptb.load_cooccurrences`). A word's vector is v + u, since both
    tables mean the same. Section: "glove".

    Args:
        vocab_size: int V >= 2.
        embed_size: int D, length of a vector. Default: 100.
        seed: int or None, of the weights, drawn from U(-0.5, 0.5) / D as GloVe's authors do.
        name: str, name of the model.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: {"inputs": (B,) int, "outputs": (B,) int}.

    Returns:
        (B, 1) float32.

    Raises:
        ValueError: a size below 1.

    Example:
        >>> word = ops.ones((2,), "int32")
        >>> GloVe(20, embed_size=4)({"inputs": word, "outputs": word}).shape
        TensorShape([2, 1])

    Reference:
        Pennington et al., GloVe: global vectors for word representation, 2014.
    """

    def __init__(
        self,
        vocab_size: int,
        *,
        embed_size: int = 100,
        seed: int | None = None,
        name: str = "glove",
        **kwargs: Any,
    ):
        check_sizes(vocab_size=vocab_size, embed_size=embed_size)
        super().__init__(name=name, **kwargs)
        self.vocab_size, self.embed_size, self.seed = vocab_size, embed_size, seed

    def build(self, input_shape):
        def weight(name, shape, place):
            bound = 0.5 / self.embed_size
            uniform = keras.initializers.RandomUniform(-bound, bound, drawn(self.seed, place))
            return self.add_weight(shape=shape, initializer=uniform, name=name)

        table = (self.vocab_size, self.embed_size)
        self.v, self.u = weight("v", table, 0), weight("u", table, 1)
        self.b, self.c = weight("b", table[:1], 2), weight("c", table[:1], 3)

    def call(self, inputs):
        words, contexts = inputs["inputs"], inputs["outputs"]
        dtype = self.compute_dtype
        product = ops.sum(look_up(self.v, words, dtype) * look_up(self.u, contexts, dtype), axis=-1)
        found = product + look_up(self.b, words, dtype) + look_up(self.c, contexts, dtype)
        return ops.cast(ops.expand_dims(found, -1), "float32")

    def vectors(self, words: Any) -> Any:
        """Return the vectors (B, D) of words (B,): the sum of both tables'."""
        return sum(look_up(table, words, self.compute_dtype) for table in (self.v, self.u))

    def get_config(self):
        names = ("vocab_size", "embed_size", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
