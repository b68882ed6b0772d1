"""The signatures of a language model: the beginning of a text in, the text out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.endpoints.text import MOST_CHARACTERS, TextTable
from kerasd2l.recipe import Endpoint, ServingFunction, TensorSpec

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from kerasd2l import decoding
else:
    tf = lazy("tensorflow")
    decoding = lazy("kerasd2l.decoding")

MOST_TOKENS = 10_000  # written by one call


def text_generator(
    steps: Callable[[keras.Model], tuple[Callable, Callable]],
    *,
    num_tokens: int = 50,
    temperature: float = 0.0,
    prefix: str = "time traveller",
    most_tokens: int = MOST_TOKENS,
    most_characters: int = MOST_CHARACTERS,
) -> tuple[Endpoint, ...]:
    """Make the endpoints of a language model.

    `serving_default` takes `prefix` (B,) string and gives `text` (B,) string, the prefix and
    `num_tokens` tokens more, and `characters_left_out` (B,) int32. `generate` takes the number of
    tokens () int32, the `temperature` () float32 (0: always the most probable token), the `seed` ()
    int64, and `top_k` () int32 and `top_p` () float32, which limit the draw as in
    `decoding.generate`, too; they may be left out where a server knows defaults. The same seed
    gives the same text, row by row.

    The prefix is cleaned as the training text was, but white space at its ends stays. Characters or
    words that the vocabulary lacks, and bytes that are not UTF-8, are read as `<unk>`, which is
    never written. Of a prefix of more than `most_characters` only the last ones are read, and
    `characters_left_out` says how many are not; all of it stands in the answer. An empty prefix
    goes on from the most frequent token, which is not shown.

    Args:
        steps: (model) -> the functions that `decoding.generate` needs, usually
            `models.step_by_step`.
        num_tokens: int, default of `generate` and what `serving_default` writes. Default: 50.
        temperature: float, likewise. Default: 0, greedy.
        prefix: str, for the example.
        most_tokens: int, written by one call. Default: 10000.
        most_characters: int, of a prefix, read by one call. Default: 1000.

    Returns:
        Two endpoints.

    Raises:
        ValueError: num_tokens not in 0..most_tokens, or a temperature that is negative or not
            finite.

    Example:
        >>> [endpoint.name for endpoint in text_generator(print)]
        ['serving_default', 'generate']
    """
    if not 0 <= num_tokens <= most_tokens:
        raise ValueError(
            f"`num_tokens` must be in 0..{most_tokens}. Received: num_tokens={num_tokens}."
        )
    if not 0 <= temperature < float("inf"):
        raise ValueError(
            "`temperature` must be a finite number, at least 0 (0: always the most probable "
            f"token). Received: temperature={temperature}."
        )
    defaults = {"num_tokens": num_tokens, "temperature": temperature, "seed": 0}
    defaults |= {"top_k": 0, "top_p": 1.0}

    def build(model: keras.Model, assets: Mapping[str, Any]) -> ServingFunction:
        return _writer(steps(model), assets, defaults, (most_tokens, most_characters))

    def build_default(model: keras.Model, assets: Mapping[str, Any]) -> ServingFunction:
        write = build(model, assets)

        def serve(prefix):
            return write(
                prefix,
                tf.constant(num_tokens),
                tf.constant(temperature, tf.float32),
                tf.constant(0, tf.int64),
            )

        return ServingFunction(serve, resources=write.resources)

    def example() -> dict[str, Any]:
        return {"prefix": np.array([prefix, "", prefix[:3]], dtype=object)}

    settings = {"num_tokens": np.int32(9), "temperature": np.float32(1), "seed": np.int64(7)}
    settings |= {"top_k": np.int32(5), "top_p": np.float32(0.9)}
    text = {"prefix": TensorSpec((None,), "string")}
    scalars = {
        "num_tokens": TensorSpec((), "int32"),
        "temperature": TensorSpec((), "float32"),
        "seed": TensorSpec((), "int64"),
        "top_k": TensorSpec((), "int32"),
        "top_p": TensorSpec((), "float32"),
    }
    return (
        Endpoint("serving_default", text, build_default, example),
        Endpoint("generate", text | scalars, build, lambda: example() | settings),
    )


def _writer(
    steps: tuple[Callable, Callable],
    assets: Mapping[str, Any],
    defaults: Mapping[str, Any],
    most: tuple[int, int],
) -> ServingFunction:
    """Return (prefix, num_tokens, ...) -> what is served, with its table and defaults."""
    most_tokens, most_characters = most
    table = TextTable(assets["vocabulary"], assets["tokenizer"])
    characters = assets["tokenizer"]["level"] == "char"
    strip = False if characters else None  # a space at the end of a prefix is one to go on from

    def write(prefix, num_tokens, temperature, seed, top_k=0, top_p=1.0):
        num_tokens, temperature = _checked(num_tokens, temperature, top_k, top_p, most_tokens)
        clean = table.clean(prefix, strip=strip)
        ids = table.encode(table.ending(prefix, most_characters), strip=strip)
        lengths = tf.cast(ids.row_lengths(), tf.int32)
        shape = (tf.shape(lengths)[0], table.size)

        def noise(t):  # as keras.random.uniform draws with a SeedGenerator
            seeds = tf.stack([seed, tf.cast(t, tf.int64)])
            return tf.random.stateless_uniform(shape, seeds)

        written = decoding.generate(
            *steps,
            ids.to_tensor(),
            num_tokens=num_tokens,
            lengths=lengths,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            noise=noise,
        )
        parts = [clean, table.decode(written)]
        if not characters:
            both = (tf.strings.length(clean) > 0) & (num_tokens > 0)
            parts.insert(1, tf.where(both, " ", ""))
        left_out = table.left_out(prefix, most_characters)
        return {"text": tf.strings.join(parts), "characters_left_out": left_out}

    return ServingFunction(write, resources=table.resources, defaults=dict(defaults))


def _checked(
    num_tokens: tf.Tensor, temperature: tf.Tensor, top_k: Any, top_p: Any, most: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return number and temperature behind checks of the ranges of all settings."""
    number = f"num_tokens must be in 0..{most}"
    heat = "temperature must be a finite number, at least 0"
    num_tokens, temperature = tf.convert_to_tensor(num_tokens), tf.convert_to_tensor(temperature)
    checks = [
        tf.debugging.assert_non_negative(num_tokens, number),
        tf.debugging.assert_less_equal(num_tokens, most, number),
        tf.debugging.Assert((temperature >= 0) & tf.math.is_finite(temperature), [heat]),
        tf.debugging.Assert(tf.convert_to_tensor(top_k) >= 0, ["top_k must be 0 (all) or more"]),
        tf.debugging.Assert(
            (tf.convert_to_tensor(top_p) > 0) & (tf.convert_to_tensor(top_p) <= 1),
            ["top_p must be above 0, at most 1 (all)"],
        ),
    ]
    with tf.control_dependencies([check for check in checks if check is not None]):
        return tf.identity(num_tokens), tf.identity(temperature)
