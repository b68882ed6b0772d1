"""BERT served with texts: masked words, pairs, tags, answers; long, empty and strange texts."""

import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import data, endpoints, models
from kerasd2l.data import bert_inputs
from kerasd2l.endpoints.bert_texts import BERTTexts
from kerasd2l.testing import check_endpoint

WORDS = "the cat sat on mat . , ? 25 kilometers how many july 4".split()
ASSETS = {
    "vocabulary": ["<unk>", *bert_inputs.RESERVED, *WORDS],
    "tokenizer": bert_inputs.TOKENIZER.to_assets(),
    "max_len": 12,
}
SIZES = {
    "vocab_size": len(ASSETS["vocabulary"]),
    "num_hiddens": 8,
    "ffn_num_hiddens": 8,
    "num_heads": 2,
    "num_layers": 1,
    "max_len": 12,
    "seed": 1,
}
STRANGE = ["", "The cat sat.", "cat " * 10_000, "🐈 קָט", "<mask> <cls> <pad>", "\n\t"]


def built(make, **more):
    model = make(**SIZES, **more)
    shapes = {"tokens": (None, None), "segments": (None, None), "valid_lens": (None,)}
    model.build(shapes)
    return model


def strings(texts):
    return tf.constant([text.encode() for text in texts])


@pytest.mark.parametrize("pair", [False, True])
def test_texts_become_what_the_training_reads(pair):
    texts = [*STRANGE[:3], "On the mat, (the cat) sat?", 'a "cat" of July 4.']
    others = ["how many?", "", "mat", "the " * 9, "25 kilometers."]
    tokens = [bert_inputs.TOKENIZER(text) for text in texts]
    seconds = [bert_inputs.TOKENIZER(text) for text in others] if pair else None
    vocab = data.Vocab.from_list(ASSETS["vocabulary"])
    expected = bert_inputs.rows(vocab, tokens, seconds, 12)
    x, report, said = BERTTexts(ASSETS)(strings(texts), strings(others) if pair else None)
    for name, array in expected.items():
        there = x[name].numpy()
        if array.ndim == 2:
            assert (
                array[:, there.shape[1] :] == (bert_inputs.PAD if name == "tokens" else 0)
            ).all()
            array = array[:, : there.shape[1]]
        np.testing.assert_array_equal(there, array)
    assert [len(words) for words in said.words.to_list()] == expected["valid_lens"].tolist()
    given = [
        len(a) + (len(b) if pair else 0) for a, b in zip(tokens, seconds or tokens, strict=True)
    ]
    signs = 3 if pair else 2
    left_out = np.array(given) - (expected["valid_lens"] - signs)
    np.testing.assert_array_equal(report["words_left_out"].numpy(), left_out)
    known = [sum(i > 4 for i in row) for row in expected["tokens"].tolist()]
    np.testing.assert_array_equal(report["words_known"].numpy(), known)


@pytest.mark.slow
def test_masks_are_filled_and_pairs_are_scored(tmp_path):
    model = built(models.BERTModel)
    masks, follows = endpoints.masked_words(example=["the <mask> sat on <mask> .", "<mask>", ""])
    answer = check_endpoint(masks, model, ASSETS, tmp_path / "masks")
    assert answer["words"].shape == answer["probabilities"].shape == (3, 2, 5)
    assert (answer["words"][1, 1] == b"").all()
    assert (answer["probabilities"][2] == 0).all()
    assert (np.diff(answer["probabilities"][0]) <= 0).all()
    assert answer["encoding"].shape == (3, 8)
    # what the model itself gives for these positions
    x = bert_inputs.rows(
        data.Vocab.from_list(ASSETS["vocabulary"]), ["the <mask> sat on <mask> .".split()], None, 8
    )
    logits = model({**x, "pred_positions": np.array([[2, 5]], "int32")})["mlm"]
    best = [WORDS[i].encode() for i in np.argmax(logits[..., 5:], -1)[0]]  # no signs
    assert answer["words"][0, :, 0].tolist() == best
    scored = follows.build(model, ASSETS)(strings(["the cat", ""]), strings(["sat on the mat", ""]))
    x = bert_inputs.rows(
        data.Vocab.from_list(ASSETS["vocabulary"]),
        [["the", "cat"], []],
        [["sat", "on", "the", "mat"], []],
        9,
    )
    nsp = model({**x, "pred_positions": np.zeros((2, 1), "int32")})["nsp"]
    expected = tf.nn.softmax(nsp)[:, 1]
    np.testing.assert_allclose(scored["probability"], expected, atol=1e-6)


def test_tags_and_answers_are_served(tmp_path):
    note = "25 kilometers on July 4."
    cases = {
        "tags": (
            models.BERTTagger,
            {"num_classes": 3},
            endpoints.bert_tagger(example=[note, "4 4", ""]),
            ["<pad>", "other", "number"],
        ),
        "answer": (
            models.BERTSpan,
            {},
            endpoints.bert_answers(questions=["how many?", ""], example=[note, ""]),
            None,
        ),
    }
    answers = {}
    for name, (make, more, (endpoint,), names) in cases.items():
        assets = ASSETS | ({"class_names": names} if names else {})
        answers[name] = check_endpoint(
            endpoint, built(make, **more), assets, tmp_path / name, batches=(0, 2)
        )
    words = [b"25", b"kilometers", b"on", b"july", b"4", b"."]
    assert answers["tags"]["words"][0].tolist() == words
    tags = answers["tags"]["tags"]
    assert set(tags[0]) <= {b"other", b"number"}
    assert tags[1].tolist() == [*tags[1, :2], b"", b"", b"", b""]
    answer = answers["answer"]["answer"]
    assert answer[0]
    assert answer[0] in b" ".join(words)
    assert answer[1] == b""
    assert answers["answer"]["probability"][1] == 0


def test_every_text_is_answered_and_what_was_cut_is_told():
    assets = ASSETS | {"class_names": ["<pad>", "other", "number"]}
    for endpoint, make, more in (
        (endpoints.masked_words(example=[""])[0], models.BERTModel, {}),
        (endpoints.bert_classifier(example=[""])[0], models.BERTClassifier, {"num_classes": 3}),
        (endpoints.bert_tagger(example=[""])[0], models.BERTTagger, {"num_classes": 3}),
        (
            endpoints.bert_answers(questions=[""], example=[""])[0],
            models.BERTSpan,
            {},
        ),
    ):
        function = endpoint.build(built(make, **more), assets)
        given = {name: strings(STRANGE) for name in endpoint.signature}
        outputs = {name: array.numpy() for name, array in function(**given).items()}
        for array in outputs.values():
            assert len(array) == len(STRANGE)
            assert array.dtype == object or np.isfinite(array).all()
        room = 12 - 1 - len(given)
        assert outputs["words_left_out"][2] == 10_000 * len(given) - room
        assert outputs["words_known"].tolist()[:4] == [0, 4 * len(given), room, 0]


def test_assets_without_signs_are_refused():
    with pytest.raises(ValueError, match="lack max_len, <sep>"):
        BERTTexts({**ASSETS, "max_len": None, "vocabulary": ASSETS["vocabulary"][:4]})
