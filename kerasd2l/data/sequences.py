"""Long sequences cut into windows: next-token batches for language models, and lagged series.

Section: "language-models-and-dataset". Each epoch starts at an offset of its own, drawn from the
seed and the number of the epoch, so a resumed epoch repeats itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data import pipeline
from kerasd2l.data.pipeline import Batches
from kerasd2l.data.source import Source, builtin_only
from kerasd2l.data.text import Tokenizer, check_size
from kerasd2l.data.vocab import Vocab, known_or_counted
from kerasd2l.recipe import Data, TensorSpec

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")


def random_batches(
    corpus: Sequence[int] | np.ndarray, *, batch_size: int, num_steps: int, seed: int = 0
) -> Batches:
    """Cut a corpus into windows that do not overlap, and mix them: the book's random sampling.

    Args:
        corpus: (L,) token numbers.
        batch_size: int B, windows in a batch.
        num_steps: int T, tokens in a window.
        seed: int, fixes offset and order of every epoch.

    Returns:
        Batches of x (B, T) int32 and y (B, T) int32, y one token ahead of x. All batches are full,
        and their number is that of the least lucky offset, the same in every epoch.

    Raises:
        ValueError: a corpus that does not fill one batch.

    Example:
        >>> batches = random_batches(range(35), batch_size=2, num_steps=5)
        >>> len(batches.order(0)), batches.size
        (3, 6)
    """
    ids = _check(corpus, batch_size, num_steps)
    steps = (len(ids) - num_steps) // num_steps // batch_size
    _enough(steps, ids, batch_size * num_steps + num_steps, batch_size, num_steps)
    windows = (len(ids) - num_steps) // num_steps

    def rows(draws: tf.Tensor) -> tf.data.Dataset:
        places = tf.random.experimental.stateless_shuffle(tf.range(windows, dtype=tf.int64), draws)
        starts = _offset(draws, num_steps) + places[: steps * batch_size] * num_steps
        return tf.data.Dataset.from_tensor_slices(tf.reshape(starts, (steps, batch_size)))

    return _batches(ids, rows, steps, batch_size, num_steps, seed)


def sequential_batches(
    corpus: Sequence[int] | np.ndarray,
    *,
    batch_size: int,
    num_steps: int,
    seed: int | None = 0,
    mark_start: bool = False,
) -> Batches:
    """Cut a corpus into B long rows and each row into windows: the book's sequential partitioning.

    Row b of a batch goes on where row b of the batch before ended, so that a recurrent state can be
    carried from batch to batch. It must be reset at the start of an epoch, where the text jumps.

    Args:
        corpus: (L,) token numbers.
        batch_size: int B, rows.
        num_steps: int T, tokens in a window.
        seed: int, training: fixes the offset of every epoch. None: evaluation, always from token 0.
        mark_start: bool, give x as {"tokens": (B, T) int32, "start": (B,) bool, "row": (B,) int32}
            where `start` is True in the first batch of a pass: there, and only there, the state is
            to be reset. `row` is 0..B - 1: where a batch is shared, it tells whose state is whose.

    Returns:
        Batches of x and y as `random_batches`; the number of batches is the same in every epoch.

    Raises:
        ValueError: a corpus that does not fill one batch.

    Example:
        >>> batches = sequential_batches(range(35), batch_size=2, num_steps=5, seed=None)
        >>> [x[:, 0].numpy().tolist() for x, y in batches.dataset]
        [[0, 17], [5, 22], [10, 27]]
    """
    ids = _check(corpus, batch_size, num_steps)
    least = 0 if seed is None else num_steps - 1  # tokens that the offset may cost
    steps = (len(ids) - 1 - least) // batch_size // num_steps
    _enough(steps, ids, batch_size * num_steps + 1 + least, batch_size, num_steps)

    def rows(draws: tf.Tensor) -> tf.data.Dataset:
        offset = _offset(draws, num_steps) if seed is not None else tf.constant(0, tf.int64)
        length = (len(ids) - 1 - offset) // batch_size
        starts = offset + length * tf.range(batch_size, dtype=tf.int64)  # (B,)
        return tf.data.Dataset.range(steps).map(lambda step: starts + step * num_steps)

    return _batches(ids, rows, steps, batch_size, num_steps, seed, mark_start)


def _batches(ids, rows, steps, batch_size, num_steps, seed, mark_start=False) -> Batches:
    """Make Batches from `rows`: (2,) random numbers -> dataset of (B,) starts of windows."""
    with tf.device("CPU:0"):
        corpus = tf.constant(ids)
    window = np.arange(num_steps + 1)

    def gather(step: tf.Tensor, starts: tf.Tensor) -> Any:
        tokens = tf.gather(corpus, starts[:, None] + window)  # (B, T + 1)
        tokens = tf.ensure_shape(tokens, (batch_size, num_steps + 1))
        x, y = tokens[:, :-1], tokens[:, 1:]
        if mark_start:
            start = tf.fill((batch_size,), step == 0)
            x = {"tokens": x, "start": start, "row": tf.range(batch_size)}
        return x, y

    def finish(starts: tf.data.Dataset) -> tf.data.Dataset:
        starts = starts.apply(tf.data.experimental.assert_cardinality(steps))
        return pipeline._map(starts.enumerate(), gather).prefetch(tf.data.AUTOTUNE)

    if seed is None:
        return Batches(finish(rows(tf.zeros((2,), tf.int64))), None, steps * batch_size)

    def order(epoch: int) -> tf.data.Dataset:
        draws = np.random.default_rng([seed, epoch]).integers(0, 2**31, 2)
        return finish(rows(tf.constant(draws, tf.int64)))

    draws = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).batch(2).take(1)
    return Batches(finish(draws.flat_map(rows)), order, steps * batch_size)


def _offset(draws: tf.Tensor, num_steps: int) -> tf.Tensor:
    return tf.cast(draws[0], tf.int64) % num_steps


def _check(corpus: Sequence[int] | np.ndarray, batch_size: int, num_steps: int) -> np.ndarray:
    for name, value in (("batch_size", batch_size), ("num_steps", num_steps)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")
    ids = np.asarray(corpus)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise ValueError(
            "`corpus` must be one list of token numbers. "
            f"Received: shape {ids.shape}, dtype {ids.dtype}."
        )
    return ids.astype(np.int32)


def _enough(steps: int, ids: np.ndarray, least: int, batch_size: int, num_steps: int) -> None:
    if steps < 1:
        raise ValueError(
            f"{batch_size} windows of {num_steps} tokens need a corpus of at least {least} tokens. "
            f"Received: {len(ids)}. Use a smaller batch_size or num_steps."
        )


def language_model_data(
    lines: Sequence[str],
    tokenizer: Tokenizer,
    *,
    batch_size: int,
    num_steps: int,
    seed: int,
    max_tokens: int | None = None,
    held_out_tokens: int = 0,
    partition: Literal["random", "sequential"] = "random",
    mark_start: bool = False,
    min_freq: int = 0,
    vocabulary: Sequence[str] | None = None,
) -> Data:
    """Make the Data of a language model: next-token batches of the first tokens of a text.

    As in the book, the tokens of all lines are put one after the other, and the vocabulary counts
    the whole text even if only its beginning is used.

    Args:
        lines: clean or raw lines; the tokenizer cleans.
        tokenizer: how lines become tokens.
        batch_size: int B.
        num_steps: int T.
        seed: int, of offsets and orders.
        max_tokens: int, train on so many tokens from the beginning; None: on all there are.
        held_out_tokens: int, test on so many tokens that follow (0: no test set). With the
            sequential partition the test set is partitioned sequentially, too, else its windows
            come in their order; a rest shorter than a window is left out.
        partition: "random" or "sequential".
        mark_start: bool, see `sequential_batches`; needs the sequential partition.
        min_freq: int, rarer tokens become `<unk>`.
        vocabulary: the tokens by their numbers, as an earlier run's assets have them; None: counted
            in this text.

    Returns:
        Data: x (B, T) int32, y (B, T) int32, y one ahead; assets["vocabulary"] (list of tokens),
        assets["tokenizer"]; size counts windows.

    Raises:
        ValueError: another partition, too few tokens.
    """
    if partition not in ("random", "sequential"):
        raise ValueError(f"`partition` must be random or sequential. Received: {partition!r}.")
    if mark_start and partition == "random":
        raise ValueError("`mark_start` needs partition='sequential': random windows have no past.")
    for name, value, low in (
        ("max_tokens", max_tokens, 1),
        ("held_out_tokens", held_out_tokens, 0),
    ):
        if value is not None and value < low:
            raise ValueError(f"`{name}` must be at least {low}. Received: {name}={value}.")
    ids, vocab = corpus_ids(lines, tokenizer, min_freq=min_freq, vocabulary=vocabulary)
    stop = len(ids) - held_out_tokens if max_tokens is None else min(max_tokens, len(ids))
    train, held_out = ids[: max(stop, 0)], ids[max(stop, 0) :][:held_out_tokens]
    if len(held_out) < held_out_tokens:
        raise ValueError(
            f"`held_out_tokens` is {held_out_tokens}, but only {len(held_out)} of the text's "
            f"{len(ids)} tokens follow the {max(stop, 0)} of the training. "
            "Use a longer text, or smaller numbers for `max_tokens` and `held_out_tokens`."
        )
    sizes = {"batch_size": batch_size, "num_steps": num_steps}
    test = None
    if partition == "sequential":
        training = sequential_batches(train, **sizes, seed=seed, mark_start=mark_start)
        if held_out_tokens:
            test = sequential_batches(held_out, **sizes, seed=None, mark_start=mark_start)
    else:
        training = random_batches(train, **sizes, seed=seed)
        if held_out_tokens:
            test = pipeline.from_arrays(windows(held_out, num_steps), batch_size=batch_size)
    features = {"tokens": TensorSpec((num_steps,), "int32")}
    if mark_start:
        features |= {"start": TensorSpec((), "bool"), "row": TensorSpec((), "int32")}
    return pipeline.make_data(
        training,
        test=test,
        features=features,
        assets={"vocabulary": vocab.tokens, "tokenizer": tokenizer.to_assets()},
    )


def corpus_ids(
    lines: Sequence[str],
    tokenizer: Tokenizer,
    *,
    min_freq: int = 0,
    vocabulary: Sequence[str] | None = None,
) -> tuple[np.ndarray, Vocab]:
    """Return the token numbers of all lines, one after the other, and the vocabulary.

    Raises:
        DataError: a text that is too long.
    """
    check_size(lines)
    tokens = [tokenizer(line) for line in lines]
    vocab = known_or_counted(vocabulary, tokens, min_freq=min_freq)
    return np.array([i for line in tokens for i in vocab[line]], np.int32), vocab


def windows(corpus: Sequence[int] | np.ndarray, num_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut a corpus from its beginning into windows: x (N, T) and y (N, T), one token ahead.

    Raises:
        ValueError: not one window.
    """
    ids = _check(corpus, 1, num_steps)
    number = (len(ids) - 1) // num_steps
    _enough(number, ids, num_steps + 1, 1, num_steps)
    end = number * num_steps
    return ids[:end].reshape(-1, num_steps), ids[1 : end + 1].reshape(-1, num_steps)


def lagged(series: Sequence[float] | np.ndarray, num_lags: int) -> tuple[np.ndarray, np.ndarray]:
    """Turn a series into features and labels of an autoregression. Section: "sequence".

    Args:
        series: (L,) numbers.
        num_lags: int tau >= 1, values of the past that predict the next one.

    Returns:
        (L - tau, tau) float32, oldest value first, and labels (L - tau, 1) float32.

    Raises:
        ValueError: a series not longer than num_lags.

    Example:
        >>> x, y = lagged([1, 2, 3, 4], 2)
        >>> x.tolist(), y.tolist()
        ([[1.0, 2.0], [2.0, 3.0]], [[3.0], [4.0]])
    """
    values = np.asarray(series, np.float32)
    if not 1 <= num_lags < len(values):
        raise ValueError(
            f"`num_lags` must be in 1..{len(values) - 1} for a series of {len(values)} values. "
            f"Received: num_lags={num_lags}."
        )
    pieces = np.lib.stride_tricks.sliding_window_view(values, num_lags + 1)
    return pieces[:, :-1].copy(), pieces[:, -1:].copy()


def noisy_sine(num_values: int = 1000, *, noise: float = 0.2, seed: int = 0) -> np.ndarray:
    """Draw the series of section "sequence": x_t = sin(0.01 t) + e, e from N(0, noise^2).

    Args:
        num_values: int, L; t is 1, 2, ..., L.
        noise: float, standard deviation of e. Default: 0.2.
        seed: int, of numpy's frozen RandomState.

    Returns:
        (L,) float32.
    """
    time = np.arange(1, num_values + 1)
    e = np.random.RandomState(seed).normal(size=num_values)
    return (np.sin(0.01 * time) + noise * e).astype(np.float32)


def load_sine(
    source: Source | str | None = None,
    *,
    batch_size: int = 16,
    num_values: int = 1000,
    num_train: int = 600,
    num_lags: int = 4,
    noise: float = 0.2,
    data_seed: int = 0,
) -> Data:
    """Make the data of section "sequence": the next value of a noisy sine from the last ones.

    Args:
        source: Source or the name of its kind, "auto" or "builtin"; its seed orders the training.
        batch_size: int, the global batch.
        num_values: int, L, length of the series.
        num_train: int, training examples, from the beginning; the L - num_lags - num_train that
            follow are the test set.
        num_lags: int, tau, values that predict the next one.
        noise: float, standard deviation of the noise.
        data_seed: int, another noise on the same sine.

    Returns:
        Data: x (B, tau) float32, oldest first, y (B, 1) float32.

    Raises:
        DataError: asked for files or a download, which do not exist.
        ValueError: too few values.

    Example:
        >>> load_sine().size
        {'train': 600, 'test': 396}
    """
    source = builtin_only(source, "the noisy sine is computed")
    x, y = lagged(noisy_sine(num_values, noise=noise, seed=data_seed), num_lags)
    if not 1 <= num_train < len(x):
        raise ValueError(
            f"`num_train` must be in 1..{len(x) - 1}, so that a test set is left. "
            f"Received: num_train={num_train}."
        )
    training = pipeline.from_arrays(
        (x[:num_train], y[:num_train]), batch_size=batch_size, seed=source.seed
    )
    evaluation = pipeline.from_arrays((x[num_train:], y[num_train:]), batch_size=batch_size)
    return pipeline.make_data(
        training,
        test=evaluation,
        features={"history": TensorSpec((num_lags,))},
        assets={},
    )
