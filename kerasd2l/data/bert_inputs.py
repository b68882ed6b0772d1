"""What BERT reads: one text or two between `<cls>` and `<sep>`, with words masked to be guessed.

Sections: "bert", "bert-dataset".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data.source import Source
from kerasd2l.data.text import Tokenizer
from kerasd2l.data.vocab import Vocab
from kerasd2l.recipe import TensorSpec

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

RESERVED = ("<pad>", "<mask>", "<cls>", "<sep>")
PAD, MASK, CLS, SEP = 1, 2, 3, 4
FIRST_WORD = 5
# Raw text becomes what WikiText's is already: lower case, signs around a word are words.
TOKENIZER = Tokenizer(
    "word",
    (
        (r'(^|[ \t\n])(["(]+)([^ \t\n])', r"\1\2 \3"),
        (r'([^ .,!?;:"()])([.,!?;:")]+)([ \t\n]|$)', r"\1 \2\3"),
    ),
)


def reading(
    source: Source, vocabulary: Sequence[str] | None, tokenizer: Tokenizer | None
) -> tuple[Sequence[str] | None, Tokenizer]:
    """Return the vocabulary, or None, and the tokenizer that texts are read with.

    Those of the run that goes on (`Source.assets`), of the run before it (the arguments), or this
    module's tokenizer and no vocabulary.
    """
    before = source.known("tokenizer")
    if before is not None:
        tokenizer = Tokenizer.from_assets(before)
    return source.known("vocabulary") or vocabulary, tokenizer or TOKENIZER


def get_tokens_and_segments(
    tokens_a: Sequence[str], tokens_b: Sequence[str] | None = None
) -> tuple[list[str], list[int]]:
    """Put one text or two between the signs that BERT knows. Section: "bert".

    Args:
        tokens_a: the first text's.
        tokens_b: the second text's; None: there is none.

    Returns:
        (tokens, segments): 0 for `<cls>`, the first text and its `<sep>`, 1 for the rest.

    Example:
        >>> get_tokens_and_segments(["hi"], ["you", "too"])
        (['<cls>', 'hi', '<sep>', 'you', 'too', '<sep>'], [0, 0, 0, 1, 1, 1])
    """
    tokens = ["<cls>", *tokens_a, "<sep>"]
    segments = [0] * len(tokens)
    if tokens_b is not None:
        tokens += [*tokens_b, "<sep>"]
        segments += [1] * (len(tokens_b) + 1)
    return tokens, segments


def shared_lengths(first: int, second: int, room: int) -> tuple[int, int]:
    """Return how many tokens of each text fit: the longer one loses its last ones first.

    Example:
        >>> shared_lengths(20, 3, 10), shared_lengths(20, 20, 11)
        ((7, 3), (6, 5))
    """
    mine = min(first, max(room - second, room - room // 2))
    return mine, min(second, room - mine)


def rows(
    vocab: Vocab,
    first: Sequence[Sequence[str]],
    second: Sequence[Sequence[str]] | None,
    max_len: int,
) -> dict[str, np.ndarray]:
    """Turn texts, or pairs of them, into the inputs of a model. Section: "finetuning-bert".

    Args:
        vocab: with the reserved tokens of this module.
        first: B texts in tokens.
        second: B second texts, or None.
        max_len: int >= 3, T; longer texts are cut, see `shared_lengths`.

    Returns:
        tokens (B, T) int32, segments (B, T) int32, valid_lens (B,) int32.

    Raises:
        ValueError: `max_len` has no room for a word.
    """
    check_max_len(max_len)
    tokens = np.full((len(first), max_len), PAD, np.int32)
    segments = np.zeros_like(tokens)
    lens = np.empty(len(first), np.int32)
    for i, a in enumerate(first):
        if second is None:
            words, kinds = get_tokens_and_segments(a[: max_len - 2])
        else:
            kept = shared_lengths(len(a), len(second[i]), max_len - 3)
            words, kinds = get_tokens_and_segments(a[: kept[0]], second[i][: kept[1]])
        lens[i] = len(words)
        tokens[i, : len(words)] = vocab[words]
        segments[i, : len(words)] = kinds
    return {"tokens": tokens, "segments": segments, "valid_lens": lens}


def join(
    first: tuple[tf.Tensor, tf.Tensor], second: tuple[tf.Tensor, tf.Tensor], max_len: int
) -> dict[str, tf.Tensor]:
    """Join a batch of pairs in numbers to the inputs of a model, as `rows` does one by one.

    Args:
        first: numbers (B, S) int32 and lengths (B,) int32 of the first texts.
        second: likewise (B, R) and (B,).
        max_len: int >= 5, the most tokens of a pair.

    Returns:
        tokens (B, T) int32, segments (B, T) int32, valid_lens (B,) int32; T is that of the longest
        pair of the batch.
    """
    room = max_len - 3
    mine = tf.minimum(first[1], tf.maximum(room - second[1], room - room // 2))
    theirs = tf.minimum(second[1], room - mine)
    valid_lens = mine + theirs + 3
    place = tf.range(tf.reduce_max(valid_lens))[None]  # (1, T)
    in_second = place - mine[:, None] - 2  # (B, T)

    def take(ids: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
        inside = tf.clip_by_value(places, 0, tf.shape(ids)[1] - 1)
        return tf.gather(ids, tf.broadcast_to(inside, tf.shape(in_second)), batch_dims=1)

    tokens = tf.where(in_second < 0, take(first[0], place - 1), take(second[0], in_second))
    tokens = tf.where(place == 0, CLS, tokens)
    ends = (in_second == -1) | (in_second == theirs[:, None])
    tokens = tf.where(ends, SEP, tokens)
    tokens = tf.where(in_second > theirs[:, None], PAD, tokens)
    segments = tf.cast((in_second >= 0) & (in_second <= theirs[:, None]), tf.int32)
    return {"tokens": tokens, "segments": segments, "valid_lens": valid_lens}


def features(max_len: int | None, num_preds: int | None = None) -> dict[str, TensorSpec]:
    """Return the spec of one example; `num_preds`: with positions of masked words."""
    specs = {
        "tokens": TensorSpec((max_len,), "int32"),
        "segments": TensorSpec((max_len,), "int32"),
        "valid_lens": TensorSpec((), "int32"),
    }
    if num_preds is not None:
        specs["pred_positions"] = TensorSpec((num_preds,), "int32")
    return specs


def check_max_len(max_len: int) -> None:
    """Refuse lengths without room for `<cls>`, two `<sep>` and two words.

    Raises:
        ValueError: fewer than 5.
    """
    if max_len < 5:
        raise ValueError(f"`max_len` must be at least 5. Received: max_len={max_len}.")


def most_predictions(max_len: int) -> int:
    """Return P, the most words masked in a row: 15 % of its tokens, as the book rounds it."""
    return max(1, round(max_len * 0.15))


def mask(
    inputs: Mapping[str, tf.Tensor], seed: tf.Tensor, *, vocab_size: int, num_preds: int
) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
    """Choose 15 % of the tokens to be guessed; 80 % of these become `<mask>`, 10 % another word.

    Round(0.15 n) of the n tokens of a row, at least one, none of them `<cls>` or `<sep>`; the
    last 10 % stay what they are. The seed decides. Section: "bert-dataset".

    Args:
        inputs: tokens (B, T) int32, segments, valid_lens (B,) int32.
        seed: (2,) int.
        vocab_size: int V; other words are drawn from FIRST_WORD to V - 1.
        num_preds: int P, `most_predictions(T)`.

    Returns:
        (the inputs with words masked and pred_positions (B, P) int32 in rising order, filled up
        with 0; labels (B, P) int32, the words that stood there, filled up with PAD; how many are
        real (B,) int32).
    """
    tokens = inputs["tokens"]
    shape = tf.shape(tokens)
    seeds = [tf.random.experimental.stateless_fold_in(seed, i) for i in range(3)]
    words = tf.reduce_all([tf.not_equal(tokens, sign) for sign in (PAD, CLS, SEP)], axis=0)
    scores = tf.where(words, tf.random.stateless_uniform(shape, seeds[0]), -1.0)
    chosen, places = tf.math.top_k(scores, num_preds)  # (B, P), best first
    wished = tf.round(0.15 * tf.cast(inputs["valid_lens"], tf.float32))
    wished = tf.maximum(tf.cast(wished, tf.int32), 1)
    real = (chosen >= 0) & (tf.range(num_preds)[None] < wished[:, None])
    places = tf.sort(tf.where(real, places, shape[1]), axis=1)
    real = places < shape[1]
    places = tf.where(real, places, 0)
    labels = tf.where(real, tf.gather(tokens, places, batch_dims=1), PAD)
    lot = tf.random.stateless_uniform(tf.shape(places), seeds[1])
    other = tf.random.stateless_uniform(
        tf.shape(places), seeds[2], FIRST_WORD, max(vocab_size, FIRST_WORD + 1), tf.int32
    )
    there = tf.where(lot < 0.8, MASK, tf.where(lot < 0.9, labels, other))
    there = tf.where(real, there, CLS)  # what stands at place 0
    index = tf.stack([tf.broadcast_to(tf.range(shape[0])[:, None], tf.shape(places)), places], 2)
    masked = tf.tensor_scatter_nd_update(tokens, index, there)
    count = tf.reduce_sum(tf.cast(real, tf.int32), axis=1)
    return {**inputs, "tokens": masked, "pred_positions": places}, labels, count


def weigh(
    inputs: dict[str, Any], labels: tf.Tensor, count: tf.Tensor, following: tf.Tensor
) -> tuple[dict, dict, dict]:
    """Return a batch (x, y, weights) whose loss is the mean over its real predictions.

    The weights make it so on any number of replicas; those of the book cancel, so that its filling
    counts.
    """
    real = tf.sequence_mask(count, tf.shape(labels)[1], tf.float32)  # (B, P)
    real *= tf.cast(tf.size(real), tf.float32) / tf.maximum(tf.reduce_sum(real), 1.0)
    ones = tf.ones_like(following, tf.float32)
    return inputs, {"mlm": labels, "nsp": following}, {"mlm": real, "nsp": ones}
