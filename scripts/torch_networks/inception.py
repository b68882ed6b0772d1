"""GoogLeNet, and the networks of the lessons on handwritten digits."""

from __future__ import annotations

import torch
from torch import nn

from torch_networks.parts import chain, conv, named, scaled


class Inception(nn.Module):
    """Four views of the map: 1x1; 1x1 - 3x3; 1x1 - 5x5; pool - 1x1."""

    def __init__(self, channels: int, c1: int, c2: tuple, c3: tuple, c4: int):
        super().__init__()
        self.path_1 = nn.Conv2d(channels, c1, 1)
        self.path_2_reduce = nn.Conv2d(channels, c2[0], 1)
        self.path_2 = nn.Conv2d(c2[0], c2[1], 3, padding=1)
        self.path_3_reduce = nn.Conv2d(channels, c3[0], 1)
        self.path_3 = nn.Conv2d(c3[0], c3[1], 5, padding=2)
        self.pool = nn.MaxPool2d(3, 1, padding=1)
        self.path_4 = nn.Conv2d(channels, c4, 1)

    def forward(self, x):
        relu = nn.functional.relu
        paths = (
            self.path_1(x),
            self.path_2(relu(self.path_2_reduce(x))),
            self.path_3(relu(self.path_3_reduce(x))),
            self.path_4(self.pool(x)),
        )
        return torch.cat([relu(path) for path in paths], dim=1)


INCEPTIONS = {
    3: ((64, (96, 128), (16, 32), 32), (128, (128, 192), (32, 96), 64)),
    4: (
        (192, (96, 208), (16, 48), 64),
        (160, (112, 224), (24, 64), 64),
        (128, (128, 256), (24, 64), 64),
        (112, (144, 288), (32, 64), 64),
        (256, (160, 320), (32, 128), 128),
    ),
    5: ((256, (160, 320), (32, 128), 128), (384, (192, 384), (48, 128), 128)),
}


def googlenet(channels: int, num_classes: int, width: float = 1.0) -> nn.Module:
    """Build GoogLeNet."""
    first, second = scaled(64, width), scaled(192, width)
    parts = [
        *named("stage_1_conv", conv(channels, first, 7, stride=2, padding=3)),
        nn.MaxPool2d(3, 2, padding=1),
        *named("stage_2_reduce", conv(first, first, 1)),
        *named("stage_2_conv", conv(first, second, 3, padding=1)),
        nn.MaxPool2d(3, 2, padding=1),
    ]
    channels = second
    for stage, blocks in INCEPTIONS.items():
        for j, (c1, c2, c3, c4) in enumerate(blocks, 1):
            one, four = scaled(c1, width), scaled(c4, width)
            two, three = (tuple(scaled(n, width) for n in path) for path in (c2, c3))
            parts.append(
                (f"stage_{stage}_inception_{j}", Inception(channels, one, two, three, four))
            )
            channels = one + two[1] + three[1] + four
        parts += [nn.MaxPool2d(3, 2, padding=1)] if stage < 5 else []
    parts += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return chain(*parts, ("logits", nn.LazyLinear(num_classes)))


class LessonInception(nn.Module):
    """The lessons' block: average pooling, no ReLU, two 3 x 3 convolutions in one path."""

    def __init__(self, channels: int):
        super().__init__()
        self.path_1 = nn.Conv2d(channels, 16, 1)
        self.path_2_reduce = nn.Conv2d(channels, 16, 1)
        self.path_2 = nn.Conv2d(16, 24, 5, padding=2)
        self.path_3_reduce = nn.Conv2d(channels, 16, 1)
        self.path_3_first = nn.Conv2d(16, 24, 3, padding=1)
        self.path_3 = nn.Conv2d(24, 24, 3, padding=1)
        self.pool = nn.AvgPool2d(3, 1, padding=1)
        self.path_4 = nn.Conv2d(channels, 24, 1)

    def forward(self, x):
        paths = (
            self.path_1(x),
            self.path_2(self.path_2_reduce(x)),
            self.path_3(self.path_3_first(self.path_3_reduce(x))),
            self.path_4(self.pool(x)),
        )
        return torch.cat(paths, dim=1)


class LessonResidual(nn.Module):
    """z = ReLU(x + f(x)), f of two 3 x 3 convolutions with a ReLU between."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv_1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv_2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        relu = nn.functional.relu
        return relu(x + self.conv_2(relu(self.conv_1(x))))


class Normalise(nn.Module):
    """Bring MNIST's pixels to mean 0 and deviation 1."""

    def forward(self, x):
        return (x - 0.1307) / 0.3081


def mnist_cnn(channels: int, num_classes: int) -> nn.Module:
    """Build the lessons' CNN: ReLU after the pooling."""
    return _lesson(channels, 10, 20, num_classes)


def mnist_inception(channels: int, num_classes: int) -> nn.Module:
    """Build the lessons' CNN with an Inception block behind each pooling."""
    return _lesson(
        channels,
        10,
        20,
        num_classes,
        ("inception_1", LessonInception(10)),
        ("inception_2", LessonInception(20)),
        between=88,
    )


def mnist_resnet(channels: int, num_classes: int) -> nn.Module:
    """Build the lessons' CNN with a residual block behind each pooling."""
    blocks = ("residual_1", LessonResidual(16)), ("residual_2", LessonResidual(32))
    return _lesson(channels, 16, 32, num_classes, *blocks)


def _lesson(
    channels: int, first: int, second: int, num_classes: int, *blocks, between: int | None = None
) -> nn.Module:
    one, two = blocks or (nn.Identity(), nn.Identity())
    return chain(
        Normalise(),
        ("conv_1", nn.Conv2d(channels, first, 5)),
        nn.MaxPool2d(2, 2),
        nn.ReLU(),
        one,
        ("conv_2", nn.Conv2d(between or first, second, 5)),
        nn.MaxPool2d(2, 2),
        nn.ReLU(),
        two,
        nn.Flatten(),
        ("logits", nn.LazyLinear(num_classes)),
    )
