"""Converted models compute what the programs compute that wrote the checkpoints."""

import checkpoints
import keras
import numpy as np
import pytest
from checkpoints import HERE, NAMES, answers_of, arrays_of, converted

from kerasd2l.convert import convert


def same(ours, theirs):
    np.testing.assert_allclose(np.asarray(ours), theirs, atol=1e-5)


@pytest.fixture(scope="module", params=NAMES)
def case(request):
    return request.param


@pytest.fixture(scope="module")
def model(case, tmp_path_factory):
    """A converted model, written and read again."""
    path = tmp_path_factory.mktemp(case) / "model.keras"
    converted(case).model.save(path)
    return keras.saving.load_model(path)


def test_outputs_are_the_references(case, model):
    answers = answers_of(case)
    if "logits" in answers:
        same(model(answers), answers["logits"])
        return
    outputs = model(answers)
    same(model.encode(answers), answers["encoded"])
    same(outputs["mlm"], answers["mlm"])
    # Hugging Face says "follows, does not", the book and we "does not, follows"
    same(outputs["nsp"], answers["nsp"][:, ::-1] if case == "bert" else answers["nsp"])


def test_a_changed_array_changes_the_outputs(tmp_path):
    """What is counted as used is used."""
    case = "bert"
    answers, arrays = answers_of(case), arrays_of(case)
    before = converted(case).model(answers)
    for name in ("embeddings.token_type_embeddings.weight", "encoder.layer.1.output.dense.bias"):
        other = arrays | {f"bert.{name}": arrays[f"bert.{name}"] + np.arange(6, dtype="float32")}
        folder = checkpoints.copied(case, tmp_path / name, other)
        after = converted(case, folder).model(answers)
        assert np.abs(np.asarray(after["nsp"]) - np.asarray(before["nsp"])).max() > 1e-3


@pytest.mark.parametrize("case", ["bert", "d2l_bert"])
def test_words_get_our_numbers_and_keep_their_meaning(case):
    """The vocabulary is reordered, with every row that belongs to a word; nothing else changes."""
    answers, taken = answers_of(case), converted(case, use_tokens=True)
    if case == "bert":
        theirs = (HERE / case / "vocab.txt").read_text().split()
        signs = {"[UNK]": "<unk>", "[PAD]": "<pad>", "[MASK]": "<mask>", "[CLS]": "<cls>"}
        theirs = [(signs | {"[SEP]": "<sep>"}).get(token, token) for token in theirs]
    else:
        theirs = checkpoints.json.loads((HERE / case / "vocab.json").read_text())
    ours = taken.assets["vocabulary"]
    assert ours[:5] == ["<unk>", "<pad>", "<mask>", "<cls>", "<sep>"]
    assert sorted(ours) == sorted(theirs)
    place = np.array([ours.index(token) for token in theirs], "int32")
    answers["tokens"] = place[answers["tokens"]]
    outputs = taken.model(answers)
    same(taken.model.encode(answers), answers["encoded"])
    same(np.asarray(outputs["mlm"])[..., place], answers["mlm"])


@pytest.mark.parametrize("whole", ["d2l_seq2seq", "d2l_transformer"])
def test_an_encoder_alone_is_converted_too(whole, tmp_path):
    arrays = {
        name.removeprefix("encoder."): array
        for name, array in arrays_of(whole).items()
        if name.startswith("encoder.")
    }
    folder = checkpoints.copied(whole, tmp_path, arrays)
    name = f"{NAMES[whole]}_encoder"
    answers = answers_of(whole)
    x = {"source": answers["source"], "source_lengths": np.full(3, 5, "int32")}
    x |= {key: answers[key] for key in x.keys() & answers.keys()}
    encoder = convert(folder, name, checkpoints.SETTINGS.get(whole)).model
    same(encoder(x), answers["encoded"])
    path = tmp_path / "encoder.keras"
    encoder.save(path)
    same(keras.saving.load_model(path)(x), answers["encoded"])


def test_the_earlier_edition_names_its_gru_without_a_layer_around_it(tmp_path):
    arrays = {k.replace("rnn.rnn", "rnn"): v for k, v in arrays_of("d2l_seq2seq").items()}
    folder = checkpoints.copied("d2l_seq2seq", tmp_path, arrays)
    answers = answers_of("d2l_seq2seq")
    same(converted("d2l_seq2seq", folder).model(answers), answers["logits"])


def test_names_as_of_tensorflow_and_what_is_told_twice_are_understood(tmp_path):
    """bert-base-uncased's own file says gamma and beta; others repeat the output, count places."""
    arrays = arrays_of("bert")
    for old, new in (("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")):
        arrays = {name.replace(old, new): array for name, array in arrays.items()}
    arrays["bert.embeddings.position_ids"] = np.arange(7)[None]
    arrays["cls.predictions.decoder.weight"] = arrays["bert.embeddings.word_embeddings.weight"]
    arrays["cls.predictions.decoder.bias"] = arrays["cls.predictions.bias"]
    folder = checkpoints.copied("bert", tmp_path, arrays)
    answers = answers_of("bert")
    same(converted("bert", folder).model(answers)["mlm"], answers["mlm"])


def test_an_output_of_its_own_stays_one(tmp_path):
    arrays = arrays_of("bert")
    table = arrays["bert.embeddings.word_embeddings.weight"]
    arrays["cls.predictions.decoder.weight"] = 2 * table
    arrays["cls.predictions.decoder.bias"] = arrays.pop("cls.predictions.bias")
    folder = checkpoints.copied("bert", tmp_path, arrays, tie_word_embeddings=False)
    answers = answers_of("bert")
    taken = converted("bert", folder).model
    bias = arrays["cls.predictions.decoder.bias"]
    assert not taken.tied
    same(taken(answers)["mlm"], 2 * (answers["mlm"] - bias) + bias)


def test_epsilon_activation_and_dropout_are_those_of_the_config(tmp_path):
    changes = {"layer_norm_eps": 0.5, "hidden_act": "relu", "hidden_dropout_prob": 0.25}
    folder = checkpoints.copied("bert", tmp_path, **changes)
    encoder = converted("bert", folder).model.encoder
    assert (encoder.epsilon, encoder.activation, encoder.dropout_rate) == (0.5, "relu", 0.25)
    encoder = converted("bert").model.encoder
    assert (encoder.epsilon, encoder.activation, encoder.embed_norm) == (1e-12, "gelu", True)
    encoder = converted("d2l_bert").model.encoder
    assert (encoder.epsilon, encoder.activation, encoder.embed_norm) == (1e-5, "relu", False)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
def test_other_floats_are_read(kind, tmp_path):
    dtype = pytest.importorskip("ml_dtypes").bfloat16 if kind == "bfloat16" else kind
    arrays = {name: array.astype(dtype) for name, array in arrays_of("d2l_seq2seq").items()}
    folder = checkpoints.copied("d2l_seq2seq", tmp_path, arrays)
    answers = answers_of("d2l_seq2seq")
    logits = np.asarray(converted("d2l_seq2seq", folder).model(answers))
    np.testing.assert_allclose(logits, answers["logits"], atol=0.05)


@pytest.mark.parametrize("part", ["hidden", "mlm", "nsp"])
def test_a_head_that_is_not_there_is_drawn_and_told(part, tmp_path):
    theirs = {"hidden": "bert.pooler.", "mlm": "cls.predictions.", "nsp": "cls.seq_relationship."}
    for case, prefix in (("bert", theirs[part]), ("d2l_bert", f"{part}.")):
        arrays = {k: v for k, v in arrays_of(case).items() if not k.startswith(prefix)}
        taken = converted(case, checkpoints.copied(case, tmp_path / case, arrays))
        assert list(taken.fresh) == [part]
        answers = answers_of(case)
        same(taken.model.encode(answers), answers["encoded"])
