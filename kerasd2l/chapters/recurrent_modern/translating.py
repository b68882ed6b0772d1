"""Encoder, decoder, search and score: what a translator does, step by step and on a test set."""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Mapping
from typing import Any, Literal

from kerasd2l import data, endpoints, figures, serving, training
from kerasd2l._lazy import lazy
from kerasd2l.chapters.recurrent_modern.translation import seq2seq_gru
from kerasd2l.recipe import Demo, DemoResult

models = lazy("kerasd2l.models")
keras = lazy("keras")
metrics = lazy("kerasd2l.metrics")
np = lazy("numpy")
sacrebleu = lazy("sacrebleu")
tf = lazy("tensorflow")


def encoder_decoder(*, cell: Literal["gru", "lstm"] = "gru") -> Demo:
    """Put an encoder and a decoder together, and follow the shapes through them.

    Section: "encoder-decoder". The book's sizes: vocabulary 10, embedding 8, two layers of 16
    units, 4 sentences of 7 tokens; then the same sentences padded to 12, and decoded step by step.
    Expected: outputs (4, 7, 16), states (2, 4, 16), logits (4, 7, 10) as the book's, batch first;
    neither padding nor steps change the logits by more than rounding does.
    Command: kerasd2l run encoder_decoder --set cell=lstm
    """
    return Demo("encoder-decoder", lambda: _follow_shapes(cell))


def _follow_shapes(cell: str) -> DemoResult:
    sizes = {"vocab_size": 10, "embed_size": 8, "num_hiddens": 16, "num_layers": 2}
    encoder = models.Seq2SeqEncoder(**sizes, cell=cell, seed=0)
    decoder = models.Seq2SeqDecoder(**sizes, cell=cell, seed=1)
    model = models.EncoderDecoder(encoder, decoder)
    source = np.random.RandomState(0).randint(0, 10, (4, 7)).astype("int32")
    lengths = np.array([7, 5, 3, 1], "int32")
    outputs, states = encoder(source, lengths)
    target = source[::-1]
    inputs = {"source": source, "source_lengths": lengths, "decoder_input": target}
    logits = np.asarray(model(inputs))
    padded = {**inputs, "source": np.pad(source, ((0, 0), (0, 5)))}
    ignored = {key: inputs[key] for key in ("source", "decoder_input")}
    state, steps = model.encode(source, lengths), []
    for step in range(target.shape[1]):
        part, state = model.decode(target[:, step : step + 1], state)
        steps.append(np.asarray(part))
    hidden = np.stack([np.asarray(layer[0]) for layer in states])
    values = {
        "source (B, S)": list(source.shape),
        "outputs of the encoder (B, S, H)": list(outputs.shape),
        "hidden states of the encoder (layers, B, H)": list(hidden.shape),
        "states in each layer": len(states[0]),
        "logits of the decoder (B, T, V)": list(logits.shape),
        "parameters": model.count_params(),
        "change of the logits by longer padding": float(np.abs(model(padded) - logits).max()),
        "change if the padding were read as words": float(np.abs(model(ignored) - logits).max()),
        "change if decoded step by step": float(
            np.abs(np.concatenate(steps, axis=1) - logits).max()
        ),
    }
    return DemoResult(values)


# The book's example: tokens A, B, C and the end; what may follow what is there already.
_TOKENS = ("<eos>", "A", "B", "C")
_CHANCES = {
    "": (0.1, 0.5, 0.2, 0.2),
    "A": (0.2, 0.1, 0.4, 0.3),
    "AB": (0.2, 0.2, 0.2, 0.4),
    "AC": (0.1, 0.1, 0.6, 0.2),
    "ABC": (0.6, 0.0, 0.2, 0.2),
    "ACB": (0.6, 0.1, 0.2, 0.1),
}


def search_strategies(*, beam_size: int = 2, length_exponent: float = 0.75) -> Demo:
    """Search the book's example greedily, with a beam, and through all sequences.

    Section: "beam-search". Four steps over A, B, C and the end, with the probabilities of the
    book's two figures; where these say nothing, all four are equally likely.
    Expected: greedy finds A B C <eos> with 0.5 x 0.4 x 0.4 x 0.6 = 0.048, though A C B <eos> has
    0.5 x 0.3 x 0.6 x 0.6 = 0.054 (d2l-zh, d2l-en). Scored by log P / L^0.75 that is the best of
    all sequences; by P alone the best is to end at once (0.1), which is why length is rewarded.
    Command: kerasd2l run search_strategies --set beam_size=2 --out figures
    """
    if beam_size < 1:
        raise ValueError(f"`beam_size` must be at least 1. Received: beam_size={beam_size}.")
    _check_exponent(length_exponent)
    return Demo("beam-search", lambda: _search_example(beam_size, length_exponent))


def _check_exponent(length_exponent: float) -> None:
    if not 0 <= length_exponent < float("inf"):
        raise ValueError(
            "`length_exponent` must be a number of at least 0. "
            f"Received: length_exponent={length_exponent}."
        )


def _search_example(beam_size: int, length_exponent: float) -> DemoResult:
    steps, words = 4, len(_TOKENS)
    everything = (words - 1) ** steps * 2  # more places than there are sequences
    searches = {"greedy": 1, f"beam of {beam_size}": beam_size, "all sequences": everything}
    values: dict[str, object] = {}
    curves = {}
    for name, k in searches.items():
        sequence, score = _best(k, steps, length_exponent)
        chances = [_CHANCES.get("".join(sequence[:i]), (0.25,) * 4) for i in range(len(sequence))]
        factors = [chance[_TOKENS.index(t)] for chance, t in zip(chances, sequence, strict=True)]
        values[f"{name}: found"] = " ".join(sequence)
        values[f"{name}: probability"] = float(np.prod(factors))
        values[f"{name}: score"] = score
        label = f"{name}: {' '.join(sequence)}"
        curves[label] = np.cumprod([1.0, *factors])
    sequence, score = _best(everything, steps, 0.0)
    values["most probable without reward for length"] = " ".join(sequence)
    values["its probability"] = math.exp(score)
    values["continuations looked at, 10,000 words, 10 steps"] = {
        "greedy": 10_000 * 10,
        f"beam of {beam_size}": 10_000 * 10 * beam_size,
        "all sequences": 10_000**10,
    }
    figure = figures.lines(
        {label: np.arange(len(curve)) for label, curve in curves.items()},
        curves,
        title="The greedy choice is not the most probable sequence",
        xlabel="step",
        ylabel="probability so far",
        yscale="log",
    )
    figure.axes[0].set_xticks(range(steps + 1))
    return DemoResult(values, {"search": figure})


def _best(k: int, steps: int, length_exponent: float) -> tuple[list[str], float]:
    """Search the example with a beam of k; return the best sequence and its score."""
    source, lengths = np.zeros((1, 1), "int32"), np.ones(1, "int32")
    found = endpoints.beam_search(
        _Example(),
        source,
        lengths,
        max_steps=steps,
        beam_size=k,
        length_exponent=length_exponent,
        begin=len(_TOKENS),
        end=0,
        forbidden=(),
    )
    ids = found["ids"][0, 0, : int(found["lengths"][0, 0])]
    return [_TOKENS[i] for i in ids.numpy()], float(found["scores"][0, 0])


class _Example:
    """The book's example as a model that a search can ask; its state is the prefix in base 5."""

    def __init__(self):
        chances = np.full((5**4, 4), 0.25, "float32")
        for prefix, row in _CHANCES.items():
            code = 0
            for token in prefix:
                code = code * 5 + _TOKENS.index(token) + 1
            chances[code] = row
        with np.errstate(divide="ignore"):
            self.logits = tf.constant(np.maximum(np.log(chances), -1e9))

    def encode(self, source, lengths):
        return tf.zeros(tf.shape(source)[0], tf.int32)

    def decode(self, tokens, state):
        began = tokens[:, 0] == len(_TOKENS)
        state = tf.where(began, 0, (state * 5 + tokens[:, 0] + 1) % 5**4)
        return tf.gather(self.logits, state)[:, None], state


def bleu_scores() -> Demo:
    """Compute the book's BLEU of a few translations: precision, length, and how they are joined.

    Section: "seq2seq". For the reference A B C D E F the translation A B B C D has the precisions
    4/5, 3/4, 1/3 and 0 of its 1- to 4-grams (d2l-zh).
    Expected: 1 for the reference itself, 0 without a common word; of a right beginning of r of 6
    words what is left is the penalty exp(1 - 6 / r).
    Command: kerasd2l run bleu_scores --out figures
    """
    return Demo("seq2seq", _score_translations)


def _score_translations() -> DemoResult:
    label = "A B C D E F"
    values: dict[str, object] = {"reference": label}
    for translation in ("A B C D E F", "A B B C D", "A B", "F E D C B A", "X Y Z"):
        lengths = range(1, min(4, len(translation.split())) + 1)
        values[translation] = {f"k = {k}": metrics.bleu(translation, label, k) for k in lengths}
    words = label.split()
    shown = np.arange(1, len(words) + 1)
    curves = {
        "a right beginning, k = 1": [metrics.bleu(words[:r], words, 1) for r in shown],
        "exp(1 - 6 / r)": np.exp(1 - len(words) / shown),
        "the same words backwards, k = 2": [
            metrics.bleu(words[:r][::-1], words, min(2, r)) for r in shown
        ],
    }
    figure = figures.lines(
        shown,
        curves,
        title="Short translations pay a penalty, wrong order costs all",
        xlabel="words of the translation, r (the reference has 6)",
        ylabel="BLEU",
    )
    return DemoResult(values, {"bleu": figure})


def translation_report(
    *,
    model: str | None = None,
    source: Literal["builtin", "auto", "files", "download"] = "builtin",
    count: int = 1000,
    beam_size: int = 4,
    length_exponent: float = 0.75,
    epochs: int = 4,
    seed: int = 0,
) -> Demo:
    """Translate the test set with a SavedModel, greedily and with a beam; score it and show ten.

    Section: "seq2seq", and "beam-search". `model` is the folder of an exported translator; without
    one, a small GRU translator is trained on the built-in dates and amounts for `epochs` epochs.
    Scores: corpus BLEU by sacrebleu (`pip install sacrebleu`; text in lower case against the
    references as they are written, lower-cased, tokenizer 13a), the mean of the book's BLEU with
    k = 2, and the share of translations that are right to the letter.
    Expected: long sentences do not fit into a state of fixed size, which the figure shows.
    Multi30k, 15,000 pairs, 12 epochs (as in seq2seq_gru): sacreBLEU 20.4 greedy and 21.5 with a
    beam of 4, measured; all dates, 40 epochs: each of 509 unseen ones right to the letter.
    Command: kerasd2l run translation_report --set model=savedmodels/seq2seq_gru --set source=files
    """
    for name, value in (("count", count), ("epochs", epochs)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")
    if not 1 <= beam_size <= 100:
        raise ValueError(f"`beam_size` must be 1 to 100. Received: beam_size={beam_size}.")
    _check_exponent(length_exponent)
    beam = (beam_size, length_exponent)
    return Demo("seq2seq", lambda: _report(model, source, count, beam, epochs, seed))


def _report(
    model: str | None,
    source: str,
    count: int,
    beam: tuple[int, float],
    epochs: int,
    seed: int,
) -> DemoResult:
    arguments: Mapping[str, Any] = {}
    if model is None:
        translate = _small_translator(source, epochs, seed)
    else:
        served = serving.load(model)
        arguments = served.manifest.get("arguments", {})
        translate = _served_translator(served)
    pairs = _test_pairs(source, arguments)[:count]
    texts = [english for english, _ in pairs]
    references = [french for _, french in pairs]
    values: dict[str, object] = {"sentences": len(pairs)}
    found, scores = {}, {}
    for name, k, exponent in (("greedy", 1, 0.0), (f"beam {beam[0]}", *beam)):
        start = time.perf_counter()
        found[name] = translate(texts, k, exponent)
        seconds = time.perf_counter() - start
        scores[name], summary = _score(found[name], references)
        values |= {f"{name}: {key}": value for key, value in summary.items()}
        if model is not None:
            values[f"{name}: sentences per second"] = len(texts) / seconds
    for place in np.linspace(0, len(texts) - 1, min(10, len(texts)), dtype=int):
        values[f"{place + 1}. {texts[place]}"] = {
            "reference": references[place],
            **{name: translations[place] for name, translations in found.items()},
        }
    return DemoResult(values, {"lengths": _by_length(texts, scores)})


def _test_pairs(source: str, arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the test pairs of a translator, none of them one that it was trained on."""
    drop = arguments.get("longer") == "drop"
    splits = data.translation.pairs(
        source,
        corpus=arguments.get("corpus", "multi30k"),
        num_examples=arguments.get("num_examples"),
        max_words=arguments["num_steps"] - 1 if drop else None,
    )
    if "test" not in splits:
        raise data.DataError(
            f"no pairs to test with: the translator was trained on all {len(splits['train'])} "
            "pairs of its file. Train one with a smaller `num_examples`."
        )
    return splits["test"]


def _served_translator(served: serving.Served):
    """Return a function that translates with a SavedModel, a hundred sentences at a time."""

    def translate(texts, k, exponent):
        found = []
        for start in range(0, len(texts), 100):
            part = {"text": texts[start : start + 100]}
            settings = {"beam_size": k, "length_exponent": exponent}
            found += served.call({**part, **settings}, "translate")["translation"].tolist()
        return [text.decode("utf8", "replace") for text in found]

    translate(["once, so that no later call takes the time of the first"], 2, 1.0)
    return translate


def _small_translator(source: str, epochs: int, seed: int):
    """Train a small translator of dates and amounts; return a function that translates."""
    keras.utils.set_random_seed(seed)
    found = seq2seq_gru(
        num_examples=None, num_steps=8, min_freq=1, num_hiddens=64, num_layers=1, epochs=epochs
    )
    loaded = found.data(data.Source(source, seed=seed))
    model = found.model(loaded)
    model.compile(found.optimizer(), found.loss())
    training.train(model, loaded, epochs=epochs)

    def translate(texts, k, exponent):
        outputs = endpoints.translate(
            model, loaded.assets, texts, beam_size=k, length_exponent=exponent, batch_size=100
        )
        return [text for text, _ in outputs]

    return translate


def _score(found: list[str], references: list[str]) -> tuple[list[float], dict[str, object]]:
    """Return the book's BLEU of each translation, and figures of all of them."""
    tokens = [data.translation.TOKENIZER(reference) for reference in references]
    each = [metrics.bleu(text, words, 2) for text, words in zip(found, tokens, strict=True)]
    right = [text.split() == words for text, words in zip(found, tokens, strict=True)]
    summary: dict[str, object] = {
        "mean of the book's BLEU, k = 2": float(np.mean(each)),
        "right to the letter": float(np.mean(right)),
    }
    if importlib.util.find_spec("sacrebleu") is None:
        return each, {"sacreBLEU": "not computed: pip install sacrebleu", **summary}
    corpus = sacrebleu.metrics.BLEU(lowercase=True, force=True)  # 13a cuts off full stops, too
    score = corpus.corpus_score(found, [references])
    return each, {"sacreBLEU": score.score, "signature": str(corpus.get_signature()), **summary}


def _by_length(texts: list[str], scores: dict[str, list[float]]):
    """Draw the mean of the book's BLEU over the length of the sentence, four lengths a point."""
    lengths = np.array([len(data.translation.TOKENIZER(text)) for text in texts])
    bins = (lengths - 1) // 4
    places = sorted(set(bins.tolist()))
    figure = figures.lines(
        np.array([4 * place + 2.5 for place in places]),
        {
            name: [float(np.mean(np.array(each)[bins == place])) for place in places]
            for name, each in scores.items()
        },
        title="Translations by the length of the sentence",
        xlabel="words of the English sentence",
        ylabel="mean BLEU (k = 2)",
    )
    figure.axes[0].set_ylim(bottom=0)
    return figure
