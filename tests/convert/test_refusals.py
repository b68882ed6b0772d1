"""What is missing, left over, of another shape, damaged or contradictory is refused by its name."""

import checkpoints
import numpy as np
import pytest
from checkpoints import HERE, NAMES, SETTINGS, arrays_of, copied, refusal

from kerasd2l.convert import TARGETS, ConvertError, convert

SOME = {
    "bert": "bert.encoder.layer.1.attention.self.key.bias",
    "d2l_seq2seq": "decoder.rnn.rnn.bias_hh_l1",
}


@pytest.mark.parametrize("case", NAMES)
def test_an_array_too_many_is_named(case, tmp_path):
    more = arrays_of(case) | {"classifier.weight": np.zeros((2, 6), "float32")}
    assert "left over: classifier.weight." in refusal(case, copied(case, tmp_path, more))


@pytest.mark.parametrize("case", SOME)
@pytest.mark.parametrize("change", ["longer", "turned", "numbers"])
def test_an_array_of_another_shape_or_kind_is_named(case, change, tmp_path):
    arrays = arrays_of(case)
    name = SOME[case]
    change = {
        "longer": lambda a: np.concatenate([a, a[:1]]),
        "turned": lambda a: a[None],
        "numbers": lambda a: a.astype("int32"),
    }[change]
    line = refusal(case, copied(case, tmp_path, arrays | {name: change(arrays[name])}))
    assert "of another shape: " in line
    assert name in line


def test_positions_of_two_models_are_not_taken_for_those_of_one(tmp_path):
    arrays = arrays_of("d2l_bert")
    arrays["encoder.pos_embedding"] = np.repeat(arrays["encoder.pos_embedding"], 2, axis=0)
    line = refusal("d2l_bert", copied("d2l_bert", tmp_path, arrays))
    assert "of another shape: encoder.pos_embedding (2, 7, 6)" in line


def test_every_array_that_is_not_there_is_named(tmp_path):
    """The whole of each file is needed: no rule passes over what it should take."""
    for case in NAMES:
        arrays = arrays_of(case)
        for i, name in enumerate(arrays):
            rest = {key: array for key, array in arrays.items() if key != name}
            with pytest.raises(ConvertError, match=name.replace(".", r"\.")):
                convert(
                    copied(case, tmp_path / f"{case}{i}", rest), NAMES[case], SETTINGS.get(case)
                )


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("hidden_size", 12, "hidden_size=12, the weights say 6"),
        ("num_hidden_layers", 3, "num_hidden_layers=3, the weights say 2"),
        ("vocab_size", 13, "vocab_size=13, the weights say 12"),
        ("intermediate_size", "10", "intermediate_size='10', the weights say 10"),
        ("max_position_embeddings", 8, "the weights say 7"),
        ("num_attention_heads", 4, "divisible by `num_heads`"),
        ("num_attention_heads", "three", "no whole number"),
        ("hidden_act", "gelu_new", "hidden_act='gelu_new': known are gelu"),
        ("layer_norm_eps", -1, "layer_norm_eps=-1: no number that can be"),
        ("model_type", "roberta", "only model_type='bert' is converted"),
        ("position_embedding_type", "relative_key", "only position_embedding_type='absolute'"),
        ("is_decoder", True, "only is_decoder=False"),
        ("type_vocab_size", 3, "only type_vocab_size=2"),
        ("tie_word_embeddings", False, r"missing: cls.predictions.decoder.weight"),
    ],
)
def test_a_config_that_contradicts_the_weights_is_refused(key, value, told, tmp_path):
    assert told in refusal("bert", copied("bert", tmp_path, **{key: value}))


def test_a_config_that_says_tied_beside_an_output_of_its_own_is_refused(tmp_path):
    arrays = arrays_of("bert")
    arrays["cls.predictions.decoder.weight"] = np.ones((12, 6), "float32")
    line = refusal("bert", copied("bert", tmp_path, arrays))
    assert "tie_word_embeddings=true, but cls.predictions.decoder.weight is not" in line


def test_the_number_of_heads_must_come_from_somewhere(tmp_path):
    pytest.importorskip("safetensors")
    with pytest.raises(ConvertError, match="--set num_heads=N"):
        convert(HERE / "d2l_bert", "bert")
    with pytest.raises(ConvertError, match="says num_heads=2, the checkpoint says num_heads=3"):
        convert(HERE / "bert", "bert", {"num_heads": 2})
    with pytest.raises(ConvertError, match=r"bert_small has num_heads=4\. Received: 8"):
        convert(HERE / "d2l_bert", "bert_small", {"num_heads": 8})
    with pytest.raises(ConvertError, match="num_hiddens=256, the checkpoint says num_hiddens=6"):
        convert(HERE / "d2l_bert", "bert_small")
    folder = copied("bert", tmp_path)
    (folder / "config.json").unlink()
    with pytest.raises(ConvertError, match="--set num_heads=N"):
        convert(folder, "bert")
    taken = convert(folder, "bert", {"num_heads": 3})
    assert "no config.json" in taken.remarks[0]
    assert taken.model.encoder.epsilon == 1e-12


def test_names_and_settings_that_there_are_not_are_refused():
    there = HERE / "d2l_seq2seq"
    with pytest.raises(ValueError, match=r"one of bert, bert_small, .*Received: 'bart'"):
        convert(there, "bart")
    with pytest.raises(ValueError, match=r"settings dropout_rate\. Received: num_heads"):
        convert(there, "seq2seq", {"num_heads": 2})
    pytest.importorskip("safetensors")
    with pytest.raises(ConvertError, match="makes no seq2seq: `dropout_rate` must be in") as caught:
        convert(there, "seq2seq", {"dropout_rate": 5.0})
    assert "\n" not in str(caught.value)
    with pytest.raises(ConvertError, match=r"makes no bert: .*rate") as caught:
        convert(HERE / "d2l_bert", "bert", {"num_heads": 3, "dropout_rate": 5.0})
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_something_else_is_told_by_its_names():
    pytest.importorskip("safetensors")
    for case in NAMES:
        for name in TARGETS:
            if name.partition("_")[0] != NAMES[case].partition("_")[0]:
                with pytest.raises(ConvertError, match=rf"holds no {name}: it has .*Known are"):
                    convert(HERE / case, name)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[PAD]\n[UNK]\n[CLS]\n[SEP]\n", r"lacks \[MASK\]"),
        ("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n", "6 tokens, bert.embeddings.word_emb.*12 rows"),
        ("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\na\nb\nc\nd\ne\nf\n", "distinct: 'a' is there 2"),
        ("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n<unk>\na\nb\nc\nd\ne\nf\n", "must be distinct"),
        (b"\xff\n", "cannot read"),
    ],
)
def test_a_vocabulary_that_does_not_fit_is_refused(text, told, tmp_path):
    folder = copied("bert", tmp_path)
    (folder / "vocab.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConvertError, match=told):
        checkpoints.converted("bert", folder, use_tokens=True)


def test_a_folder_of_a_run_needs_a_vocabulary(tmp_path):
    folder = copied("d2l_bert", tmp_path)
    (folder / "vocab.json").unlink()
    line = refusal("d2l_bert", folder, use_tokens=True)
    assert "vocab.txt or vocab.json beside" in line
    assert "Give --out FILE.keras" in line
    (folder / "vocab.json").write_text('{"a": 0}')
    assert "must hold a JSON list of tokens" in refusal("d2l_bert", folder, use_tokens=True)
