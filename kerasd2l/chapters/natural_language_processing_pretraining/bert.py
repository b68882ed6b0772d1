"""14.8 BERT."""

from __future__ import annotations

from typing import Any

from kerasd2l import data
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult
from kerasd2l.run import RunError, open_run
from kerasd2l.tasks.bert import PreTrained

export = lazy("kerasd2l.export")
models = lazy("kerasd2l.models")
np = lazy("numpy")

FIRST = "a crane is flying"
SECOND = "a crane driver came", "he just left"


def bert_encoding(*, run: str = "", seed: int = 0) -> Demo:
    """Encode a word in two contexts: a text alone, and one of a pair; the vectors differ.

    Section: "bert". The book's texts, "a crane is flying" and "a crane driver came" with "he just
    left": shapes, the first numbers of "crane", and how far its two vectors are apart, beside the
    vectors of the word before it is read in its context, which differ by nothing. run=FOLDER takes
    the model of a run of bert_pretraining; else the weights are as they were drawn.
    Expected: book (1, 6, 128) and (1, 10, 128), other vectors for the same word.
    Command: kerasd2l run bert_encoding
    """
    return Demo("bert", lambda: _run(run, seed))


def _run(run: str, seed: int) -> DemoResult:
    texts = [(FIRST.split(), None), (SECOND[0].split(), SECOND[1].split())]
    if run:
        pretrained = PreTrained(run, open_run, export.load_model, "run")
        try:
            known = pretrained.reading()
        except ValueError as error:  # of another recipe: the folder is wrong, not this code
            raise RunError(str(error)) from error
        vocab = data.Vocab.from_list(known["vocabulary"])
        read = data.word_pieces.reader(known["tokenizer"], known["vocabulary"])
        texts = [(read(FIRST), None), (read(SECOND[0]), read(SECOND[1]))]
        model = pretrained.model()
    else:
        words = [side for text in texts for side in text if side]
        vocab = data.Vocab(words, reserved_tokens=data.bert_inputs.RESERVED)
        model = models.BERTModel(len(vocab), 128, 256, 2, 2, 0.2, seed=seed)
    vectors: list[Any] = []
    values: dict[str, Any] = {}
    for name, (first, second) in zip(("alone", "pair"), texts, strict=True):
        seconds = None if second is None else [second]
        length = len(data.get_tokens_and_segments(first, second)[0])
        encoded = np.asarray(model.encode(data.bert_inputs.rows(vocab, [first], seconds, length)))
        vectors.append(encoded[0, 2])  # behind `<cls>` and "a"; of pieces the first
        values[f"encoded, {name}"] = list(encoded.shape)
        values[f"crane, {name}"] = encoded[0, 2, :3].tolist()
    one, other = vectors
    cosine = float(one @ other / np.sqrt((one @ one) * (other @ other)))
    values |= {
        "distance of crane to crane": float(np.linalg.norm(one - other)),
        "cosine of crane and crane": cosine,
    }
    return DemoResult(values)
