"""What the protocols and the models of the server say to each other.

A protocol reads a `Request` and returns a `Call`: which signature of which model, on which arrays,
and how to write its outputs as a `Reply`. It never runs a model itself, so that calls of all
protocols wait in one queue and run in one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

# gRPC's names of failure -> (its number, the HTTP status that TensorFlow Serving gives it)
CODES = {
    "OK": (0, 200),
    "CANCELLED": (1, 499),
    "UNKNOWN": (2, 500),
    "INVALID_ARGUMENT": (3, 400),
    "DEADLINE_EXCEEDED": (4, 504),
    "NOT_FOUND": (5, 404),
    "ALREADY_EXISTS": (6, 409),
    "PERMISSION_DENIED": (7, 403),
    "RESOURCE_EXHAUSTED": (8, 429),
    "FAILED_PRECONDITION": (9, 400),
    "ABORTED": (10, 409),
    "OUT_OF_RANGE": (11, 400),
    "UNIMPLEMENTED": (12, 501),
    "INTERNAL": (13, 500),
    "UNAVAILABLE": (14, 503),
    "DATA_LOSS": (15, 500),
    "UNAUTHENTICATED": (16, 401),
}


class ServingError(Exception):
    """A request that is not answered: a gRPC code by name, and a message for the client.

    Args:
        code: str, a key of `CODES`.
        message: str, without paths and traces.
    """

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Request:
    """What arrived.

    Args:
        api: "rest", "v2" or "grpc".
        method: "GET" or "POST"; for gRPC the full name,
            "/tensorflow.serving.PredictionService/Predict".
        path: of the URL, not yet percent-decoded; empty for gRPC.
        headers: name in lower case -> value; only those that a protocol may need.
        body: bytes; already unpacked if it came gzipped.
    """

    api: str
    method: str
    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Reply:
    """What goes back.

    Args:
        body: bytes: of HTTP, or the serialized answer of gRPC.
        code: str, a key of `CODES`.
        message: str, the error's text for gRPC; HTTP has it in the body.
        headers: further HTTP headers, such as the content type if it is not JSON.
        http_status: int, in place of the code's HTTP status. Default: None.
    """

    body: bytes = b""
    code: str = "OK"
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    http_status: int | None = None


@dataclass(frozen=True)
class Call:
    """One question to one signature.

    Args:
        version: the `LoadedVersion`.
        signature: str, name of the signature; it exists.
        arrays: input name -> array with all inputs, defaults filled in; dtypes, ranks and fixed
            dimensions are the signature's (`LoadedVersion.checked` sees to that).
        answer: outputs (name -> array, strings as object arrays of bytes) -> Reply. May raise
            ServingError.
        outputs: the outputs that are asked for. Default: None, all.
    """

    version: Any
    signature: str
    arrays: Mapping[str, np.ndarray]
    answer: Callable[[Mapping[str, np.ndarray]], Reply]
    outputs: tuple[str, ...] | None = None
