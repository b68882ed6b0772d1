"""Recipes and demos: what a section of the book trains or shows, and how to find it by its name.

This module knows no TensorFlow: `kerasd2l list` and `kerasd2l show` answer at once.
"""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
import importlib
import inspect
import math
import pkgutil
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

if typing.TYPE_CHECKING:
    import keras
    import tensorflow as tf

CHAPTERS = "kerasd2l.chapters"


@dataclass(frozen=True)
class TensorSpec:
    """Shape and dtype of a named tensor; `None` is a free dimension.

    The same fields as `tf.TensorSpec`, without the import of TensorFlow.
    """

    shape: tuple[int | None, ...]
    dtype: str = "float32"


@dataclass(frozen=True)
class Expected:
    """The figure that a recipe should reach, and who says so.

    Args:
        metric: str, name as in the summary, e.g. "test_accuracy".
        low: float, lower end of the published or measured range.
        high: float, upper end; the same as `low` for a single figure.
        source: str, where the figure is from.
    """

    metric: str
    low: float
    high: float
    source: str

    def __str__(self) -> str:
        figure = f"{self.low:g}" if self.low == self.high else f"{self.low:g}-{self.high:g}"
        return f"{self.metric} {figure} ({self.source})"


@dataclass(frozen=True)
class Data:
    """What a recipe trains on: datasets batched by the global batch, and what serving needs.

    Args:
        train: batches of (x, y) or (x, y, sample_weight); iterating again reshuffles.
        valid: the same for validation, or None.
        test: the same for the test set, or None. Never shuffled, last short batch kept.
        features: name -> spec of one example, without the batch axis.
        assets: plain data (JSON) that serving needs: class names, vocabulary.
        size: split -> number of examples.
        order: (epoch) -> the training batches in the order of that epoch (0-based); the same epoch
            always gives the same order, which exact resume stands on. None: `train` has one order.
    """

    train: tf.data.Dataset
    valid: tf.data.Dataset | None
    test: tf.data.Dataset | None
    features: Mapping[str, TensorSpec]
    assets: Mapping[str, Any]
    size: Mapping[str, int]
    order: Callable[[int], tf.data.Dataset] | None = None

    def epoch(self, number: int) -> tf.data.Dataset:
        """Return the training batches in the order of epoch `number` (0-based)."""
        return self.train if self.order is None else self.order(number)


@dataclass(frozen=True)
class Endpoint:
    """One signature of an exported SavedModel.

    Args:
        name: str, signature name; the recipe's first endpoint must be "serving_default".
        signature: input name -> spec with the batch axis (None).
        build: (model, assets) -> function of the named inputs that returns a dict of named outputs.
            The function becomes part of the graph: preprocessing and class names belong in it.
        example: () -> dict of valid inputs (numpy arrays), used to check the export.
    """

    name: str
    signature: Mapping[str, TensorSpec]
    build: Callable[[keras.Model, Mapping[str, Any]], Callable[..., dict]]
    example: Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Recipe:
    """A section that trains: its numbers, and factories for everything that owns variables.

    Args:
        section: str, the book's label, e.g. "lenet".
        dataset: str, the name of the data, for `kerasd2l list`.
        data: (source) -> Data.
        model: (Data) -> keras.Model, called inside the strategy's scope. A model that comes
            compiled is left as it is.
        optimizer: () -> keras optimizer.
        loss: () -> keras loss.
        metrics: () -> list of keras metrics.
        epochs: int, passes over the training data.
        batch_size: int, the global batch: examples per optimizer step over all replicas.
        endpoints: signatures of the export, "serving_default" first.
        expected: the figure to compare with, or None.
        fit: None for `training.fit`'s loop, or a function with the signature of
            `training.loop.train` that trains in its own way.
        jit_compile: bool, compile the training step with XLA (one replica only).
        intra_op_threads: int, CPU threads that `kerasd2l train` gives to one operation; None:
            TensorFlow's choice. With 1, the small products of a recurrent step are computed side by
            side instead of each in pieces, and so are pieces of a batch (`training/quick.py`).
        name: str, set by `load`.
        arguments: the resolved keyword arguments, set by `load`.
    """

    section: str
    dataset: str
    data: Callable[[Any], Data]
    model: Callable[[Data], keras.Model]
    optimizer: Callable[[], Any]
    loss: Callable[[], Any]
    metrics: Callable[[], list]
    epochs: int
    batch_size: int
    endpoints: tuple[Endpoint, ...] = ()
    expected: Expected | None = None
    fit: Callable | None = None
    jit_compile: bool = False
    intra_op_threads: int | None = None
    name: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")
        if self.endpoints and self.endpoints[0].name != "serving_default":
            raise ValueError(
                'The first endpoint must be named "serving_default". '
                f"Received: {[e.name for e in self.endpoints]}."
            )


@dataclass(frozen=True)
class DemoResult:
    """What a demo found: values to print and matplotlib figures to save, by name."""

    values: Mapping[str, Any]
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Demo:
    """A section that computes and shows rather than trains.

    Args:
        section: str, the book's label.
        run: () -> DemoResult.
        name: str, set by `load`.
        arguments: the resolved keyword arguments, set by `load`.
    """

    section: str
    run: Callable[[], DemoResult]
    name: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A line of the table of contents: the chapter function behind a name."""

    name: str
    kind: Literal["recipe", "demo"]
    function: Callable[..., Recipe | Demo]

    @property
    def short(self) -> str:
        """The part of the name after the chapter."""
        return self.name.rpartition("/")[2]


class UnknownName(ValueError):
    """A recipe, demo or argument that does not exist; the message offers near matches."""


def entries() -> list[Entry]:
    """Return every recipe and demo of the book, in the order of their names."""
    package = importlib.import_module(CHAPTERS)
    kinds: dict[Any, Literal["recipe", "demo"]] = {"Recipe": "recipe", "Demo": "demo"}
    found = []
    for info in pkgutil.iter_modules(package.__path__):
        if info.name.startswith("_"):  # what several chapters share
            continue
        module = importlib.import_module(f"{CHAPTERS}.{info.name}")
        for name, function in vars(module).items():
            if name.startswith("_") or not inspect.isfunction(function):
                continue
            if not function.__module__.startswith(module.__name__):  # a chapter may be a package
                continue
            returns = function.__annotations__.get("return")
            kind = kinds.get(getattr(returns, "__name__", returns))
            if kind:
                found.append(Entry(f"{info.name}/{name}", kind, function))
    return sorted(found, key=lambda entry: entry.name)


def find(name: str) -> Entry:
    """Find a recipe or demo by `chapter/function`, or by the last part where that is unique.

    Raises:
        UnknownName: no such name, or a last part that two chapters share.
    """
    known = entries()
    hits = [entry for entry in known if name in (entry.name, entry.short)]
    if len(hits) == 1:
        return hits[0]
    if hits:
        choice = " or ".join(entry.name for entry in hits)
        raise UnknownName(f"{name!r} is in more than one chapter. Say {choice}.")
    names = [entry.short for entry in known] + [entry.name for entry in known]
    raise UnknownName(f"no recipe or demo named {name!r}.{near_matches(name, names)}")


def near_matches(word: str, known: typing.Iterable[str]) -> str:
    """Return " Did you mean ...?" with the names closest to `word`, or the way to list them."""
    close = difflib.get_close_matches(word, sorted(set(known)), n=3, cutoff=0.5)
    if close:
        return f" Did you mean {' or '.join(close)}?"
    return " `kerasd2l list` shows them all."


def parameters(function: Callable) -> dict[str, inspect.Parameter]:
    """Return the keyword arguments of a chapter function with their types resolved."""
    hints = typing.get_type_hints(function)
    return {
        name: parameter.replace(annotation=hints.get(name, str))
        for name, parameter in inspect.signature(function).parameters.items()
    }


def load(name: str, /, **arguments: Any) -> Recipe | Demo:
    """Build a recipe or demo by its name.

    Args:
        name: str, "chapter/function" or a unique "function".
        **arguments: values for the function's keyword arguments. A string is converted to the
            argument's type, as on the command line.

    Returns:
        The Recipe or Demo, with `name` and all resolved `arguments` filled in.

    Raises:
        UnknownName: no such name or argument.
        TypeError: a value of the wrong kind.
        ValueError: a value out of range.

    Example:
        >>> load("lenet", learning_rate=0.5).arguments["learning_rate"]
        0.5
    """
    entry = find(name)
    known = parameters(entry.function)
    values = {key: parameter.default for key, parameter in known.items()}
    for key, value in arguments.items():
        if key not in known:
            close = difflib.get_close_matches(key, known, n=3, cutoff=0.5)
            hint = f" Did you mean {' or '.join(close)}?" if close else ""
            names = ", ".join(known) or "none"
            raise UnknownName(f"{entry.short} has no argument {key!r}.{hint} It has: {names}.")
        values[key] = value = convert(key, value, known[key].annotation)
        if entry.kind == "recipe" and isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"`{key}` must be a finite number. Received: {key}={value}.")
    if not 0 <= (values.get("seed") or 0) < 2**31:
        raise ValueError(f"`seed` must be 0 to 2147483647. Received: seed={values['seed']}.")
    return dataclasses.replace(entry.function(**values), name=entry.name, arguments=values)


def convert(key: str, value: Any, annotation: Any) -> Any:
    """Convert `value` (often text from the command line) to the type `annotation`.

    Understands int, float, bool, str, Literal, Optional and tuples ("2,2,2").

    Raises:
        TypeError: the value is not of that type. ValueError: not one of a Literal's choices.
    """
    origin, options = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        for option in options:
            if value == option or (isinstance(value, str) and value == str(option)):
                return option
        choices = ", ".join(map(str, options))
        raise ValueError(f"`{key}` must be one of {choices}. Received: {key}={value}.")
    if origin in (typing.Union, types.UnionType):
        if value is None or (isinstance(value, str) and value.lower() == "none"):
            if type(None) in options:
                return None
        (annotation,) = (option for option in options if option is not type(None))
        return convert(key, value, annotation)
    if origin is tuple:
        items = (value.split(",") if value else ()) if isinstance(value, str) else value
        if not isinstance(items, (list, tuple)):
            raise TypeError(f"`{key}` must be a list such as 2,2,2. Received: {key}={value!r}.")
        kinds = options if options[-1] is not Ellipsis else [options[0]] * len(items)
        if len(kinds) != len(items):
            raise TypeError(f"`{key}` must have {len(kinds)} items. Received: {key}={value!r}.")
        return tuple(convert(key, item, kind) for item, kind in zip(items, kinds, strict=True))
    return _convert_plain(key, value, annotation)


def _convert_plain(key: str, value: Any, kind: type) -> Any:
    """Convert to int, float, bool or str; refuse what would lose or invent information."""
    wrong = TypeError(f"`{key}` must be {_NOUNS.get(kind, kind)}. Received: {key}={value!r}.")
    if kind is bool:
        words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if isinstance(value, str) and value.lower() in words:
            return words[value.lower()]
        if not isinstance(value, bool):
            raise wrong
        return value
    if kind in (int, float):
        if isinstance(value, bool) or (kind is int and isinstance(value, float)):
            raise wrong
        try:
            value = kind(value)
        except (TypeError, ValueError):
            raise wrong from None
        if key == "learning_rate" and not 0 < value < float("inf"):
            raise ValueError(f"`{key}` must be a positive number. Received: {key}={value}.")
        return value
    if not isinstance(value, str):
        raise wrong
    return value


_NOUNS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def list_recipes(pattern: str = "*") -> list[Recipe | Demo]:
    """Build every recipe and demo with its defaults whose name matches `pattern`.

    Args:
        pattern: str, part of a name, or with `*` and `?` as in file names.
    """
    if not any(sign in pattern for sign in "*?["):
        pattern = f"*{pattern}*"
    return [load(entry.name) for entry in entries() if fnmatch.fnmatch(entry.name, pattern)]
