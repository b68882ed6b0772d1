"""What TF Serving asks a model before anybody else does: `assets.extra/tf_serving_warmup_requests`.

The first call of a signature is slow. TF Serving sends these requests to a version that it has
loaded, and makes it available when they are answered; it reads at most 1000.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.export.examples import arrays_of, batched
from kerasd2l.recipe import Endpoint

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

WARMUP = "assets.extra/tf_serving_warmup_requests"
LARGEST = 1 << 20  # bytes of a request with more than one example
_LOG = logging.getLogger("kerasd2l")


def write(path: Path, name: str, endpoints: Sequence[Endpoint]) -> int:
    """Write the requests for the SavedModel in `path`, made of the examples of its endpoints.

    For each signature one request with one example, and one with all of them where that is at most
    1 MiB. Without the package tensorflow-serving-api none are written, and it is said.

    Args:
        path: the folder with `saved_model.pb`.
        name: str, name under which the model is served.
        endpoints: the signatures.

    Returns:
        The number of requests.
    """
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError as error:
        _LOG.info(
            "no warm-up requests (%s): pip install 'kerasd2l[serve]' lets export write", error
        )
        return 0
    requests = [request for endpoint in endpoints for request in _requests(name, endpoint)]
    (path / WARMUP).parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path / WARMUP)) as file:
        for request in requests:
            log = prediction_log_pb2.PredictLog(request=request)
            file.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())
    return len(requests)


def _requests(name: str, endpoint: Endpoint) -> Iterator[Any]:
    arrays = arrays_of(endpoint)
    several = batched(endpoint.signature)
    yield _request(name, endpoint, {k: v[:1] if k in several else v for k, v in arrays.items()})
    if several and len(arrays[next(iter(several))]) > 1:
        request = _request(name, endpoint, arrays)
        if request.ByteSize() <= LARGEST:
            yield request


def _request(name: str, endpoint: Endpoint, arrays: Mapping[str, np.ndarray]) -> Any:
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = endpoint.name
    for key, value in arrays.items():
        tensor = tf.make_tensor_proto(value, dtype=endpoint.signature[key].dtype)
        request.inputs[key].CopyFrom(tensor)
    return request
