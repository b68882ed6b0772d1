"""The signatures of every translator: sentences in, sentences out.

A model of `models.EncoderDecoder`'s kind is all that is needed: `begin(source, lengths,
max_steps=n)` gives a state, `decode(tokens, state)` the logits of the next tokens and the next
state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    check_length_exponent(length_exponent)
    defaults = {"beam_size": beam_size, "length_exponent": length_exponent}
    text = {"text": TensorSpec((None,), "string")}
    texts = np.array([item.encode() for item in example], dtype=object)

    def build_plain(model: keras.Model, assets: Mapping[str, Any]) -> ServingFunction:
        run = _Translator(model, assets)

        def serve(text):
            return run(text, tf.constant(beam_size), tf.constant(length_exponent, tf.float32))

        return ServingFunction(serve, resources=run.resources)

    def build_settings(model: keras.Model, assets: Mapping[str, Any]) -> ServingFunction:
        run = _Translator(model, assets)

        def serve(text, beam_size, length_exponent):
            return run(text, beam_size, length_exponent)

        return ServingFunction(serve, resources=run.resources, defaults=defaults)

    settings = {"beam_size": TensorSpec((), "int32"), "length_exponent": TensorSpec((), "float32")}
    sample = {"text": texts, "beam_size": np.int32(2), "length_exponent": np.float32(0)}
    return (
        Endpoint("serving_default", text, build_plain, lambda: {"text": texts}),
        Endpoint("translate", {**text, **settings}, build_settings, lambda: sample),
    )


def check_length_exponent(length_exponent: float) -> None:
    """Refuse an exponent with which translations cannot be ranked.

    Raises:
        ValueError: it is negative or not finite.
    """
    if not 0 <= length_exponent < float("inf"):
        raise ValueError(
            "`length_exponent` must be a number of at least 0. "
            f"Received: length_exponent={length_exponent}."
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
        model: with `begin` and `decode`.
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
        best = decoding.beam_search(
            self._step,
            self.model.begin(source, lengths, max_steps=self.num_steps),
            max_steps=self.num_steps,
            beam_size=beam_size,
            length_exponent=length_exponent,
            begin=self.ids[BOS],
            end=self.ids[EOS],
            forbidden=(self.ids[PAD], self.ids[BOS]),
        )
        said = self.target.decode(best["ids"][:, 0], end=self.ids[EOS])
        return {
            "translation": tf.where(words > 0, said, ""),
            "score": tf.where(words > 0, best["scores"][:, 0], 0.0),
            "words_left_out": tf.maximum(words - self.num_steps, 0),
        }

    def _step(self, token: tf.Tensor, state: Any) -> tuple[tf.Tensor, Any]:
        logits, state = self.model.decode(token[:, None], state)  # (n, 1, V)
        return logits[:, 0], state
