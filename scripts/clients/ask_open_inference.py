"""Ask a server with open-inference-grpc, whose messages have typed contents, not raw ones."""

import sys

import grpc
from open_inference.grpc import protocol
from open_inference.grpc.service import GRPCInferenceServiceStub


def _expect(value, expected):
    if value != expected:
        raise SystemExit(f"expected {expected!r}, received {value!r}")


with grpc.insecure_channel(sys.argv[2]) as channel:
    client = GRPCInferenceServiceStub(channel)
    _expect(client.ServerLive(protocol.ServerLiveRequest()).live, True)
    _expect(client.ServerReady(protocol.ServerReadyRequest()).ready, True)
    asked = protocol.ModelReadyRequest(name="half_plus_two")
    _expect(client.ModelReady(asked).ready, True)
    metadata = client.ModelMetadata(protocol.ModelMetadataRequest(name="half_plus_two"))
    _expect(metadata.inputs[0].datatype, "FP32")
    request = protocol.ModelInferRequest(model_name="half_plus_two", model_version="1", id="7")
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[3])
    tensor.contents.fp32_contents.extend([1.0, 2.0, 5.0])
    answer = client.ModelInfer(request, timeout=20)
    _expect((answer.id, answer.model_version), ("7", "1"))
    output = answer.outputs[0]
    _expect(list(output.shape), [3])
    found = list(output.contents.fp32_contents)
    _expect(found, [2.5, 3.0, 4.5])
    text = protocol.ModelInferRequest(model_name="upper")
    tensor = text.inputs.add(name="text", datatype="BYTES", shape=[2])
    tensor.contents.bytes_contents.extend([b"abc", b"d"])
    answer = client.ModelInfer(text, timeout=20)
    _expect(list(answer.outputs[0].contents.bytes_contents), [b"ABC", b"D"])
    try:
        client.ModelInfer(protocol.ModelInferRequest(model_name="nobody"), timeout=20)
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.NOT_FOUND:
            raise
    else:
        raise SystemExit("an unknown model was answered")
