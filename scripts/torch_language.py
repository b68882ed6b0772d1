"""Language models in PyTorch with our starting weights; what scripts/benchmark.py puts beside."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch_reference import NoReference

from kerasd2l.recipe import Recipe

CELLS = {"SimpleRNN": nn.RNN, "GRU": nn.GRU, "LSTM": nn.LSTM}  # Keras' name: PyTorch's


class LanguageModel(nn.Module):
    """One-hot tokens, recurrent layers of one kind, logits; the state goes from call to call.

    Args:
        encode: layer of ours, how tokens go in.
        recurrent: recurrent layers of ours, bottom first.
        output: dense layer of ours.

    Raises:
        NoReference: layers that are made otherwise here.
    """

    def __init__(self, encode: Any, recurrent: list[Any], output: Any):
        super().__init__()
        kinds = {type(layer).__name__ for layer in recurrent}
        units = {layer.units for layer in recurrent if hasattr(layer, "units")}
        if type(encode).__name__ != "OneHot" or len(kinds) != 1 or not kinds <= set(CELLS):
            raise NoReference(
                f"no PyTorch reference of {type(encode).__name__} and {sorted(kinds)}: only of "
                f"one-hot tokens and one of {', '.join(CELLS)}."
            )
        (self.kind,), (size,) = kinds, units
        self.tokens = encode.num_tokens
        self.recurrent = CELLS[self.kind](self.tokens, size, len(recurrent), batch_first=True)
        self.output = nn.Linear(size, output.units)
        self.state: Any = None
        with torch.no_grad():
            for number, layer in enumerate(recurrent):
                self._load(number, [np.asarray(weight) for weight in layer.weights])
            self.output.weight.copy_(torch.tensor(np.asarray(output.kernel).T))
            self.output.bias.copy_(torch.tensor(np.asarray(output.bias)))

    def _load(self, number: int, weights: list[np.ndarray]) -> None:
        """Copy the weights of a layer; where Keras has one bias, PyTorch's second is 0."""
        kernel, recurrent, bias = weights
        biases = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
        arrays = {"weight_ih": kernel.T, "weight_hh": recurrent.T}
        arrays |= {"bias_ih": biases[0], "bias_hh": biases[1]}
        for name, array in arrays.items():
            if self.kind == "GRU":  # Keras: update, reset, candidate; PyTorch: the reset gate first
                update, reset, candidate = np.split(array, 3)
                array = np.concatenate([reset, update, candidate])
            getattr(self.recurrent, f"{name}_l{number}").copy_(torch.tensor(array))

    def forward(self, tokens: torch.Tensor, start: bool) -> torch.Tensor:
        """Map tokens (B, T) to logits (B, T, V); `start`: forget the state."""
        x = nn.functional.one_hot(tokens, self.tokens).float()
        x, state = self.recurrent(x, None if start else self.state)
        self.state = tuple(s.detach() for s in state) if self.kind == "LSTM" else state.detach()
        return self.output(x)


class LanguageTraining:
    """A PyTorch training of a language model with the recipe's SGD and clipping.

    Args:
        recipe: the recipe.
        model: the compiled Keras model, from `models.language_model`.

    Raises:
        NoReference: not such a model, or another optimizer.
    """

    def __init__(self, recipe: Recipe, model: Any):
        from kerasd2l.models.sequence.language_model import parts

        optimizer = recipe.optimizer()
        if type(optimizer).__name__ != "SGD" or optimizer.momentum:
            raise NoReference(f"no PyTorch counterpart of {type(optimizer).__name__}: only of SGD.")
        try:
            self.net = LanguageModel(*parts(model))
        except ValueError as error:
            raise NoReference(str(error)) from error
        self.clip_norm = optimizer.global_clipnorm
        self.optimizer = torch.optim.SGD(self.net.parameters(), float(optimizer.learning_rate))
        self.loss = nn.CrossEntropyLoss()

    def batch(self, x: Any, y: np.ndarray) -> tuple[torch.Tensor, bool, torch.Tensor]:
        """Return tokens (B, T), whether a pass over the text starts, and targets (B T,)."""
        tokens, start = (x["tokens"], bool(x["start"].all())) if isinstance(x, dict) else (x, True)
        ids = torch.from_numpy(np.asarray(tokens, np.int64))
        return ids, start, torch.from_numpy(np.asarray(y, np.int64)).flatten()

    def epoch(self, batches: Iterable[tuple[torch.Tensor, bool, torch.Tensor]]) -> dict[str, float]:
        """Train on the batches; return the mean loss while training."""
        total = count = 0.0
        for tokens, start, targets in batches:
            logits = self.net(tokens, start)
            loss = self.loss(logits.flatten(0, 1), targets)
            self.optimizer.zero_grad()
            loss.backward()
            if self.clip_norm:
                nn.utils.clip_grad_norm_(self.net.parameters(), self.clip_norm)
            self.optimizer.step()
            total += float(loss.detach()) * len(tokens)
            count += len(tokens)
        return {"train_loss": total / count}
