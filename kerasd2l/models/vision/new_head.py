"""Transfer: the body of a trained network, and a new head for other classes."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kerasd2l.models.vision.image_network import check_classes

HEAD = "logits"  # the last layer of every image network here
BODY = "body"  # in `frozen`: all layers but the head


def with_new_head(
    network: keras.Model,
    input_shape: tuple[int | None, int | None, int],
    num_classes: int,
    *,
    hidden_units: Sequence[int] = (),
    keep_top: bool = False,
    frozen: Sequence[str] = (),
    seed: int | None = None,
) -> keras.Model:
    """Return a copy of a network with other classes: its weights, and a new last layer.

    Section: "fine-tuning". The head has Xavier-uniform weights. What is frozen is not trained, and
    its batch normalization keeps the statistics it has, also while training.

    Args:
        network: a functional image network of this library, whose last layer is `logits`.
        input_shape: (height, width, channels) of the pictures, of another size if need be.
        num_classes: int >= 2, classes K.
        hidden_units: sequence of int, units of hidden dense layers (ReLU) of the head, `head_1`...
        keep_top: bool, build on the logits that the network had (`logits_before`), not on its
            features. Section "kaggle-dog" does.
        frozen: beginnings of names of layers that stay as they are, as "stem" and "stage_1"; "body"
            means all but the head.
        seed: int or None, of the head's weights.

    Returns:
        A functional `keras.Model` that maps to logits (B, K) float32.

    Raises:
        ValueError: a network without `logits`, for other channels, or that the size does not fit;
            a beginning that no layer has.

    Example:
        >>> from kerasd2l.models import imagenet_resnet
        >>> before = imagenet_resnet((32, 32, 3), 8, depths=(1,), width=0.125)
        >>> with_new_head(before, (48, 48, 3), 2).output_shape
        (None, 2)
    """
    check_classes(num_classes)
    names = [layer.name for layer in network.layers]
    if HEAD not in names or len(network.inputs) != 1 or len(network.inputs[0].shape) != 4:
        raise ValueError(
            f"the network must map pictures to a layer `{HEAD}`, as the image networks of this "
            f"library do. Received: {network.name}, whose layers end with {names[-1]}."
        )
    channels = network.inputs[0].shape[-1]
    if channels != input_shape[-1]:
        raise ValueError(
            f"{network.name} is for pictures of {channels} channels. "
            f"Received: input_shape={tuple(input_shape)}."
        )
    body = _copied(network, input_shape, keep_top)
    _freeze(body, frozen)
    x = body.output
    for i, units in enumerate(hidden_units, 1):
        x = _dense(units, seed, i, name=f"head_{i}", activation="relu")(x)
    x = _dense(num_classes, seed, 0, name=HEAD, dtype="float32")(x)
    return keras.Model(body.inputs[0], x, name=network.name)


def _copied(network: keras.Model, input_shape: tuple, keep_top: bool) -> keras.Model:
    """Return the layers below the head, or with it, for pictures of a size, with their weights."""
    head = network.get_layer(HEAD)
    body = keras.Model(network.inputs[0], head.output if keep_top else head.input)

    def copy(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if layer.name == HEAD:
            config["name"] = f"{HEAD}_before"
        return type(layer).from_config(config)

    pixels = keras.Input(input_shape, name="pixels")
    try:
        copied = keras.models.clone_model(body, input_tensors=pixels, clone_function=copy)
        copied.set_weights(body.get_weights())
    except ValueError as error:
        raise ValueError(
            f"{network.name} does not fit pictures of {tuple(input_shape)}: {error}"
        ) from error
    return copied


def _freeze(body: keras.Model, frozen: Sequence[str]) -> None:
    for start in frozen:
        chosen = [layer for layer in body.layers if start == BODY or layer.name.startswith(start)]
        if not chosen:
            raise ValueError(
                f"`frozen` must be beginnings of names of layers, or {BODY}. Received: {start!r}; "
                f"the layers are {', '.join(layer.name for layer in body.layers[1:6])}, ..."
            )
        for layer in chosen:
            layer.trainable = False


def _dense(units: int, seed: int | None, place: int, **options) -> keras.Layer:
    weights = keras.initializers.GlorotUniform(None if seed is None else seed + place)
    return keras.layers.Dense(units, kernel_initializer=weights, **options)
