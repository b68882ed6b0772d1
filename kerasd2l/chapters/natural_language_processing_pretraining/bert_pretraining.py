"""14.10 Pre-training BERT."""

from __future__ import annotations

from kerasd2l.recipe import Recipe
from kerasd2l.tasks import bert
from kerasd2l.tasks.bert import Blocks, Sentences
from kerasd2l.tasks.descent import PlainAdam


def bert_pretraining(
    *,
    sentences: Sentences = Sentences(max_pairs=25_600),
    blocks: Blocks = Blocks(),
    descent: PlainAdam = PlainAdam(0.01, batch_size=512, epochs=1),
) -> Recipe:
    """Pre-train BERT on WikiText-2: masked words, and whether the second sentence follows.

    Section: "bert-pretraining". The book's sizes: two blocks of width 128, networks of 256, two
    heads, dropout 0.2; pairs of at most 64 tokens, 10 words to guess; Adam at 0.01; 50 steps of
    512 pairs, drawn from the training file (max_pairs=none epochs=20 learning_rate=0.001 for a
    real training). Words are masked anew in each epoch; the masked words' loss is the mean over
    those that are, not over places left empty. Without the training file:
    --set train=valid --set test=test. Builtin: 295 pairs of Python's help texts.
    mlm_cross_entropy and nsp_cross_entropy are means over words and pairs; loss is their sum.
    Expected: book, after 50 steps: MLM 5.4-5.9, NSP 0.76-0.78 (training).
    Command: kerasd2l train bert_pretraining --data files --export
    """
    return bert.pretraining(sentences=sentences, blocks=blocks, descent=descent)
