"""Words and their neighbours in batches: subsampling, windows and noise words, no loop over tokens.

Section: "word-embedding-dataset". Windows and noise words are drawn anew for each batch, inside
tf.data, from a seed that the epoch and the place of the batch give: a resumed epoch repeats itself.
The number 0, `<unk>`, is never a word of a window: it fills what is empty. The book's own functions
are in `scratch.word2vec`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kerasd2l._lazy import lazy

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

_ROUNDS = 100  # drawings of noise words before a place stays empty


@dataclass(frozen=True)
class Sentences:
    """A text as numbers.

    Args:
        ids: (L,) int32, the words of all sentences, one after the other.
        lengths: (S,) int64, words of each sentence.
    """

    ids: np.ndarray
    lengths: np.ndarray

    def __post_init__(self):
        if self.lengths.sum() != len(self.ids):
            raise ValueError(
                "`lengths` must sum to the number of words. "
                f"Received: {self.lengths.sum()} and {len(self.ids)}."
            )

    def keep(self, kept: np.ndarray, shortest: int = 0) -> Sentences:
        """Return the words where `kept` (L,) is true, without sentences that become shorter."""
        number = np.repeat(np.arange(len(self.lengths)), self.lengths)[kept]
        lengths = np.bincount(number, minlength=len(self.lengths))
        ids, stay = self.ids[kept], lengths >= shortest
        return Sentences(ids[np.repeat(stay, lengths)], lengths[stay])

    def counts(self, vocab_size: int) -> np.ndarray:
        """Return how often each word comes: (V,) int64."""
        return np.bincount(self.ids, minlength=vocab_size)

    def places(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return of each word its place, and where its sentence begins and ends: (L,) int32 each.

        The end is the place behind the last word.
        """
        ends = np.cumsum(self.lengths)
        first, end = (np.repeat(x, self.lengths) for x in (ends - self.lengths, ends))
        place = np.arange(len(self.ids), dtype=np.int32)
        return place, first.astype(np.int32), end.astype(np.int32)


def keep_probability(counts: np.ndarray, threshold: float = 1e-4) -> np.ndarray:
    """Return the probability with which each word stays when frequent words are thinned out.

    min(sqrt(t / f), 1), f = count / sum of counts. Section: "word-embedding-dataset".

    Example:
        >>> keep_probability(np.array([0, 100, 300]), threshold=0.01).round(2).tolist()
        [1.0, 0.2, 0.12]
    """
    share = counts / max(counts.sum(), 1)
    return np.minimum(np.sqrt(threshold / np.maximum(share, 1e-30)), 1.0)


def subsample(
    sentences: Sentences, vocab_size: int, *, threshold: float = 1e-4, seed: int = 0
) -> tuple[Sentences, np.ndarray]:
    """Leave out `<unk>`, and frequent words by chance. Section: "word-embedding-dataset".

    Args:
        sentences: the text.
        vocab_size: int, V.
        threshold: float > 0, t of `keep_probability`.
        seed: int, of the chance.

    Returns:
        (the rest, without sentences of fewer than two words; (V,) counts before thinning, without
        `<unk>`).
    """
    known = sentences.keep(sentences.ids > 0)
    counts = known.counts(vocab_size)
    chance = np.random.default_rng([seed, 1]).random(len(known.ids))
    kept = chance < keep_probability(counts, threshold)[known.ids]
    return known.keep(kept, shortest=2), counts


class Noise:
    """Draws words by their counts to the power 0.75, each in constant time (an alias table).

    Section: "word-embedding-dataset".

    Args:
        counts: (V,) numbers >= 0; a word with 0 is never drawn.
        power: float, 0.75 as in word2vec.

    Raises:
        ValueError: no count is positive.

    Example:
        >>> noise = Noise([0, 5, 0])
        >>> noise.draw((3,), [0, 1]).numpy().tolist()
        [1, 1, 1]

    Reference:
        Walker, An efficient method for generating discrete random variables, 1977.
    """

    def __init__(self, counts: Sequence[float] | np.ndarray, power: float = 0.75):
        counts = np.asarray(counts, float)
        weights = np.where(counts > 0, np.maximum(counts, 0) ** power, 0)
        if not weights.sum() > 0:
            raise ValueError("`counts` must have a word to draw. Received: none above 0.")
        self.probabilities = weights / weights.sum()
        stay, alias = _alias_table(self.probabilities)
        self._stay, self._alias = stay.astype(np.float32), alias.astype(np.int32)

    def draw(self, shape: Any, seed: Any) -> tf.Tensor:
        """Draw words of a shape, int32; `seed`: (2,) int."""
        seeds = tf.random.split(seed)
        column = tf.random.stateless_uniform(shape, seeds[0], 0, len(self._stay), tf.int32)
        chance = tf.random.stateless_uniform(shape, seeds[1])
        stays = chance < tf.gather(self._stay, column)
        return tf.where(stays, column, tf.gather(self._alias, column))


def _alias_table(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each column the chance to stay in it, and where to go otherwise."""
    size = len(probabilities)
    stay, alias = probabilities * size, np.arange(size)
    small = [i for i in range(size) if stay[i] < 1]
    large = [i for i in range(size) if stay[i] >= 1]
    while small and large:
        low, high = small.pop(), large[-1]
        alias[low] = high
        stay[high] -= 1 - stay[low]
        if stay[high] < 1:
            small.append(large.pop())
    left = np.array(small + large, np.int64)  # full columns, rounding apart; or of nothing at all
    stay[left] = probabilities[left] > 0
    alias[left] = probabilities.argmax()
    return stay, alias


def draw_contexts(
    ids: Any, place: Any, first: Any, end: Any, *, max_window: int, seed: Any
) -> tf.Tensor:
    """Return the neighbours of words within a window of random size, 1 to `max_window`.

    Section: "word-embedding-dataset".

    Args:
        ids: (L,) int32, the text.
        place: (B,) int32, where the words in the middle are.
        first: (B,) int32, where their sentences begin.
        end: (B,) int32, the place behind the sentence.
        max_window: int W >= 1.
        seed: (2,) int.

    Returns:
        (B, 2 W) int32, 0 where there is no neighbour.
    """
    offsets = tf.constant([*range(-max_window, 0), *range(1, max_window + 1)])
    size = tf.random.stateless_uniform(tf.shape(place), seed, 1, max_window + 1, tf.int32)
    there = place[:, None] + offsets
    real = (there >= first[:, None]) & (there < end[:, None])
    real &= tf.abs(offsets) <= size[:, None]
    return tf.where(real, tf.gather(ids, tf.where(real, there, 0)), 0)


def draw_negatives(noise: Noise, targets: tf.Tensor, number: int, seed: Any) -> tf.Tensor:
    """Draw noise words for each target that are none of the row's targets.

    Section: "word-embedding-dataset".

    Args:
        noise: what draws.
        targets: (B, C) int32, 0 where there is none.
        number: int K >= 1, noise words for each target.
        seed: (2,) int.

    Returns:
        (B, C K) int32, those of target c at c K to c K + K - 1; 0 where there is no target, or no
        word but targets could be drawn.
    """
    wanted = tf.repeat(targets > 0, number, axis=1)  # (B, C K)

    def bad(words):
        hits = tf.reduce_any(words[:, :, None] == targets[:, None, :], axis=-1)
        return hits & wanted

    def again(words, rounds):
        new = noise.draw(tf.shape(words), tf.random.fold_in(seed, rounds))
        return tf.where(bad(words), new, words), rounds + 1

    words = noise.draw(tf.shape(wanted), tf.random.fold_in(seed, 0))
    words, _ = tf.while_loop(
        lambda words, rounds: tf.reduce_any(bad(words)) & (rounds < _ROUNDS), again, [words, 1]
    )
    return tf.where(wanted & ~bad(words), words, 0)


def weigh(mask: tf.Tensor, by: Literal["centers", "entries"]) -> tf.Tensor:
    """Turn a mask into weights under which a mean over all places is one over the real ones.

    Args:
        mask: (B, M) bool, True for real entries.
        by: "centers": each row's mean counts alike, as in the book; "entries": each entry of the
            whole batch does, so that replicas that share it agree on their number.

    Returns:
        (B, M) float32.
    """
    real = tf.cast(mask, tf.float32)
    if by == "entries":
        return real * (tf.cast(tf.size(real), tf.float32) / tf.maximum(tf.reduce_sum(real), 1))
    count = tf.maximum(tf.reduce_sum(real, axis=1, keepdims=True), 1)
    return real * (tf.cast(tf.shape(real)[1], tf.float32) / count)


def cooccurrences(
    sentences: Sentences, vocab_size: int, *, window: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count how often words stand near each other, a pair d words apart as 1 / d.

    Section: "glove".

    Args:
        sentences: the text; `<unk>` keeps its place but is no neighbour.
        vocab_size: int, V.
        window: int >= 1, largest distance.

    Returns:
        (words (P,) int32, contexts (P,) int32, counts (P,) float32) of the pairs that there are,
        in the order of their numbers; (i, j) counts as much as (j, i).
    """
    sentence = np.repeat(np.arange(len(sentences.lengths), dtype=np.int32), sentences.lengths)
    ids = sentences.ids.astype(np.int64)
    keys: np.ndarray = np.zeros(0, np.int64)
    totals: np.ndarray = np.zeros(0)
    for distance in range(1, min(window, len(ids) - 1) + 1):
        left, right = ids[:-distance], ids[distance:]
        real = (sentence[:-distance] == sentence[distance:]) & (left > 0) & (right > 0)
        left, right = left[real], right[real]
        found = np.concatenate([left * vocab_size + right, right * vocab_size + left])
        new, times = np.unique(found, return_counts=True)
        keys, place = np.unique(np.concatenate([keys, new]), return_inverse=True)
        totals = np.bincount(place, np.concatenate([totals, times / distance]), len(keys))
    words, contexts = np.divmod(keys, vocab_size)
    return words.astype(np.int32), contexts.astype(np.int32), totals.astype(np.float32)
