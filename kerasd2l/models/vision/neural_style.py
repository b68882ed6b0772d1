"""Neural style transfer: a picture as the variable, its losses, and the features they compare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kerasd2l.models.vision.image_network import IMAGENET_MEAN, IMAGENET_STD
from kerasd2l.models.vision.imagenet_vgg import vgg_feature

CONTENT_LAYERS = tuple(vgg_feature(place) for place in (25,))
STYLE_LAYERS = tuple(vgg_feature(place) for place in (0, 5, 10, 19, 28))


def gram(x: Any) -> Any:
    """Return how the channels of a map go together: X^T X / (c n) over its n pixels.

    Section: "neural-style".

    Args:
        x: (B, H, W, C).

    Returns:
        (B, C, C).

    Example:
        >>> gram(ops.ones((1, 2, 3, 4)))[0, 0].numpy().tolist()
        [0.25, 0.25, 0.25, 0.25]
    """
    pixels = ops.reshape(x, (ops.shape(x)[0], -1, x.shape[-1]))  # (B, n, C)
    total = ops.cast(ops.shape(pixels)[1] * x.shape[-1], x.dtype)
    return ops.matmul(ops.transpose(pixels, (0, 2, 1)), pixels) / total


def content_loss(x: Any, y: Any) -> Any:
    """Return the mean square of the difference of two maps. Section: "neural-style"."""
    return ops.mean(ops.square(x - y))


def style_loss(x: Any, gram_y: Any) -> Any:
    """Return the mean square of gram(x) - gram_y. Section: "neural-style"."""
    return ops.mean(ops.square(gram(x) - gram_y))


def tv_loss(x: Any) -> Any:
    """Return the total variation: half the mean difference of neighbours, down and to the right.

    Section: "neural-style".

    Args:
        x: (B, H, W, C).
    """
    down = ops.mean(ops.abs(x[:, 1:] - x[:, :-1]))
    right = ops.mean(ops.abs(x[:, :, 1:] - x[:, :, :-1]))
    return 0.5 * (down + right)


def feature_extractor(
    network: keras.Model, names: Sequence[str], height: int, width: int
) -> keras.Model:
    """Return a network that maps pixels to what some convolutions of another one give.

    Outputs are after the ReLU but for the deepest of them, which is before it. So it is, in effect,
    in the book's code: the ReLUs of torchvision's VGG write over what a convolution gave, and
    behind the last one that is used there is none. Section: "neural-style".

    Args:
        network: a VGG, from `imagenet_vgg` or with the same names of layers.
        names: of its convolutions, from the first to the last.
        height: int, of the pictures.
        width: int.

    Returns:
        keras.Model, (B, height, width, 3) -> list of maps, float32.

    Raises:
        ValueError: a network without such layers.
    """
    there = {layer.name for layer in network.layers}
    if missing := [name for name in names if name not in there]:
        raise ValueError(
            f"the network must be a VGG with the layers {', '.join(names)}. Received: "
            f"{network.name}, which lacks {', '.join(missing)}."
        )
    part = keras.Model(network.inputs[0], [network.get_layer(name).output for name in names])

    def copy(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if layer.name == names[-1]:
            config["activation"] = None
        return type(layer).from_config(config)

    pixels = keras.Input((height, width, 3), name="pixels")
    copied = keras.models.clone_model(part, input_tensors=pixels, clone_function=copy)
    copied.set_weights(part.get_weights())
    copied.trainable = False
    return copied


def spread_features(network: keras.Model, pixels: Any, deviation: float = 3.0) -> None:
    """Let every channel of a random VGG have mean 0 and one deviation on some pictures.

    Each convolution in turn is scaled and shifted, before its ReLU. Random weights as they are make
    the maps of all pictures alike, the more so the deeper. Section: "neural-style".

    Args:
        network: keras.Model, layer after layer, as `imagenet_vgg(include_top=False)`.
        pixels: (B, H, W, 3).
        deviation: float > 0. Default: 3, maps of about the size that trained ones have: with 1,
            total variation counts most, and the picture blurs.

    Reference:
        Mishkin, Matas, All you need is a good init, 2015.
    """
    x = ops.convert_to_tensor(pixels)
    for layer in network.layers[1:]:
        if hasattr(layer, "kernel"):
            activation, layer.activation = layer.activation, keras.activations.linear
            try:
                mean, variance = ops.moments(layer(x), axes=(0, 1, 2))
            finally:
                layer.activation = activation
            scale = deviation / ops.sqrt(variance + 1e-12)
            layer.kernel.assign(layer.kernel * scale)
            layer.bias.assign((layer.bias - mean) * scale)
        x = layer(x)


@keras.saving.register_keras_serializable("kerasd2l")
class SynthesizedImage(keras.Model):
    """A picture that is trained: like one picture in its content, like another in its style.

    loss = content_weight C + style_weight S + tv_weight V, each C and S summed over its layers.
    Section: "neural-style".

    The variable is (pixels - mean) / std of ImageNet, as in the book: the optimizer's steps are in
    these units. `begin` says what it shall be like; only the picture is saved.

    Args:
        height: int >= 2, pixels.
        width: int >= 2, pixels.
        content_weight: float >= 0. Default: 1.
        style_weight: float >= 0. Default: 1e4: the book has 1e3, and repeats its list of losses ten
            times before it adds them up.
        tv_weight: float >= 0. Default: 10.

    Call arguments:
        inputs: (B, height, width, 3), of which only B counts.

    Returns:
        (B, height, width, 3) float32: the picture in [0, 1], B times.

    Raises:
        ValueError: a number out of range.

    Reference:
        Gatys, Ecker, Bethge, Image style transfer using convolutional neural networks, 2016.
    """

    def __init__(
        self,
        height: int,
        width: int,
        content_weight: float = 1.0,
        style_weight: float = 1e4,
        tv_weight: float = 10.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if min(height, width) < 2:
            raise ValueError(
                "`height` and `width` must be at least 2. "
                f"Received: height={height}, width={width}."
            )
        self.height, self.width = height, width
        self.weights_of_losses = {
            "content": content_weight,
            "style": style_weight,
            "tv": tv_weight,
        }
        for name, value in self.weights_of_losses.items():
            if not 0 <= value < float("inf"):
                raise ValueError(
                    f"`{name}_weight` must be 0 or a positive number. Received: {value}."
                )
        self.parts = {name: keras.metrics.Mean(name) for name in self.weights_of_losses}
        self._aim: _Aim | None = None

    def build(self, input_shape: Any = None) -> None:
        shape = (1, self.height, self.width, 3)
        self.picture = self.add_weight(shape=shape, initializer="zeros", name="picture")
        self.built = True

    def begin(
        self,
        network: keras.Model,
        content: Any,
        style: Any,
        *,
        content_layers: Sequence[str] = CONTENT_LAYERS,
        style_layers: Sequence[str] = STYLE_LAYERS,
    ) -> None:
        """Say what the picture shall be like, and begin with the picture of the content.

        Args:
            network: a VGG, see `feature_extractor`.
            content: (1, height, width, 3) float in [0, 1].
            style: the same.
            content_layers: names of convolutions whose maps are compared.
            style_layers: names of convolutions whose `gram` is compared.

        Raises:
            ValueError: a network without such layers, or no layers.
        """
        self._aim = _Aim(network, content, style, content_layers, style_layers)
        if not self.built:
            self.build()
        self.picture.assign((content - IMAGENET_MEAN) / IMAGENET_STD)

    def call(self, inputs, training=False):
        pixels = ops.clip(self._pixels(), 0.0, 1.0)  # (1, H, W, 3)
        return ops.repeat(pixels, ops.shape(inputs)[0], axis=0)

    def _pixels(self) -> Any:
        return self.picture * ops.array(IMAGENET_STD) + ops.array(IMAGENET_MEAN)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if self._aim is None:
            raise ValueError(
                "the picture has nothing that it shall be like. Call `begin`; a picture that was "
                "loaded is finished."
            )
        content, style = self._aim.differences(self._pixels())
        losses = {"content": content, "style": style, "tv": tv_loss(self.picture)}
        total = 0.0
        for name, loss in losses.items():
            weighted = self.weights_of_losses[name] * loss
            self.parts[name].update_state(weighted)
            total = total + weighted
        # a loss of Keras divides by the number of replicas, whose gradients are added up
        one = ops.reshape(total, (1, 1))
        return keras.losses.MeanAbsoluteError()(ops.zeros_like(one), one)

    def get_config(self) -> dict[str, Any]:
        weights = {f"{name}_weight": value for name, value in self.weights_of_losses.items()}
        return super().get_config() | {"height": self.height, "width": self.width, **weights}


class _Aim:
    """What a picture shall be like. No part of the model: Keras would save the network with it."""

    def __init__(
        self,
        network: keras.Model,
        content: Any,
        style: Any,
        content_layers: Sequence[str],
        style_layers: Sequence[str],
    ):
        order = [layer.name for layer in network.layers]
        wanted = [*content_layers, *style_layers]
        if not wanted:
            raise ValueError("`content_layers` or `style_layers` must name a layer.")
        names = [name for name in order if name in wanted]
        names += [name for name in wanted if name not in order]  # an error that names them
        self.content_layers, self.style_layers = content_layers, style_layers
        self.names = names
        self.network = feature_extractor(network, names, *content.shape[1:3])
        of_content, of_style = self._maps(content), self._maps(style)
        self.contents = {name: of_content[name] for name in content_layers}
        self.grams = {name: gram(of_style[name]) for name in style_layers}

    def differences(self, pixels: Any) -> tuple[Any, Any]:
        """Return the losses of content and of style, each summed over its layers."""
        maps = self._maps(pixels)
        content = sum(content_loss(maps[name], y) for name, y in self.contents.items())
        style = sum(style_loss(maps[name], y) for name, y in self.grams.items())
        return content, style

    def _maps(self, pixels: Any) -> dict[str, Any]:
        outputs = self.network(pixels, training=False)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        return dict(zip(self.names, outputs, strict=True))
