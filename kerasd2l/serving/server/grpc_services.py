"""Which service answers a gRPC method."""

from __future__ import annotations

from typing import Any

from kerasd2l.serving.server import open_inference_grpc, prediction_service
from kerasd2l.serving.server.calls import Call, Reply, Request, ServingError


def handle(request: Request, models: Any) -> Call | Reply:
    """Answer a request by its full method name.

    Raises:
        ServingError: no such method.
    """
    if request.method.startswith("/tensorflow.serving."):
        return prediction_service.handle(request, models)
    if request.method.startswith("/inference."):
        return open_inference_grpc.handle(request, models)
    raise ServingError("UNIMPLEMENTED", f"no such method: {request.method}")
