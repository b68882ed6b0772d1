"""9.7 Sequence to sequence learning."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kerasd2l import data, endpoints, export, figures, training
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult, Recipe
from kerasd2l.tasks.descent import ClippedAdam
from kerasd2l.tasks.translation import Network, Pairs, Search, recurrent, translation

keras = lazy("keras")
metrics = lazy("kerasd2l.metrics")
np = lazy("numpy")
tf = lazy("tensorflow")
sacrebleu = lazy("sacrebleu")


def seq2seq_gru(
    *,
    pairs: Pairs = Pairs(),
    network: Network = Network(),
    descent: ClippedAdam = ClippedAdam(),
    search: Search = Search(),
) -> Recipe:
    """Train a GRU encoder and decoder to translate English into French, with teacher forcing.

    Section: "seq2seq". The book's sizes: 600 pairs of at most 10 tokens, embedding 32, two layers
    of 32 units, dropout 0.1, Adam at 0.005, gradients clipped to norm 1. Its data is fra.txt
    (corpus=fra); Multi30k's captions are longer. The loss is the mean over real tokens;
    divide_by=steps is the book's, divided by all B x T places. The book prints the latter's sum
    over the number of real tokens, a tenth of the mean over tokens.
    For translations that can be read take more: num_examples=15000 num_steps=16 longer=drop
    min_freq=3 embed_size=128 num_hiddens=256 dropout_rate=0.2 batch_size=128 learning_rate=0.002
    and 12 epochs of Multi30k, test perplexity 8.9; for dates num_examples=none num_steps=8
    min_freq=1 embed_size=64 num_hiddens=128 num_layers=1 and 40 epochs, test perplexity 1.002.
    Expected: book 0.019 to 0.029 as it prints it, which is 0.19 to 0.29 a token (fra.txt).
    Command: kerasd2l train seq2seq_gru --data builtin --export
    """
    return translation(
        "seq2seq",
        recurrent("gru", network),
        pairs=pairs,
        descent=descent,
        search=search,
    )


def seq2seq_lstm(
    *,
    pairs: Pairs = Pairs(),
    network: Network = Network(),
    use_context: bool = False,
    descent: ClippedAdam = ClippedAdam(),
    search: Search = Search(),
) -> Recipe:
    """Train an LSTM encoder and decoder: the variant of the notes, without the repeated context.

    Section: "seq2seq". All as in seq2seq_gru, but the encoder hands over its states (hidden and
    cell) at the beginning only; use_context=true joins the last one to every step as there.
    Expected: no figure is published for this variant.
    Command: kerasd2l train seq2seq_lstm --data builtin --export
    """
    return translation(
        "seq2seq",
        recurrent("lstm", network, use_context=use_context),
        pairs=pairs,
        descent=descent,
        search=search,
    )


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
    for said in ("A B C D E F", "A B B C D", "A B", "F E D C B A", "X Y Z"):
        lengths = range(1, min(4, len(said.split())) + 1)
        values[said] = {f"k = {k}": metrics.bleu(said, label, k) for k in lengths}
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
    model: tuple[str, ...] = (),
    source: data.Kind = "builtin",
    count: int = 1000,
    beam_size: int = 4,
    length_exponent: float = 0.75,
    lengths: tuple[int, ...] = (4, 8, 12, 16),
    epochs: int = 4,
    seed: int = 0,
) -> Demo:
    """Translate the test set with SavedModels, greedily and with a beam; score it and show ten.

    Section: "seq2seq", and "beam-search". `model` is the folder of an exported translator, or
    several, to be compared on the sentences that none was trained on; without one, a small GRU
    translator is trained on the built-in dates and amounts for `epochs` epochs. Scores: corpus BLEU
    by sacrebleu (`pip install sacrebleu`; text in lower case against the references as they are
    written, lower-cased, tokenizer 13a), the mean of the book's BLEU with k = 2, and the share of
    translations that are right to the letter. The first one, or without sacrebleu the second, also
    by the length of the sentence: up to each of the `lengths`, in words, and beyond the last.
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
    if len(set(model)) < len(model):
        raise ValueError(f"`model` must be different folders. Received: model={','.join(model)}.")
    if not lengths or min(lengths) < 1 or sorted(set(lengths)) != list(lengths):
        raise ValueError(f"`lengths` must be rising numbers of words. Received: lengths={lengths}.")
    endpoints.check_length_exponent(length_exponent)
    searches = {"greedy": (1, 0.0), f"beam {beam_size}": (beam_size, length_exponent)}

    def run() -> DemoResult:
        translators = _served(model) if model else _small_translator(source, epochs, seed)
        return _report(translators, source, count, searches, lengths, timed=bool(model))

    return Demo("seq2seq", run)


class _Translator(NamedTuple):
    """A translator, and the arguments that say which pairs it was trained on.

    translate: (sentences, beam size, length exponent) -> translations.
    """

    translate: Callable[[list[str], int, float], list[str]]
    arguments: Mapping[str, Any]


def _report(
    translators: Mapping[str, _Translator],
    source: str,
    count: int,
    searches: Mapping[str, tuple[int, float]],
    lengths: tuple[int, ...],
    timed: bool,
) -> DemoResult:
    pairs = _pairs_new_to_all(source, translators)[:count]
    texts, references = (list(side) for side in zip(*pairs, strict=True))
    values: dict[str, Any] = {"sentences": len(pairs)}
    found: dict[str, list[str]] = {}
    for who, translator in translators.items():
        for search, settings in searches.items():
            name = search if len(translators) == 1 else f"{who}, {search}"
            start = time.perf_counter()
            found[name] = translator.translate(texts, *settings)
            seconds = time.perf_counter() - start
            summary = _score(found[name], references)
            values |= {f"{name}: {key}": value for key, value in summary.items()}
            if timed:
                values[f"{name}: sentences per second"] = len(texts) / seconds
    scores = _by_length(texts, found, references, lengths)
    values |= {f"sentences of {words} words": score for words, score in scores.items()}
    for place in np.linspace(0, len(texts) - 1, min(10, len(texts)), dtype=int):
        values[f"{place + 1}. {texts[place]}"] = {
            "reference": references[place],
            **{name: translations[place] for name, translations in found.items()},
        }
    return DemoResult(values, {"lengths": _draw(scores, list(found))})


def _pairs_new_to_all(source: str, translators: Mapping[str, _Translator]) -> list[tuple[str, str]]:
    """Return the pairs that are test pairs of every translator."""
    first, *others = (_test_pairs(source, each.arguments) for each in translators.values())
    for other in map(set, others):
        first = [pair for pair in first if pair in other]
    if not first:
        raise data.DataError("the translators share no pairs to test with: compare them one by one")
    return first


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


def _served(folders: tuple[str, ...]) -> dict[str, _Translator]:
    """Return the translators of SavedModels by the names of their folders."""
    names = [Path(folder).name for folder in folders]
    if len(set(names)) < len(names):
        names = list(folders)
    made = {}
    for name, folder in zip(names, map(Path, folders), strict=True):
        found = export.find(folder)
        arguments = export.manifest.read(found).get("arguments", {})
        made[name] = _Translator(_ask(found), arguments)
    return made


def _ask(folder: Path) -> Callable[[list[str], int, float], list[str]]:
    """Return a function that translates with a SavedModel, a hundred sentences at a time."""
    saved = tf.saved_model.load(str(folder))
    signature = saved.signatures["translate"]

    def translate(texts, k, exponent, saved=saved):  # which has the tables
        said: list[bytes] = []
        for start in range(0, len(texts), 100):
            outputs = signature(
                text=tf.constant(texts[start : start + 100]),
                beam_size=tf.constant(k),
                length_exponent=tf.constant(exponent),
            )
            said += outputs["translation"].numpy().tolist()
        return [text.decode("utf8", "replace") for text in said]

    translate(["once, so that no later call takes the time of the first"], 2, 1.0)
    return translate


def _small_translator(source: str, epochs: int, seed: int) -> dict[str, _Translator]:
    """Train a small translator of dates and amounts."""
    keras.utils.set_random_seed(seed)
    found = seq2seq_gru(
        pairs=Pairs(num_examples=None, num_steps=8, min_freq=1),
        network=Network(num_hiddens=64, num_layers=1),
        descent=ClippedAdam(epochs=epochs),
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

    return {"GRU": _Translator(translate, {})}


def _score(found: list[str], references: list[str]) -> dict[str, object]:
    """Return figures of all translations."""
    tokens = [data.translation.TOKENIZER(reference) for reference in references]
    right = [text.split() == words for text, words in zip(found, tokens, strict=True)]
    summary: dict[str, object] = {
        "mean of the book's BLEU, k = 2": _mean_bleu(found, references),
        "right to the letter": float(np.mean(right)),
    }
    corpus = _corpus_bleu()
    if corpus is None:
        return {"sacreBLEU": "not computed: pip install sacrebleu", **summary}
    score = corpus.corpus_score(found, [references])
    return {"sacreBLEU": score.score, "signature": str(corpus.get_signature()), **summary}


def _mean_bleu(found: list[str], references: list[str]) -> float:
    """Return the mean of the book's BLEU with k = 2."""
    tokens = map(data.translation.TOKENIZER, references)
    pairs = zip(found, tokens, strict=True)
    return float(np.mean([metrics.bleu(text, words, 2) for text, words in pairs]))


def _corpus_bleu() -> Any:
    """Return sacrebleu's BLEU, or None where it is not installed."""
    if importlib.util.find_spec("sacrebleu") is None:
        return None
    return sacrebleu.metrics.BLEU(lowercase=True, force=True)  # 13a cuts off full stops, too


def _by_length(
    texts: list[str],
    found: Mapping[str, list[str]],
    references: list[str],
    lengths: tuple[int, ...],
) -> dict[str, dict[str, float]]:
    """Return, for each group of lengths with sentences in it, their number and who scores what."""
    words = [len(data.translation.TOKENIZER(text)) for text in texts]
    group = np.searchsorted(lengths, words)  # 0: at most lengths[0]; the last one: more than all
    first = [1, *(length + 1 for length in lengths)]
    names = [f"{one}-{last}" for one, last in zip(first, lengths, strict=False)]
    corpus = _corpus_bleu()
    scores: dict[str, dict[str, float]] = {}
    for place, name in enumerate([*names, f"over {lengths[-1]}"]):
        rows = np.flatnonzero(group == place)
        if not len(rows):
            continue
        scores[name] = {"number": len(rows)}
        for who, translations in found.items():
            said, expected = [translations[i] for i in rows], [references[i] for i in rows]
            if corpus is None:
                scores[name][who] = _mean_bleu(said, expected)
            else:
                scores[name][who] = corpus.corpus_score(said, [expected]).score
    return scores


def _draw(scores: Mapping[str, Mapping[str, float]], names: list[str]) -> Any:
    """Draw who scores what over the lengths of the sentences."""
    figure = figures.lines(
        np.arange(len(scores)),
        {name: [group[name] for group in scores.values()] for name in names},
        title="Translations by the length of the sentence",
        xlabel="words of the sentence",
        ylabel="mean BLEU (k = 2)" if _corpus_bleu() is None else "sacreBLEU",
    )
    axes = figure.axes[0]
    for line in axes.lines:
        line.set_marker("o")
    axes.set_xticks(np.arange(len(scores)), list(scores))
    axes.set_ylim(bottom=0)
    return figure
