import json
import struct

import ml_dtypes
import numpy as np
import pytest
from served_fakes import FakeModels, answered, echo, half_plus_two

from kerasd2l.recipe import TensorSpec
from kerasd2l.serving.server import open_inference
from kerasd2l.serving.server.calls import Request, ServingError

MODELS = FakeModels([half_plus_two(122), half_plus_two(123)])
INFER = "/v2/models/half_plus_two/infer"


def ask(method, path, body=b"", models=MODELS, headers=None):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return answered(open_inference.handle(Request("v2", method, path, headers or {}, body), models))


def get(path, models=MODELS):
    return json.loads(ask("GET", path, models=models).body)


def tensor(data, datatype="FP32", shape=None, name="x", **parameters):
    content = {
        "name": name,
        "shape": [len(data)] if shape is None else shape,
        "datatype": datatype,
        "data": data,
    }
    return {**content, "parameters": parameters} if parameters else content


def infer(*tensors, models=MODELS, path=INFER, **content):
    return json.loads(ask("POST", path, {"inputs": list(tensors), **content}, models).body)


def in_binary(content, binary, models=MODELS, path=INFER, length=None):
    head = json.dumps(content).encode()
    headers = {"inference-header-content-length": str(len(head) if length is None else length)}
    return ask("POST", path, head + binary, models, headers)


def split(reply):
    """Return the JSON and the bytes behind it."""
    size = int(reply.headers["inference-header-content-length"])
    assert reply.headers["content-type"] == "application/octet-stream"
    return json.loads(reply.body[:size]), reply.body[size:]


def test_server_says_that_it_lives_is_ready_and_what_it_can():
    assert get("/v2")["extensions"] == ["binary_tensor_data"]
    assert get("/v2/")["name"] == "kerasd2l"
    assert get("/v2/health/live") == {"live": True}
    assert get("/v2/health/ready") == {"ready": True}
    reply = ask("GET", "/v2/health/ready", models=FakeModels([], is_ready=False))
    assert reply.http_status == 503 and json.loads(reply.body) == {"ready": False}


def test_model_says_that_it_is_ready_and_what_it_takes():
    ready = {"name": "half_plus_two", "ready": True}
    assert get("/v2/models/half_plus_two/ready") == ready
    assert get("/v2/models/half%5Fplus_two/versions/122/ready") == ready
    assert get("/v2/models/half_plus_two") == {
        "name": "half_plus_two",
        "versions": ["122", "123"],
        "platform": "tensorflow_savedmodel",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1]}],
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [-1]},
            {"name": "z", "datatype": "INT64", "shape": [-1]},
        ],
        "properties": {"signature_names": "serving_default,texts"},
    }


def test_json_is_answered_in_json():
    assert infer(tensor([1.0, 2.0, 5]), id="42") == {
        "model_name": "half_plus_two",
        "model_version": "123",
        "id": "42",
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [3], "data": [2.5, 3.0, 4.5]},
            {"name": "z", "datatype": "INT64", "shape": [3], "data": [0, 1, 2]},
        ],
    }
    answer = infer(tensor([1]), path="/v2/models/half_plus_two/versions/122/infer")
    assert answer["model_version"] == "122" and "id" not in answer


def test_outputs_are_those_that_are_asked_for_in_their_order():
    names = [{"name": "z"}, {"name": "y"}]
    assert [out["name"] for out in infer(tensor([1]), outputs=names)["outputs"]] == ["z", "y"]
    assert [out["name"] for out in infer(tensor([1]), outputs=names[:1])["outputs"]] == ["z"]


def test_a_parameter_says_which_signature_answers():
    text = tensor(["a", "ü"], "BYTES", name="text")
    answer = infer(text, parameters={"signature_name": "texts"})
    assert answer["outputs"][0]["data"] == ["a", "ü"]
    # an output that is called bytes is base64 whatever it holds
    assert answer["outputs"][1]["data"] == ["YQ==", "w7w="]
    assert answer["outputs"][1]["parameters"] == {"content_type": "base64"}
    twice = infer(text, tensor([2], "INT32", [], "again"), parameters={"signature_name": "texts"})
    assert twice["outputs"][0]["data"] == ["aa", "üü"]


def test_floats_are_short_and_may_be_no_numbers():
    data = [0.1, 1e-30, float("nan"), float("-inf")]
    body = ask("POST", "/v2/models/echo/infer", {"inputs": [tensor(data)]}, echo("float32")).body
    assert b"0.1," in body and b"1e-30," in body and b"NaN" in body and b"-Infinity" in body
    found = json.loads(body)["outputs"][0]["data"]
    np.testing.assert_array_equal(np.float32(found), np.float32(data))


NUMBERS = {
    "BOOL": "bool",
    **{f"INT{n}": f"int{n}" for n in (8, 16, 32, 64)},
    **{f"UINT{n}": f"uint{n}" for n in (8, 16, 32, 64)},
    **{f"FP{n}": f"float{n}" for n in (16, 32, 64)},
    "BF16": ml_dtypes.bfloat16,
}


@pytest.mark.parametrize("datatype", NUMBERS)
def test_every_datatype_goes_in_and_out(datatype):
    dtype = np.dtype(NUMBERS[datatype])
    array = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    models, path = echo(dtype.name, 2), "/v2/models/echo/infer"
    # nested as it is, and flat
    for data in (array.tolist(), array.ravel().tolist()):
        data = np.array(data, dtype=object).astype(bool if datatype == "BOOL" else float).tolist()
        if "INT" in datatype:
            data = array.tolist()
        (out,) = infer(tensor(data, datatype, [2, 3]), models=models, path=path)["outputs"]
        assert out["shape"] == [2, 3] and out["datatype"] == datatype
        assert out["data"] == array.astype(float).ravel().tolist()
    inputs = [{"name": "x", "shape": [2, 3], "datatype": datatype, "parameters": {}}]
    inputs[0]["parameters"]["binary_data_size"] = array.nbytes
    content = {"inputs": inputs, "parameters": {"binary_data_output": True}}
    head, raw = split(in_binary(content, array.tobytes(), models, path))
    assert raw == array.tobytes()
    assert head["outputs"][0]["parameters"] == {"binary_data_size": array.nbytes}
    assert "data" not in head["outputs"][0]


def test_the_example_of_the_binary_extension_is_understood():
    """https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md."""
    models = echo("uint32", 2)
    version = models.versions[0]
    version.signatures["serving_default"].inputs["input1"] = TensorSpec((None,), "bool")
    version.functions["serving_default"] = lambda x, input1: {"x": np.float32([[1, 2]] * 3)}
    content = {
        "model_name": "mymodel",
        "inputs": [
            {
                "name": "x",
                "shape": [2, 2],
                "datatype": "UINT32",
                "parameters": {"binary_data_size": 16},
            },
            {
                "name": "input1",
                "shape": [3],
                "datatype": "BOOL",
                "parameters": {"binary_data_size": 3},
            },
        ],
        "outputs": [{"name": "x", "parameters": {"binary_data": True}}],
    }
    reply = in_binary(
        content, struct.pack("<4I3B", 1, 2, 3, 4, 1, 0, 1), models, "/v2/models/echo/infer"
    )
    head, raw = split(reply)
    assert head["outputs"] == [
        {"name": "x", "datatype": "FP32", "shape": [3, 2], "parameters": {"binary_data_size": 24}}
    ]
    assert struct.unpack("<6f", raw) == (1, 2, 1, 2, 1, 2)


def test_bytes_have_their_length_before_them():
    raw = b"\x02\0\0\0\xff\0" + b"\0\0\0\0"
    inputs = [
        {"name": "x", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": 10}}
    ]
    content = {"inputs": inputs, "outputs": [{"name": "x", "parameters": {"binary_data": True}}]}
    models, path = echo("string"), "/v2/models/echo/infer"
    assert split(in_binary(content, raw, models, path))[1] == raw
    # in JSON, what is no text is base64; and is taken so
    (out,) = json.loads(in_binary({"inputs": inputs}, raw, models, path).body)["outputs"]
    assert out["data"] == ["/wA=", ""] and out["parameters"] == {"content_type": "base64"}
    again = tensor(out["data"], "BYTES", content_type="base64")
    assert infer(again, models=models, path=path)["outputs"] == [out]


def test_one_output_may_be_binary_and_another_json():
    content = {
        "inputs": [tensor([1.0])],
        "outputs": [{"name": "y"}, {"name": "z", "parameters": {"binary_data": False}}],
        "parameters": {"binary_data_output": True},
    }
    head, raw = split(ask("POST", INFER, content))
    assert struct.unpack("<f", raw) == (2.5,)
    assert head["outputs"][1]["data"] == [0]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v2/models/no", "NOT_FOUND"),
        ("/v2/models/no/ready", "NOT_FOUND"),
        ("/v2/models/half_plus_two/versions/7", "NOT_FOUND"),
        ("/v2/models/half_plus_two/versions/x", "INVALID_ARGUMENT"),
        ("/v2/models/half_plus_two/versions/99999999999999999999", "INVALID_ARGUMENT"),
        ("/v2/models/half_plus_two/stats", "NOT_FOUND"),
        ("/v2/models", "NOT_FOUND"),
        ("/v2/health", "NOT_FOUND"),
    ],
)
def test_what_is_not_there_is_an_error(path, code):
    with pytest.raises(ServingError) as error:
        get(path)
    assert error.value.code == code


def test_the_wrong_verb_is_an_error():
    for method, path in (("GET", INFER), ("POST", "/v2"), ("POST", "/v2/models/half_plus_two")):
        reply = ask(method, path)
        assert reply.http_status == 405 and "takes" in json.loads(reply.body)["error"]


@pytest.mark.parametrize(
    ("body", "match"),
    [
        (b"", "JSON Parse error"),
        (b"[]", "must be a JSON object"),
        ({}, "needs inputs"),
        ({"inputs": [1]}, "needs inputs: a list of objects"),
        ({"inputs": [{}]}, "needs a name"),
        ({"inputs": [tensor([1]), tensor([1])]}, "x is there twice"),
        ({"inputs": [tensor([1], "FP31")]}, "no datatype 'FP31'. There are BOOL"),
        ({"inputs": [tensor([1], shape=[-1])]}, "size -1 is no size"),
        ({"inputs": [tensor([1], shape=[True])]}, "size True is no size"),
        ({"inputs": [{**tensor([1]), "shape": "1"}]}, "needs a shape"),
        ({"inputs": [tensor([1], shape=[2**40])]}, "takes 1099511627776 values. Received: 1"),
        (
            {"inputs": [tensor([[1, 2]], shape=[2, 1])]},
            r"shape \[2, 1\], its data the shape \[1, 2\]",
        ),
        ({"inputs": [tensor([[1], [1, 2]])]}, "lists of different lengths"),
        ({"inputs": [tensor(["1"])]}, "takes FP32, its data holds other values"),
        ({"inputs": [tensor([None])]}, "takes FP32"),
        ({"inputs": [tensor([True])]}, "takes FP32"),
        ({"inputs": [tensor([1e39])]}, "out of the range of FP32"),
        ({"inputs": [tensor([1.5], "INT64")]}, "takes INT64"),
        ({"inputs": [tensor([2**70], "INT64")]}, "takes INT64"),
        ({"inputs": [tensor([-1], "UINT8")]}, "out of the range of UINT8"),
        ({"inputs": [tensor([1], "BYTES")]}, "takes BYTES"),
        ({"inputs": [tensor([["a"], "b"], "BYTES")]}, "BYTES|different lengths"),
        ({"inputs": [tensor(["?"], "BYTES", content_type="base64")]}, "no base64"),
        (
            b'{"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": ["\\ud800"]}]}',
            "has a string that is no text",
        ),
        ({"inputs": [{**tensor([1]), "data": 1}]}, "needs data"),
        ({"inputs": [tensor([1], "FP64")]}, "input x is float32"),
        ({"inputs": [tensor([1], name="q")]}, "x"),
        ({"inputs": [tensor([1])], "outputs": [{"name": "q"}]}, "unexpected inference output 'q'"),
        ({"inputs": [tensor([1])], "outputs": [{"name": ["q"]}]}, "unexpected inference output"),
        ({"inputs": [tensor([1])], "outputs": [{"name": "y"}] * 2}, "asked for twice"),
        ({"inputs": [tensor([1])], "parameters": {"signature_name": "q"}}, 'name: "q" not found'),
        ({"inputs": [tensor([1])], "parameters": {"signature_name": 1}}, "must be a string"),
        ({"inputs": [tensor([1])], "parameters": []}, "must be an object"),
        ({"inputs": [tensor([1])], "id": 1}, "id of a request must be a string"),
        ({"inputs": [tensor([1])], "id": "\ud800"}, "id of a request must be a string"),
        ({"inputs": [tensor([1], shared_memory_region="a")]}, "shared memory"),
    ],
)
def test_a_wrong_request_is_refused(body, match):
    with pytest.raises(ServingError, match=match) as error:
        ask("POST", INFER, body)
    assert error.value.code == "INVALID_ARGUMENT"


def binary_input(size, shape=(1,), datatype="FP32"):
    parameters = {"binary_data_size": size}
    return {
        "inputs": [{"name": "x", "shape": shape, "datatype": datatype, "parameters": parameters}]
    }


@pytest.mark.parametrize(
    ("content", "binary", "match"),
    [
        (binary_input(4), b"123", "takes 4 bytes of binary data, 3 are left"),
        (binary_input(4), b"12345", "1 bytes of binary data belong to no input"),
        (binary_input(3), b"123", r"takes 4 bytes. Received: 3"),
        (binary_input(-1), b"", "needs a number of bytes"),
        (binary_input(4, [2**60]), b"1234", "Received: 4"),
        (binary_input(4, [2**40], "BYTES"), b"\0" * 4, "1099511627776 elements"),
        (binary_input(6, [1], "BYTES"), b"\x09\0\0\0ab", "ends in the middle of element 0"),
        (binary_input(5, [1], "BYTES"), b"\0\0\0\0a", "has 1 bytes more"),
        (binary_input(4, [0, 2**62], "FP32"), b"1234", "takes 0 bytes"),
    ],
)
def test_wrong_binary_data_is_refused(content, binary, match):
    with pytest.raises(ServingError, match=match) as error:
        in_binary(content, binary)
    assert error.value.code == "INVALID_ARGUMENT"


@pytest.mark.parametrize("length", ["x", "-1", "9999", "9" * 30, "²", ""])
def test_a_wrong_length_of_the_header_is_refused(length):
    with pytest.raises(ServingError, match="Inference-Header-Content-Length must be a number"):
        in_binary(binary_input(4), b"1234", length=length)
