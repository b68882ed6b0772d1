"""A SavedModel in a session answers as TensorFlow's own loader does."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from small_arguments import SMALL_ARGUMENTS

pytest.importorskip("tensorflow_serving", reason="needs the extra kerasd2l[serve]")

from kerasd2l import finding
from kerasd2l.data import Source
from kerasd2l.export.manifest import SavedModelError
from kerasd2l.serving import predict
from kerasd2l.serving.server.calls import ServingError
from kerasd2l.serving.server.graph import Graph
from kerasd2l.serving.server.loaded import LoadedVersion
from kerasd2l.testing import check_recipe

RECIPES = [entry.name for entry in finding.entries() if entry.kind == "recipe"]
SHIPPED = Path(__file__).parents[2] / "savedmodels"
NUMBERS = tf.TensorSpec((None,), tf.float32, "x")
TEXTS = tf.TensorSpec((None,), tf.string, "text")


class Module(tf.Module):
    """One signature for each thing that a graph can have."""

    def __init__(self):
        self.scale = tf.Variable(2.0)
        keys, values = tf.constant(["one", "two"]), tf.constant([1, 2], tf.int64)
        self.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), 0)

    @tf.function(input_signature=[NUMBERS])
    def twice(self, x):
        return {"a": x * self.scale, "b": x * self.scale, "same": x}

    @tf.function(input_signature=[TEXTS])
    def look_up(self, text):
        return {"found": self.table.lookup(text), "joined": tf.strings.reduce_join(text)}

    @tf.function(input_signature=[NUMBERS])
    def count(self, x):
        total = tf.constant(0.0)
        for _ in tf.range(30_000):
            total += x[0]
        return {"total": total}

    @tf.function(input_signature=[NUMBERS])
    def choose(self, x):
        return {"y": tf.cond(x[0] > 0, lambda: x * self.scale, lambda: -x)}

    @tf.function(input_signature=[NUMBERS])
    def refuse(self, x):
        with tf.control_dependencies([tf.debugging.Assert(x[0] > 0, ["x must be positive"])]):
            return {"y": tf.identity(x)}

    @tf.function(input_signature=[TEXTS])
    def split(self, text):
        return {"words": tf.strings.split(text)}

    @tf.function(input_signature=[])
    def nothing(self):
        return {"scale": self.scale.read_value()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("graph") / "1"
    module = Module()
    names = ["twice", "look_up", "count", "choose", "refuse", "split", "nothing"]
    signatures = {name: getattr(module, name).get_concrete_function() for name in names}
    tf.saved_model.save(module, str(path), signatures=signatures)
    return path


@pytest.fixture(scope="module")
def graph(folder):
    graph = Graph(folder)
    yield graph
    graph.close()


def numbers(*values):
    return np.array(values, np.float32)


def texts(*values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


@pytest.mark.parametrize(
    "name",
    [
        "gru_time_machine",
        pytest.param("lenet_mnist", marks=pytest.mark.slow),
        pytest.param("names_languages", marks=pytest.mark.slow),
    ],
)
def test_shipped_models_answer_as_without_a_session(name):
    check_session(SHIPPED / name)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_every_export_answers_in_a_session(name, tmp_path, no_real_data):
    """As in TensorFlow Serving, which has no other way."""
    summary = check_recipe(
        name,
        tmp_path,
        source=Source("builtin"),
        arguments=SMALL_ARGUMENTS.get(name, {}),
        replicas=None,
        resume=False,
        graphs="rcnn" in name,  # of boxes that are all but equal, rounding decides which is first
    )
    if summary["savedmodel"]:
        check_session(summary["savedmodel"])


def check_session(folder):
    """Require the answers that the SavedModel gives through TensorFlow's own loader."""
    here = predict.load(folder)
    version = LoadedVersion("some", 1, Path(folder))
    assert version.signatures == here.signatures
    asked = [(key, arrays) for key, arrays in version.examples() if key != "generate"]
    assert asked
    for signature, arrays in asked:
        answer, expected = version.run(signature, arrays), here.call(arrays, signature)
        assert list(answer) == sorted(expected)
        for key, value in expected.items():
            value = np.asarray(value)
            assert answer[key].dtype == value.dtype and answer[key].shape == value.shape
            if value.dtype.kind == "f":
                np.testing.assert_allclose(answer[key], value, rtol=1e-5, atol=1e-6)
            else:
                np.testing.assert_array_equal(answer[key], value)
    version.close()


def test_an_output_may_be_there_twice_or_be_an_input(graph):
    answer = graph.run("twice", {"x": numbers(1, 3)})
    assert {key: value.tolist() for key, value in answer.items()} == {
        "a": [2, 6],
        "b": [2, 6],
        "same": [1, 3],
    }


def test_tables_are_filled_and_a_scalar_of_text_is_an_object(graph):
    answer = graph.run("look_up", {"text": texts(b"two", b"three")})
    assert answer["found"].tolist() == [2, 0]
    assert answer["joined"].dtype == object and answer["joined"][()] == b"twothree"


def test_long_loops_and_branches(graph):
    assert graph.run("count", {"x": numbers(1)})["total"] == 30_000
    assert graph.run("choose", {"x": numbers(3)})["y"].tolist() == [6]
    assert graph.run("choose", {"x": numbers(-3)})["y"].tolist() == [3]


def test_only_what_has_no_loop_runs_in_the_callers_thread(graph):
    assert graph._loops == {"count"}


def test_a_refusal_is_tensorflows(graph):
    with pytest.raises(tf.errors.InvalidArgumentError, match="x must be positive"):
        graph.run("refuse", {"x": numbers(-1)})
    assert graph.run("refuse", {"x": numbers(1)})["y"].tolist() == [1]


def test_no_inputs_and_outputs_that_are_no_tensor(graph):
    assert graph.run("nothing", {})["scale"] == 2
    with pytest.raises(ServingError, match="ragged or sparse") as error:
        graph.run("split", {"text": texts(b"a b")})
    assert error.value.code == "UNIMPLEMENTED"


def test_an_array_of_one_repeated_value(graph):
    assert graph.run("twice", {"x": np.broadcast_to(np.float32(4), 3)})["a"].tolist() == [8] * 3


def test_what_cannot_be_loaded_is_told(tmp_path, folder):
    with pytest.raises(SavedModelError, match="cannot load"):
        Graph(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"\xff" * 9)
    with pytest.raises(SavedModelError, match="cannot load"):
        Graph(tmp_path)
    tf.saved_model.save(tf.Module(), str(tmp_path / "empty"))
    with pytest.raises(SavedModelError, match="no signatures"):
        Graph(tmp_path / "empty")
