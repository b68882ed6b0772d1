"""Networks with batch normalisation: ResNet, ResNeXt, RegNet, DenseNet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from torch_networks.parts import chain, scaled


class Residual(nn.Module):
    """ResNet's block; the projection has no batch normalisation, as in the book."""

    def __init__(self, channels: int, filters: int, *, project: bool, stride: int):
        super().__init__()
        self.conv_1 = nn.Conv2d(channels, filters, 3, stride=stride, padding=1)
        self.bn_1 = nn.BatchNorm2d(filters)
        self.conv_2 = nn.Conv2d(filters, filters, 3, padding=1)
        self.bn_2 = nn.BatchNorm2d(filters)
        self.project = nn.Conv2d(channels, filters, 1, stride=stride) if project else nn.Identity()

    def forward(self, x):
        y = nn.functional.relu(self.bn_1(self.conv_1(x)))
        return nn.functional.relu(self.bn_2(self.conv_2(y)) + self.project(x))


class ResNeXt(nn.Module):
    """ResNeXt's block; `group_width` is what the book calls groups."""

    def __init__(
        self,
        channels: int,
        filters: int,
        *,
        group_width: int,
        bottleneck: float,
        project: bool,
        stride: int,
    ):
        super().__init__()
        middle = round(filters * bottleneck)
        groups = middle // group_width
        self.conv_1 = nn.Conv2d(channels, middle, 1)
        self.bn_1 = nn.BatchNorm2d(middle)
        self.conv_2 = nn.Conv2d(middle, middle, 3, stride=stride, padding=1, groups=groups)
        self.bn_2 = nn.BatchNorm2d(middle)
        self.conv_3 = nn.Conv2d(middle, filters, 1)
        self.bn_3 = nn.BatchNorm2d(filters)
        self.project = nn.Conv2d(channels, filters, 1, stride=stride) if project else nn.Identity()
        self.project_bn = nn.BatchNorm2d(filters) if project else nn.Identity()

    def forward(self, x):
        y = nn.functional.relu(self.bn_1(self.conv_1(x)))
        y = nn.functional.relu(self.bn_2(self.conv_2(y)))
        return nn.functional.relu(self.bn_3(self.conv_3(y)) + self.project_bn(self.project(x)))


def stem(channels: int, filters: int) -> list:
    """Begin as ResNet and DenseNet do."""
    return [
        ("stem_conv", nn.Conv2d(channels, filters, 7, stride=2, padding=3)),
        ("stem_bn", nn.BatchNorm2d(filters)),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, padding=1),
    ]


def stages(
    block: Callable[..., nn.Module], channels: int, filters: Iterable[int], depths: Iterable[int],
    *, first_stride: int, first_project: bool,
) -> list:  # fmt: skip
    """Return the blocks of all stages; `first_` says what the first block of the first one does."""
    parts: list = []
    for i, (out, depth) in enumerate(zip(filters, depths, strict=False), 1):
        for j in range(1, depth + 1):
            stride = 1 if j > 1 else 2 if i > 1 else first_stride
            project = j == 1 and (i > 1 or first_project)
            name = f"stage_{i}_block_{j}"
            parts.append((name, block(channels, out, project=project, stride=stride)))
            channels = out
    return [*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten()]


def resnet18(
    channels: int, num_classes: int, depths: tuple = (2, 2, 2, 2), width: float = 1.0
) -> nn.Module:
    """Build ResNet-18."""
    filters = [scaled(n, width) for n in (64, 128, 256, 512)]
    body = stages(Residual, filters[0], filters, depths, first_stride=1, first_project=False)
    return chain(*stem(channels, filters[0]), *body, ("logits", nn.LazyLinear(num_classes)))


def resnext(
    channels: int,
    num_classes: int,
    depths: tuple = (2, 2, 2, 2),
    group_width: int = 16,
    bottleneck: float = 1.0,
    width: float = 1.0,
) -> nn.Module:
    """Build ResNeXt blocks on the stem and stages of ResNet-18."""

    def block(channels: int, filters: int, **options: Any) -> nn.Module:
        return ResNeXt(channels, filters, group_width=group_width, bottleneck=bottleneck, **options)

    filters = [scaled(n, width) for n in (64, 128, 256, 512)]
    body = stages(block, filters[0], filters, depths, first_stride=1, first_project=True)
    return chain(*stem(channels, filters[0]), *body, ("logits", nn.LazyLinear(num_classes)))


def regnet(
    channels: int, num_classes: int, depths: tuple = (4, 6), width: float = 1.0
) -> nn.Module:
    """Build the book's RegNetX: 32 and 80 channels in groups of 16."""

    def block(channels: int, filters: int, **options: Any) -> nn.Module:
        group_width = scaled(16, width)
        return ResNeXt(channels, filters, group_width=group_width, bottleneck=1.0, **options)

    first = scaled(32, width)
    filters = (first, scaled(80, width))
    return chain(
        ("stem_conv", nn.Conv2d(channels, first, 3, stride=2, padding=1)),
        ("stem_bn", nn.BatchNorm2d(first)),
        nn.ReLU(),
        *stages(block, first, filters, depths, first_stride=2, first_project=True),
        ("logits", nn.LazyLinear(num_classes)),
    )


class DenseBlock(nn.Module):
    """Append `growth_rate` maps to the input, `num_convs` times."""

    def __init__(self, channels: int, num_convs: int, growth_rate: int):
        super().__init__()
        self.num_convs = num_convs
        for i in range(1, num_convs + 1):
            self.add_module(f"bn_{i}", nn.BatchNorm2d(channels))
            self.add_module(f"conv_{i}", nn.Conv2d(channels, growth_rate, 3, padding=1))
            channels += growth_rate

    def forward(self, x):
        for i in range(1, self.num_convs + 1):
            y = nn.functional.relu(self.get_submodule(f"bn_{i}")(x))
            x = torch.cat([x, self.get_submodule(f"conv_{i}")(y)], dim=1)
        return x


def densenet(
    channels: int,
    num_classes: int,
    depths: tuple = (4, 4, 4, 4),
    growth_rate: int = 32,
    width: float = 1.0,
) -> nn.Module:
    """Build DenseNet."""
    maps, growth = scaled(64, width), scaled(growth_rate, width)
    parts = stem(channels, maps)
    for i, depth in enumerate(depths, 1):
        parts.append((f"stage_{i}", DenseBlock(maps, depth, growth)))
        maps += depth * growth
        if i < len(depths):
            parts += [(f"transition_{i}_bn", nn.BatchNorm2d(maps)), nn.ReLU()]
            parts += [(f"transition_{i}_conv", nn.Conv2d(maps, max(1, maps // 2), 1))]
            parts += [nn.AvgPool2d(2, 2)]
            maps = max(1, maps // 2)
    parts += [("last_bn", nn.BatchNorm2d(maps)), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return chain(*parts, ("logits", nn.LazyLinear(num_classes)))
