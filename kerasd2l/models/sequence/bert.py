"""BERT: every token becomes a vector that knows the text on both sides of it.

Sections: "bert", "bert-pretraining".
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasd2l.layers import Embedding, PositionEmbedding, TransformerEncoderBlock
from kerasd2l.models.sequence.bert_tasks import MaskLM, NextSentencePrediction
from kerasd2l.models.sequence.recurrent_stack import check_sizes, drawn


@keras.saving.register_keras_serializable("kerasd2l")
class BERTEncoder(keras.layers.Layer):
    """Tokens, segments and positions, each with a learned vector, through blocks of attention.

    h = E[token] + S[segment] + P[position], h = block(h). Padding changes nothing. The positions
    are trained (the seed's code leaves them as they were drawn). Section: "bert".

    Args:
        vocab_size: int V >= 1.
        num_hiddens: int, D.
        ffn_num_hiddens: int >= 1, width inside the network of a block.
        num_heads: int; it divides D.
        num_layers: int >= 1, blocks.
        dropout_rate: float in [0, 1). Default: 0.
        max_len: int, the longest sequence. Default: 1000, as in the book.
        activation: of the networks. Default: "relu", as in the book; BERT's own is "gelu".
        embed_norm: bool, normalize and drop the sum h before the blocks, as BERT itself does and
            the book does not. Default: False.
        epsilon: float > 0, of all norms. Default: 1e-5, as in the book; BERT's own is 1e-12.
        seed: int or None, of weights and dropout.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        tokens: (B, T) int.
        segments: (B, T) int, 0 or 1; None: all 0.
        valid_lens: (B,) int, tokens that are no padding; None: all.
        training: bool.

    Returns:
        (B, T, D).

    Raises:
        ValueError: a number out of range; more tokens than `max_len`.

    Example:
        >>> encoder = BERTEncoder(100, 24, 48, 4, 2)
        >>> encoder(ops.zeros((2, 8), "int32")).shape
        TensorShape([2, 8, 24])

    Reference:
        Devlin et al., BERT: pre-training of deep bidirectional Transformers, 2018.
    """

    def __init__(
        self,
        vocab_size: int,
        num_hiddens: int,
        ffn_num_hiddens: int,
        num_heads: int,
        num_layers: int,
        dropout_rate: float = 0.0,
        max_len: int = 1000,
        activation: str = "relu",
        embed_norm: bool = False,
        epsilon: float = 1e-5,
        seed: int | None = None,
        **kwargs: Any,
    ):
        check_sizes(vocab_size=vocab_size, num_layers=num_layers, num_hiddens=num_hiddens)
        super().__init__(**kwargs)
        self.vocab_size, self.num_hiddens, self.num_layers = vocab_size, num_hiddens, num_layers
        self.ffn_num_hiddens, self.num_heads = ffn_num_hiddens, num_heads
        self.dropout_rate, self.max_len, self.seed = dropout_rate, max_len, seed
        self.activation, self.embed_norm, self.epsilon = activation, embed_norm, epsilon
        policy = self.dtype_policy

        def embedding(rows: int, place: int, name: str) -> Embedding:
            normal = keras.initializers.RandomNormal(0.0, 1.0, drawn(seed, place))
            return Embedding(rows, num_hiddens, normal, dtype=policy, name=name)

        self.token_embedding = embedding(vocab_size, 0, "token_embedding")
        self.segment_embedding = embedding(2, 1, "segment_embedding")
        self.positions = PositionEmbedding(
            max_len, seed=drawn(seed, 2), dtype=policy, name="positions"
        )
        self.norm: Any = None
        self.dropout: Any = None
        if embed_norm:
            self.norm = keras.layers.LayerNormalization(epsilon=epsilon, dtype=policy, name="norm")
            self.dropout = keras.layers.Dropout(
                dropout_rate, seed=drawn(seed, 3), dtype=policy, name="dropout"
            )
        self.blocks = [
            TransformerEncoderBlock(
                num_hiddens,
                ffn_num_hiddens,
                num_heads,
                dropout_rate,
                use_bias=True,
                activation=activation,
                epsilon=epsilon,
                seed=drawn(seed, 1000 * i),
                dtype=policy,
                name=f"block{i}",
            )
            for i in range(1, num_layers + 1)
        ]

    def build(self, tokens_shape, segments_shape=None, valid_lens_shape=None):
        shape = (*tokens_shape, self.num_hiddens)
        self.token_embedding.build(tokens_shape)
        self.segment_embedding.build(tokens_shape)
        for part in (self.positions, self.norm, *self.blocks):
            if part is not None:
                part.build(shape)

    def call(self, tokens, segments=None, valid_lens=None, training=False):
        segments = ops.zeros_like(tokens) if segments is None else segments
        x = self.token_embedding(tokens) + self.segment_embedding(segments)  # (B, T, D)
        x = self.positions(x, training=training)
        if self.norm is not None:
            x = self.dropout(self.norm(x), training=training)
        for block in self.blocks:
            x = block(x, valid_lens=valid_lens, training=training)
        return x

    def compute_output_spec(self, tokens, segments=None, valid_lens=None, training=False):
        return keras.KerasTensor((*tokens.shape, self.num_hiddens), self.compute_dtype)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments it was made with, which the models around it share."""
        names = ["vocab_size", "num_hiddens", "ffn_num_hiddens", "num_heads", "num_layers"]
        names += ["dropout_rate", "max_len", "activation", "embed_norm", "epsilon", "seed"]
        return {name: getattr(self, name) for name in names}

    def get_config(self):
        return {**super().get_config(), **self.arguments}


@keras.saving.register_keras_serializable("kerasd2l")
class BERTModel(keras.Model):
    """BERT with its two tasks of pre-training: masked words, and whether sentences follow.

    x = encoder(tokens, segments); mlm = MaskLM(x at pred_positions); nsp =
    NextSentencePrediction(tanh(W x_0 + b)). Sections: "bert", "bert-pretraining".

    Args:
        vocab_size: int V >= 1.
        num_hiddens: int, D.
        ffn_num_hiddens: int >= 1, width inside the network of a block.
        num_heads: int; it divides D.
        num_layers: int >= 1, blocks.
        dropout_rate: float in [0, 1). Default: 0.
        max_len: int, the longest sequence. Default: 1000, as in the book.
        activation: of networks and of MaskLM. Default: "relu", as in the book.
        embed_norm: bool, see `BERTEncoder`. Default: False.
        epsilon: float > 0, of all norms. Default: 1e-5, as in the book; BERT's own is 1e-12.
        tied: bool, the table of tokens also makes MaskLM's logits. Default: False, as in the book.
        seed: int or None, of weights and dropout.
        name: str, name of the model.
        **kwargs: of `keras.Model`; its `dtype` is that of all layers.

    Call arguments:
        inputs: dict of tokens (B, T) int, segments (B, T) int, valid_lens (B,) int and
            pred_positions (B, P) int.
        training: bool.

    Returns:
        dict of mlm (B, P, V) and nsp (B, 2), float32 logits.

    Raises:
        ValueError: a number out of range; more tokens than `max_len`.

    Example:
        >>> model = BERTModel(10000, 768, 1024, 4, 2)
        >>> x = {"tokens": ops.zeros((2, 8), "int32"), "segments": ops.zeros((2, 8), "int32")}
        >>> x |= {"valid_lens": ops.array([8, 6]), "pred_positions": ops.array([[1], [5]])}
        >>> model(x)["mlm"].shape
        TensorShape([2, 1, 10000])

    Reference:
        Devlin et al., BERT: pre-training of deep bidirectional Transformers, 2018.
    """

    def __init__(
        self,
        vocab_size: int,
        num_hiddens: int,
        ffn_num_hiddens: int,
        num_heads: int,
        num_layers: int,
        dropout_rate: float = 0.0,
        max_len: int = 1000,
        activation: str = "relu",
        embed_norm: bool = False,
        epsilon: float = 1e-5,
        tied: bool = False,
        seed: int | None = None,
        name: str = "bert",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        sizes = (vocab_size, num_hiddens, ffn_num_hiddens, num_heads, num_layers)
        options: Any = (dropout_rate, max_len, activation, embed_norm, epsilon, seed)
        policy = self.dtype_policy
        self.encoder = BERTEncoder(*sizes, *options, dtype=policy, name="encoder")
        self.tied = tied
        self.hidden = pooler(num_hiddens, drawn(seed, 11), policy)
        head = (vocab_size, num_hiddens, activation, tied, epsilon, drawn(seed, 12))
        self.mlm = MaskLM(*head, dtype=policy, name="mlm")
        self.nsp = NextSentencePrediction(drawn(seed, 15), dtype=policy, name="nsp")

    def build(self, input_shape):
        tokens = tuple(input_shape["tokens"])
        encoded = (*tokens, self.encoder.num_hiddens)
        self.encoder.build(tokens)
        self.hidden.build((tokens[0], encoded[-1]))
        self.mlm.build(encoded, input_shape.get("pred_positions"))
        self.nsp.build((tokens[0], encoded[-1]))

    def call(self, inputs, training=False):
        encoded = self.encode(inputs, training=training)
        return {
            "mlm": self.words(encoded, inputs["pred_positions"]),
            "nsp": self.nsp(self.hidden(encoded[:, 0])),
        }

    def encode(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Return the vectors of all tokens (B, T, D); `pred_positions` are not needed."""
        lens = inputs["valid_lens"]
        return self.encoder(inputs["tokens"], inputs["segments"], lens, training=training)

    def words(self, encoded: Any, pred_positions: Any) -> Any:
        """Return the logits (B, P, V) of the words at positions of encoded texts (B, T, D)."""
        table = ops.convert_to_tensor(self.encoder.token_embedding.embeddings)
        return self.mlm(encoded, pred_positions, table=table if self.tied else None)

    def get_config(self):
        return {**super().get_config(), **self.encoder.arguments, "tied": self.tied}


def pooler(num_hiddens: int, seed: int | None, policy: Any) -> keras.layers.Dense:
    """Make the layer that reads the vector of `<cls>`: tanh(W x_0 + b)."""
    glorot = keras.initializers.GlorotUniform(seed)
    return keras.layers.Dense(
        num_hiddens, "tanh", kernel_initializer=glorot, dtype=policy, name="hidden"
    )


def bert_base(vocab_size: int = 30522, **arguments: Any) -> BERTModel:
    """Make BERT base: 12 blocks of width 768, 12 heads, 512 positions.

    Encoder and hidden layer have 109,482,240 parameters, with both tasks 110,106,428: GELU, a norm
    behind the embeddings and tied output as in BERT itself. Section: "bert".

    Args:
        vocab_size: int. Default: 30522, BERT's uncased pieces of words.
        **arguments: of `BERTModel`, e.g. dropout_rate (default: 0.1) or seed.
    """
    return _original(vocab_size, 768, 12, 12, arguments)


def bert_large(vocab_size: int = 30522, **arguments: Any) -> BERTModel:
    """Make BERT large: 24 blocks of width 1024, 16 heads, 512 positions.

    Encoder and hidden layer have 335,141,888 parameters; else as `bert_base`. Section: "bert".

    Args:
        vocab_size: int. Default: 30522, BERT's uncased pieces of words.
        **arguments: of `BERTModel`, e.g. dropout_rate (default: 0.1) or seed.
    """
    return _original(vocab_size, 1024, 16, 24, arguments)


def _original(vocab_size: int, width: int, heads: int, layers: int, arguments: dict) -> BERTModel:
    usual = {"dropout_rate": 0.1, "max_len": 512, "activation": "gelu"}
    usual |= {"embed_norm": True, "tied": True}
    return BERTModel(vocab_size, width, 4 * width, heads, layers, **{**usual, **arguments})
