"""The core types: what a section of the book trains or shows, its data, its signatures.

This module knows no TensorFlow.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

if typing.TYPE_CHECKING:
    import keras
    import tensorflow as tf


# What a cell of a table says where its number or code is missing: nothing, NA, NaN or null, in any
# case, with white space around. Training, exported graph and command line match this one pattern,
# which Python and RE2 read alike. "None" is missing for numbers only: tables have a code "None".
MISSING = r"(?i)[ \t\n\r\f\v]*(na|nan|null)?[ \t\n\r\f\v]*"
MISSING_NUMBER = MISSING.replace("null", "null|none")


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
class Rows:
    """Batches of which a part can be read alone: one of several workers decodes its own examples.

    Args:
        of: whose batches these are: a dataset, or the `order` of a Data. Where a Data has another
            one there, these rows are not its own, and are not used.
        batches: (epoch) -> what is cheap of every global batch, e.g. places and labels: a tensor or
            a nest of them, the first one with an axis of the batch.
        load: (element of `batches`, first, end) -> examples [first, end) of that batch, the same
            ones as the whole batch has there.
    """

    of: Any
    batches: Callable[[int], tf.data.Dataset]
    load: Callable[[Any, Any, Any], Any]


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
        rows: split -> how to read parts of its batches, where each example is read by itself.
    """

    train: tf.data.Dataset
    valid: tf.data.Dataset | None
    test: tf.data.Dataset | None
    features: Mapping[str, TensorSpec]
    assets: Mapping[str, Any]
    size: Mapping[str, int]
    order: Callable[[int], tf.data.Dataset] | None = None
    rows: Mapping[str, Rows] = field(default_factory=dict)

    def rows_of(self, split: str) -> Rows | None:
        """Return how to read parts of a split's batches, or None."""
        rows = self.rows.get(split)
        whole = self.order if split == "train" and self.order else getattr(self, split)
        return rows if rows is not None and rows.of is whole else None

    def epoch(self, number: int) -> tf.data.Dataset:
        """Return the training batches in the order of epoch `number` (0-based)."""
        return self.train if self.order is None else self.order(number)


@dataclass(frozen=True, eq=False)  # it is what it is, as a function is: tf.function hashes it
class ServingFunction:
    """What computes the answers of a signature, and what it brings along.

    Args:
        call: function of the named inputs that returns a dict of named outputs.
        resources: lookup tables and other TensorFlow resources that are no part of the model.
        defaults: input name -> value; these inputs, the last ones, are optional.
    """

    call: Callable[..., dict]
    resources: Sequence[Any] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, *inputs: Any, **named: Any) -> dict:
        return self.call(*inputs, **named)


@dataclass(frozen=True)
class Endpoint:
    """One signature of an exported SavedModel.

    Args:
        name: str, signature name; the recipe's first endpoint must be "serving_default".
        signature: input name -> spec with the batch axis (None).
        build: (model, assets) -> function of the named inputs that returns a dict of named outputs,
            or a ServingFunction. It becomes part of the graph: preprocessing and class names
            belong in it.
        example: () -> dict of valid inputs (numpy arrays), used to check the export.
    """

    name: str
    signature: Mapping[str, TensorSpec]
    build: Callable[[keras.Model, Mapping[str, Any]], Callable[..., dict] | ServingFunction]
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
        loss: () -> keras loss, or output name -> loss; or None, for a model with a `compute_loss`.
        metrics: () -> list of keras metrics, or output name -> list.
        epochs: int, passes over the training data.
        batch_size: int, the global batch: examples per optimizer step over all replicas.
        endpoints: signatures of the export, "serving_default" first.
        expected: the figure to compare with, or None.
        fit: None for the loop, or (training.Training) -> history: trains in its own way, by calls
            of the loop with parts of it.
        score: None, or (model, batches of a split, assets) -> name -> figure: what `kerasd2l
            evaluate` tells beside the metrics, because it needs all answers at once.
        small_steps: bool, the operations of a step are small: training gives each one CPU thread
            and runs several side by side, instead of each in pieces.
        name: str, set by `load`.
        arguments: the resolved keyword arguments, set by `load`.
    """

    section: str
    dataset: str
    data: Callable[[Any], Data]
    model: Callable[[Data], keras.Model]
    optimizer: Callable[[], Any]
    loss: Callable[[], Any]
    metrics: Callable[[], list | dict[str, list]]
    epochs: int
    batch_size: int
    endpoints: tuple[Endpoint, ...] = ()
    expected: Expected | None = None
    fit: Callable | None = None
    score: Callable[..., Mapping[str, float]] | None = None
    small_steps: bool = False
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
