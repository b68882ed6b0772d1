"""Masks: what stands in the padding, or comes later, changes no bit of what a model says.

Not "nearly nothing": a score that is masked with -1e6 instead of left out, or a sum over zeros and
garbage, would show here.
"""

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import layers, models

RNG = np.random.default_rng(0)
VOCAB, STEPS, CUT = 19, 7, 3
LENGTHS = np.array([7, 2, 5], "int32")
WIDTHS = {"embed_size": 6, "num_hiddens": 8}
BLOCKS = {"num_hiddens": 8, "ffn_num_hiddens": 12, "num_heads": 2, "num_layers": 2}


def text():
    return RNG.integers(4, VOCAB, (3, STEPS)).astype("int32")


@dataclass
class Case:
    """A model and its inputs.

    Args:
        make: () -> the model, without dropout.
        padded: name of an input of tokens -> name of the input of its lengths.
        later: name of the input of which a step sees no later ones, or None.
        places: whether the outputs have places, of which only those before the length count.
        other: more inputs.
    """

    make: Any
    padded: dict[str, str]
    later: str | None = None
    places: bool = False
    other: dict[str, np.ndarray] = field(default_factory=dict)

    def inputs(self) -> Any:
        made: dict[str, np.ndarray] = dict(self.other)
        lengths = LENGTHS
        for tokens, counts in self.padded.items():
            made |= {tokens: text(), counts: lengths}
            lengths = lengths[::-1].copy()
        if self.later:
            made[self.later] = text()
        return made


def translator(kind, **arguments):
    sizes = {"transformer": BLOCKS}.get(kind, WIDTHS)
    return Case(
        lambda: getattr(models, kind)(VOCAB, VOCAB, dropout_rate=0.0, seed=1, **sizes, **arguments),
        {"source": "source_lengths"},
        later="decoder_input",
    )


def bert(make, **more):
    other = {"segments": RNG.integers(0, 2, (3, STEPS)).astype("int32")}
    return Case(make, {"tokens": "valid_lens"}, other=other | more.pop("other", {}), **more)


def language_model(cell):
    recurrent = [cell(8, return_sequences=True, return_state=True, seed=i) for i in range(2)]
    return Case(lambda: models.language_model(VOCAB, recurrent, embed_size=6), {}, later="tokens")


BERT = {"vocab_size": VOCAB, **BLOCKS, "dropout_rate": 0.0, "max_len": 16, "seed": 1}
PLACES = {"pred_positions": np.array([[1, 4], [1, 0], [2, 3]], "int32")}
CASES = {
    "transformer": translator("transformer"),
    "transformer, pre-norm": translator("transformer", norm="pre"),
    "bahdanau": translator("bahdanau"),
    "bahdanau, LSTM": translator("bahdanau", cell="lstm"),
    "seq2seq": translator("seq2seq"),
    "seq2seq, LSTM": translator("seq2seq", cell="lstm", use_context=False),
    "gpt": Case(
        lambda: models.GPT(VOCAB, **BLOCKS, dropout_rate=0.0, max_len=16, seed=1),
        {},
        later="tokens",
    ),
    "bert": bert(lambda: models.BERTModel(**BERT), other=PLACES),
    "bert, GELU and a norm": bert(
        lambda: models.BERTModel(**BERT, activation="gelu", embed_norm=True, tied=True),
        other=PLACES,
    ),
    "bert, classes": bert(lambda: models.BERTClassifier(3, **BERT)),
    "bert, tags": bert(lambda: models.BERTTagger(4, **BERT), places=True),
    "bert, span": bert(lambda: models.BERTSpan(**BERT), places=True),
    "birnn": Case(lambda: models.birnn(VOCAB, **WIDTHS, seed=1), {"tokens": "lengths"}),
    "textcnn": Case(
        lambda: models.textcnn(
            VOCAB, embed_size=6, num_channels=(4, 4, 4), dropout_rate=0.0, seed=1
        ),
        {"tokens": "lengths"},
    ),
    "decomposable attention": Case(
        lambda: models.decomposable_attention(VOCAB, **WIDTHS, dropout_rate=0.0, seed=1),
        {"premise": "premise_lengths", "hypothesis": "hypothesis_lengths"},
    ),
    "names": Case(
        lambda: models.names_classifier(3, vocab_size=VOCAB, **WIDTHS, bidirectional=False, seed=1),
        {"characters": "lengths"},
    ),
    "names, both directions": Case(
        lambda: models.names_classifier(3, vocab_size=VOCAB, **WIDTHS, seed=1),
        {"characters": "lengths"},
    ),
    "language model, RNN": language_model(layers.SimpleRNN),
    "language model, GRU": language_model(layers.GRU),
    "language model, LSTM": language_model(layers.LSTM),
}


WAYS = ["at once", "training", pytest.param("graph", marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def said():
    """Return (name, way, inputs) -> a model's outputs as arrays; each model is made once.

    Called at once, as a training does, or in a graph of unknown batch.
    """
    made, graphs = {}, {}

    def say(name, way, inputs):
        given = inputs["tokens"] if set(inputs) == {"tokens"} else inputs
        if name not in made:
            made[name] = CASES[name].make()
        if way == "graph" and name not in graphs:
            made[name](given)
            specs = tf.nest.map_structure(
                lambda a: tf.TensorSpec([None, *a.shape[1:]], a.dtype), given
            )
            graphs[name] = tf.function(made[name], input_signature=[specs], autograph=False)
        if way == "graph":
            outputs = graphs[name](given)
        else:
            outputs = made[name](given, training=way == "training")
        outputs = keras.tree.map_structure(np.asarray, outputs)
        return outputs if isinstance(outputs, dict) else {"": outputs}

    return say


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.padded])
def test_what_stands_in_the_padding_changes_no_bit(name, way, said):
    case = CASES[name]
    inputs = case.inputs()
    changed = dict(inputs)
    for tokens, counts in case.padded.items():
        for other in (tokens, "segments") if "segments" in inputs else (tokens,):
            beyond = np.arange(STEPS) >= inputs[counts][:, None]
            another = RNG.integers(0, 2 if other == "segments" else VOCAB, (3, STEPS))
            changed[other] = np.where(beyond, another, inputs[other]).astype("int32")
    before, after = said(name, way, inputs), said(name, way, changed)
    for key, array in before.items():
        counts = LENGTHS if case.places else [None] * len(LENGTHS)
        for one, other, count in zip(array, after[key], counts, strict=True):
            np.testing.assert_array_equal(one[:count], other[:count], key)
    # and the test would see it: a word that counts does change what is said
    for tokens in case.padded:
        wrong = {**inputs, tokens: inputs[tokens] % 4}
        other = said(name, way, wrong)
        assert any((other[key] != array).any() for key, array in before.items())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.later])
def test_what_comes_later_changes_no_bit(name, way, said):
    case = CASES[name]
    inputs = case.inputs()
    changed = {**inputs, case.later: inputs[case.later].copy()}
    changed[case.later][:, CUT:] = RNG.integers(0, VOCAB, (3, STEPS - CUT))
    (before,), (after,) = (said(name, way, some).values() for some in (inputs, changed))
    np.testing.assert_array_equal(before[:, :CUT], after[:, :CUT])
    assert (before[:, CUT:] != after[:, CUT:]).any()
