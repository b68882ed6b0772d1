"""Ask a server with tritonclient: Open Inference over HTTP, in JSON and binary, and over gRPC."""

import sys

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

numbers = np.array([1.0, 2.0, 5.0], np.float32)
texts = np.array([b"abc", b"\xff\x00"], np.object_)


def _expect(value, expected):
    if value != expected:
        raise SystemExit(f"expected {expected!r}, received {value!r}")


def _check(kind, client, binary):
    """Ask through one of the two clients, which are alike but for `binary_data`."""
    _expect((client.is_server_live(), client.is_server_ready()), (True, True))
    _expect(client.is_model_ready("half_plus_two"), True)
    _expect(client.is_model_ready("half_plus_two", "1"), True)
    _expect(client.is_model_ready("nobody"), False)
    metadata = client.get_model_metadata("half_plus_two")
    if kind is tritonclient.grpc:
        shape, datatype = list(metadata.inputs[0].shape), metadata.inputs[0].datatype
    else:
        shape, datatype = metadata["inputs"][0]["shape"], metadata["inputs"][0]["datatype"]
    _expect((shape, datatype), ([-1], "FP32"))
    client.get_server_metadata()
    for options in binary:
        value = kind.InferInput("x", [3], "FP32")
        value.set_data_from_numpy(numbers, **options)
        outputs = [kind.InferRequestedOutput("y", **options)]
        answer = client.infer("half_plus_two", [value], outputs=outputs, request_id="7")
        np.testing.assert_array_equal(answer.as_numpy("y"), [3.5, 4.0, 5.5])
        answer = client.infer("half_plus_two", [value], model_version="1")
        np.testing.assert_array_equal(answer.as_numpy("y"), [2.5, 3.0, 4.5])
    text = kind.InferInput("image_bytes", [2], "BYTES")
    text.set_data_from_numpy(texts)
    answer = client.infer("kinds", [text], parameters={"signature_name": "bytes"})
    np.testing.assert_array_equal(answer.as_numpy("same_bytes"), texts)
    for model, rank in (("nobody", [3]), ("half_plus_two", [3, 1])):
        value = kind.InferInput("x", rank, "FP32")
        value.set_data_from_numpy(numbers.reshape(rank))
        try:
            client.infer(model, [value])
        except InferenceServerException as error:
            if kind is tritonclient.http and error.status() not in ("400", "404"):
                raise
        else:
            raise SystemExit(f"{model} with {rank} was answered")
    client.close()


modes = [{"binary_data": True}, {"binary_data": False}]
http = sys.argv[1].removeprefix("http://")
_check(tritonclient.http, tritonclient.http.InferenceServerClient(http), modes)
_check(tritonclient.grpc, tritonclient.grpc.InferenceServerClient(sys.argv[2]), [{}])
