"""Training in PyTorch as a user writes it, on batches of ours: what our loop is timed beside."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import nn

from kerasd2l.recipe import Recipe


class Training:
    """Steps in PyTorch with the recipe's optimizer and clipping.

    Args:
        recipe: the recipe.
        net: with `loss(x, y, weights)`, the mean that the recipe's loss is. Pictures come to it
            channels first.
        layout: "contiguous", "channels_last", or "compiled" (through `torch.compile`).
    """

    def __init__(self, recipe: Recipe, net: nn.Module, *, layout: str = "contiguous"):
        optimizer = recipe.optimizer()
        kind = type(optimizer).__name__
        rate = float(optimizer.learning_rate)
        learned = [weight for weight in net.parameters() if weight.requires_grad]
        if kind == "Adam":
            self.optimizer: Any = torch.optim.Adam(learned, rate)
        elif kind == "SGD":
            decay = optimizer.weight_decay or getattr(optimizer, "l2_decay", 0) or 0.0
            self.optimizer = torch.optim.SGD(learned, rate, optimizer.momentum, weight_decay=decay)
        else:
            raise ValueError(f"no counterpart of the optimizer {kind}.")
        self.clip_norm = optimizer.global_clipnorm
        last = layout == "channels_last"
        self.layout = torch.channels_last if last else torch.contiguous_format
        self.net = net.train().to(memory_format=self.layout)
        self.loss = torch.compile(net.loss) if layout == "compiled" else net.loss

    def batch(self, x: Any, y: Any, weights: Any = None) -> tuple[Any, Any, Any]:
        """Turn a batch of ours into one of PyTorch."""
        return tuple(self._tensors(part) for part in (x, y, weights))

    def _tensors(self, nest: Any) -> Any:
        """Turn a nest of numpy arrays into tensors, integers as PyTorch wants them."""
        if isinstance(nest, dict):
            return {key: self._tensors(part) for key, part in nest.items()}
        if nest is None:
            return None
        array = np.asarray(nest)
        if array.dtype.kind in "iu":
            return torch.from_numpy(array.astype(np.int64))
        if array.ndim == 4:
            pictures = torch.from_numpy(np.array(np.moveaxis(array, -1, 1)))
            return pictures.contiguous(memory_format=self.layout)
        return torch.from_numpy(array.copy())

    def epoch(self, batches: Iterable[tuple[Any, Any, Any]]) -> dict[str, float]:
        """Train on the batches; return the mean of their losses while training."""
        total, count = 0.0, 0
        for batch in batches:
            loss = self.loss(*batch)
            self.optimizer.zero_grad()
            loss.backward()
            if self.clip_norm:
                nn.utils.clip_grad_norm_(self.net.parameters(), self.clip_norm)
            self.optimizer.step()
            total += float(loss.detach())
            count += 1
        return {"train_loss": total / count}
