"""`kerasd2l convert` as a person meets it, and what a converted model is good for afterwards."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from checkpoints import HERE, answers_of, arrays_of, copied
from click.testing import CliRunner

import kerasd2l
from kerasd2l.cli import main
from kerasd2l.convert import TARGETS
from kerasd2l.data import Source
from kerasd2l.export import export_run, load_model, recipe_of
from kerasd2l.run import open_run
from kerasd2l.training.fit import load_data
from kerasd2l.training.same_data import check_names


def call(*words):
    return CliRunner().invoke(main, ["convert", *map(str, words)])


def failure(code, *words):
    """Run what must fail; return its one line of error."""
    result = call(*words)
    assert result.exit_code == code, (result.output, result.exception)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("Error: "))
    return line


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder into which Hugging Face's checkpoint was converted."""
    pytest.importorskip("safetensors")
    out = tmp_path_factory.mktemp("converted") / "bert"
    result = call(HERE / "bert", "--to", "bert", "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [str(out)]
    assert "##" not in result.stderr
    assert f"--set weights={out}" in result.stderr
    return out


def test_the_folder_is_that_of_a_run_and_its_signatures_take_text(folder):
    import tensorflow as tf

    run = open_run(folder)
    assets = run.read("assets.json")
    assert assets["max_len"] == 7
    assert run.options["converted"].endswith("bert/model.safetensors")
    model, recipe = load_model(run.model), recipe_of(run)
    serve = recipe.endpoints[0].build(model, assets)
    reply = serve(tf.constant(["a <mask>, D", "As \u00c9ss!", "sa"]))
    assert reply["words_known"].numpy().tolist() == [3, 2, 0]  # a ##s, e ##s ##s; no sign, no s
    assert reply["words_left_out"].numpy().tolist() == [0, 1, 0]
    words = [assets["vocabulary"].index(word.decode()) for word in reply["words"].numpy()[0, 0]]
    texts = np.array([[3, words and 6, 2, 0, 9, 4]], "int32")  # <cls> a <mask> , d <sep>
    assert assets["vocabulary"][6] == "a" and assets["vocabulary"][9] == "d"
    x = {"tokens": texts, "segments": 0 * texts, "valid_lens": np.array([6], "int32")}
    logits = np.asarray(model.words(model.encode(x), np.array([[2]])))[0, 0]
    places = np.arange(12)  # 5 is [unused0], 11 is ##s: no words
    likely = np.where((places > 5) & (places < 11), logits, -np.inf)
    assert words == np.argsort(-likely)[:5].tolist()


@pytest.mark.parametrize("name", ["bert_single", "bert_answers"])
def test_fine_tuning_begins_from_the_folder(folder, name):
    recipe = kerasd2l.load(name, weights=str(folder), max_len=7 if name == "bert_single" else 32)
    data = load_data(recipe, Source("builtin"))
    before = open_run(folder).read("assets.json")
    assert {key: data.assets[key] for key in ("vocabulary", "tokenizer")} == {
        key: before[key] for key in ("vocabulary", "tokenizer")
    }
    assert before["tokenizer"]["pieces"] is True
    if name != "bert_single":
        with pytest.raises(ValueError, match=r"`max_len` must be at most 7.* max_len=32"):
            recipe.model(data)
        return
    head = recipe.model(data)
    before = load_model(folder / "model.keras")
    assert head.encoder.epsilon == 1e-12
    for part in ("encoder", "hidden"):
        ours, theirs = getattr(head, part).weights, getattr(before, part).weights
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(mine.numpy(), other.numpy())


def test_the_folder_knows_the_sizes_of_its_model(tmp_path):
    """`kerasd2l evaluate` asks its recipe for pairs as long as the model reads."""
    pytest.importorskip("safetensors")
    arrays, out = arrays_of("d2l_bert"), tmp_path / "d2l"
    arrays["encoder.pos_embedding"] = np.zeros((1, 40, 6), "float32")
    words = (copied("d2l_bert", tmp_path, arrays), "--to", "bert", "--set", "num_heads=3")
    assert call(*words, "--out", out).exit_code == 0
    run = open_run(out)
    known = Source("builtin", assets=run.read("assets.json"))
    data = load_data(recipe_of(run), known)
    check_names(run, data)
    assert data.features["tokens"].shape == (40,)
    batch = next(iter(data.test))[0]
    assert load_model(run.model)(batch)["mlm"].shape[-1] == 12


@pytest.mark.slow
def test_the_folder_is_exported_and_checked_without_this_library(folder, tmp_path):
    assert export_run(folder, tmp_path, name="converted").name == "1"


def test_a_file_alone_keeps_the_numbers_of_the_checkpoint(tmp_path):
    pytest.importorskip("safetensors")
    out = tmp_path / "new" / "d2l.keras"
    words = (HERE / "d2l_bert", "--to", "bert", "--set", "num_heads=3", "--out", out)
    result = call(*words, "--set", "dropout_rate=0.1", "--json")
    told = json.loads(result.stdout)
    model = keras.saving.load_model(out)
    assert told["parameters"] == model.count_params()
    assert (told["to"], told["out"], told["fresh"]) == ("bert", str(out), [])
    assert model.encoder.dropout_rate == 0.1
    answers = answers_of("d2l_bert")
    np.testing.assert_allclose(model.encode(answers), answers["encoded"], atol=1e-5)
    assert sorted(path.name for path in out.parent.iterdir()) == ["d2l.keras"]
    assert "exists already. Give another --out" in failure(1, *words)


def test_what_is_wrong_is_one_line_and_leaves_nothing(folder, tmp_path):
    there = HERE / "d2l_bert"
    out = tmp_path / "out"
    assert "Did you mean bert" in failure(2, there, "--to", "bret", "--out", out)
    assert "`kerasd2l convert --help` shows them" in failure(2, there, "--to", "xyz", "--out", out)
    bad = failure(2, there, "--to", "bert", "--set", "heads=3", "--out", out)
    assert "unknown key 'heads'. Known are num_heads, dropout_rate" in bad
    assert "num_heads" in failure(2, there, "--to", "bert", "--set", "num_heads=x", "--out", out)
    assert "cannot read" in failure(1, tmp_path / "gone", "--to", "bert", "--out", out)
    assert "num_heads=N" in failure(1, there, "--to", "bert", "--out", out)
    assert "exists already" in failure(1, HERE / "bert", "--to", "bert", "--out", folder)
    seq2seq = failure(1, HERE / "d2l_seq2seq", "--to", "seq2seq", "--out", out)
    assert "Give --out FILE.keras" in seq2seq
    other = copied("bert", tmp_path, layer_norm_eps="small")
    assert "layer_norm_eps='small'" in failure(1, other, "--to", "bert", "--out", out)
    assert not out.exists()


def test_help_lists_the_names_without_tensorflow():
    program = (
        "import sys; from click.testing import CliRunner; from kerasd2l.cli import main\n"
        "print(CliRunner().invoke(main, ['convert', '--help']).output)\n"
        "assert not {'tensorflow', 'torch', 'safetensors'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    for name, target in TARGETS.items():
        assert f"  {name}  " in done.stdout
        assert target.text in done.stdout
