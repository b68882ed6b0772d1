"""WordPiece inside a graph: the pieces of words that `data.word_pieces` cuts in Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kerasd2l._lazy import lazy

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

CONTINUES = "##"  # begins a piece that goes on a word
LONGEST_WORD = 100  # characters; what is longer is unknown


def cut(
    words: tf.Tensor, is_known: Callable[[tf.Tensor], tf.Tensor], longest: int, unknown: str
) -> tf.RaggedTensor:
    """Cut words into the longest pieces that are known, from the left. "subword-embedding".

    All words are cut at once, each different one once: a step tries a piece of each, and of what
    is unknown a piece that is a character shorter.

    Args:
        words: (N,) string, UTF-8, none empty, without white space.
        is_known: strings -> bool, whether each is a piece of the vocabulary.
        longest: int, characters of the longest piece.
        unknown: str, what a word is of which a part is no piece, or which is too long.

    Returns:
        Ragged (N, None) string.
    """
    different, place = tf.unique(words)
    size = _length(different)

    def goes_on(done: tf.Tensor, rest: tf.Tensor, tried: tf.Tensor) -> tf.Tensor:
        return tf.reduce_any(tried > 0)

    def step(done: tf.Tensor, rest: tf.Tensor, tried: tf.Tensor) -> tuple[tf.Tensor, ...]:
        piece = tf.strings.substr(rest, tf.zeros_like(tried), tried, unit="UTF8_CHAR")
        piece = tf.where(tf.equal(done, ""), piece, CONTINUES + piece)
        fits = is_known(piece) & (tried > 0)
        done = tf.where(fits, done + piece + " ", done)
        later = tf.strings.substr(rest, tried, tf.fill(tf.shape(tried), LONGEST_WORD), "UTF8_CHAR")
        rest = tf.where(fits, later, rest)
        tried = tf.where(fits, tf.minimum(_length(rest), longest), tf.maximum(tried - 1, 0))
        return done, rest, tried

    start = tf.where(size > LONGEST_WORD, 0, tf.minimum(size, longest))
    state = tf.zeros_like(different), different, start
    done, rest, _ = tf.while_loop(goes_on, step, state)
    whole = tf.where(tf.equal(rest, ""), done, unknown)  # nothing is left, or no piece fitted
    return tf.gather(tf.strings.split(whole), place)


def _length(texts: tf.Tensor) -> tf.Tensor:
    return tf.strings.length(texts, unit="UTF8_CHAR")
