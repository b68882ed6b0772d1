"""Ask a server with min-tfs-client; it reads only typed fields of TensorProto (`float_val`)."""

import sys

import grpc
import numpy as np
from min_tfs_client.requests import TensorServingClient
from min_tfs_client.tensors import tensor_proto_to_ndarray

host, port = sys.argv[2].split(":")
client = TensorServingClient(host, int(port))


def _ask(model, inputs, version=None):
    response = client.predict_request(model, inputs, timeout=20, model_version=version)
    return {name: tensor_proto_to_ndarray(proto) for name, proto in response.outputs.items()}


numbers = np.array([1.0, 2.0, 5.0], np.float32)
np.testing.assert_array_equal(_ask("half_plus_two", {"x": numbers})["y"], [3.5, 4.0, 5.5])
np.testing.assert_array_equal(_ask("half_plus_two", {"x": numbers}, 1)["y"], [2.5, 3.0, 4.5])
np.testing.assert_array_equal(
    _ask("upper", {"text": np.array(["abc", "d"])})["upper"], ["ABC", "D"]
)
empty = _ask("half_plus_two", {"x": np.zeros((0,), np.float32)})["y"]
np.testing.assert_array_equal(empty, np.zeros((0,)))
try:
    _ask("nobody", {"x": numbers})
except grpc.RpcError as error:
    if error.code() != grpc.StatusCode.NOT_FOUND:
        raise
else:
    raise SystemExit("an unknown model was answered")
try:
    _ask("half_plus_two", {"x": np.float32(1.0).reshape(1, 1)})
except grpc.RpcError as error:
    if error.code() != grpc.StatusCode.INVALID_ARGUMENT:
        raise
else:
    raise SystemExit("a wrong rank was answered")
