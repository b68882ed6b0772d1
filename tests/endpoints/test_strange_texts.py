"""Whatever a person may send is answered, and the answer says what of it was not read."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import endpoints, layers, models
from kerasd2l.data import Tokenizer, bert_inputs, text
from kerasd2l.data.sets import imdb
from kerasd2l.data.subwords import Subwords
from kerasd2l.recipe import ServingFunction

LONG = "good " * 10_000
TEXTS = {
    "a plain one": "good",
    "nothing known": "xyzzy plugh",
    "empty": "",
    "white space": " \n\t\u00a0 ",
    "10,000 words": LONG,
    "10,000 letters": "g" * 10_000,
    "emoji": "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f",
    "right to left": "\u05e9\u05dc\u05d5\u05dd \u202e\u0645\u0631\u062d\u0628\u0627\u202c",
    "a lone NUL": "\x00",
    "control characters": "good\x00film \x07\x1b[31m\x7f\u2028\ufeff",
    "the signs of a vocabulary": "<pad> <unk> <bos> <eos> <cls> <sep> <mask>",
    "no UTF-8": b"\xff\xfe good \xc0",
}
WORDS = ["good", "bad", "the", "film", "."]
NAMES = {"class_names": ["blame", "praise", "neither"]}
WORD = Tokenizer("word").to_assets()


def words(*reserved, **more):
    return {"vocabulary": ["<unk>", *reserved, *WORDS], "tokenizer": WORD, **more}


def recurrent(vocab_size):
    layer = layers.GRU(6, return_sequences=True, return_state=True, seed=1)
    return models.language_model(vocab_size, layer)


def characters(vocab_size):
    return {
        "vocabulary": ["<unk>", *" abcdefghijklmnopqrstuvwxyz"[: vocab_size - 1]],
        "tokenizer": Tokenizer("char", text.LETTERS).to_assets(),
    }


def writer(model, assets):
    made = endpoints.text_generator(models.step_by_step, num_tokens=3)
    letters = assets["tokenizer"]["level"] == "char" and not isinstance(model, models.GPT)
    return made if letters else made[:1], model, assets  # once, since it takes seconds


BERT = words(*bert_inputs.RESERVED, max_len=12, **NAMES)
BERT_SIZES = {
    "vocab_size": len(BERT["vocabulary"]),
    **{"num_hiddens": 8, "ffn_num_hiddens": 8, "num_heads": 2, "num_layers": 1, "max_len": 12},
}


def bert(made, make, *arguments):
    model = make(*arguments, **BERT_SIZES)
    model.build({"tokens": (None, None), "segments": (None, None), "valid_lens": (None,)})
    return made, model, BERT


def translator():
    sizes = {"num_hiddens": 8, "ffn_num_hiddens": 8, "num_heads": 2, "num_layers": 1}
    known = words("<pad>", "<bos>", "<eos>")
    assets = {"tokenizer": WORD, "num_steps": 4}
    assets |= {f"{side}_vocabulary": known["vocabulary"] for side in ("source", "target")}
    model = models.transformer(9, 9, **sizes)
    tokens = np.zeros((1, 2), "int32")
    model({"source": tokens, "decoder_input": tokens})
    return endpoints.translator(beam_size=2, example=["good"])[:1], model, assets


def sentences(make, **sizes):
    assets = words("<pad>", num_steps=6, **NAMES)
    assets["tokenizer"] = imdb.TOKENIZERS["clean"].to_assets()
    return make(7, num_classes=3, embed_size=4, **sizes), assets


def vectors(subwords=None):
    assets = words()
    if subwords is None:
        model = models.SkipGram(len(assets["vocabulary"]), embed_size=4)
        model.build({"inputs": (None,), "outputs": (None, 3)})
    else:
        assets["subwords"] = subwords.to_assets()
        model = models.CBOW(len(assets["vocabulary"]), embed_size=4, num_extra=subwords.buckets)
        model.build({"inputs": (None, 4), "outputs": (None, 3)})
    return endpoints.word_neighbours(), model, assets


KINDS = {
    "names": lambda: (
        endpoints.text_classifier(example=["a"])[:1],
        models.names_classifier(3, vocab_size=9, embed_size=4, num_hiddens=4, num_layers=1),
        characters(9) | NAMES,
    ),
    "letters of a GRU": lambda: writer(recurrent(9), characters(9)),
    "words of a GRU": lambda: writer(recurrent(6), words()),
    "letters of a GPT": lambda: writer(
        models.GPT(9, num_hiddens=8, num_layers=1, num_heads=2, max_len=7), characters(9)
    ),
    "translator": translator,
    "sentences": lambda: (
        endpoints.sentence_classifier(example=["good"])[:1],
        *sentences(models.textcnn, num_channels=(3, 3, 3)),
    ),
    "pairs": lambda: (
        endpoints.pair_classifier(example=[("good", "bad")])[:1],
        *sentences(models.decomposable_attention, num_hiddens=4),
    ),
    "BERT, masks": lambda: bert(endpoints.masked_words(example=["a"]), models.BERTModel),
    "BERT, one text": lambda: bert(
        endpoints.bert_classifier(example=["a"]), models.BERTClassifier, 3
    ),
    "BERT, inference": lambda: bert(
        endpoints.bert_inference(example=[("a", "b")]), models.BERTClassifier, 3
    ),
    "BERT, tags": lambda: bert(endpoints.bert_tagger(example=["a"]), models.BERTTagger, 3),
    "BERT, answers": lambda: bert(
        endpoints.bert_answers(questions=["a"], example=["b"]), models.BERTSpan
    ),
    "word vectors": vectors,
    "word vectors with parts": lambda: vectors(Subwords(3, 4, 20)),
}


def graph(endpoint, model, assets):
    """Return batch -> what a signature says: the same texts in each input, in a graph."""
    example = {key: np.asarray(value) for key, value in endpoint.example().items()}
    texts = [key for key, value in example.items() if value.ndim]
    kinds = {key: spec.dtype for key, spec in endpoint.signature.items()}
    settings = {key: tf.constant(example[key], kinds[key]) for key in example.keys() - set(texts)}
    built = endpoint.build(model, assets)
    call = built.call if isinstance(built, ServingFunction) else built
    specs = {key: tf.TensorSpec(spec.shape, kinds[key]) for key, spec in endpoint.signature.items()}
    answer = tf.function(lambda **inputs: call(**inputs), autograph=False)
    answer = answer.get_concrete_function(**specs)

    def ask(batch, built=built):  # which has the tables
        outputs = answer(**dict.fromkeys(texts, tf.constant(batch, tf.string)), **settings)
        return {key: value.numpy() for key, value in outputs.items()}

    return ask


SOON = ("letters of a GPT", "names", "translator")  # not BERT, which takes longest


@pytest.mark.parametrize(
    "kind", [kind if kind in SOON else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
def test_every_text_is_answered_and_what_is_left_out_is_said(kind):
    keras.utils.set_random_seed(1)
    made, model, assets = KINDS[kind]()
    for endpoint in made:
        ask = graph(endpoint, model, assets)
        outputs = ask(list(TEXTS.values()))
        left_out = [
            key for key in outputs if key.endswith(("words_left_out", "characters_left_out"))
        ]
        assert left_out, f"{endpoint.name} says nothing of what it leaves out"
        assert all(outputs[key].dtype == np.int32 for key in left_out)
        total = dict(zip(TEXTS, sum(outputs[key] for key in left_out), strict=True))
        assert total["a plain one"] == total["empty"] == total["a lone NUL"] == 0
        most = 12 if "BERT" in kind else 1000
        assert total["10,000 words"] > 10_000 - most
        for key, array in outputs.items():
            assert len(array) == len(TEXTS)
            if array.dtype.kind == "f":
                assert np.isfinite(array).all(), key
            elif array.dtype.kind == "O":
                assert all(isinstance(item.decode(), str) for item in array.flat), key
        # a text alone is answered as among others, where nothing is drawn
        alone = ask([LONG]) if endpoint.name != "generate" else {}
        place = list(TEXTS).index("10,000 words")
        for key, array in alone.items():
            if array.ndim == 1 and array.dtype.kind == "f":
                np.testing.assert_allclose(array[0], outputs[key][place], atol=1e-5)
            elif array.ndim == 1:
                assert array[0] == outputs[key][place], key
        for array in ask([]).values():
            assert len(array) == 0
