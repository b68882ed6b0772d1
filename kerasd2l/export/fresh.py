"""Run a SavedModel's signatures in a process that has TensorFlow and nothing else.

`check.py` starts this file by its path, as `check.isolated` says: it must import neither this
library nor Keras, and makes sure that TensorFlow cannot do so on the sly. A request comes as JSON
on stdin, the reply goes as JSON to the file named in it. Arrays travel as base64, so that no byte
is lost.
"""

import base64
import json
import os
import sys
from typing import Any

import numpy as np

FORBIDDEN = ("kerasd2l", "keras", "tf_keras")


def encode(array: Any) -> dict[str, Any]:
    """Turn an array of numbers or of bytes into plain data."""
    # numpy's own type for bytes drops zeros at the end
    array = np.asarray(array, dtype=object if isinstance(array, (bytes, str)) else None)
    if array.dtype.kind in "OSU":
        items = [item.encode("utf8") if isinstance(item, str) else item for item in array.flat]
        data: Any = [base64.b64encode(bytes(item)).decode() for item in items]
        return {"dtype": "string", "shape": array.shape, "data": data}
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": array.dtype.name, "shape": array.shape, "data": data}


def decode(plain: dict[str, Any]) -> np.ndarray:
    """Turn what `encode` made back into an array; strings come as objects of type bytes."""
    if plain["dtype"] == "string":
        array = np.empty(len(plain["data"]), dtype=object)
        array[:] = [base64.b64decode(item) for item in plain["data"]]
    else:
        array = np.frombuffer(base64.b64decode(plain["data"]), dtype=np.dtype(plain["dtype"]))
    return array.reshape(plain["shape"])


def main() -> None:
    """Answer one request: {"path", "reply", "inputs": {signature: {name: array}}, "empty": bool}.

    empty: every signature is also asked with none of its examples, and the sizes of the answers
    are told.
    """
    nothing: dict[str, Any] = dict.fromkeys(FORBIDDEN)  # importing them raises ImportError
    sys.modules.update(nothing)
    os.environ.update(CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3")
    import tensorflow as tf

    request = json.load(sys.stdin)
    os.chdir(request["path"])  # TensorFlow takes no name that is not UTF-8
    loaded = tf.saved_model.load(".")
    reply = {}
    for name, inputs in request["inputs"].items():
        function = loaded.signatures[name]
        specs = function.structured_input_signature[1]
        values = {key: tf.constant(decode(value)) for key, value in inputs.items()}
        reply[name] = {
            "inputs": {key: spec.dtype.name for key, spec in specs.items()},
            "outputs": {key: encode(value.numpy()) for key, value in function(**values).items()},
        }
        if request["empty"]:
            none = {key: value[:0] if value.shape.rank else value for key, value in values.items()}
            sizes = {key: len(value) for key, value in function(**none).items()}
            reply[name]["answers to nothing"] = sizes
    imported = [name for name in sys.modules if name.partition(".")[0] in FORBIDDEN]
    with open(request["reply"], "w", encoding="utf8") as file:
        answer = {"signatures": sorted(loaded.signatures), "results": reply, "imported": imported}
        json.dump(answer, file)


if __name__ == "__main__":
    main()
