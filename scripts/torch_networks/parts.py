"""What the networks are put together from."""

from __future__ import annotations

from torch import nn


def chain(*parts: nn.Module | tuple[str, nn.Module]) -> nn.Sequential:
    """Return the parts one after the other; what has weights comes with its name."""
    net = nn.Sequential()
    for i, part in enumerate(parts):
        name, module = part if isinstance(part, tuple) else (f"step{i}", part)
        net.add_module(name, module)
    return net


def conv(channels: int, filters: int, kernel_size: int, **options: int) -> nn.Sequential:
    """Return a convolution with a ReLU behind it, to be unpacked by `named`."""
    return nn.Sequential(nn.Conv2d(channels, filters, kernel_size, **options), nn.ReLU())


def named(name: str, block: nn.Sequential) -> list:
    """Return the parts for `chain` of a layer with weights and its nonlinearity."""
    return [(name, block[0]), *block[1:]]


def scaled(filters: int, width: float) -> int:
    """Return the number of filters of a wider or narrower network."""
    return max(1, round(filters * width))
