"""Networks without batch normalisation, but for LeNet's variant."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from torch_networks.parts import chain, conv, named, scaled

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


def dense_layers(units: Iterable[int], num_classes: int, dropout_rate: float) -> list:
    """Flatten, wide layers with ReLU and dropout, logits."""
    parts: list = [nn.Flatten()]
    for i, number in enumerate(units, 1):
        parts += [(f"dense_{i}", nn.LazyLinear(number)), nn.ReLU(), nn.Dropout(dropout_rate)]
    return [*parts, ("logits", nn.LazyLinear(num_classes))]


def softmax_regression(channels: int, num_classes: int) -> nn.Module:
    """Build one affine map."""
    return chain(nn.Flatten(), ("logits", nn.LazyLinear(num_classes)))


def mlp(
    channels: int,
    num_classes: int,
    hidden_units: tuple = (256,),
    activation: str = "relu",
    dropout_rates: tuple = (),
) -> nn.Module:
    """Build hidden layers, each with its dropout rate if there are any."""
    parts: list = [nn.Flatten()]
    for i, units in enumerate(hidden_units):
        parts += [(f"hidden_{i + 1}", nn.LazyLinear(units)), ACTIVATIONS[activation]()]
        parts += [nn.Dropout(dropout_rates[i])] if dropout_rates else []
    return chain(*parts, ("logits", nn.LazyLinear(num_classes)))


def lenet(
    channels: int, num_classes: int, activation: str = "sigmoid", pooling: str = "average"
) -> nn.Module:
    """Build LeNet-5."""
    act = ACTIVATIONS[activation]
    pool = {"average": nn.AvgPool2d, "max": nn.MaxPool2d}[pooling]
    return chain(
        ("conv_1", nn.Conv2d(channels, 6, 5, padding=2)),
        act(),
        pool(2, 2),
        ("conv_2", nn.Conv2d(6, 16, 5)),
        act(),
        pool(2, 2),
        nn.Flatten(),
        ("dense_1", nn.LazyLinear(120)),
        act(),
        ("dense_2", nn.LazyLinear(84)),
        act(),
        ("logits", nn.LazyLinear(num_classes)),
    )


def batch_norm_lenet(channels: int, num_classes: int) -> nn.Module:
    """Build LeNet with batch normalisation before each sigmoid, and no padding."""
    return chain(
        ("conv_1", nn.Conv2d(channels, 6, 5)),
        ("batch_norm_1", nn.BatchNorm2d(6)),
        nn.Sigmoid(),
        nn.AvgPool2d(2, 2),
        ("conv_2", nn.Conv2d(6, 16, 5)),
        ("batch_norm_2", nn.BatchNorm2d(16)),
        nn.Sigmoid(),
        nn.AvgPool2d(2, 2),
        nn.Flatten(),
        ("dense_1", nn.LazyLinear(120)),
        ("batch_norm_3", nn.BatchNorm1d(120)),
        nn.Sigmoid(),
        ("dense_2", nn.LazyLinear(84)),
        ("batch_norm_4", nn.BatchNorm1d(84)),
        nn.Sigmoid(),
        ("logits", nn.LazyLinear(num_classes)),
    )


def alexnet(
    channels: int,
    num_classes: int,
    width: float = 1.0,
    dense_units: tuple = (4096, 4096),
    first_padding: int = 1,
) -> nn.Module:
    """Build AlexNet."""
    a, b, c, d = (scaled(n, width) for n in (96, 256, 384, 256))
    return chain(
        *named("conv_1", conv(channels, a, 11, stride=4, padding=first_padding)),
        nn.MaxPool2d(3, 2),
        *named("conv_2", conv(a, b, 5, padding=2)),
        nn.MaxPool2d(3, 2),
        *named("conv_3", conv(b, c, 3, padding=1)),
        *named("conv_4", conv(c, c, 3, padding=1)),
        *named("conv_5", conv(c, d, 3, padding=1)),
        nn.MaxPool2d(3, 2),
        *dense_layers(dense_units, num_classes, 0.5),
    )


def vgg(
    channels: int,
    num_classes: int,
    convs: tuple = (1, 1, 2, 2, 2),
    filters: tuple = (64, 128, 256, 512, 512),
    width: float = 1.0,
    dense_units: tuple = (4096, 4096),
) -> nn.Module:
    """Build VGG: blocks of 3 x 3 convolutions that each halve the map."""
    parts: list = []
    for i, (count, number) in enumerate(zip(convs, filters, strict=True), 1):
        for j in range(1, count + 1):
            out = scaled(number, width)
            parts += named(f"block_{i}_conv_{j}", conv(channels, out, 3, padding=1))
            channels = out
        parts.append(nn.MaxPool2d(2, 2))
    return chain(*parts, *dense_layers(dense_units, num_classes, 0.5))


def nin(channels: int, num_classes: int, width: float = 1.0) -> nn.Module:
    """Build NiN: 1 x 1 convolutions behind each convolution, the mean of each map at the end."""

    def block(number: int, channels: int, filters: int, kernel_size: int, **options: int) -> list:
        return [
            *named(f"block_{number}_conv_1", conv(channels, filters, kernel_size, **options)),
            *named(f"block_{number}_conv_2", conv(filters, filters, 1)),
            *named(f"block_{number}_conv_3", conv(filters, filters, 1)),
        ]

    a, b, c = (scaled(n, width) for n in (96, 256, 384))
    return chain(
        *block(1, channels, a, 11, stride=4),
        nn.MaxPool2d(3, 2),
        *block(2, a, b, 5, padding=2),
        nn.MaxPool2d(3, 2),
        *block(3, b, c, 3, padding=1),
        nn.MaxPool2d(3, 2),
        nn.Dropout(0.5),
        *block(4, c, num_classes, 3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
