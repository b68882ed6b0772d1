import numpy as np
import pytest
from served_fakes import FakeModels, answered, half_plus_two, of_examples

pytest.importorskip("tensorflow_serving")

import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

from kerasd2l.serving.server import grpc_services
from kerasd2l.serving.server.calls import Request, ServingError

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


MODELS = FakeModels([half_plus_two(122), half_plus_two(123), of_examples()], {"stable": 122})


def ask(method, message, response, service="PredictionService"):
    body = message if isinstance(message, bytes) else message.SerializeToString()
    request = Request("grpc", f"/tensorflow.serving.{service}/{method}", body=body)
    reply = answered(grpc_services.handle(request, MODELS))
    assert reply.code == "OK"
    return response.FromString(reply.body)


def predict(text="", /, **inputs):
    request = text_format.Parse(text, predict_pb2.PredictRequest())
    request.model_spec.name = request.model_spec.name or "half_plus_two"
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return ask("Predict", request, predict_pb2.PredictResponse)


def test_predict_answers_in_typed_fields_with_the_version():
    response = predict(x=np.float32([1, 2, 5]))
    assert list(response.outputs["y"].float_val) == [2.5, 3.0, 4.5]
    assert list(response.outputs["z"].int64_val) == [0, 1, 2]
    assert not response.outputs["y"].tensor_content
    assert [dim.size for dim in response.outputs["y"].tensor_shape.dim] == [3]
    assert response.model_spec.name == "half_plus_two"
    assert response.model_spec.version.value == 123
    assert response.model_spec.signature_name == "serving_default"


def test_predict_finds_versions_labels_and_signatures():
    x = np.float32([1])
    assert predict("model_spec {version {value: 122}}", x=x).model_spec.version.value == 122
    assert predict('model_spec {version_label: "stable"}', x=x).model_spec.version.value == 122
    response = predict('model_spec {signature_name: "texts"}', text=["a"], again=np.int32(2))
    assert list(response.outputs["text"].string_val) == [b"aa"]
    assert response.model_spec.signature_name == "texts"


def test_an_input_with_a_default_may_be_left_out():
    response = predict('model_spec {signature_name: "texts"}', text=["a", "b"])
    assert list(response.outputs["text"].string_val) == [b"a", b"b"]


def test_output_filter_leaves_the_others_out():
    assert list(predict('output_filter: "z"', x=np.float32([1])).outputs) == ["z"]
    with pytest.raises(ServingError, match="output tensor alias not found in signature: q Outputs"):
        predict('output_filter: "q"', x=np.float32([1]))
    with pytest.raises(ServingError, match="duplicate output tensor alias: z"):
        predict('output_filter: ["z", "z"]', x=np.float32([1]))


@pytest.mark.parametrize(
    ("text", "inputs", "code", "match"),
    [
        ('model_spec {name: "no"}', {}, "NOT_FOUND", r"Servable not found for request: Latest\(no"),
        ("model_spec {version {value: 7}}", {}, "NOT_FOUND", r"Specific\(half_plus_two, 7\)"),
        ('model_spec {version_label: "q"}', {}, "FAILED_PRECONDITION", "version label: q"),
        (
            'model_spec {signature_name: "q"}',
            {},
            "FAILED_PRECONDITION",
            'Serving signature key "q" not found.',
        ),
        (
            "",
            {"a": np.float32([1]), "x": np.float32([1])},
            "INVALID_ARGUMENT",
            r"size does not match signature: 2!=1 len\({a,x}\) != len\({x}\). Sent extra: {a}. Mis",
        ),
        ("", {}, "INVALID_ARGUMENT", "Missing but required: {x}."),
        ("", {"x": ["a"]}, "INVALID_ARGUMENT", "input x is float32"),
        ("", {"x": np.float32(1)}, "INVALID_ARGUMENT", "input x"),
        (
            'inputs {key: "x" value {dtype: DT_FLOAT tensor_shape {dim {size: 1099511627776}}}}',
            {},
            "INVALID_ARGUMENT",
            "tensor parsing error: x",
        ),
    ],
)
def test_a_wrong_predict_is_refused_in_the_words_of_tensorflow_serving(text, inputs, code, match):
    with pytest.raises(ServingError, match=match) as error:
        predict(text, **inputs)
    assert error.value.code == code


def test_a_request_that_is_no_message_or_names_no_model_is_refused():
    for body, match in (
        (b"\xff\xff", "cannot parse the PredictRequest"),
        (b"\x0a\x03\x0a\x01\xff", "cannot parse"),  # a name that is not UTF-8
        (b"", "Missing ModelSpec"),
        (b"\x0a\x00", "ModelSpec has no name specified"),
    ):
        with pytest.raises(ServingError, match=match) as error:
            ask("Predict", body, predict_pb2.PredictResponse)
        assert error.value.code == "INVALID_ARGUMENT"


def test_metadata_holds_the_signatures():
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "estimator"
    response = ask("GetModelMetadata", request, get_model_metadata_pb2.GetModelMetadataResponse)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert signatures.signature_def["regress"].method_name == REGRESS
    assert response.model_spec.version.value == 1
    for fields, match in (([], "at least one metadata_field"), (["q"], "field q is not supp")):
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
        request.model_spec.name = "estimator"
        with pytest.raises(ServingError, match=match):
            ask("GetModelMetadata", request, None)


def test_status_tells_all_versions_or_one():
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "half_plus_two"
    request.model_spec.version_label = "no such label"  # ignored, as TensorFlow Serving does
    response = ask(
        "GetModelStatus",
        request,
        get_model_status_pb2.GetModelStatusResponse,
        service="ModelService",
    )
    assert [status.version for status in response.model_version_status] == [123, 122]
    assert response.model_version_status[0].state == 30  # AVAILABLE
    assert response.model_version_status[0].status.error_code == 0
    request.model_spec.version.value = 122
    response = ask(
        "GetModelStatus",
        request,
        get_model_status_pb2.GetModelStatusResponse,
        service="ModelService",
    )
    assert [status.version for status in response.model_version_status] == [122]
    request.model_spec.name = "no"
    with pytest.raises(ServingError, match="Could not find any versions of model no"):
        ask("GetModelStatus", request, None, service="ModelService")


def test_what_the_server_does_not_do_is_unimplemented():
    request = model_management_pb2.ReloadConfigRequest()
    with pytest.raises(ServingError, match="come from its folder") as error:
        ask("HandleReloadConfigRequest", request, None, service="ModelService")
    assert error.value.code == "UNIMPLEMENTED"
    with pytest.raises(ServingError, match="not a method") as error:
        ask("SessionRun", b"", None, service="SessionService")
    assert error.value.code == "UNIMPLEMENTED"


def with_examples(request, name="estimator", signature="", count=2, context=False):
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    content = request.input.example_list
    if context:
        content = request.input.example_list_with_context
        content.context.features.feature["c"].int64_list.value.append(1)
    for i in range(count):
        content.examples.add().features.feature["a"].float_list.value.extend([1.0] * i)
    return request


def test_classify_answers_with_labels_and_scores():
    request = with_examples(classification_pb2.ClassificationRequest())
    sizes = [example.ByteSize() for example in request.input.example_list.examples]
    response = ask("Classify", request, classification_pb2.ClassificationResponse)
    rows = response.result.classifications
    assert [[cell.label for cell in row.classes] for row in rows] == [["a", "b"]] * 2
    assert [row.classes[0].score for row in rows] == sizes
    assert response.model_spec.signature_name == "serving_default"


def test_regress_puts_the_context_before_every_example():
    def sizes(context):
        request = with_examples(
            regression_pb2.RegressionRequest(), signature="regress", context=context
        )
        response = ask("Regress", request, regression_pb2.RegressionResponse)
        return np.array([row.value for row in response.result.regressions])

    grown = sizes(True) - sizes(False)
    assert grown[0] == grown[1] > 0


def test_several_signatures_answer_on_the_same_examples():
    request = inference_pb2.MultiInferenceRequest()
    for signature, method in (("serving_default", CLASSIFY), ("regress", REGRESS)):
        task = request.tasks.add(method_name=method)
        task.model_spec.name, task.model_spec.signature_name = "estimator", signature
    request.input.example_list.examples.add()
    response = ask("MultiInference", request, inference_pb2.MultiInferenceResponse)
    assert len(response.results[0].classification_result.classifications) == 1
    assert len(response.results[1].regression_result.regressions) == 1
    request.tasks.add().CopyFrom(request.tasks[0])
    with pytest.raises(ServingError, match="Duplicate evaluation of signature: serving_default"):
        ask("MultiInference", request, None)


@pytest.mark.parametrize(
    ("message", "arguments", "match"),
    [
        ("classify", {"signature": "predict"}, f"method_name to be {CLASSIFY}. Was: .*/predict"),
        ("regress", {}, f"regression signature method_name to be {REGRESS}. Was: {CLASSIFY}"),
        ("classify", {"signature": "q"}, "No signature was found with the name: q"),
        ("classify", {"count": 0}, "Input is empty."),
        ("classify", {"signature": "wrong"}, r"\[batch_size num_classes\] but got \[3\]"),
    ],
)
def test_classify_and_regress_refuse_in_the_words_of_tensorflow_serving(message, arguments, match):
    request = {
        "classify": classification_pb2.ClassificationRequest,
        "regress": regression_pb2.RegressionRequest,
    }[message]()
    with pytest.raises(ServingError, match=match) as error:
        ask(message.capitalize(), with_examples(request, **arguments), None)
    assert error.value.code == "INVALID_ARGUMENT"
