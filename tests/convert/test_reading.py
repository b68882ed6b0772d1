"""Files of weights: both formats, and what only looks like one."""

import json
import os
import pickle
import sys
import zipfile

import numpy as np
import pytest
from checkpoints import HERE, answers_of, arrays_of, converted, copied, refusal

from kerasd2l.convert import ConvertError, convert
from kerasd2l.convert.reading import read
from kerasd2l.data import Tokenizer

HEADS = {"num_heads": 3}


def refused(path):
    with pytest.raises(ConvertError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_file_without_its_library_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    path = tmp_path / "pretrained.params"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    assert "PyTorch is not installed" in refused(path)
    assert "`pip install torch`" in refused(path)
    line = refused(HERE / "bert" / "model.safetensors")
    assert "safetensors is not installed" in line
    assert "`pip install safetensors`" in line


def test_a_library_that_is_broken_is_not_taken_for_one_that_is_missing(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("import no_such_module_of_torch")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "weights.pt"
    path.write_bytes(b"\x80\x02}.")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_of_torch"):
        read(path)


def test_no_checkpoint_at_all_is_told(tmp_path):
    path = tmp_path / "x"
    assert "cannot read" in refused(path)
    path.write_text("a text")
    assert "neither safetensors, nor what `torch.save` writes" in refused(path)
    path.write_bytes(b"")
    assert "is no checkpoint" in refused(path)
    (tmp_path / "folder").mkdir()
    assert "model.safetensors, pretrained.params" in refused(tmp_path / "folder")
    os.mkfifo(tmp_path / "pipe")
    assert "cannot read" in refused(tmp_path / "pipe")


def test_an_archive_of_files_is_to_be_unpacked(tmp_path):
    path = tmp_path / "bert.small.torch.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bert.small.torch/vocab.json", "[]")
    assert "Unpack it, and give its folder" in refused(path)


def test_the_content_tells_the_format_whatever_the_name_is(tmp_path):
    """The length of the header may begin as a zip or a pickle does: 19280 is "PK"."""
    safetensors = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "weights"
    for length in (19280, 640):
        one = {"a": np.ones(2, "float32")}
        rest = length - len(safetensors.save(one, {"x": ""})) + 16
        path.write_bytes(safetensors.save(one, {"x": "y" * rest}))
        assert path.read_bytes()[:2] in (b"PK", b"\x80\x02")
        assert read(path).arrays["a"].tolist() == [1, 1]


@pytest.mark.parametrize("kept", [3, 8, 9, 200, 4000, -1])
def test_a_truncated_safetensors_file_is_told(kept, tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "model.safetensors"
    path.write_bytes((HERE / "bert" / "model.safetensors").read_bytes()[:kept])
    assert "truncated or damaged" in refused(path)


def test_flipped_bytes_of_a_header_are_an_error_or_other_names(tmp_path):
    pytest.importorskip("safetensors")
    content = (HERE / "d2l_bert" / "model.safetensors").read_bytes()
    path, draw = tmp_path / "model.safetensors", np.random.RandomState(0)
    for _ in range(60):
        changed = bytearray(content)
        changed[draw.randint(3000)] ^= 1 << draw.randint(8)
        path.write_bytes(changed)
        try:
            convert(path, "bert", HEADS)
        except ConvertError as error:
            assert "\n" not in str(error)


# PyTorch


def written(torch, tmp_path, content):
    path = tmp_path / "pretrained.params"
    torch.save(content, path)
    return path


def test_a_state_dict_of_pytorch_is_what_the_same_safetensors_file_is(tmp_path):
    torch = pytest.importorskip("torch")
    arrays = arrays_of("d2l_bert")
    path = written(torch, tmp_path, {k: torch.tensor(v) for k, v in arrays.items()})
    for place in (path, tmp_path):  # the file, and its folder
        found = read(place).arrays
        assert found.keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)
    answers = answers_of("d2l_bert")
    model = convert(path, "bert", HEADS).model
    np.testing.assert_allclose(model.encode(answers), answers["encoded"], atol=1e-5)


class Program:
    def __reduce__(self):
        return os.system, ("touch /tmp/kerasd2l-ran-a-program",)


@pytest.mark.parametrize("old_format", [True, False])
def test_a_pickle_that_asks_for_a_program_is_refused_and_not_run(old_format, tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "weights.pt"
    if old_format:
        path.write_bytes(pickle.dumps({"a": Program()}, protocol=2))
    else:
        torch.save({"a": Program()}, path)
    assert "asks for posix.system, a program" in refused(path)
    assert not os.path.exists("/tmp/kerasd2l-ran-a-program")


def test_what_is_no_state_dict_is_told(tmp_path):
    torch = pytest.importorskip("torch")
    one = torch.ones(2)
    cases = {
        "it holds list": [one],
        "epoch is int, no tensor": {"epoch": 3, "state_dict": {"a": one}},
        "its key 3 is no name": {3: one},
        "holds no arrays": {},
        "sparse or quantized": {"a": one.to_sparse()},
    }
    for told, content in cases.items():
        assert told in refused(written(torch, tmp_path, content))


def test_a_damaged_file_of_pytorch_is_told(tmp_path):
    torch = pytest.importorskip("torch")
    path = written(torch, tmp_path, {"a": torch.ones(100)})
    content = path.read_bytes()
    for kept in (2, 50, len(content) // 2, len(content) - 3):
        path.write_bytes(content[:kept])
        assert "truncated or damaged" in refused(path)


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod."])
def test_what_was_trained_on_several_gpus_or_compiled_has_the_same_names(wrapper, tmp_path):
    torch = pytest.importorskip("torch")
    content = {f"{wrapper}a": torch.ones(1), f"{wrapper}b.module.c": torch.ones(1)}
    assert set(read(written(torch, tmp_path, content)).arrays) == {"a", "b.module.c"}
    content["d"] = torch.ones(1)
    assert set(read(written(torch, tmp_path, content)).arrays) == set(content)


def test_other_floats_of_pytorch_are_read(tmp_path):
    torch = pytest.importorskip("torch")
    content = {
        str(dtype): torch.ones(2, dtype=dtype)
        for dtype in (torch.bfloat16, torch.float16, torch.float64, torch.float8_e4m3fn)
    }
    content["to be trained"] = torch.ones(2, requires_grad=True)
    for array in read(written(torch, tmp_path, content)).arrays.values():
        assert array.dtype == np.float32
        assert array.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (None, "a s e"),  # all letters of the vocabulary are small
        ({"model_max_length": 512}, "a s e"),
        ({"do_lower_case": False}, "A s \u00c9"),
        ({"do_lower_case": True, "strip_accents": False}, "a s \u00e9"),
        ({"do_lower_case": False, "strip_accents": True}, "A s E"),
    ],
)
def test_words_are_made_as_tokenizer_config_tells(told, words, tmp_path):
    folder = copied("bert", tmp_path)
    if told is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(told))
    assets = converted("bert", folder, use_tokens=True).assets
    assert Tokenizer.from_assets(assets["tokenizer"])("A s \u00c9") == words.split()


def test_a_tokenizer_config_that_tells_nonsense_is_refused(tmp_path):
    folder = copied("bert", tmp_path)
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": "yes"}')
    line = refusal("bert", folder, use_tokens=True)
    assert "do_lower_case='yes': neither true nor false" in line
    for key, value in {
        "tokenizer_class": "BertJapaneseTokenizer",
        "do_basic_tokenize": False,
        "tokenize_chinese_chars": False,
        "never_split": ["a"],
        "word_tokenizer_type": "mecab",
    }.items():
        (folder / "tokenizer_config.json").write_text(json.dumps({key: value}))
        line = refusal("bert", folder, use_tokens=True)
        assert f"{key}={value!r}: only {key}=" in line
        assert "Give --out FILE.keras" in line
    (folder / "tokenizer_config.json").write_text("[]")
    assert "must hold an object" in refusal("bert", folder, use_tokens=True)


def test_a_byte_order_mark_is_no_part_of_the_first_token(tmp_path):
    folder = copied("bert", tmp_path)
    text = (folder / "vocab.txt").read_bytes()
    (folder / "vocab.txt").write_bytes(b"\xef\xbb\xbf" + text)
    tokens = converted("bert", folder, use_tokens=True).assets["vocabulary"]
    assert tokens == converted("bert", use_tokens=True).assets["vocabulary"]
