"""14.9 The data set for pre-training BERT."""

from __future__ import annotations

from typing import Literal

from kerasd2l import data
from kerasd2l.recipe import Demo, DemoResult


def bert_dataset(
    *,
    source: Literal["auto", "builtin", "files", "download"] = "builtin",
    train: Literal["train", "valid", "test"] = "train",
    test: Literal["train", "valid", "test"] = "valid",
    batch_size: int = 512,
    max_len: int = 64,
) -> Demo:
    """Show what BERT reads: a batch of pairs of sentences, and one of them in words.

    Section: "bert-dataset". Half of the second sentences follow their first one; of 15 % of the
    tokens 80 % are masked, 10 % replaced, 10 % left as they are. source=files is WikiText-2.
    Expected: book (512, 64) twice, (512,), (512, 10) three times, (512,); vocabulary 20256.
    Command: kerasd2l run bert_dataset
    """
    numbers = {"batch_size": batch_size, "max_len": max_len, "train": train, "test": test}
    return Demo("bert-dataset", lambda: _run(source, numbers))


def _run(source: str, numbers: dict) -> DemoResult:
    made = data.wikitext.load(source, **numbers)
    words = made.assets["vocabulary"]
    x, y, weights = next(iter(made.epoch(0)))
    row = [words[i] for i in x["tokens"][0].numpy()[: int(x["valid_lens"][0])]]
    hidden = [words[i] for i in y["mlm"][0].numpy() if i != data.bert_inputs.PAD]
    batch = {**x, **y, "weights": weights["mlm"]}
    return DemoResult(
        {
            "pairs to train on": made.size["train"],
            "vocabulary": len(words),
            "shapes": {name: list(array.shape) for name, array in batch.items()},
            "a pair": " ".join(row),
            "words to guess": " ".join(hidden),
            "the second follows": int(y["nsp"][0]),
        }
    )
