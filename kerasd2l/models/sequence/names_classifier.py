"""From the characters of a name to its country."""

from __future__ import annotations

from typing import Any

import keras

from kerasd2l.layers import GRU, Embedding, LengthMask


def names_classifier(
    num_classes: int = 18,
    *,
    vocab_size: int = 128,
    embed_size: int = 100,
    num_hiddens: int = 100,
    num_layers: int = 2,
    bidirectional: bool = True,
    seed: int | None = None,
    name: str = "names_classifier",
) -> keras.Model:
    """Build the lesson's classifier: characters, a bidirectional GRU of two layers, logits.

    o = W [h_forwards at the last character; h_backwards at the first one] + b, of the last layer.
    Section: "rnn-names-classifier".

    Follows the lesson: 128 ASCII codes, embedding from N(0, 1), 100 units. A mask keeps the padding
    out of both directions, so a longer padding changes nothing. Weights of the GRUs as in Keras.
    The reset gate is applied after the matrix product, as in the lesson's framework. 318,818
    parameters.

    Args:
        num_classes: int >= 2, classes K.
        vocab_size: int >= 2, characters.
        embed_size: int >= 1.
        num_hiddens: int >= 1, of each layer and direction.
        num_layers: int >= 1.
        bidirectional: bool; False: forwards only.
        seed: int or None, seed of the initial weights.
        name: str, name of the model.

    Call arguments:
        inputs: dict of characters (B, T) int32 and lengths (B,) int32.

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: a number out of range.

    Example:
        >>> names_classifier().count_params()
        318818

    Reference:
        Schuster, Paliwal, Bidirectional recurrent neural networks, 1997.
    """
    sizes = {"embed_size": embed_size, "num_hiddens": num_hiddens, "num_layers": num_layers}
    sizes |= {"num_classes": num_classes, "vocab_size": vocab_size}
    for key, value in sizes.items():
        least = 2 if key in ("num_classes", "vocab_size") else 1
        if value < least:
            raise ValueError(f"`{key}` must be at least {least}. Received: {key}={value}.")

    def layer_seed(layer: int) -> int | None:
        return None if seed is None else seed + layer

    characters = keras.Input((None,), dtype="int32", name="characters")
    lengths = keras.Input((), dtype="int32", name="lengths")
    mask = LengthMask(name="mask")(characters, lengths)  # (B, T)
    x: Any = Embedding(
        vocab_size,
        embed_size,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=1.0, seed=layer_seed(0)),
        name="embedding",
    )(characters)  # (B, T, embed_size)
    for i in range(num_layers):
        rest: dict[str, Any] = {"units": num_hiddens, "return_sequences": i < num_layers - 1}
        x = _layer(rest, layer_seed(4 * i + 1), f"gru_{i + 1}", bidirectional)(x, mask=mask)
    logits = keras.layers.Dense(
        num_classes,
        kernel_initializer=keras.initializers.GlorotUniform(layer_seed(4 * num_layers + 1)),
        dtype="float32",
        name="logits",
    )(x)
    return keras.Model({"characters": characters, "lengths": lengths}, logits, name=name)


def _layer(options: dict[str, Any], seed: int | None, name: str, bidirectional: bool) -> Any:
    """Make a layer of one or two directions, which begin with weights of their own."""

    def gru(number: int, **more: Any) -> GRU:
        first, second = (None, None) if seed is None else (seed + number, seed + number + 1)
        return GRU(
            **options,
            **more,
            kernel_initializer=keras.initializers.GlorotUniform(first),
            recurrent_initializer=keras.initializers.Orthogonal(seed=second),
        )

    if not bidirectional:
        return gru(0, name=name)
    backwards = gru(2, go_backwards=True, name=f"backward_{name}")
    return keras.layers.Bidirectional(gru(0, name=name), backward_layer=backwards, name=name)
