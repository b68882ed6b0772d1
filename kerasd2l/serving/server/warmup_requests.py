"""TensorFlow Serving's warm-up requests, which lie in a SavedModel's `assets.extra`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from kerasd2l.export.warmup import WARMUP
from kerasd2l.serving.server import tensor_protos
from kerasd2l.serving.server.calls import ServingError

MOST = 1000  # that TensorFlow Serving reads
DEFAULT = "serving_default"


def read(folder: Path) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Yield signature and inputs of the Predict requests, in their order; none without a file.

    Args:
        folder: with `saved_model.pb`.

    Raises:
        ServingError: the file, or a tensor in it, is damaged.
    """
    path = folder / WARMUP
    if not path.is_file():
        return
    try:
        for record in tf.data.TFRecordDataset(str(path)).take(MOST).as_numpy_iterator():
            log = PredictionLog.FromString(record)
            if log.WhichOneof("log_type") != "predict_log":
                continue  # of Classify and Regress, which run the same signatures
            request = log.predict_log.request
            arrays = {key: tensor_protos.read(proto, key) for key, proto in request.inputs.items()}
            yield request.model_spec.signature_name or DEFAULT, arrays
    except (tf.errors.DataLossError, DecodeError) as error:
        raise ServingError("DATA_LOSS", f"{WARMUP} is damaged") from error
