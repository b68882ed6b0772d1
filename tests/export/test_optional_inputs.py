"""Texts with settings at `kerasd2l predict NAME "text" --input repeats=3`."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from kerasd2l.cli import main
from kerasd2l.export import export, verify
from kerasd2l.recipe import Endpoint, ServingFunction, TensorSpec
from kerasd2l.serving import InputError, load


def endpoint(name, defaults, **more):
    """Make an endpoint that says a text several times."""
    signature = {
        "text": TensorSpec((None,), "string"),
        "repeats": TensorSpec((), "int32"),
        "between": TensorSpec((), "string"),
        **more,
    }

    def build(model, assets):
        def repeat(text, repeats, between):
            many = tf.tile(text[:, None], [1, repeats])
            joined = tf.strings.reduce_join(many, axis=1)
            return {"echo": tf.strings.join([joined, tf.fill(tf.shape(joined), between)])}

        return ServingFunction(repeat, defaults=defaults)

    return Endpoint(
        name, signature, build, lambda: {"text": [b"a", b"b"], "repeats": 1, "between": b"-"}
    )


def plain(model, assets):
    return lambda text: {"echo": tf.strings.upper(text)}


def model():
    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    endpoints = (
        Endpoint(
            "serving_default",
            {"text": TensorSpec((None,), "string")},
            plain,
            lambda: {"text": [b"a"]},
        ),
        endpoint("repeat", {"repeats": 2, "between": "!"}),
    )
    path = tmp_path_factory.mktemp("models")
    one = model()
    found = export(one, "tests/echo", endpoints, {}, path, name="echo")
    assert verify(found, one, endpoints, {})  # all inputs given, without this library
    return found


def test_inputs_with_a_default_may_be_left_out(folder):
    served = load(folder)
    assert served.call({"text": ["ab"]}, "repeat")["echo"].tolist() == [b"abab!"]
    assert served.predict(["ab", "c"], "repeat")["echo"].tolist() == ["abab!", "cc!"]
    found = served.predict(["a=b"], "repeat", ["repeats=3", "between=ü=ü"])
    assert found["echo"].tolist() == ["a=ba=ba=bü=ü"]
    assert (
        "repeat: text string[any], between string[] = !, repeats int32[] = 2 -> "
        in served.describe()
    )
    manifest = served.manifest["signatures"]["repeat"]["inputs"]
    assert manifest["repeats"] == {"dtype": "int32", "shape": [], "default": 2}


def test_settings_choose_the_signature_that_has_them(folder):
    served = load(folder)
    assert served.predict(["a"])["echo"].tolist() == ["A"]
    assert served.predict(["a"], None, ["repeats=3"])["echo"].tolist() == ["aaa!"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["repeat=3"], r"'repeat'. Did you mean repeats"),
        (["repeats"], r"'repeats' is not name=value. Inputs with a default: between, repeats"),
        (["text=a"], r"no input with a default is named 'text'"),
        (["repeats=two"], r"'two' is not a number"),
        (["repeats=1.5"], r"repeats takes int32"),
        (["repeats=1,2"], r"repeats takes int32"),
        (["repeats=1", "repeats=2"], r"repeats is given twice"),
    ],
)
def test_settings_that_do_not_fit(folder, settings, message):
    with pytest.raises(InputError, match=message):
        load(folder).predict(["a"], "repeat", settings)


def test_texts_and_settings_on_the_command_line(folder):
    def ask(*words):
        done = CliRunner().invoke(main, ["predict", str(folder.parent), *words])
        return done.exit_code, done.stdout.strip(), done.stderr

    assert ask("time traveller")[:2] == (0, "echo: TIME TRAVELLER")
    assert ask("a b", "c")[:2] == (0, "a b: echo A B\nc: echo C")
    code, out, _ = ask("a", "--input", "repeats=3", "--input", "between=.", "--json")
    assert code == 0 and json.loads(out)["outputs"] == {"echo": ["aaa."]}
    code, _, errors = ask("a", "--input", "repeat=3")
    assert code == 2 and "no input with a default is named 'repeat'" in errors
    assert "Inputs with a default: between, repeats" in errors.replace("\n", " ")
    for wrong in (("--input", "repeats"), ("--input", "repeats=x"), ("--signature", "none")):
        assert ask("a", *wrong)[0] == 2
    code, _, errors = ask("--input", "repeats=3")
    assert code == 1 and "no input. Give one or more texts (text)" in errors


@pytest.mark.parametrize("defaults", [{"text": "a"}, {"repeats": 1}, {"other": 1}])
def test_defaults_are_of_the_last_inputs_without_batch(tmp_path, defaults):
    with pytest.raises(ValueError, match="defaults of endpoint 'serving_default' must be of its"):
        export(
            model(), "tests/echo", (endpoint("serving_default", defaults),), {}, tmp_path, name="x"
        )


def test_graph_mode_servers_need_no_optional_input(folder):
    graph = tf.Graph()
    with graph.as_default(), tf.compat.v1.Session() as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
        signature = meta.signature_def["repeat"]
        output = session.run(
            signature.outputs["echo"].name,
            {signature.inputs["text"].name: np.array(["xy"], dtype=object)},
        )
    assert output.tolist() == [b"xyxy!"]
