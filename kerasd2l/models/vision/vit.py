"""The vision Transformer: a picture cut into patches, read like a sentence."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasd2l.layers import PositionEmbedding, TransformerEncoderBlock
from kerasd2l.models.vision.image_network import ImageNetwork


@keras.saving.register_keras_serializable("kerasd2l")
class ClassToken(keras.layers.Layer):
    """Put a vector that is learned before each sequence.

    y = [c, x_1, ..., x_T]; c begins with zeros. Section: "vision-transformer".

    Call arguments:
        inputs: (B, T, D) float.

    Returns:
        (B, T + 1, D).

    Example:
        >>> ClassToken()(ops.ones((2, 3, 4))).shape
        TensorShape([2, 4, 4])
    """

    def build(self, inputs_shape):
        self.token = self.add_weight(
            name="token", shape=(1, 1, inputs_shape[-1]), initializer="zeros"
        )

    def call(self, inputs):
        token = ops.cast(self.token, inputs.dtype) + ops.zeros_like(inputs[:, :1])
        return ops.concatenate([token, inputs], axis=1)

    def compute_output_shape(self, inputs_shape):
        batch, steps, width = inputs_shape
        return batch, None if steps is None else steps + 1, width


def vit(
    input_shape: tuple[int, int, int] = (96, 96, 1),
    num_classes: int = 10,
    *,
    patch_size: int = 16,
    num_hiddens: int = 512,
    num_layers: int = 2,
    num_heads: int = 8,
    ffn_num_hiddens: int = 2048,
    emb_dropout_rate: float = 0.1,
    dropout_rate: float = 0.1,
    seed: int | None = None,
    name: str = "vit",
) -> keras.Model:
    """Build a vision Transformer.

    Patches of 16 x 16 pixels become vectors, a class token is put before them, positions are
    learned, pre-norm blocks with GELU follow, and the class token's vector tells the class.
    Section: "vision-transformer". Defaults are the book's; it drops inside the block's network,
    too, here the outputs of attention and network are dropped.

    Args:
        input_shape: (height, width, channels), multiples of `patch_size`.
        num_classes: int >= 2, K.
        patch_size: int >= 1, pixels of a side.
        num_hiddens: int, D, width of the vectors; `num_heads` divides it.
        num_layers: int >= 1, blocks.
        num_heads: int.
        ffn_num_hiddens: int >= 1, width inside the network of a block.
        emb_dropout_rate: float in [0, 1), of patches with their positions.
        dropout_rate: float in [0, 1), in the blocks.
        seed: int or None. Layer i draws its weights with a seed of its own.
        name: str, name of the model.

    Call arguments:
        inputs: (B, H, W, C) float in [0, 1].

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: pictures that the patches do not fill, or a number out of range.

    Reference:
        Dosovitskiy et al., An image is worth 16 x 16 words, 2021.
    """
    net = ImageNetwork(input_shape, num_classes, seed)
    height, width, _ = input_shape
    if patch_size < 1 or height % patch_size or width % patch_size:
        raise ValueError(
            f"`input_shape` must be filled by patches of {patch_size} x {patch_size} pixels. "
            f"Received: input_shape={tuple(input_shape)}, patch_size={patch_size}."
        )
    if num_layers < 1:
        raise ValueError(f"`num_layers` must be at least 1. Received: num_layers={num_layers}.")
    patches = (height // patch_size) * (width // patch_size)
    x: Any = net.conv(net.pixels, num_hiddens, patch_size, strides=patch_size, name="patches")
    x = keras.layers.Reshape((patches, num_hiddens), name="sequence")(x)  # (B, T, D)
    x = ClassToken(name="class_token")(x)
    x = PositionEmbedding(patches + 1, emb_dropout_rate, seed=net.next_seed(), name="positions")(x)
    for i in range(1, num_layers + 1):
        block = TransformerEncoderBlock(
            num_hiddens,
            ffn_num_hiddens,
            num_heads,
            dropout_rate,
            norm="pre",
            activation="gelu",
            seed=None if seed is None else seed + 1000 * i,
            name=f"block_{i}",
        )
        x = block(x)
    first = keras.layers.LayerNormalization(epsilon=1e-5, name="norm")(x[:, 0])  # (B, D)
    return net.model(first, name)
