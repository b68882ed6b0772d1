#!/usr/bin/env python
"""Recipes in PyTorch with our starting weights; run it to see how far the two differ.

`python scripts/torch_reference.py [NAME]... --parity` prints the largest absolute differences of
each network on shared weights. PyTorch is no dependency: `pip install torch` for this alone.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Iterable
from typing import Any

import click
import numpy as np
import torch
from torch_networks import NETWORKS

from kerasd2l.cli import load_recipe, say, use_tensorflow
from kerasd2l.recipe import Recipe

PAIRS = {
    "kernel": "weight",
    "gamma": "weight",
    "bias": "bias",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


class NoReference(ValueError):
    """A recipe that has no counterpart here."""


def reference(recipe: Recipe, model) -> torch.nn.Module:
    """Build the network of a recipe in PyTorch, with the weights of the Keras model.

    Raises:
        NoReference: there is none, or its layers are not the model's.
    """
    name = recipe.name.rpartition("/")[2]
    if name not in NETWORKS or recipe.arguments.get("implementation", "concise") != "concise":
        raise NoReference(
            f"no PyTorch reference of {recipe.name}. There are: {', '.join(NETWORKS)}."
        )
    build = NETWORKS[name]
    height, width, channels = model.input_shape[1:]
    known = inspect.signature(build).parameters
    arguments = {key: value for key, value in recipe.arguments.items() if key in known}
    net = build(channels, model.output_shape[-1], **arguments)
    net.eval()
    with torch.no_grad():
        net(torch.zeros(2, channels, height, width))  # the lazy layers see their sizes
    load_weights(net, model)
    return net


def load_weights(net: torch.nn.Module, model) -> None:
    """Copy all weights and moving statistics of the Keras model into the network.

    Raises:
        NoReference: one of the two has a weight that the other has not.
    """
    ours = weights(model)
    theirs = named_weights(net)
    different = {key for key in {*ours, *theirs} if _shape(ours, key) != _shape(theirs, key)}
    if different:
        raise NoReference(f"weights that are not the same in both: {sorted(different)}.")
    with torch.no_grad():
        for key, value in theirs.items():
            value.copy_(torch.tensor(ours[key]))


def named_weights(net: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return "layer.weight" -> tensor, layers named as in Keras."""
    found = {}
    for path, value in net.state_dict().items():
        layer, _, kind = path.rpartition(".")
        if kind != "num_batches_tracked":
            found[f"{layer.replace('.', '_')}.{kind}"] = value
    return found


def weights(model) -> dict[str, np.ndarray]:
    """Return "layer.weight" -> array of the Keras model, with PyTorch's names and axes."""
    found = {}
    for layer in model.layers:
        for variable in layer.weights:
            value = np.asarray(variable)
            if variable.name == "kernel":
                value = _kernel(layer, value)
            if variable.name in PAIRS:
                found[f"{layer.name}.{PAIRS[variable.name]}"] = value
    return found


def _kernel(layer, value: np.ndarray) -> np.ndarray:
    """Put the output first; behind Flatten the inputs are (C, H, W) instead of (H, W, C)."""
    if value.ndim == 4:
        return value.transpose(3, 2, 0, 1)
    before = layer.input._keras_history.operation
    if type(before).__name__ == "Flatten" and len(before.input.shape) == 4:
        return np.reshape(
            value.reshape(*before.input.shape[1:], -1).transpose(3, 2, 0, 1), value.shape[::-1]
        )
    return value.T


def _shape(arrays: dict, key: str) -> tuple | None:
    return tuple(arrays[key].shape) if key in arrays else None


class Training:
    """A PyTorch training with the recipe's SGD and cross-entropy, as the book writes it.

    Args:
        recipe: the recipe.
        net: from `reference`.
        channels_last: bool, the memory format of pictures and kernels.
    """

    def __init__(self, recipe: Recipe, net: torch.nn.Module, *, channels_last: bool = False):
        optimizer = recipe.optimizer()
        if type(optimizer).__name__ != "SGD":
            raise NoReference(f"no PyTorch counterpart of {type(optimizer).__name__}: only of SGD.")
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.net = net.to(memory_format=self.layout)
        self.optimizer = torch.optim.SGD(
            net.parameters(), float(optimizer.learning_rate), momentum=optimizer.momentum
        )
        self.loss = torch.nn.CrossEntropyLoss()

    def batch(self, x: np.ndarray, y: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Turn a batch of ours, (B, H, W, C) and (B,), into one of PyTorch."""
        pixels = torch.from_numpy(np.array(np.moveaxis(x, -1, 1)))
        labels = torch.from_numpy(np.asarray(y, np.int64))
        return pixels.contiguous(memory_format=self.layout), labels

    def epoch(self, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> dict[str, float]:
        """Train on the batches; return the means of loss and accuracy while training."""
        self.net.train()
        total = correct = count = 0.0
        for x, y in batches:
            logits = self.net(x)
            loss = self.loss(logits, y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += float(loss.detach()) * len(y)
            correct += float((logits.detach().argmax(1) == y).sum())
            count += len(y)
        return {"train_loss": total / count, "train_accuracy": correct / count}

    def evaluate(self, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> dict[str, float]:
        """Return the means of loss and accuracy on the batches."""
        self.net.eval()
        total = correct = count = 0.0
        with torch.no_grad():
            for x, y in batches:
                logits = self.net(x)
                total += float(self.loss(logits, y)) * len(y)
                correct += float((logits.argmax(1) == y).sum())
                count += len(y)
        return {"test_loss": total / count, "test_accuracy": correct / count}


def differences(
    recipe: Recipe, *, examples: int = 8, seed: int = 0, double: bool = False
) -> dict[str, float]:
    """Compare a recipe's network with its reference on shared weights and handwritten digits.

    The scales and statistics of batch normalisation are random, too; dropout is off.

    Returns:
        Largest absolute differences: of the logits in evaluation and in training, of the moving
        statistics after a training step (PyTorch's variance is n / (n - 1) times ours; that is
        allowed for), of the loss, and of the weights after one step of the optimizer. `scale` is
        the largest logit. With `double` all layers but our logits compute in float64: a step of
        deep networks with batch normalisation magnifies the rounding of float32.
    """
    import keras
    import tensorflow as tf

    from kerasd2l.data import Source
    from kerasd2l.training.fit import prepare

    keras.config.set_floatx("float64" if double else "float32")
    strategy = tf.distribute.get_strategy()
    data, model = prepare(recipe, Source("builtin"), strategy, seed=seed)
    random = np.random.default_rng(seed)
    dropouts = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    for dropout in dropouts:
        dropout.rate = 0.0
    norms = [n for n in model.layers if isinstance(n, keras.layers.BatchNormalization)]
    for norm in norms:
        for weight, low in zip(norm.weights, (0.5, -0.5, -0.5, 0.5), strict=True):
            weight.assign(random.uniform(low, low + 1, weight.shape))
    net = reference(recipe, model)
    net = net.double() if double else net
    load_weights(net, model)
    for module in net.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    x, y = next(data.epoch(0).unbatch().batch(examples).as_numpy_iterator())
    training = Training(recipe, net)
    pixels, labels = training.batch(x, y)
    batch = (pixels.double(), labels) if double else (pixels, labels)
    with torch.no_grad():
        evaluated = _largest(model(x, training=False), net.eval()(batch[0]))
        before = {norm.name: np.asarray(norm.moving_variance) for norm in norms}
        ours = np.asarray(model(x, training=True))
        trained = _largest(ours, net.train()(batch[0]))
    means, variances = _statistics(net, norms, before, examples)
    load_weights(net, model)
    loss = float(model.train_on_batch(x, y, return_dict=True)["loss"])
    loss_difference = abs(training.epoch([batch])["train_loss"] - loss)
    after, theirs = weights(model), named_weights(net)
    moved = max(_largest(after[k], theirs[k]) for k in after if "running" not in k)
    return {
        "evaluation": evaluated,
        "training": trained,
        "moving_mean": means,
        "moving_variance": variances,
        "loss": loss_difference,
        "weights_after_step": moved,
        "scale": float(np.abs(ours).max()),
    }


def _statistics(net, norms: list, before: dict, examples: int) -> tuple[float, float]:
    """Return the largest differences of moving means and variances."""
    theirs = named_weights(net)
    means, variances = [0.0], [0.0]
    for norm in norms:
        n = examples * math.prod(norm.input.shape[1:-1])
        keep, old = norm.momentum, before[norm.name]
        unbiased = keep * old + (np.asarray(norm.moving_variance) - keep * old) * n / (n - 1)
        means.append(_largest(norm.moving_mean, theirs[f"{norm.name}.running_mean"]))
        variances.append(_largest(unbiased, theirs[f"{norm.name}.running_var"]))
    return max(means), max(variances)


def _largest(ours: Any, theirs: torch.Tensor) -> float:
    return float(np.abs(np.asarray(ours) - theirs.detach().numpy()).max())


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--parity", is_flag=True, help="Compare networks on shared weights.")
@click.option("--examples", type=click.IntRange(min=2), default=8, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--float64", "double", is_flag=True, help="Compare in double precision.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(
    names: tuple[str, ...], parity: bool, examples: int, seed: int, double: bool, as_json: bool
) -> None:
    """Compare the recipes NAME, or all that have a reference, with PyTorch."""
    if not parity:
        raise click.UsageError("say what to do: --parity.")
    unknown = set(names) - set(NETWORKS)
    if unknown:
        raise click.BadParameter(f"no reference of {', '.join(sorted(unknown))}.")
    use_tensorflow()
    rows = {}
    for name in names or NETWORKS:
        recipe = load_recipe(name, {})
        rows[name] = differences(recipe, examples=examples, seed=seed, double=double)
        say(f"{name}: done")
    if as_json:
        click.echo(json.dumps(rows))
        return
    columns = list(next(iter(rows.values())))
    click.echo("  ".join(["network".ljust(18), *(c.rjust(18) for c in columns)]))
    for name, row in rows.items():
        click.echo("  ".join([name.ljust(18), *(f"{row[c]:18.2e}" for c in columns)]))


if __name__ == "__main__":
    main()
