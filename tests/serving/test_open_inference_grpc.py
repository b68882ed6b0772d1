import struct

import ml_dtypes
import numpy as np
import pytest
from served_fakes import FakeModels, answered, echo, half_plus_two

from kerasd2l.serving.server import grpc_services, open_inference_grpc
from kerasd2l.serving.server.calls import Request, ServingError
from kerasd2l.serving.server.open_inference_messages import MESSAGES

MODELS = FakeModels([half_plus_two(122), half_plus_two(123)])

# Written by tritonclient 2.73: model lenet, version 3, id "a", parameter signature_name "predict",
# input x FP32 [1, 2] with the values 1 and 2, output y; typed, and raw.
_HEAD = "0a056c656e65741201331a0161221b0a0e7369676e61747572655f6e616d6512091a0770726564696374"
TYPED = bytes.fromhex(_HEAD + "2a190a01781204465033321a0201022a0a32080000803f0000004032030a0179")
RAW = bytes.fromhex(_HEAD + "2a0d0a01781204465033321a02010232030a01793a080000803f00000040")
# and an answer: y INT64 [2] with the values 3 and -1
ANSWER = bytes.fromhex(
    "0a056c656e65741201331a01612a1c0a01791205494e5436341a01022a0d1a0b03ffffffffffffffffff01"
)


def ask(method, models=MODELS, **fields):
    body = MESSAGES[f"{method}Request"](**fields).SerializeToString()
    request = Request("grpc", f"/inference.GRPCInferenceService/{method}", body=body)
    reply = answered(grpc_services.handle(request, models))
    return MESSAGES[f"{method}Response"].FromString(reply.body)


def tensor(field, values, datatype, shape=None, name="x"):
    return {
        "name": name,
        "datatype": datatype,
        "shape": [len(values)] if shape is None else shape,
        "contents": {field: values},
    }


def infer(*inputs, models=MODELS, name="half_plus_two", **fields):
    return ask("ModelInfer", models, model_name=name, inputs=inputs, **fields)


def test_messages_are_those_of_other_programs():
    for body in (TYPED, RAW):
        message = MESSAGES["ModelInferRequest"].FromString(body)
        assert message.SerializeToString(deterministic=True) == body
        assert message.parameters["signature_name"].string_param == "predict"
        assert list(message.inputs[0].shape) == [1, 2] and message.outputs[0].name == "y"
    assert MESSAGES["ModelInferRequest"].FromString(TYPED).inputs[0].contents.fp32_contents == [
        1,
        2,
    ]
    assert list(message.raw_input_contents) == [struct.pack("<2f", 1, 2)]
    answer = MESSAGES["ModelInferResponse"].FromString(ANSWER)
    assert answer.outputs[0].contents.int64_contents == [3, -1]
    assert answer.SerializeToString() == ANSWER


def test_server_and_models_say_that_they_are_ready_and_what_they_are():
    assert ask("ServerLive").live and ask("ServerReady").ready
    assert not ask("ServerReady", FakeModels([], is_ready=False)).ready
    assert ask("ServerMetadata").name == "kerasd2l"
    assert ask("ModelReady", name="half_plus_two").ready
    assert ask("ModelReady", name="half_plus_two", version="122").ready
    assert not ask("ModelReady", name="half_plus_two", version="7").ready
    assert not ask("ModelReady", name="no").ready
    metadata = ask("ModelMetadata", name="half_plus_two")
    assert list(metadata.versions) == ["122", "123"]
    assert metadata.inputs[0].datatype == "FP32" and list(metadata.inputs[0].shape) == [-1]
    assert metadata.properties["signature_names"] == "serving_default,texts"


def test_typed_contents_are_answered_in_typed_contents():
    answer = infer(tensor("fp32_contents", [1, 2, 5], "FP32"), id="a")
    assert answer.model_version == "123" and answer.id == "a"
    assert [(out.name, out.datatype, list(out.shape)) for out in answer.outputs] == [
        ("y", "FP32", [3]),
        ("z", "INT64", [3]),
    ]
    assert list(answer.outputs[0].contents.fp32_contents) == [2.5, 3.0, 4.5]
    assert not answer.raw_output_contents


def test_raw_contents_are_answered_in_raw_contents():
    x = {"name": "x", "datatype": "FP32", "shape": [2]}
    answer = infer(x, raw_input_contents=[struct.pack("<2f", 1, 2)], outputs=[{"name": "y"}])
    assert [out.name for out in answer.outputs] == ["y"]
    assert list(answer.raw_output_contents) == [struct.pack("<2f", 2.5, 3)]
    assert not answer.outputs[0].HasField("contents")


def test_a_parameter_says_which_signature_answers():
    answer = infer(
        tensor("bytes_contents", [b"\xff\0"], "BYTES", name="text"),
        tensor("int_contents", [2], "INT32", [], "again"),
        parameters={"signature_name": {"string_param": "texts"}},
        outputs=[{"name": "text"}],
        model_version="122",
    )
    assert list(answer.outputs[0].contents.bytes_contents) == [b"\xff\0\xff\0"]
    assert answer.model_version == "122"


@pytest.mark.parametrize("datatype", [*open_inference_grpc._CONTENTS, "FP16", "BF16"])
def test_every_datatype_goes_in_and_out(datatype):
    dtype = {"BYTES": "string", "BF16": "bfloat16"}.get(datatype) or datatype.lower()
    dtype = dtype.replace("fp", "float") if datatype.startswith("FP") else dtype
    raw = struct.pack("<I", 1) + b"a"
    if datatype != "BYTES":
        numpy_dtype = ml_dtypes.bfloat16 if datatype == "BF16" else dtype
        raw = np.ones(1, numpy_dtype).tobytes()
    x = {"name": "x", "datatype": datatype, "shape": [1]}
    models = echo(dtype)
    answer = infer(x, models=models, name="echo", raw_input_contents=[raw])
    assert list(answer.raw_output_contents) == [raw] and answer.outputs[0].datatype == datatype
    if datatype in open_inference_grpc._CONTENTS:
        field = open_inference_grpc._CONTENTS[datatype]
        value = [b"a"] if datatype == "BYTES" else [True] if datatype == "BOOL" else [1]
        answer = infer(tensor(field, value, datatype), models=models, name="echo")
        assert list(getattr(answer.outputs[0].contents, field)) == value


@pytest.mark.parametrize(
    ("fields", "code", "match"),
    [
        ({"model_name": "no"}, "NOT_FOUND", "Servable not found"),
        ({"model_version": "x"}, "INVALID_ARGUMENT", "specified version string 'x'"),
        (
            {"raw_input_contents": [b""] * 2},
            "INVALID_ARGUMENT",
            "1 inputs and 2 raw_input_contents",
        ),
        ({"raw_input_contents": [b"1234"]}, "INVALID_ARGUMENT", "contents beside raw_input_cont"),
        ({"outputs": [{"name": "q"}]}, "INVALID_ARGUMENT", "unexpected inference output 'q'"),
        (
            {"inputs": [tensor("fp32_contents", [1], "FP32", [2**40])]},
            "INVALID_ARGUMENT",
            "takes 1099511627776 values. Received: 1",
        ),
        (
            {"inputs": [tensor("fp32_contents", [1], "FP32", [-1])]},
            "INVALID_ARGUMENT",
            "size -1 is no size",
        ),
        ({"inputs": [tensor("int_contents", [1], "FP32")]}, "INVALID_ARGUMENT", "Received: 0"),
        ({"inputs": [tensor("int_contents", [300], "INT8")]}, "INVALID_ARGUMENT", "range of INT8"),
        (
            {"inputs": [tensor("fp32_contents", [1], "FP16")]},
            "INVALID_ARGUMENT",
            "raw_input_contents",
        ),
        ({"inputs": [tensor("fp32_contents", [1], "Q")]}, "INVALID_ARGUMENT", "no datatype 'Q'"),
        ({"inputs": [tensor("fp32_contents", [1], "FP32")] * 2}, "INVALID_ARGUMENT", "there twice"),
    ],
)
def test_a_wrong_request_is_refused(fields, code, match):
    inputs = [tensor("fp32_contents", [1], "FP32")]
    with pytest.raises(ServingError, match=match) as error:
        ask("ModelInfer", **{"model_name": "half_plus_two", "inputs": inputs, **fields})
    assert error.value.code == code


def test_what_is_no_message_or_no_method_is_refused():
    for method, body, code in (
        ("ModelInfer", b"\xff", "INVALID_ARGUMENT"),
        ("ModelStreamInfer", b"", "UNIMPLEMENTED"),
    ):
        request = Request("grpc", f"/inference.GRPCInferenceService/{method}", body=body)
        with pytest.raises(ServingError) as error:
            grpc_services.handle(request, MODELS)
        assert error.value.code == code
