"""The signature of a model on rows of a table: raw numbers and texts in, one number out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.endpoints.numbers import finite
from kerasd2l.recipe import MISSING, Endpoint, ServingFunction, TensorSpec

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
else:
    tf = lazy("tensorflow")


def table_regressor(
    numeric: Sequence[str],
    categorical: Sequence[str],
    *,
    output: str,
    example: Callable[[], Mapping[str, np.ndarray]],
) -> Endpoint:
    """Make the endpoint `serving_default` of a model on encoded rows: one named input per column.

    Numbers are (B,) float32, NaN where one is missing; codes are (B,) string, "NA" or "" where one
    is missing (see `recipe.MISSING`), white space around them is left out. Inside the graph numbers
    are standardised and a missing one becomes the mean, and every code becomes a one among zeros. A
    code that the training data did not have becomes zeros only. What is needed for that comes from
    the assets: `numeric`, column -> [mean, standard deviation], and `categorical`, column -> codes;
    the model sees the numbers in the order of `numeric`, then for each column of codes its codes
    and one place for "missing".

    Args:
        numeric: names of the columns of numbers. An input is named as its column, but for columns
            whose name is no Python name: "1stFlrSF" becomes "column_1stFlrSF".
        categorical: names of the columns of codes.
        output: str, name of the output, (B,) float32.
        example: () -> column -> values, valid rows to check the export with.

    Returns:
        An Endpoint. The exported signature refuses infinity, and numbers that become infinite when
        they are standardised.

    Raises:
        ValueError: no columns, or two with the same name; when exporting, assets that do not have
            these columns, or do not fit the model.
    """
    columns = [*numeric, *categorical]
    names = [input_name(column) for column in columns]
    if not columns or len(set(names)) != len(names):
        raise ValueError(f"The columns must be one or more different names. Received: {columns}.")

    def build(model: keras.Model, assets: Mapping[str, Any]) -> ServingFunction:
        for key, wanted in (("numeric", numeric), ("categorical", categorical)):
            if list(assets.get(key, {})) != list(wanted):
                raise ValueError(
                    f"The assets must describe the {key} columns {list(wanted)}. "
                    f"Received: {list(assets.get(key, {}))}."
                )
        encode_numbers = _numbers(assets["numeric"])
        encode_codes, tables = _codes(assets["categorical"])

        def predict(**inputs):
            parts = []
            if numeric:
                values = tf.stack([inputs[input_name(column)] for column in numeric], axis=1)
                parts.append(encode_numbers(values))
            if categorical:
                values = tf.stack([inputs[input_name(column)] for column in categorical], axis=1)
                parts.append(encode_codes(values))
            result = model(tf.concat(parts, axis=1), training=False)  # (B, 1)
            return {output: finite(tf.reshape(result, (-1,)))}

        return ServingFunction(predict, resources=tables)

    kinds = dict.fromkeys(numeric, "float32") | dict.fromkeys(categorical, "string")
    return Endpoint(
        "serving_default",
        {input_name(column): TensorSpec((None,), kinds[column]) for column in columns},
        build,
        lambda: {input_name(column): values for column, values in example().items()},
    )


def _numbers(columns: Mapping[str, Sequence[float]]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return (B, n) raw numbers -> (B, n) standardised ones, 0 where a number is missing."""
    mean, deviation = np.array(list(columns.values()), np.float32).reshape(-1, 2).T

    def encode(values: tf.Tensor) -> tf.Tensor:
        missing, scaled = tf.math.is_nan(values), (values - mean) / deviation
        finite = tf.reduce_all(tf.math.is_finite(scaled) | missing)
        message = "a number is infinite; leave out (NaN) what is not known"
        with tf.control_dependencies([tf.debugging.Assert(finite, [message])]):
            return tf.where(missing, 0.0, scaled)

    return encode


def _codes(
    columns: Mapping[str, Sequence[str]],
) -> tuple[Callable[[tf.Tensor], tf.Tensor], list[tf.lookup.StaticHashTable]]:
    """Return (B, c) codes -> (B, width) ones and zeros, and the lookup tables that it uses."""
    places: dict[str, int] = {}
    width = 0
    for column, codes in columns.items():
        for code in (*codes, ""):  # the last one: missing
            places[f"{column}\t{code}"], width = width, width + 1
    if not columns:  # a lookup table must not be empty
        return lambda values: values, []
    # one table for all columns; -1 is the place of no one
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            tf.constant(list(places), tf.string), tf.constant(list(places.values()), tf.int64)
        ),
        default_value=-1,
    )
    prefixes = tf.constant([f"{column}\t" for column in columns], tf.string)

    def encode(values: tf.Tensor) -> tf.Tensor:
        values = tf.strings.strip(values)
        values = tf.where(tf.strings.regex_full_match(values, MISSING), "", values)
        found = table.lookup(prefixes + values)  # (B, c)
        return tf.reduce_sum(tf.one_hot(found, width), axis=1)  # (B, width)

    return encode, [table]


def input_name(column: str) -> str:
    """Return the name of the input for a column: signatures take Python names only.

    Example:
        >>> input_name("YearBuilt"), input_name("1stFlrSF")
        ('YearBuilt', 'column_1stFlrSF')
    """
    return column if column.isidentifier() else "column_" + re.sub(r"\W", "_", column)
