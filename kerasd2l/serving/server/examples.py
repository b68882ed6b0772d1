"""Classify and regress: from serialized `tf.Example` to classes with scores, or to numbers.

Our exports have none; the SavedModels of others, such as estimators, do. REST and gRPC share this
file. The rules and texts are those of TensorFlow Serving's classifier.cc and regressor.cc.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from tensorflow_serving.apis.classification_pb2 import ClassificationResult
from tensorflow_serving.apis.input_pb2 import Input
from tensorflow_serving.apis.regression_pb2 import RegressionResult

from kerasd2l.serving.server import example_rows, json_tensors
from kerasd2l.serving.server.calls import Call, Reply, Request, ServingError

if TYPE_CHECKING:
    from kerasd2l.serving.server.loaded import LoadedVersion
    from kerasd2l.serving.server.repository import Models

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"
METHODS = {"classify": CLASSIFY, "regress": REGRESS}
_KINDS = {CLASSIFY: "classification", REGRESS: "regression"}

Result = Any  # ClassificationResult or RegressionResult


def handle(
    request: Request,
    verb: str,
    name: str,
    version: int | None,
    label: str | None,
    models: Models,
) -> Call:
    """Make the call of `POST /v1/models/NAME...:classify` or `:regress`.

    Args:
        request: what arrived.
        verb: "classify" or "regress".
        name: str, name of the model.
        version: int, None for the newest.
        label: str, None for none.
        models: what is served.

    Raises:
        ServingError: the body or the signature is wrong, or the model is not there.
    """
    signature, examples = example_rows.read(json_tensors.parse(request.body))
    loaded = models.find(name, version, label)
    return call(METHODS[verb], loaded, signature, examples, lambda out: Reply(_json(out)))


def call(
    method: str,
    version: LoadedVersion,
    signature: str,
    examples: Sequence[bytes],
    write: Callable[[Result], Reply],
) -> Call:
    """Make a call whose answer is a ClassificationResult or a RegressionResult.

    Args:
        method: `CLASSIFY` or `REGRESS`.
        version: the model.
        signature: str, its signature.
        examples: serialized `tf.Example`.
        write: result -> Reply.

    Raises:
        ServingError: the signature is of another kind; there are no examples.
    """
    check_signature(method, version, signature)
    arrays = inputs(version, signature, examples)
    return Call(
        version, signature, arrays, lambda outputs: write(result(method, outputs, len(examples)))
    )


def check_signature(method: str, version: LoadedVersion, signature: str) -> None:
    """Check that a signature is of a kind and has the inputs and outputs of that kind.

    Raises:
        ServingError: it does not exist, or is of another kind.
    """
    kind, definition = _KINDS[method], version.signature_defs.get(signature)
    if definition is None or signature not in version.signatures:
        raise _wrong(f"No signature was found with the name: {signature}")
    if definition.method_name != method:
        raise _wrong(
            f"Expected {kind} signature method_name to be {method}. Was: {definition.method_name}"
        )
    if len(definition.inputs) != 1:
        raise _wrong("Expected one input Tensor.")
    if method == CLASSIFY and len(definition.outputs) not in (1, 2):
        raise _wrong(f"Expected one or two output Tensors, found {len(definition.outputs)}")
    if method == REGRESS and len(definition.outputs) != 1:
        raise _wrong("Expected one output Tensor.")
    code = "INVALID_ARGUMENT" if method == CLASSIFY else "FAILED_PRECONDITION"
    if "inputs" not in definition.inputs:
        raise ServingError(code, f"No {kind} inputs found in SignatureDef: {signature}")
    if method == CLASSIFY and not {"classes", "scores"} & set(definition.outputs):
        raise _wrong(
            "Expected classification signature outputs to contain at least one of "
            f'"classes" or "scores". Signature was: {signature}'
        )
    if method == REGRESS and "outputs" not in definition.outputs:
        raise ServingError(code, f"No {kind} outputs found in SignatureDef: {signature}")


def inputs(
    version: LoadedVersion, signature: str, examples: Sequence[bytes]
) -> dict[str, np.ndarray]:
    """Return the examples as the checked input of the signature."""
    if not examples:
        raise _wrong("Input is empty.")
    array = np.empty(len(examples), object)
    array[:] = examples
    return version.checked(signature, {"inputs": array})


def result(method: str, outputs: Mapping[str, np.ndarray], count: int) -> Result:
    """Turn the outputs of a signature into the result of its kind.

    Args:
        method: `CLASSIFY` or `REGRESS`.
        outputs: name -> array.
        count: int, number of examples.

    Raises:
        ServingError: shapes or dtypes are not what the kind asks for.
    """
    return _classes(outputs, count) if method == CLASSIFY else _numbers(outputs["outputs"], count)


def from_input(message: Input) -> list[bytes]:
    """Return the serialized examples of gRPC's `Input`; the context goes before each of them."""
    kind = message.WhichOneof("kind")
    if kind == "example_list_with_context":
        content = message.example_list_with_context
        context = content.context.SerializeToString()
        return [context + example.SerializeToString() for example in content.examples]
    return [example.SerializeToString() for example in message.example_list.examples]


def _classes(outputs: Mapping[str, np.ndarray], count: int) -> ClassificationResult:
    classes, scores = outputs.get("classes"), outputs.get("scores")
    for name, array, kinds, dtype in (
        ("classes", classes, "OSU", "DT_STRING"),
        ("scores", scores, "f", "DT_FLOAT"),
    ):
        if array is None:
            continue
        if array.ndim != 2:
            raise _wrong(
                f"Expected Tensor shape: [batch_size num_classes] but got {list(array.shape)}"
            )
        if array.dtype.kind not in kinds or array.dtype == np.float64:
            raise _wrong(f"Expected {name} Tensor of {dtype}. Got: {array.dtype.name}")
        if len(array) != count:
            raise _wrong(f"Expected {name} output batch size of {count}. Got: {len(array)}")
    if classes is not None and scores is not None and classes.shape != scores.shape:
        raise _wrong(
            "Tensors class and score should match in dim_size(1). "
            f"Got {classes.shape[1]} vs. {scores.shape[1]}"
        )
    answer = ClassificationResult()
    for i in range(count):
        labels = (
            []
            if classes is None
            else [bytes(label).decode("utf8", "replace") for label in classes[i]]
        )
        values = [0.0] * len(labels) if scores is None else scores[i].tolist()
        added = answer.classifications.add().classes
        for label, value in zip(labels or [""] * len(values), values, strict=True):
            added.add(label=label, score=value)
    return answer


def _numbers(array: np.ndarray, count: int) -> RegressionResult:
    if not (array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)):
        raise _wrong(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] "
            f"but got {list(array.shape)}"
        )
    if len(array) != count:
        raise _wrong(f"Input batch size did not match output batch size: {count} vs. {len(array)}")
    if array.dtype != np.float32:
        raise _wrong(f"Expected output Tensor of DT_FLOAT.  Got: {array.dtype.name}")
    answer = RegressionResult()
    for value in array.ravel().tolist():
        answer.regressions.add(value=value)
    return answer


def _json(answer: Result) -> bytes:
    """Write the result as REST has it: rows of [label, score], or numbers."""
    rows: list[Any]
    if isinstance(answer, ClassificationResult):
        rows = [
            [[cell.label, np.float32(cell.score)] for cell in row.classes]
            for row in answer.classifications
        ]
        finite = all(math.isfinite(score) for row in rows for _, score in row)
    else:
        rows = [np.float32(row.value) for row in answer.regressions]
        finite = all(math.isfinite(value) for value in rows)
    if finite:
        return orjson.dumps({"results": rows}, option=orjson.OPT_SERIALIZE_NUMPY)
    import json  # which writes NaN and Infinity; the shortest text of a float32 is its str

    return json.dumps({"results": rows}, default=lambda value: float(str(value))).encode()


def _wrong(text: str) -> ServingError:
    return ServingError("INVALID_ARGUMENT", text)
