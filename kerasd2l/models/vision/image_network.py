"""The layers of an image classifier as the book has them.

Padding is the same on all sides (Keras' "same" with stride 2 is not), weights are Xavier-uniform,
batch normalisation has momentum 0.9 and epsilon 1e-5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kerasd2l.layers import BatchNormalization, Conv2D, GroupedConv2D

layers = keras.layers
LAST = "channels_last"  # whatever keras.json says
MNIST_MEAN, MNIST_STD = 0.1307, 0.3081  # of the pixels of its training set
# Red, green and blue of ImageNet's: what networks that were trained on it expect.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def check_classes(num_classes: int) -> None:
    """Refuse fewer than two classes."""
    if num_classes < 2:
        raise ValueError(f"`num_classes` must be at least 2. Received: num_classes={num_classes}.")


class ImageNetwork:
    """Makes the layers of one functional image classifier; refuses pictures that are too small.

    Args:
        input_shape: (height, width, channels); height and width may be None for a network that
            ends in global pooling.
        num_classes: int >= 2, classes K.
        seed: int or None. Layer i draws its weights with seed + i.
        stddev: float or None, of normal weights with mean 0. None: Xavier-uniform ones.

    Raises:
        ValueError: a shape without three axes, or fewer than two classes.
    """

    use_bias = True  # of the convolutions

    def __init__(
        self,
        input_shape: tuple,
        num_classes: int,
        seed: int | None,
        stddev: float | None = None,
    ):
        if len(input_shape) != 3:
            raise ValueError(
                "`input_shape` must be (height, width, channels). "
                f"Received: input_shape={input_shape}."
            )
        check_classes(num_classes)
        self.input_shape, self.num_classes = tuple(input_shape), num_classes
        self._seed, self._stddev = seed, stddev
        self.pixels = keras.Input(input_shape, name="pixels")

    def conv(
        self,
        x: Any,
        filters: int,
        kernel_size: int,
        *,
        strides: int = 1,
        padding: int = 0,
        groups: int = 1,
        activation: str | None = None,
        name: str,
    ) -> Any:
        """Convolve; `padding` zeros on all four sides."""
        self._check_size(x, kernel_size, padding, name)
        same = strides == 1 and 2 * padding == kernel_size - 1
        if padding and not same:
            x = self.zeros(x, padding, name=f"{name}_padding")
        # Keras compiles Conv2D(groups > 1) with XLA on a CPU: seconds per layer, and not servable.
        layer = GroupedConv2D if groups > 1 else Conv2D
        return layer(
            filters,
            kernel_size,
            strides=strides,
            padding="same" if same else "valid",
            groups=groups,
            activation=activation,
            use_bias=self.use_bias,
            kernel_initializer=self.initializer(),
            name=name,
        )(x)

    def max_pool(
        self, x: Any, pool_size: int = 3, strides: int = 2, *, padding: int = 0, name: str
    ) -> Any:
        """Take maxima; padding counts as zero, so x must not be negative: it comes from a ReLU."""
        self._check_size(x, pool_size, padding, name)
        same = strides == 1 and 2 * padding == pool_size - 1
        if padding and not same:
            x = self.zeros(x, padding, name=f"{name}_padding")
        return layers.MaxPooling2D(
            pool_size, strides, "same" if same else "valid", data_format=LAST, name=name
        )(x)

    def pool_relu(self, x: Any, number: int) -> Any:
        """Take maxima of 2 x 2, then ReLU."""
        x = self.max_pool(x, 2, 2, name=f"pool_{number}")
        return layers.Activation("relu", name=f"relu_{number}")(x)

    def normalise(self, mean: float, std: float) -> Any:
        """Return the pixels with mean 0 and deviation 1."""
        return layers.Rescaling(1 / std, -mean / std, name="normalise")(self.pixels)

    def standardise(self, mean: Sequence[float], std: Sequence[float]) -> Any:
        """Return (pixels - mean) / std, channel by channel.

        Raises:
            ValueError: not a number for each channel, or a deviation that is not positive.
        """
        channels = self.input_shape[-1]
        if len(mean) != channels or len(std) != channels or min(std) <= 0:
            raise ValueError(
                f"`pixel_mean` and `pixel_std` must have a number for each of the {channels} "
                f"channels, `pixel_std` positive ones. Received: pixel_mean={tuple(mean)}, "
                f"pixel_std={tuple(std)}."
            )
        scale = [1 / s for s in std]
        offset = [-m / s for m, s in zip(mean, std, strict=True)]
        return layers.Rescaling(scale, offset, name="standardise")(self.pixels)

    def initializer(self) -> keras.Initializer:
        """Return what draws the weights of the next convolution."""
        return self._draw()

    def _draw(self) -> keras.Initializer:
        if self._stddev is None:
            return keras.initializers.GlorotUniform(self.next_seed())
        return keras.initializers.RandomNormal(0.0, self._stddev, self.next_seed())

    def average_pool(self, x: Any, pool_size: int = 2, strides: int = 2, *, name: str) -> Any:
        """Average, by default 2 x 2 with stride 2."""
        self._check_size(x, pool_size, 0, name)
        return layers.AveragePooling2D(pool_size, strides, data_format=LAST, name=name)(x)

    def global_pool(self, x: Any) -> Any:
        """Average each channel over the whole map."""
        return layers.GlobalAveragePooling2D(data_format=LAST, name="global_pool")(x)

    def zeros(self, x: Any, padding: int, *, name: str) -> Any:
        """Surround with zeros."""
        return layers.ZeroPadding2D(padding, data_format=LAST, name=name)(x)

    def flatten(self, x: Any) -> Any:
        """Turn maps into vectors."""
        return layers.Flatten(data_format=LAST, name="flatten")(x)

    def batch_norm(self, x: Any, activation: str | None = None, *, name: str) -> Any:
        """Normalise each channel over the batch, then apply the nonlinearity."""
        x = BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)
        return layers.Activation(activation, name=f"{name}_{activation}")(x) if activation else x

    def dense(self, x: Any, units: int, activation: str | None = None, *, name: str) -> Any:
        """Map affinely, then apply the nonlinearity."""
        return layers.Dense(units, activation, kernel_initializer=self._draw(), name=name)(x)

    def dense_layers(self, x: Any, dense_units: Sequence[int], dropout_rate: float) -> Any:
        """Flatten, then dense layers with ReLU and dropout."""
        if any(number < 1 for number in dense_units):
            raise ValueError(f"`dense_units` must be positive. Received: {tuple(dense_units)}.")
        x = self.flatten(x)
        for i, number in enumerate(dense_units, 1):
            x = self.dense(x, number, "relu", name=f"dense_{i}")
            x = self.dropout(x, dropout_rate, name=f"dropout_{i}")
        return x

    def dropout(self, x: Any, rate: float, *, name: str) -> Any:
        """Drop at random while training."""
        return layers.Dropout(rate, seed=self.next_seed(), name=name)(x)

    def model(self, x: Any, name: str) -> keras.Model:
        """Map features (B, D) to logits (B, K) float32 and finish the model."""
        head = layers.Dense(
            self.num_classes, kernel_initializer=self._draw(), dtype="float32", name="logits"
        )
        return keras.Model(self.pixels, head(x), name=name)

    def next_seed(self) -> int | None:
        """Return another seed for each layer; None without a seed."""
        if self._seed is None:
            return None
        self._seed += 1
        return self._seed - 1

    def _check_size(self, x: Any, window: int, padding: int, name: str) -> None:
        height, width = x.shape[1:3]
        least = window - 2 * padding
        if any(side is not None and side < least for side in (height, width)):
            raise ValueError(
                f"`input_shape` is too small: `{name}` needs {least} x {least} pixels, but the map "
                f"has shrunk to {height} x {width} there. "
                f"Received: input_shape={self.input_shape}. Use larger pictures or fewer stages."
            )


class HeNetwork(ImageNetwork):
    """A network whose convolutions begin with He-normal weights by the outputs."""

    def initializer(self) -> keras.Initializer:
        return keras.initializers.VarianceScaling(
            2.0, "fan_out", "untruncated_normal", self.next_seed()
        )


def scaled(filters: int, width: float) -> int:
    """Return the number of filters of a network made narrower or wider.

    Raises:
        ValueError: a width of 0 or less.
    """
    if not 0 < width < float("inf"):
        raise ValueError(f"`width` must be positive and finite. Received: width={width}.")
    return max(1, round(filters * width))
