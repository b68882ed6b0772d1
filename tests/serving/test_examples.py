import base64
import json

import pytest
from served_fakes import FakeModels, answered, of_examples

pytest.importorskip("tensorflow_serving")

from tensorflow.core.example.example_pb2 import Example

from kerasd2l.serving.server import example_rows, examples
from kerasd2l.serving.server.calls import Request, ServingError


def features(serialized):
    found = Example.FromString(serialized).features.feature
    return {name: list(getattr(f, f.WhichOneof("kind")).value) for name, f in found.items()}


def test_rows_become_examples():
    signature, (one, other) = example_rows.read(
        {
            "signature_name": "regress",
            "context": {"both": 1, "own": "first"},
            "examples": [
                {"x": [1.5, 2.0], "n": 3, "flag": True, "s": "ü"},
                {"b": {"b64": base64.b64encode(b"\xff\0").decode()}, "own": ["a", "b"]},
            ],
        }
    )
    assert signature == "regress"
    both = {"both": [1], "own": [b"first"]}
    assert features(one) == {**both, "x": [1.5, 2.0], "n": [3], "flag": [1], "s": "ü".encode()} | {
        "s": ["ü".encode()]
    }
    assert features(other) == {"both": [1], "own": [b"a", b"b"], "b": [b"\xff\0"]}
    assert example_rows.read({"examples": [{}]}) == ("serving_default", [b""])


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ([], "must be a JSON object"),
        ({}, "key 'examples' is expected and was not found"),
        ({"examples": {}}, "Expecting 'examples' value to be an list/array"),
        ({"examples": []}, "'examples' value is an empty array"),
        ({"examples": [1]}, "Example must be JSON object but got JSON Number"),
        ({"examples": [{}], "context": []}, "Example must be JSON object but got JSON Array"),
        ({"examples": [{}], "signature_name": 1}, "must be a string value"),
        (
            {"examples": [{"a": [1, 2.5]}]},
            "Unexpected element type in feature: a expecting type: in",
        ),
        ({"examples": [{"a": None}]}, "Feature: a has element with unexpected JSON type: Null"),
        ({"examples": [{"a": [[1]]}]}, "unexpected JSON type: Array"),
        ({"examples": [{"a": 2**63}]}, "Only int64 is supported"),
        ({"examples": [{"a": 1e39}]}, "Cannot convert JSON value: 1e.39 to float"),
        ({"examples": [{"a": {"b64": "?"}}]}, "Unable to base64 decode"),
        ({"examples": [{"\ud800": 1}]}, "name of a feature is no text"),
    ],
)
def test_wrong_bodies_are_refused_in_the_words_of_tensorflow_serving(content, match):
    with pytest.raises(ServingError, match=match) as error:
        example_rows.read(content)
    assert error.value.code == "INVALID_ARGUMENT"


def results(verb, content, models=None):
    request = Request("rest", "POST", f"/v1/models/estimator:{verb}", body=content)
    models = models or FakeModels([of_examples()])
    body = answered(examples.handle(request, verb, "estimator", None, None, models)).body
    return body, json.loads(body)["results"]


def test_rest_answers_with_rows_of_labels_and_scores_or_numbers():
    body, rows = results("classify", b'{"examples": [{}, {}]}')
    assert rows[0][0] == ["a", 0.0] and rows[1][0] == ["a", 0.0]
    assert b"NaN" in body  # the score of "b": TensorFlow Serving writes it so, too
    content = b'{"signature_name": "regress", "examples": [{}, {"a": 1}]}'
    assert results("regress", content)[1] == [0.0, 14.0]


def test_signatures_of_ours_neither_classify_nor_regress():
    with pytest.raises(
        ServingError,
        match="Expected classification signature method_name to be tensorflow/serving/classify"
        r"\. Was: tensorflow/serving/predict",
    ):
        results("classify", b'{"signature_name": "predict", "examples": [{}]}')


def test_a_bad_body_is_told_before_an_unknown_model():
    with pytest.raises(ServingError, match="JSON Parse error"):
        results("classify", b"", FakeModels([]))
    with pytest.raises(ServingError, match="Servable not found for request"):
        results("classify", b'{"examples": [{}]}', FakeModels([]))
