"""Detectors, segmentation, style transfer as a user of PyTorch writes them, to time ours beside.

Torchvision's networks and operators where it has them, the book's code where it has none. `loss` is
the mean that the recipe's loss is. No weights are copied: only the time counts.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torchvision
from torch import nn
from torch.nn import functional as F
from torch_boxes import multibox_target
from torch_networks.parts import chain, scaled
from torch_networks.residual import Residual, stages
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead

from kerasd2l.data.masks import IGNORE
from kerasd2l.layers import multibox_prior
from kerasd2l.recipe import Recipe


def _halving(channels: int, filters: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for size in (channels, filters):
        parts += [nn.Conv2d(size, filters, 3, padding=1), nn.BatchNorm2d(filters), nn.ReLU()]
    return nn.Sequential(*parts, nn.MaxPool2d(2))


class TinySSD(nn.Module):
    """The book's network, its loss, and its assignment of anchors, which loops over pictures."""

    def __init__(self, recipe: Recipe, model: Any):
        super().__init__()
        base = nn.Sequential(*(_halving(*pair) for pair in itertools.pairwise((3, 16, 32, 64))))
        rest = [_halving(64, 128), _halving(128, 128), _halving(128, 128)]
        self.blocks = nn.ModuleList([base, *rest, nn.AdaptiveMaxPool2d(1)])
        self.of_maps = list(zip(model.sizes, model.ratios, strict=True))
        self.classes = 1 + model.num_classes
        widths = (64, 128, 128, 128, 128)
        self.kinds = nn.ModuleList(nn.Conv2d(w, 4 * self.classes, 3, padding=1) for w in widths)
        self.places = nn.ModuleList(nn.Conv2d(w, 16, 3, padding=1) for w in widths)
        self.anchors: torch.Tensor | None = None

    def loss(self, x: torch.Tensor, y: torch.Tensor, weights: None) -> torch.Tensor:
        maps = []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        kinds, places = self._rows(self.kinds, maps), self._rows(self.places, maps)
        if self.anchors is None:  # the book makes them anew in each step
            self.anchors = self._anchors(maps)
        offsets, mask, classes = multibox_target(self.anchors, y)
        kinds = kinds.reshape(len(x), -1, self.classes)
        found = F.cross_entropy(kinds.flatten(0, 1), classes.flatten())
        return found + F.l1_loss(places * mask, offsets * mask)

    @staticmethod
    def _rows(heads: Any, maps: list[torch.Tensor]) -> torch.Tensor:
        rows = [h(m).permute(0, 2, 3, 1).flatten(1) for h, m in zip(heads, maps, strict=True)]
        return torch.cat(rows, 1)

    def _anchors(self, maps: list[torch.Tensor]) -> torch.Tensor:
        each = [
            np.asarray(multibox_prior(np.zeros((1, *m.shape[2:], 1), "float32"), *pair))
            for m, pair in zip(maps, self.of_maps, strict=True)
        ]
        return torch.from_numpy(np.concatenate(each, axis=1))


class FasterRCNN(nn.Module):
    """Torchvision's, on the stages of its ResNet-18 up to 1/16 of the size."""

    def __init__(self, recipe: Recipe, model: Any):
        super().__init__()
        stages = list(torchvision.models.resnet18().children())[: 4 + len(model.depths)]
        backbone = nn.Sequential(*stages)
        backbone.out_channels = 256  # type: ignore[assignment]
        side, units = recipe.arguments["resize"], model.head_units
        sizes = tuple(round(size * side) for size in model.sizes)
        self.net = torchvision.models.detection.FasterRCNN(
            backbone,
            rpn_anchor_generator=AnchorGenerator((sizes,), (tuple(model.ratios),)),
            box_roi_pool=torchvision.ops.MultiScaleRoIAlign(["0"], 7, 2),
            box_head=TwoMLPHead(49 * 256, units),
            box_predictor=FastRCNNPredictor(units, model.num_classes + 1),
            min_size=side,
            max_size=side,
            image_mean=[0.0] * 3,
            image_std=[1.0] * 3,
            rpn_pre_nms_top_n_train=1000,
            rpn_post_nms_top_n_train=model.num_proposals,
            box_batch_size_per_image=model.num_samples,
        )

    def loss(self, x: torch.Tensor, y: torch.Tensor, weights: None) -> torch.Tensor:
        targets = []
        for rows in y:
            rows = rows[rows[:, 0] >= 0]
            targets.append({"boxes": rows[:, 1:] * x.shape[-1], "labels": rows[:, 0].long() + 1})
        return sum(self.net(list(x), targets).values(), torch.zeros(()))


class FCN(nn.Module):
    """The book's: torchvision's ResNet-18 without its head, one transposed convolution."""

    def __init__(self, recipe: Recipe, model: Any):
        super().__init__()
        classes = model.output_shape[-1]
        self.features = nn.Sequential(*list(torchvision.models.resnet18().children())[:-2])
        self.score = nn.Conv2d(512, classes, 1)
        self.enlarge = nn.ConvTranspose2d(classes, classes, 64, stride=32, padding=16)

    def loss(self, x: torch.Tensor, y: torch.Tensor, weights: None) -> torch.Tensor:
        return _pixel_loss(self.enlarge(self.score(self.features(x))), y)


def _pixel_loss(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits, y, ignore_index=IGNORE)


class UNet(nn.Module):
    """Two convolutions a level, down and up, with batch normalisation."""

    def __init__(self, recipe: Recipe, model: Any):
        super().__init__()
        levels, width = recipe.arguments["levels"], recipe.arguments["width"]
        filters = [scaled(64 * 2**i, width) for i in range(levels + 1)]
        self.down = nn.ModuleList(
            self._two(a, b) for a, b in zip((3, *filters[:-2]), filters[:-1], strict=True)
        )
        self.bottom = self._two(filters[-2], filters[-1])
        pairs = list(itertools.pairwise(filters))[::-1]
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, 2) for a, b in pairs)
        self.up = nn.ModuleList(self._two(2 * a, a) for a, _ in pairs)
        self.head = nn.Conv2d(filters[0], model.output_shape[-1], 1)

    @staticmethod
    def _two(channels: int, filters: int) -> nn.Sequential:
        return _halving(channels, filters)[:-1]

    def loss(self, x: torch.Tensor, y: torch.Tensor, weights: None) -> torch.Tensor:
        maps = []
        for block in self.down:
            x = block(x)
            maps.append(x)
            x = F.max_pool2d(x, 2)
        x = self.bottom(x)
        for enlarge, block in zip(self.enlarge, self.up, strict=True):
            x = block(torch.cat([maps.pop(), enlarge(x)], 1))
        return _pixel_loss(self.head(x), y)


class Style(nn.Module):
    """The book's: torchvision's VGG-19, the picture as the parameter."""

    content_layers, style_layers = (25,), (0, 5, 10, 19, 28)

    def __init__(self, recipe: Recipe, model: Any):
        super().__init__()
        self.net = torchvision.models.vgg19().features[:29].requires_grad_(False)
        self.picture = nn.Parameter(torch.zeros(1, 3, model.height, model.width))
        self.aims: tuple[Any, Any] | None = None

    def _maps(self, x: torch.Tensor) -> dict[int, torch.Tensor]:
        maps = {}
        for i, layer in enumerate(self.net):
            x = layer(x)
            maps[i] = x
        return maps

    @staticmethod
    def _gram(x: torch.Tensor) -> torch.Tensor:
        flat = x.reshape(x.shape[1], -1)
        return flat @ flat.T / flat.numel()

    def loss(self, x: torch.Tensor, y: torch.Tensor, weights: None) -> torch.Tensor:
        if self.aims is None:
            content, style = self._maps(x), self._maps(y)
            self.aims = (
                {i: content[i].detach() for i in self.content_layers},
                {i: self._gram(style[i]).detach() for i in self.style_layers},
            )
        maps, picture = self._maps(self.picture), self.picture
        content = sum(F.mse_loss(maps[i], aim) for i, aim in self.aims[0].items())
        style = sum(F.mse_loss(self._gram(maps[i]), aim) for i, aim in self.aims[1].items())
        down = (picture[:, :, 1:] - picture[:, :, :-1]).abs().mean()
        right = (picture[:, :, :, 1:] - picture[:, :, :, :-1]).abs().mean()
        return content + 1e4 * style + 5 * (down + right)


class SmallResNet(nn.Module):
    """ResNet-18 of small pictures: no stride and no pooling before its stages."""

    def __init__(self, recipe: Recipe, model: Any):
        super().__init__()
        filters = [scaled(n, recipe.arguments["width"]) for n in (64, 128, 256, 512)]
        stem = [nn.Conv2d(3, filters[0], 3, padding=1), nn.BatchNorm2d(filters[0]), nn.ReLU()]
        depths = recipe.arguments["depths"]
        body = stages(Residual, filters[0], filters, depths, first_stride=1, first_project=False)
        self.net = chain(*stem, *body, nn.Linear(filters[len(depths) - 1], model.output_shape[-1]))

    def loss(self, x: torch.Tensor, y: torch.Tensor, weights: None) -> torch.Tensor:
        return F.cross_entropy(self.net(x), y)


_NETWORKS: dict[str, Callable[[Recipe, Any], nn.Module]] = {
    "tiny_ssd": TinySSD,
    "faster_rcnn": FasterRCNN,
    "fcn": FCN,
    "unet": UNet,
    "neural_style": Style,
    "train_with_data_aug": SmallResNet,
}


def has(recipe: Recipe) -> bool:
    """Whether a recipe's network has a counterpart here."""
    return recipe.name.rpartition("/")[2] in _NETWORKS


def network(recipe: Recipe, model: Any) -> nn.Module:
    """Return the counterpart of a recipe's model; see `has`."""
    return _NETWORKS[recipe.name.rpartition("/")[2]](recipe, model)
