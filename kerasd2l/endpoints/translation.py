"""Translating inside a graph: the beam search, and the signatures of every translator.

A model of `models.EncoderDecoder`'s kind is all that is needed: `encode(source, lengths)` gives a
state, `decode(tokens, state)` the logits of the next tokens and the next state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.endpoints.text import TextTable
from kerasd2l.recipe import Endpoint, TensorSpec

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"
MOST = 100  # a served beam: one request must not take all the memory


def translator(
    *,
    beam_size: int = 4,
    length_exponent: float = 0.75,
    example: Sequence[str] = ("Two dogs are playing.", "July 25, 1971", ""),
) -> tuple[Endpoint, ...]:
    """Make the signatures of a translator: sentences in, sentences out.

    `serving_default` takes `text` (B,) string. `translate` takes also the two settings of the
    search, scalars that may be left out: `beam_size` int32, 1 to 100 (1 is the greedy choice), and
    `length_exponent` float32. Both return, of the best translation found, `translation` (B,)
    string, words between spaces; `score` (B,) float32, log P / L^exponent with L its tokens,
    `<eos>` included; and `words_left_out` (B,) int32: words of the text behind the last one that
    the model takes, which are not translated. A text without words gives "" with the score 0.

    The assets need `source_vocabulary`, `target_vocabulary`, `tokenizer` and `num_steps`, the
    number of tokens of a sentence that the model was trained on: no more are read or written.

    Args:
        beam_size: int, k, of `serving_default`, and the other's default. Default: 4.
        length_exponent: float >= 0, likewise; a larger one favours long translations.
        example: texts to check the export with.

    Returns:
        Two endpoints, "serving_default" and "translate".

    Raises:
        ValueError: settings out of range.

    Example:
        >>> [endpoint.name for endpoint in translator()]
        ['serving_default', 'translate']
    """
    if not 1 <= beam_size <= MOST:
        raise ValueError(f"`beam_size` must be 1 to {MOST}. Received: beam_size={beam_size}.")
    if not 0 <= length_exponent < float("inf"):
        raise ValueError(
            "`length_exponent` must be a number of at least 0. "
            f"Received: length_exponent={length_exponent}."
        )
    defaults = {"beam_size": beam_size, "length_exponent": length_exponent}
    text = {"text": TensorSpec((None,), "string")}
    texts = np.array([item.encode() for item in example], dtype=object)

    def build_plain(model: keras.Model, assets: Mapping[str, Any]) -> Callable[..., dict]:
        run = _Translator(model, assets)

        def serve(text):
            return run(text, tf.constant(beam_size), tf.constant(length_exponent, tf.float32))

        serve.resources = run.resources  # type: ignore[attr-defined]
        return serve

    def build_settings(model: keras.Model, assets: Mapping[str, Any]) -> Callable[..., dict]:
        run = _Translator(model, assets)

        def serve(text, beam_size, length_exponent):
            return run(text, beam_size, length_exponent)

        serve.resources = run.resources  # type: ignore[attr-defined]
        serve.defaults = defaults  # type: ignore[attr-defined]
        return serve

    settings = {"beam_size": TensorSpec((), "int32"), "length_exponent": TensorSpec((), "float32")}
    sample = {"text": texts, "beam_size": np.int32(2), "length_exponent": np.float32(0)}
    return (
        Endpoint("serving_default", text, build_plain, lambda: {"text": texts}),
        Endpoint("translate", {**text, **settings}, build_settings, lambda: sample),
    )


def translate(
    model: keras.Model,
    assets: Mapping[str, Any],
    texts: Sequence[str],
    *,
    beam_size: int = 4,
    length_exponent: float = 0.75,
    batch_size: int = 64,
) -> list[tuple[str, float]]:
    """Translate with a model as its SavedModel would.

    Args:
        model: with `encode` and `decode`.
        assets: of its data.
        texts: sentences.
        beam_size: int, 1 to 100. Default: 4.
        length_exponent: float >= 0. Default: 0.75.
        batch_size: int, sentences at once.

    Returns:
        (translation, score) of each text.

    Raises:
        tf.errors.InvalidArgumentError: settings out of range.
    """
    run = tf.function(_Translator(model, assets), autograph=False)
    found: list[tuple[str, float]] = []
    for start in range(0, len(texts), batch_size):
        some = tf.constant(list(texts[start : start + batch_size]), tf.string)
        outputs = run(some, tf.constant(beam_size), tf.constant(length_exponent, tf.float32))
        words = [item.decode() for item in outputs["translation"].numpy()]
        found += zip(words, map(float, outputs["score"].numpy()), strict=True)
    return found


def beam_search(
    model: Any,
    source: tf.Tensor,
    source_lengths: tf.Tensor,
    *,
    max_steps: int,
    beam_size: int | tf.Tensor = 4,
    length_exponent: float | tf.Tensor = 0.75,
    begin: int = 2,
    end: int = 3,
    forbidden: Sequence[int] = (1, 2),
) -> dict[str, tf.Tensor]:
    """Search for the most probable sequences, k at a time, for a batch and inside a graph.

    At each step every unfinished hypothesis is continued by every token, and the most probable
    continuations stay, as many as the beam has places; one that ends is finished and keeps its
    place. So k = 1 is the greedy choice, and a k as large as the number of sequences misses none.
    Finished ones, and those as long as allowed, are ranked by log P / L^exponent, where L counts
    `end`, too. Section: "beam-search".

    Args:
        model: with `encode(source, lengths)` -> state and `decode(tokens, state)` -> (logits
            (n, 1, V), state), as `models.EncoderDecoder`.
        source: (B, S) int32.
        source_lengths: (B,) int32.
        max_steps: int T, no sequence has more tokens.
        beam_size: int k >= 1, or a scalar tensor.
        length_exponent: float, 0: no reward for length; or a scalar tensor.
        begin: int, the token that the decoder begins with. Default: 2, `<bos>`.
        end: int, the token that ends a sequence. Default: 3, `<eos>`.
        forbidden: tokens that no sequence holds; their probability is lost, not shared out.

    Returns:
        "ids" (B, k, T) int32, best first, filled with `end`; "lengths" (B, k) int32, tokens with
        `end`; "log_probs" and "scores" (B, k) float32. Where there are fewer than k sequences, the
        rest has the score -inf.

    Reference:
        Sutskever et al., Sequence to sequence learning with neural networks, 2014.
    """
    k = tf.convert_to_tensor(beam_size, tf.int32)
    batch = tf.shape(source)[0]
    state = tf.nest.map_structure(
        lambda part: tf.repeat(part, k, axis=0), model.encode(source, source_lengths)
    )
    beam = {
        "ids": tf.fill([batch, k, max_steps], end),
        "lengths": tf.zeros([batch, k], tf.int32),
        "log_probs": tf.where(tf.range(k) > 0, -np.inf, tf.zeros([batch, k])),
        "finished": tf.zeros([batch, k], tf.bool),
        "last": tf.fill([batch, k], begin),
    }

    def go_on(step, beam, state):
        goes = ~beam["finished"] & (beam["log_probs"] > -np.inf)
        return (step < max_steps) & tf.reduce_any(goes)

    def advance(step, beam, state):
        logits, state = model.decode(tf.reshape(beam["last"], [-1, 1]), state)
        beam, rows = _select(beam, _log_probabilities(logits, forbidden), step, end)
        return step + 1, beam, tf.nest.map_structure(lambda part: tf.gather(part, rows), state)

    shapes = {key: tf.TensorShape([None, None, *part.shape[2:]]) for key, part in beam.items()}
    shapes["ids"] = tf.TensorShape([None, None, max_steps])
    state_shapes = tf.nest.map_structure(lambda p: tf.TensorShape([None, *p.shape[1:]]), state)
    _, beam, _ = tf.while_loop(
        go_on,
        advance,
        (tf.constant(0), beam, state),
        shape_invariants=(tf.TensorShape([]), shapes, state_shapes),
    )
    lengths = tf.cast(tf.maximum(beam["lengths"], 1), tf.float32)
    scores, order = tf.math.top_k(beam["log_probs"] / lengths**length_exponent, k)
    found = {
        key: tf.gather(beam[key], order, batch_dims=1) for key in ("ids", "lengths", "log_probs")
    }
    return {**found, "scores": scores}


def _log_probabilities(logits: tf.Tensor, forbidden: Sequence[int]) -> tf.Tensor:
    """Return log-probabilities (n, V) of the next token from logits (n, 1, V)."""
    found = tf.nn.log_softmax(tf.cast(logits[:, 0], tf.float32))
    banned = np.zeros(logits.shape[-1], np.float32)
    banned[[token for token in forbidden if token < len(banned)]] = -np.inf
    return found + banned


def _select(
    beam: Mapping[str, tf.Tensor], log_probs: tf.Tensor, step: tf.Tensor, end: int
) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """Choose the k best continuations; return the new beam, and the old rows they come from."""
    batch, k = tf.unstack(tf.shape(beam["last"]))
    size = log_probs.shape[-1]
    is_end = tf.range(size) == end  # (V,)
    stays = beam["finished"][..., None] & is_end  # (B, k, V): a finished one as it is
    more = tf.where(
        beam["finished"][..., None],
        tf.where(is_end, 0.0, -np.inf),
        tf.reshape(log_probs, [batch, k, size]),
    )
    total = beam["log_probs"][..., None] + more
    rank = tf.reshape(tf.where(stays, np.inf, total), [batch, k * size])
    _, places = tf.math.top_k(rank, k)  # (B, k)
    parents, last = places // size, places % size
    found = {
        key: tf.gather(beam[key], parents, batch_dims=1) for key in ("ids", "lengths", "finished")
    }
    reached = tf.gather(tf.reshape(total, [batch, k * size]), places, batch_dims=1)
    alive = reached > -np.inf
    grows = alive & ~found["finished"]
    here = (tf.range(beam["ids"].shape[2]) == step) & grows[..., None]  # (B, k, T)
    rows = tf.reshape(parents + tf.range(batch)[:, None] * k, [-1])
    return {
        "ids": tf.where(here, last[..., None], found["ids"]),
        "lengths": found["lengths"] + tf.cast(grows, tf.int32),
        "log_probs": reached,
        "finished": alive & (last == end),
        "last": last,
    }, rows


class _Translator:
    """Texts to translations with a model, its vocabularies and the beam search."""

    def __init__(self, model: keras.Model, assets: Mapping[str, Any]):
        needed = ("source_vocabulary", "target_vocabulary", "tokenizer", "num_steps")
        missing = [key for key in needed if not assets.get(key)]
        if missing:
            raise ValueError(
                f"a translator needs {', '.join(missing)} in the assets of its data. "
                f"Received assets: {', '.join(assets) or 'none'}."
            )
        self.model, self.num_steps = model, int(assets["num_steps"])
        self.source = TextTable(assets["source_vocabulary"], assets["tokenizer"])
        self.target = TextTable(assets["target_vocabulary"], assets["tokenizer"])
        known = [list(assets[key]) for key in needed[:2]]
        for tokens in known:
            for token in (PAD, BOS, EOS):
                if token not in tokens:
                    raise ValueError(f"a vocabulary of a translator needs {token!r}.")
        self.source_end, self.padding = known[0].index(EOS), known[0].index(PAD)
        self.ids = {token: known[1].index(token) for token in (PAD, BOS, EOS)}
        self.resources = [*self.source.resources, *self.target.resources]

    def __call__(
        self, text: tf.Tensor, beam_size: tf.Tensor, length_exponent: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        checks = [
            tf.debugging.Assert(
                (beam_size >= 1) & (beam_size <= MOST), [f"beam_size must be 1 to {MOST}."]
            ),
            tf.debugging.Assert(
                tf.math.is_finite(length_exponent) & (length_exponent >= 0),
                ["length_exponent must be a number of at least 0."],
            ),
        ]
        with tf.control_dependencies([check for check in checks if check is not None]):
            beam_size, length_exponent = tf.identity(beam_size), tf.identity(length_exponent)
        words = tf.cast(self.source.tokenize(text).row_lengths(), tf.int32)
        source, lengths = self.source.encode_padded(
            text, padding=self.padding, length=self.num_steps, end=self.source_end
        )
        best = beam_search(
            self.model,
            source,
            lengths,
            max_steps=self.num_steps,
            beam_size=beam_size,
            length_exponent=length_exponent,
            begin=self.ids[BOS],
            end=self.ids[EOS],
            forbidden=(self.ids[PAD], self.ids[BOS]),
        )
        found = self.target.decode(best["ids"][:, 0], end=self.ids[EOS])
        return {
            "translation": tf.where(words > 0, found, ""),
            "score": tf.where(words > 0, best["scores"][:, 0], 0.0),
            "words_left_out": tf.maximum(words - self.num_steps, 0),
        }
