"""15.7 Natural language inference: fine-tuning BERT."""

from __future__ import annotations

import functools

from kerasd2l import data, endpoints
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Recipe
from kerasd2l.run import open_run
from kerasd2l.tasks.bert import Blocks, PreTrained, fine_tuning
from kerasd2l.tasks.descent import PlainAdam
from kerasd2l.tasks.natural_language_inference import EXAMPLE

export = lazy("kerasd2l.export")


def bert_inference(
    *,
    weights: str = "",
    corpus: data.snli.Corpus = "snli",
    max_len: int = 128,
    min_freq: int = 5,
    blocks: Blocks = Blocks(256, 512, num_heads=4, num_layers=2, dropout_rate=0.1),
    descent: PlainAdam = PlainAdam(0.0001, batch_size=512, epochs=5),
) -> Recipe:
    """Fine-tune BERT to tell whether a sentence follows from another one.

    Section: "natural-language-inference-bert". SNLI's 549,367 + 9,824 pairs of at most 128 tokens;
    the book's small BERT: two blocks of width 256, networks of 512, four heads, dropout 0.1; Adam
    at 0.0001, batches of 512, 5 epochs. weights=RUN begins from the model of a run of
    bert_pretraining, with its vocabulary and the sizes of its encoder; without, it begins from
    nothing, with the words of the training pairs, and wants a larger rate. corpus=sick reads SICK,
    with a split of its own; corpus=snli_parts trains on a part of SNLI's dev set. The builtin
    stand-in are 3,201 + 801 pairs about journeys: num_hiddens=128 ffn_num_hiddens=256
    dropout_rate=0 batch_size=32 learning_rate=0.0003 and 20 epochs learn them, test accuracy 0.985.
    Expected: book, from bert.small, train loss 0.520, test accuracy 0.779-0.786 (SNLI).
    Command: kerasd2l train bert_inference --data builtin --export
    """
    return fine_tuning(
        functools.partial(data.snli.load_for_bert, corpus=corpus, min_freq=min_freq),
        "classes",
        section="natural-language-inference-bert",
        dataset="snli",
        max_len=max_len,
        blocks=blocks,
        descent=descent,
        signatures=endpoints.bert_inference(example=EXAMPLE),
        pretrained=PreTrained(weights, open_run, export.load_model) if weights else None,
    )
