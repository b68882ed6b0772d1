"""A Transformer that only writes: each token sees those before it.

Section: "large-pretraining-transformers".
"""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import ops

from kerasd2l.layers import Embedding, PositionEmbedding, TransformerEncoderBlock
from kerasd2l.models.sequence.recurrent_stack import check_sizes, drawn


@keras.saving.register_keras_serializable("kerasd2l")
class GPT(keras.Model):
    """A decoder-only Transformer: logits of the token after each token.

    h = E[x] + P, h = block(h) with causal attention, logits = LN(h) E^T: the table of the
    embedding is that of the output, too. Pre-norm and GELU as in GPT-2. Section:
    "large-pretraining-transformers".

    Args:
        vocab_size: int V >= 2.
        num_hiddens: int, D. Default: 256.
        num_layers: int >= 1, blocks. Default: 4.
        num_heads: int; it divides D. Default: 4.
        ffn_num_hiddens: int, width inside the network of a block; None: 4 D.
        dropout_rate: float in [0, 1). Default: 0.1.
        max_len: int, T, the most tokens that it sees. Default: 256.
        norm: "pre" or "post". Default: "pre".
        seed: int or None, of weights and dropout.
        name: str, name of the model.
        **kwargs: of `keras.Model`; its `dtype` is that of all layers.

    Call arguments:
        inputs: (B, T) int.
        training: bool.

    Returns:
        (B, T, V) float32 logits.

    Raises:
        ValueError: a number out of range; more tokens than `max_len`.

    Example:
        >>> model = GPT(28, num_hiddens=32, num_layers=2)
        >>> model(ops.zeros((2, 35), "int32")).shape
        TensorShape([2, 35, 28])

    Reference:
        Radford et al., Language models are unsupervised multitask learners, 2019.
    """

    def __init__(
        self,
        vocab_size: int,
        *,
        num_hiddens: int = 256,
        num_layers: int = 4,
        num_heads: int = 4,
        ffn_num_hiddens: int | None = None,
        dropout_rate: float = 0.1,
        max_len: int = 256,
        norm: Literal["pre", "post"] = "pre",
        seed: int | None = None,
        name: str = "gpt",
        **kwargs: Any,
    ):
        check_sizes(vocab_size=vocab_size, num_layers=num_layers, num_hiddens=num_hiddens)
        super().__init__(name=name, **kwargs)
        self.vocab_size, self.num_hiddens, self.num_layers = vocab_size, num_hiddens, num_layers
        self.num_heads, self.ffn_num_hiddens = num_heads, ffn_num_hiddens or 4 * num_hiddens
        self.dropout_rate, self.max_len, self.norm = dropout_rate, max_len, norm
        self.seed = seed
        policy = self.dtype_policy
        self.embedding = Embedding(
            vocab_size, num_hiddens, _normal(seed), dtype=policy, name="embedding"
        )
        self.positions = PositionEmbedding(
            max_len,
            dropout_rate,
            _normal(drawn(seed, 1)),
            drawn(seed, 2),
            dtype=policy,
            name="positions",
        )
        self.blocks = [
            TransformerEncoderBlock(
                num_hiddens,
                self.ffn_num_hiddens,
                num_heads,
                dropout_rate,
                use_bias=True,
                norm=norm,
                activation="gelu",
                seed=drawn(seed, 1000 * i),
                dtype=policy,
                name=f"block{i}",
            )
            for i in range(1, num_layers + 1)
        ]
        self.last_norm = keras.layers.LayerNormalization(
            epsilon=1e-5, dtype=policy, name="last_norm"
        )

    def build(self, input_shape):
        self.embedding.build(input_shape)
        shape = (*input_shape, self.num_hiddens)
        for part in (self.positions, *self.blocks, self.last_norm):
            part.build(shape)

    def call(self, inputs, training=False):
        x = self._embed(inputs, 0, training)
        for block in self.blocks:
            x = block(x, causal=True, training=training)
        return self._logits(x)

    def _embed(self, tokens: Any, offset: Any, training: bool) -> Any:
        return self.positions(self.embedding(tokens), offset=offset, training=training)

    def _logits(self, x: Any) -> Any:
        x = self.last_norm(x)
        table = ops.cast(ops.convert_to_tensor(self.embedding.embeddings), x.dtype)
        logits = ops.matmul(x, ops.transpose(table))  # (B, T, V)
        return ops.cast(logits, "float32")

    def begin(self, rows: Any, max_steps: Any) -> list[dict]:
        """Return the state before the first token, with room for `max_steps`."""
        return [block.new_cache(rows, max_steps) for block in self.blocks]

    def step(self, tokens: Any, state: list[dict]) -> tuple[Any, list[dict]]:
        """Go on from a state with tokens (B, T); return logits (B, T, V) and the next state."""
        place = state[0]["place"]  # of all: what follows from it is computed once
        x, after = self._embed(tokens, place, False), []
        for block, cache in zip(self.blocks, state, strict=True):
            x, cache = block.step(x, cache | {"place": place})
            after.append(cache)
        return self._logits(x), after

    def get_config(self):
        names = ["vocab_size", "num_hiddens", "num_layers", "num_heads", "ffn_num_hiddens"]
        names += ["dropout_rate", "max_len", "norm", "seed"]
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _normal(seed: int | None) -> Any:
    return keras.initializers.RandomNormal(0.0, 0.02, seed)
