"""Which method of gRPC answers: TensorFlow Serving's services and Open Inference's."""

from __future__ import annotations

from typing import Any

from kerasd2l.serving.server import open_inference_grpc, prediction_service
from kerasd2l.serving.server.calls import Call, Reply, Request, ServingError

METHODS = prediction_service.METHODS | open_inference_grpc.METHODS


def handle(request: Request, models: Any) -> Call | Reply:
    """Answer a request of gRPC.

    Args:
        request: whose method is the full name, "/tensorflow.serving.PredictionService/Predict".
        models: what is served.

    Raises:
        ServingError: the request is wrong, or what it asks for is not there.
    """
    method = METHODS.get(request.method)
    if method is None:
        raise ServingError("UNIMPLEMENTED", f"{request.method} is not a method of this server.")
    return method(request.body, models)
