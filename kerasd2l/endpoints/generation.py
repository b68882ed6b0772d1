"""The signatures of a language model: the beginning of a text in, the text out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.endpoints.text import TextTable
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
) -> tuple[Endpoint, ...]:
    """Make the endpoints of a language model.

    `serving_default` takes `prefix` (B,) string and gives `text` (B,) string: the prefix and
    `num_tokens` tokens more. `generate` takes the number of tokens () int32, the `temperature` ()
    float32 (0: always the most probable token) and the `seed` () int64, too; they may be left out
    where a server knows defaults. The same seed gives the same text, row by row.

    The prefix is cleaned as the training text was, but white space at its ends stays. Characters or
    words that the vocabulary lacks, and bytes that are not UTF-8, are read as `<unk>`, which is
    never written. Of a prefix of more than 1000 characters only the last 1000 are read; all of it
    stands in the answer. An empty prefix goes on from the most frequent token, which is not shown.

    Args:
        steps: (model) -> the functions that `decoding.generate` needs, usually
            `models.step_by_step`.
        num_tokens: int, default of `generate` and what `serving_default` writes. Default: 50.
        temperature: float, likewise. Default: 0, greedy.
        prefix: str, for the example.

    Returns:
        Two endpoints.

    Raises:
        ValueError: num_tokens not in 0..10000, or a temperature that is negative or not finite.

    Example:
        >>> [endpoint.name for endpoint in text_generator(print)]
        ['serving_default', 'generate']
    """
    if not 0 <= num_tokens <= MOST_TOKENS:
        raise ValueError(
            f"`num_tokens` must be in 0..{MOST_TOKENS}. Received: num_tokens={num_tokens}."
        )
    if not 0 <= temperature < float("inf"):
        raise ValueError(
            "`temperature` must be a finite number, at least 0 (0: always the most probable "
            f"token). Received: temperature={temperature}."
        )
    defaults = {"num_tokens": num_tokens, "temperature": temperature, "seed": 0}

    def build(model: keras.Model, assets: Mapping[str, Any]) -> ServingFunction:
        return _writer(steps(model), assets, defaults)

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
    text = {"prefix": TensorSpec((None,), "string")}
    scalars = {
        "num_tokens": TensorSpec((), "int32"),
        "temperature": TensorSpec((), "float32"),
        "seed": TensorSpec((), "int64"),
    }
    return (
        Endpoint("serving_default", text, build_default, example),
        Endpoint("generate", text | scalars, build, lambda: example() | settings),
    )


def _writer(
    steps: tuple[Callable, Callable],
    assets: Mapping[str, Any],
    defaults: Mapping[str, Any],
) -> ServingFunction:
    """Return (prefix, num_tokens, temperature, seed) -> {"text"}, its table and its defaults."""
    table = TextTable(assets["vocabulary"], assets["tokenizer"])
    characters = assets["tokenizer"]["level"] == "char"
    strip = False if characters else None  # a space at the end of a prefix is one to go on from

    def write(prefix, num_tokens, temperature, seed):
        num_tokens, temperature = _checked(num_tokens, temperature)
        clean = table.clean(prefix, strip=strip)
        ids = table.encode(table.ending(prefix), strip=strip)
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
            noise=noise,
        )
        parts = [clean, table.decode(written)]
        if not characters:
            both = (tf.strings.length(clean) > 0) & (num_tokens > 0)
            parts.insert(1, tf.where(both, " ", ""))
        return {"text": tf.strings.join(parts)}

    return ServingFunction(write, resources=table.resources, defaults=dict(defaults))


def _checked(num_tokens: tf.Tensor, temperature: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the settings behind checks of their ranges."""
    number = f"num_tokens must be in 0..{MOST_TOKENS}"
    heat = "temperature must be a finite number, at least 0"
    num_tokens, temperature = tf.convert_to_tensor(num_tokens), tf.convert_to_tensor(temperature)
    checks = [
        tf.debugging.assert_non_negative(num_tokens, number),
        tf.debugging.assert_less_equal(num_tokens, MOST_TOKENS, number),
        tf.debugging.Assert((temperature >= 0) & tf.math.is_finite(temperature), [heat]),
    ]
    with tf.control_dependencies([check for check in checks if check is not None]):
        return tf.identity(num_tokens), tf.identity(temperature)
