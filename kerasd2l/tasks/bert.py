"""BERT: pre-training on pairs of sentences with masked words, and tasks that begin from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal

from kerasd2l import data, endpoints
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Endpoint, Expected, Recipe
from kerasd2l.tasks.descent import PlainAdam

models = lazy("kerasd2l.models")
keras = lazy("keras")
metrics = lazy("kerasd2l.metrics")


@dataclass(frozen=True)
class Blocks:
    """The encoder of a BERT.

    Args:
        num_hiddens: int >= 1, width of the tokens' vectors.
        ffn_num_hiddens: int >= 1, width inside the network of a block.
        num_heads: int; it divides num_hiddens.
        num_layers: int >= 1, blocks.
        dropout_rate: float in [0, 1).
    """

    num_hiddens: int = 128
    ffn_num_hiddens: int = 256
    num_heads: int = 2
    num_layers: int = 2
    dropout_rate: float = 0.2

    def arguments(self) -> dict[str, Any]:
        """Return them by their names in `models.BERTModel`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Sentences:
    """Which pairs of sentences, and how they become numbers.

    Args:
        train: the split of WikiText-2 to train on.
        test: the split to test on.
        max_len: int >= 5, tokens of a pair.
        min_freq: int >= 1, a rarer word is `<unk>`.
        max_pairs: int, pairs to train on, or None for all.
    """

    train: Literal["train", "valid", "test"] = "train"
    test: Literal["train", "valid", "test"] = "valid"
    max_len: int = 64
    min_freq: int = 5
    max_pairs: int | None = None


@dataclass(frozen=True)
class PreTrained:
    """The run that a fine-tuning begins from; read only by a training, not to evaluate or export.

    Args:
        folder: str, of a run of bert_pretraining.
        open_run: `run.open_run`.
        load_model: `export.load_model`.
        argument: str, what the user calls the folder.
    """

    folder: str
    open_run: Callable[[str], Any]
    load_model: Callable[[Any], Any]
    argument: str = "weights"

    def model(self) -> Any:
        """Return the pre-trained models.BERTModel."""
        return self.load_model(self.open_run(self.folder).model)

    def reading(self) -> dict[str, Any]:
        """Return its `vocabulary` and `tokenizer`, as data sets take them.

        Raises:
            ValueError: the run is one of another recipe.
        """
        run = self.open_run(self.folder)
        assets = run.read("assets.json") or {}
        tokens, words = assets.get("vocabulary"), assets.get("tokenizer")
        if not tokens or not words or not run.recipe.endswith("/bert_pretraining"):
            raise ValueError(
                f"`{self.argument}` must be the folder of a run of bert_pretraining. Received: "
                f"{self.argument}={self.folder}, a run of {run.recipe}."
            )
        return {"vocabulary": tokens, "tokenizer": data.Tokenizer.from_assets(words)}


def pretraining(
    *,
    sentences: Sentences,
    blocks: Blocks,
    descent: PlainAdam,
    expected: Expected | None = None,
) -> Recipe:
    """Make the recipe of BERT's pre-training.

    Args:
        sentences: the data.
        blocks: sizes of the encoder.
        descent: the optimizer's numbers.
        expected: the published figure, or None.
    """
    pad = data.bert_inputs.PAD
    return Recipe(
        section="bert-pretraining",
        dataset="wikitext",
        data=lambda source: data.wikitext.load(
            source,
            batch_size=descent.batch_size,
            max_len=sentences.max_len,
            min_freq=sentences.min_freq,
            max_pairs=sentences.max_pairs,
            train=sentences.train,
            test=sentences.test,
        ),
        model=lambda d: models.BERTModel(len(d.assets["vocabulary"]), **blocks.arguments()),
        optimizer=descent.optimizer,
        # the weights that come with the labels leave out the places without a prediction
        loss=lambda: {name: _cross_entropy() for name in ("mlm", "nsp")},
        metrics=lambda: {
            "mlm": [metrics.TokenCrossEntropy(pad), metrics.TokenAccuracy(pad)],
            "nsp": [metrics.TokenCrossEntropy(), metrics.TokenAccuracy()],
        },
        epochs=descent.epochs,
        batch_size=descent.batch_size,
        endpoints=endpoints.masked_words(
            example=["the <mask> of the city was built in <mask> .", "of <mask>", ""]
        ),
        expected=expected,
    )


def fine_tuning(
    load: Callable[..., Any],
    head: Literal["classes", "tags", "span"],
    *,
    dataset: str,
    max_len: int,
    blocks: Blocks,
    descent: PlainAdam,
    signatures: tuple[Endpoint, ...],
    pretrained: PreTrained | None = None,
    section: str = "finetuning-bert",
) -> Recipe:
    """Make the recipe of a task that BERT is fine-tuned for. Section: "finetuning-bert".

    Args:
        load: (source, batch_size, max_len[, vocabulary, tokenizer]) -> Data.
        head: what the model tells: "classes" of a text or a pair, "tags" of words, or a "span".
        dataset: str, its name.
        max_len: int >= 5, tokens of a row.
        blocks: sizes of the encoder, where there is nothing to begin from.
        descent: the optimizer's numbers.
        signatures: of the served model.
        pretrained: what to begin from, or None.
        section: str, the book's label.
    """

    def build(d: Any) -> Any:
        before = pretrained.model() if pretrained else None
        if before and before.encoder.max_len < max_len:
            raise ValueError(
                f"`max_len` must be at most {before.encoder.max_len}, the positions of the "
                f"pre-trained model. Received: max_len={max_len}."
            )
        usual = {"vocab_size": len(d.assets["vocabulary"]), **blocks.arguments()}
        arguments = before.encoder.arguments if before else usual
        if head == "span":
            model = models.BERTSpan(**arguments)
        else:
            kind = {"classes": models.BERTClassifier, "tags": models.BERTTagger}[head]
            model = kind(len(d.assets["class_names"]), **arguments)
        if before:
            model.build({name: (None, *spec.shape) for name, spec in d.features.items()})
            model.start_from(before)
        return model

    def fresh(source: Any) -> bool:
        return data.Source.of(source).known("vocabulary") is None

    def each(make: Callable[[], Any]) -> Any:
        return {name: make() for name in ("start", "end")} if head == "span" else make()

    return Recipe(
        section=section,
        dataset=dataset,
        data=lambda source: load(
            source,
            batch_size=descent.batch_size,
            max_len=max_len,
            **(pretrained.reading() if pretrained and fresh(source) else {}),
        ),
        model=build,
        optimizer=descent.optimizer,
        loss=lambda: each(_cross_entropy),
        metrics=lambda: each(lambda: [metrics.TokenAccuracy(0 if head == "tags" else None)]),
        epochs=descent.epochs,
        batch_size=descent.batch_size,
        endpoints=signatures,
    )


def _cross_entropy() -> Any:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
