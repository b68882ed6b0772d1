"""Check one recipe from its data to a SavedModel that a process without this library can serve."""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasd2l import finding
from kerasd2l.export import check, export_run, load_model
from kerasd2l.export.manifest import SavedModelError
from kerasd2l.recipe import Data, Recipe
from kerasd2l.run import Run, open_run
from kerasd2l.testing import compare, elsewhere
from kerasd2l.testing.compare import require
from kerasd2l.testing.layers import has_seeds
from kerasd2l.training import Preempted, Training, make_strategy
from kerasd2l.training.fit import fit, prepare

FILES = ("config.json", "assets.json", "metrics.jsonl", "model.keras", "curves.png", "summary.json")
# Adam and its kin divide by the size of the gradient: where it is zero in theory, rounding becomes
# a whole step, another one on each device. With this epsilon such weights stay where they are.
_EPSILON = 1e-3
_ROUNDING = 30.0  # times the rounding error of one device that replicas may have


def check_recipe(
    name: str | Recipe,
    directory: str | os.PathLike,
    *,
    source: Any,
    arguments: Mapping[str, Any] | None = None,
    batch_size: int | None = 8,
    limit_steps: int = 2,
    replicas: int | None = 2,
    resume: bool = True,
    graphs: bool = True,
    signatures: Sequence[str] | None = None,
    tolerance: float = 1e-4,
    seed: int = 1,
) -> dict[str, Any]:
    """Train a recipe for a few steps in ways that must agree, export it, and serve it elsewhere.

    One epoch on one device leaves every file of a run and finite figures; stopped after the first
    step and resumed it ends with the same weights; on replicas it ends with equal ones; the saved
    model computes what the live one does; its export gives the same in a process without this
    library. (A model with dropout draws other numbers on other replicas: there it only has to
    train. Optimizers that divide by the gradient's size do so with epsilon 1e-3. Where
    rounding alone, measured on one device, moves a weight by more than the tolerance, its
    replica may move it by thirty times as much.)

    Args:
        name: str, the recipe's name; or the recipe itself.
        directory: an empty folder for runs and exports.
        source: where the data comes from, usually `kerasd2l.data.Source("builtin")`.
        arguments: arguments of the recipe.
        batch_size: int, used if the recipe has that argument and more as its default, rounded up to
            a multiple of the replicas; None: as is.
        limit_steps: int >= 2, batches to train and to evaluate.
        replicas: int, for the training on several CPU devices; None: without it. The process needs
            that many logical devices, made before TensorFlow starts.
        resume: bool, stop and resume; False for a `fit` of its own that cannot.
        graphs: bool, train and ask the model here in graphs, as a run does. False: operation by
            operation, less than half the work for large graphs; export and replicas stay graphs.
        signatures: names of the endpoints that are exported and asked; None: all.
        tolerance: float, largest difference of a weight: absolute below 1, relative above.
        seed: int, of every run.

    Returns:
        The summary of the run on one device; "savedmodel" is the path of the export or None.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    directory = Path(directory)
    found = (
        name
        if isinstance(name, Recipe)
        else _load(name, dict(arguments or {}), batch_size, replicas or 1)
    )
    if signatures is not None:
        kept = tuple(e for e in found.endpoints if e.name in signatures)
        found = dataclasses.replace(found, endpoints=kept)
    trainings = _Trainings(found, directory, source, limit_steps, seed, graphs)
    summary, live = trainings.train("one")
    run = open_run(directory / "one")
    _check_files(run, found)
    _check_figures(summary)
    reloaded = load_model(run.model)
    _same_weights(reloaded, live, "model.keras", 0.0)
    if found.score:
        _check_scores(found.score, trainings.recipe.data(source), reloaded, limit_steps)
    if resume:
        _check_resume(trainings, live)
    if replicas:
        _check_replicas(trainings, live, summary, replicas, tolerance)
    summary["savedmodel"] = None
    if found.endpoints:
        summary["savedmodel"] = str(_check_export(run, found, live, directory, graphs))
    return summary


class _Trainings:
    """A recipe to train several times: the same data, and its models held fast."""

    def __init__(self, recipe, directory, source, limit_steps, seed, graphs):
        data = recipe.data(source)  # once: it can take longer than the training
        self.models: list[keras.Model] = []
        self.recipe = dataclasses.replace(
            recipe,
            epochs=1,
            data=lambda source: data,
            model=lambda data: self._hold(recipe.model(data)),
            optimizer=lambda: _steady(recipe.optimizer()),
        )
        self.directory, self.source = directory, source
        self.limit_steps, self.seed, self.graphs = limit_steps, seed, graphs

    def train(self, folder: str, strategy: Any = None, **options: Any) -> tuple[dict, Any]:
        """Train in a folder; return the summary and the live model."""
        strategy = strategy or tf.distribute.get_strategy()
        run = Run(
            path=self.directory / folder,
            recipe=self.recipe.name,
            arguments=self.recipe.arguments,
            seed=self.seed,
            replicas=strategy.num_replicas_in_sync,
        )
        summary = fit(
            self.recipe,
            run,
            self.source,
            strategy=strategy,
            limit_steps=self.limit_steps,
            run_eagerly=not self.graphs and strategy.num_replicas_in_sync == 1,
            **options,
        )
        return summary, self.models[-1]

    def train_rounded(self) -> keras.Model:
        """Train on one device, weights off by their last bit and each batch reversed.

        In theory that changes nothing: what differs is rounding. Returns the model.
        """

        def reverse(dataset):
            return dataset.map(lambda *batch: tf.nest.map_structure(lambda t: t[::-1], batch))

        def load(source):
            data = self.recipe.data(source)
            return dataclasses.replace(
                data, train=reverse(data.train), order=lambda n: reverse(data.epoch(n))
            )

        recipe = dataclasses.replace(self.recipe, data=load)
        strategy = tf.distribute.get_strategy()
        data, model = prepare(recipe, self.source, strategy, seed=self.seed)
        random = np.random.default_rng(0)
        for variable in model.trainable_variables if model.built else ():
            value = _value(variable)
            signs = random.choice(np.array([-1, 1], np.float32), value.shape)
            variable.assign(value * (1 + np.finfo(np.float32).eps * signs))
        training = Training(model, data, 1, strategy=strategy, limit_steps=self.limit_steps)
        recipe.fit(training) if recipe.fit else training.run()
        return model

    def _hold(self, model: keras.Model) -> keras.Model:
        for value in list(vars(model).values()):
            if isinstance(value, keras.optimizers.Optimizer):  # it comes compiled
                _steady(value)
        self.models.append(model)
        return model


def _load(name: str, arguments: dict[str, Any], batch_size: int | None, replicas: int) -> Recipe:
    """Load a recipe with a small batch that the replicas divide, if that is an argument of it."""
    known = finding.parameters(finding.find(name).function)
    if batch_size and "batch_size" in known and "batch_size" not in arguments:
        small = min(batch_size, known["batch_size"].default)
        arguments["batch_size"] = small + -small % replicas
    found = finding.load(name, **arguments)
    if not isinstance(found, Recipe):
        raise ValueError(f"{name} is a demo: there is nothing to train.")
    return found


def _steady(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Raise the epsilon of an optimizer that has one."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if hasattr(inner, "epsilon"):
        inner.epsilon = max(inner.epsilon, _EPSILON)
    return optimizer


def _check_files(run: Run, recipe: Recipe) -> None:
    missing = [name for name in FILES if not (run.path / name).is_file()]
    require(not missing, f"the run folder lacks {', '.join(missing)}.")
    require(any(run.checkpoints.glob("step-*.npz")), "the run folder has no checkpoint.")
    require(run.recipe == recipe.name, f"config.json names {run.recipe}, not {recipe.name}.")


def _check_figures(summary: Mapping[str, Any]) -> None:
    """Require figures, all of them finite, from at least one example."""
    require(summary["metrics"], "the summary has no metrics.")
    for key, value in summary["metrics"].items():
        require(value is not None and math.isfinite(value), f"{key} is {value}.")
    for split, count in summary["examples"].items():
        require(count > 0, f"no example of {split} was used.")


def _check_scores(score: Any, data: Data, model: keras.Model, limit_steps: int) -> None:
    """Require finite figures of what `kerasd2l evaluate` tells beside the metrics."""
    batches = (data.test or data.valid or data.train).take(limit_steps)
    scores = score(model, batches, data.assets)
    require(scores, "the recipe has a `score` that tells nothing.")
    for key, value in scores.items():
        require(math.isfinite(value), f"the score {key} is {value}.")


def _check_resume(trainings: _Trainings, live: keras.Model) -> None:
    """Require a run that was stopped after a step and resumed to end as one that was not."""
    try:
        trainings.train("resumed", should_stop=lambda: True)
    except Preempted:
        pass
    else:
        raise AssertionError("the training does not stop when asked to.")
    require(
        not (trainings.directory / "resumed" / "model.keras").exists(),
        "a stopped run left a model.keras: it looks finished.",
    )
    _, resumed = trainings.train("resumed", resume=True)
    # Not 0: a CPU adds in parallel, in an order of its own.
    _same_weights(resumed, live, "after stopping and resuming:", 1e-6)


def _check_replicas(
    trainings: _Trainings,
    live: keras.Model,
    alone: Mapping[str, Any],
    replicas: int,
    tolerance: float,
) -> None:
    """Require the weights and figures of one device, or with dropout a training at all."""
    strategy = make_strategy("mirrored", replicas=replicas)
    summary, shared = trainings.train("replicas", strategy)
    _check_figures(summary)
    require(
        summary["examples"] == alone["examples"],
        f"{replicas} replicas used {summary['examples']} examples, one {alone['examples']}.",
    )
    what = f"{replicas} replicas:"
    if has_seeds(live):
        for variable in shared.weights:
            compare.finite(variable.value, f"{what} {variable.path}")
        return
    if max(_differences(shared, live, what).values()) > tolerance:
        # Deep normalised networks blow up rounding. How much, each weight, without any replicas?
        rounding = _differences(trainings.train_rounded(), live, what)
        allowed = {key: max(tolerance, _ROUNDING * value) for key, value in rounding.items()}
        _same_weights(shared, live, what, allowed)
        return
    for key, value in alone["metrics"].items():
        found = summary["metrics"].get(key, math.nan)
        require(
            abs(found - value) <= 10 * tolerance * max(1.0, abs(value)),
            f"{what} {key} is {found:g}. Expected: {value:g}, as on one device.",
        )


def _same_weights(
    found: keras.Model, expected: keras.Model, what: str, allowed: float | Mapping[str, float]
) -> None:
    """Require equal weights, one by one, and say which differ most."""
    differences = _differences(found, expected, what)
    limits = allowed if isinstance(allowed, Mapping) else dict.fromkeys(differences, allowed)
    wrong = {key: value for key, value in differences.items() if value > limits[key]}
    if wrong:
        worst = max(wrong, key=lambda key: wrong[key])
        raise AssertionError(
            f"{what} weights differ by {wrong[worst]:.3g} in {worst}. Allowed: {limits[worst]:.3g}."
        )


def _differences(found: keras.Model, expected: keras.Model, what: str) -> dict[str, float]:
    """Return place and path of each weight -> largest difference."""
    shapes = [[tuple(weight.shape) for weight in model.weights] for model in (found, expected)]
    require(shapes[0] == shapes[1], f"{what} weights {shapes[0]}. Expected: {shapes[1]}.")
    return {
        f"{i}:{b.path}": compare.difference(_value(a), _value(b))
        for i, (a, b) in enumerate(zip(found.weights, expected.weights, strict=True))
    }


def _value(variable: Any) -> np.ndarray:
    return compare.array(tf.convert_to_tensor(variable.value))


def _check_left_out(recipe: Recipe, answers: Mapping[str, Mapping[str, Any]]) -> None:
    """Require each signature that reads texts to say how much of them it does not read."""
    for endpoint in recipe.endpoints:
        texts = any(spec.dtype == "string" for spec in endpoint.signature.values())
        said = any(re.search("(words|characters)_left_out$", key) for key in answers[endpoint.name])
        require(said or not texts, f"{endpoint.name} does not say what of a text it leaves out.")


def _check_export(run: Run, recipe: Recipe, live: Any, directory: Path, graphs: bool) -> Path:
    """Export model.keras; a process without this library gets from it what the live model gives.

    And from a batch of nothing an answer of nothing.
    """
    assets = run.read("assets.json")
    path = export_run(run.path, directory / "savedmodels", recipe=recipe, check=False)
    require((path / "assets.extra" / "manifest.json").is_file(), f"{path} has no manifest.")
    with tf.device("/CPU:0"):
        here = check.answers(live, recipe.endpoints, assets, graph=graphs)
    for name, outputs in here.items():
        for key, value in outputs.items():
            require(value.ndim and len(value), f"{name} {key} is empty.")
    if "tokenizer" in assets:
        _check_left_out(recipe, here)
    try:
        start = elsewhere.without_this_library()
        there = check.ask_elsewhere(path, recipe.endpoints, start=start, empty=True)
        check.compare(there, here, tolerance=1e-5)
    except SavedModelError as error:
        raise AssertionError(f"the export of model.keras: {error}") from error
    return path
