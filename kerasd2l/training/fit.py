"""From a recipe to a finished run: data, model, loop, model.keras, summary."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kerasd2l.recipe import Data, Recipe
from kerasd2l.run import Run, save_keras, writing
from kerasd2l.training.checkpoint import Checkpoints
from kerasd2l.training.event_files import EventFiles
from kerasd2l.training.history import curves, epoch_line, metric_names
from kerasd2l.training.loop import Training
from kerasd2l.training.same_data import check_same, fingerprint
from kerasd2l.training.small_steps import give_threads
from kerasd2l.training.steps import check_backend

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
_DRAW_SECONDS = 30.0  # between two drawings of the curves


class RecipeError(ValueError):
    """Arguments with which a recipe cannot make its data or its model."""


def fit(
    recipe: Recipe,
    run: Run,
    source: Any,
    *,
    strategy: tf.distribute.Strategy | None = None,
    resume: bool = False,
    save_seconds: float = 10.0,
    limit_steps: int | None = None,
    accumulate: int = 1,
    precision: str = "float32",
    deterministic: bool = False,
    jit_compile: bool = False,
    run_eagerly: bool = False,
    callbacks: Iterable[keras.callbacks.Callback] = (),
    should_stop: Callable[[], bool] = lambda: False,
    on_ready: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = lambda text: None,
    progress: bool = False,
    histograms: bool = False,
) -> dict[str, Any]:
    """Train a recipe in the folder of a run.

    Args:
        recipe: what to train, from `kerasd2l.load`.
        run: where; its folder must be new, or hold this run if `resume`.
        source: a `data.Source`.
        strategy: from `make_strategy`; None: one device.
        resume: bool, continue from the newest checkpoint. A finished run is left as it is.
        save_seconds: float, states are saved no oftener than this; 0: at the end of every epoch.
        limit_steps: int or None, train and evaluate at most this many batches of each epoch.
        accumulate: int, each batch is computed in this many pieces, one after the other.
        precision: "float32", "mixed_bfloat16" or "mixed_float16".
        deterministic: bool, ask TensorFlow for deterministic kernels (slower; stays on).
        jit_compile: bool, compile the training step with XLA (one replica only).
        run_eagerly: bool, compute each operation at once, without a graph: slower, but a debugger
            stops in the model, and a few steps are done before a graph would be made.
        callbacks: Keras callbacks.
        should_stop: asked at step boundaries; True saves and raises Preempted.
        on_ready: () -> None, called when data and model are made, before the first step.
        say: (text) -> None, for a person to follow.
        progress: bool, show a progress bar on stdout.
        histograms: bool, write the weights' histograms, too, into the run's event files, after
            every epoch. The files themselves, for TensorBoard, every run has.

    Returns:
        The summary: recipe, run, strategy, replicas, epochs, seed, examples, metrics, ...

    Raises:
        RunError: the folder holds another run.
        RecipeError: data or a model cannot be made with the recipe's arguments; the folder is as
            it was. ValueError: a batch that the replicas do not divide, an unknown precision.
        NonFiniteLoss, Preempted, LoopError, CheckpointError: see `training.train`.
    """
    check_backend()
    strategy = strategy or tf.distribute.get_strategy()
    check_batch(recipe, strategy)
    with run.owned():
        if resume and not (run.path / "config.json").exists():
            say(f"nothing to resume in {run.path}: starting anew")
            resume = False
        if resume:
            run.resume()
            summary = _finished(run, recipe.epochs, say)
            if summary:
                return summary
        else:
            run.start()
        began = time.perf_counter()
        with policy(precision):
            try:
                if resume and hasattr(source, "assets"):  # names keep their numbers
                    source = dataclasses.replace(source, assets=run.read("assets.json"))
                data, model = prepare(
                    recipe,
                    source,
                    strategy,
                    seed=run.seed,
                    deterministic=deterministic,
                    jit_compile=jit_compile,
                    run_eagerly=run_eagerly,
                )
                _write_down(run, data, resume=resume)
                on_ready()
            except BaseException:
                if not resume:
                    run.discard()
                raise
            recorder = _Recorder(run, recipe, say, model.trainable_weights if histograms else ())
            training = Training(
                model,
                data,
                recipe.epochs,
                strategy=strategy,
                callbacks=callbacks,
                checkpoints=Checkpoints(run.checkpoints, writes=run.writes, say=say),
                resume=resume,
                save_seconds=save_seconds,
                limit_steps=limit_steps,
                accumulate=accumulate,
                should_stop=should_stop,
                on_epoch=recorder,
                progress=progress,
            )
            history = recipe.fit(training) if recipe.fit else training.run()
            save_model(model, run)
        recorder.draw(history)
        summary = summarise(run, history, time.perf_counter() - began) | _about(run, data)
        run.write("summary.json", summary)
    return summary


def _about(run: Run, data: Data) -> dict[str, Any]:
    """Return what a summary says of the data."""
    about: dict[str, Any] = {}
    if "remarks" in data.assets:  # what a reader of the figures must know
        about["remarks"] = list(data.assets["remarks"])
    if "skipped_pictures" in data.assets:  # the list may have grown while training
        run.write("assets.json", data.assets)
        about["skipped_pictures"] = len(data.assets["skipped_pictures"])
    return about


def _write_down(run: Run, data: Data, *, resume: bool) -> None:
    """Write what the data are; of a resumed run only if they are the same, else nothing changes."""
    met = fingerprint(data)
    if resume:
        check_same(run, data, met)
        run.write("config.json", run.config())
    run.write("assets.json", data.assets)
    run.write("data.json", met)


def prepare(
    recipe: Recipe,
    source: Any,
    strategy: tf.distribute.Strategy,
    *,
    seed: int,
    deterministic: bool = False,
    jit_compile: bool = False,
    run_eagerly: bool = False,
) -> tuple[Data, keras.Model]:
    """Seed everything, load the data, and make the compiled model in the strategy's scope.

    Raises:
        RecipeError: the recipe cannot do this with its arguments.
    """
    give_threads(recipe)
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    data = load_data(recipe, source)
    with _as_recipe_error(recipe), strategy.scope():
        model = recipe.model(data)
        compile_model(recipe, model, jit_compile=jit_compile, run_eagerly=run_eagerly)
    return data, model


def load_data(recipe: Recipe, source: Any) -> Data:
    """Load the data of a recipe.

    Raises:
        RecipeError: the recipe cannot do this with its arguments.
    """
    with _as_recipe_error(recipe):
        return recipe.data(source)


@contextlib.contextmanager
def _as_recipe_error(recipe: Recipe):
    try:
        yield
    except (ValueError, TypeError) as error:
        values = ", ".join(f"{key}={value}" for key, value in recipe.arguments.items())
        raise RecipeError(f"{recipe.name} cannot be made with {values}: {error}") from error


def compile_model(
    recipe: Recipe, model: keras.Model, *, jit_compile: bool = False, run_eagerly: bool = False
) -> None:
    """Compile a model with the recipe's optimizer, loss and metrics unless it comes compiled."""
    if not model.compiled:
        model.compile(
            optimizer=recipe.optimizer(),
            loss=recipe.loss(),
            metrics=recipe.metrics(),
            jit_compile=jit_compile,
        )
    if run_eagerly:
        model.run_eagerly = True


def check_batch(recipe: Recipe, strategy: tf.distribute.Strategy) -> None:
    """Refuse a global batch that the replicas do not divide.

    Raises:
        ValueError: with the nearest batch sizes that they do divide.
    """
    replicas = strategy.num_replicas_in_sync
    rest = recipe.batch_size % replicas
    if rest:
        below, above = recipe.batch_size - rest, recipe.batch_size - rest + replicas
        near = f"{below} or {above}" if below else f"{above}"
        raise ValueError(
            f"`batch_size` must be divisible by the {replicas} replicas. "
            f"Received: batch_size={recipe.batch_size}. Try {near}."
        )


def save_model(model: keras.Model, run: Run) -> None:
    """Write model.keras, whole or not at all."""
    if run.writes:
        save_keras(model, run.model)


def summarise(run: Run, history: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Make the result of a run from its last epoch."""
    last = history[-1]
    examples = {
        split: last[f"{split}_examples"]
        for split in ("train", "valid", "test")
        if f"{split}_examples" in last
    }
    metrics = {
        f"{split}_{name}": last[f"{split}_{name}"]
        for split in examples
        for name in metric_names(history)
        if f"{split}_{name}" in last
    }
    timed = [event for event in history if event["examples_per_second"]]
    trained = sum(event["seconds"] for event in timed)
    speeds = sum(event["examples_per_second"] * event["seconds"] for event in timed)
    return {
        "recipe": run.recipe,
        "run": str(run.path),
        "data": run.options.get("data"),
        "strategy": run.strategy,
        "replicas": run.replicas,
        "epochs": last["epoch"],
        "seed": run.seed,
        "examples": examples,
        "metrics": metrics,
        "examples_per_second": speeds / trained if trained else None,
        "stopped_early": bool(last.get("stopped_early")),
        "compile_seconds": sum(event["compile_seconds"] for event in history),
        "wall_seconds": seconds,
        "savedmodel": None,
    }


def _finished(run: Run, epochs: int, say: Callable[[str], None]) -> dict[str, Any] | None:
    """Return the summary of a run that has nothing left to do, or None."""
    summary = run.read("summary.json")
    if not isinstance(summary, dict) or not isinstance(summary.get("epochs"), int):
        return None  # not there, or not what was written
    if not (summary["epochs"] >= epochs or summary.get("stopped_early")):
        return None
    if not run.model.exists():
        return None
    if not _is_whole(run.model):
        say(f"{run.model} is damaged: making it again from the newest checkpoint")
        return None
    say(f"{run.path} is finished: nothing to do")
    return summary


def _is_whole(path: Path) -> bool:
    """Whether the parts of a .keras file, a zip, have their checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError):
        return False


class _Recorder:
    """Writes metrics.jsonl and event files after every epoch, says a line, redraws the curves."""

    def __init__(self, run: Run, recipe: Recipe, say: Callable[[str], None], weights: Sequence):
        self.run, self.recipe, self.say, self.weights = run, recipe, say, weights
        self.drawn = time.monotonic()
        self.events: EventFiles | None = None

    def __call__(self, history: list[dict[str, Any]]) -> None:
        self.run.write_metrics(history)
        if self.run.writes:
            if self.events is None:  # the epochs before this one are those of a resumed run
                self.events = EventFiles(self.run.tensorboard, epochs=len(history) - 1)
            self.events.write(history, self.weights)
        self.say(epoch_line(history[-1], self.recipe.epochs))
        if time.monotonic() - self.drawn > _DRAW_SECONDS:
            self.draw(history)

    def draw(self, history: list[dict[str, Any]]) -> None:
        if self.run.writes:
            with writing(self.run.curves):
                curves(history, self.recipe.name).savefig(self.run.curves, dpi=120)
            self.drawn = time.monotonic()


@contextlib.contextmanager
def policy(precision: str):
    """Build and run layers in a precision, then go back to the one before.

    Whatever keras.json says: its `floatx` would be that of inputs, losses and metrics.
    """
    if precision not in PRECISIONS:
        raise ValueError(
            f"`precision` must be one of {', '.join(PRECISIONS)}. Received: {precision!r}."
        )
    before, floatx = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(before)
