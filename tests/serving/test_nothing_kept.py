"""What a request brought goes when it is answered: no cycle of references keeps its pictures."""

import base64
import gc
import io
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from served_fakes import FakeModels, half_plus_two

pytest.importorskip("tensorflow_serving", reason="needs the extra kerasd2l[serve]")

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from kerasd2l.serving.server.batching import Queue
from kerasd2l.serving.server.calls import ServingError
from kerasd2l.serving.server.worker import Worker

PICTURE = b"picture" * 10_000
SHIPPED = Path(__file__).parents[2] / "savedmodels"
LARGE = 8_000  # of 9,999 and more


class Models(FakeModels):
    def queue(self, version, signature):
        version.batchable = set()
        return Queue(version, signature, together=False, most=9)


@dataclass
class Front:
    """The front's end: what the worker reads next, and the codes of what it has answered."""

    codes: list
    frame: tuple | None = None

    def read(self):
        frame, self.frame = self.frame, None
        return frame

    def send(self, header, body=b""):
        self.codes.append(header.get("code"))


def fails(**arrays):
    raise ServingError("INVALID_ARGUMENT", "no picture")


def breaks(**arrays):
    raise RuntimeError("no picture")


def in_json(content):
    return {"b64": base64.b64encode(content).decode()}


def grpc_body(text):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "half_plus_two", "texts"
    request.inputs["text"].CopyFrom(tf.make_tensor_proto([text]))
    return request.SerializeToString()


def rest_body(**content):
    return json.dumps({"signature_name": "texts", **content}).encode()


def v2_body(data):
    one = {"name": "text", "shape": [1], "datatype": "BYTES", "data": [data]}
    parameters = {"signature_name": "texts"}
    return json.dumps({"inputs": [one], "parameters": parameters}).encode()


REST = ("rest", "POST", "/v1/models/half_plus_two:predict")
V2 = ("v2", "POST", "/v2/models/half_plus_two/infer")
GRPC = ("grpc", "/tensorflow.serving.PredictionService/Predict", "")
REQUESTS = {
    "columns": (REST, rest_body(inputs={"text": [in_json(PICTURE)]}), "OK"),
    "nested": (REST, rest_body(inputs={"text": [[in_json(PICTURE)]]}), "INVALID_ARGUMENT"),
    "no-base64": (REST, rest_body(inputs={"text": [{"b64": "?" * 9999}]}), "INVALID_ARGUMENT"),
    "no-json": (REST, b"{" * 9999, "INVALID_ARGUMENT"),
    "v2": (V2, v2_body("p" * 9999), "OK"),
    "v2-nested": (V2, v2_body(["p" * 9999, 1]), "INVALID_ARGUMENT"),
    "grpc": (GRPC, grpc_body(PICTURE), "OK"),
    "grpc-broken": (GRPC, grpc_body(PICTURE)[:-9], "INVALID_ARGUMENT"),
}


def kept(models, api, method, path, body):
    """Return what large texts the collector of cycles finds, and how the requests ended."""
    front = Front([])
    worker = Worker(front, models)
    worker._idle.add(0)  # another thread waits, so none is started

    def ask(number):
        deadline = time.monotonic() + 9
        header = {"id": number, "deadline": deadline, "api": api, "method": method, "path": path}
        front.frame = header, body
        assert worker._serve_one()

    ask(0)
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for number in range(1, 6):
            ask(number)
        gc.collect()
        texts = [text for part in gc.garbage for text in gc.get_referents(part)]
        large = [text for text in texts if isinstance(text, bytes | str) and len(text) > LARGE]
        return large, front.codes
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("name", REQUESTS)
def test_an_answered_request_leaves_nothing(name):
    where, body, code = REQUESTS[name]
    found, codes = kept(Models([half_plus_two()]), *where, body)
    assert codes == [code] * 6
    assert not found


@pytest.mark.parametrize(("function", "code"), [(fails, "INVALID_ARGUMENT"), (breaks, "INTERNAL")])
def test_a_request_that_the_model_refuses_leaves_nothing(function, code):
    version = half_plus_two()
    version.functions = {"texts": function}
    where, body, _ = REQUESTS["columns"]
    found, codes = kept(Models([version]), *where, body)
    assert codes == [code] * 6
    assert not found


@pytest.fixture(scope="module")
def lenet(tmp_path_factory):
    from kerasd2l.serving.server.repository import Models as RealModels
    from kerasd2l.serving.server.storage import Storage

    folder = tmp_path_factory.mktemp("lenet")
    shutil.copytree(SHIPPED / "lenet_mnist", folder / "lenet_mnist")
    models = RealModels(Storage(folder), print, together=True, most=9)
    models.look()
    yield models
    models.close()


@pytest.mark.parametrize(("content", "code"), [(None, "OK"), (PICTURE, "INVALID_ARGUMENT")])
def test_a_real_model_keeps_no_picture(lenet, content, code):
    from PIL import Image

    if content is None:
        file = io.BytesIO()
        noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
        Image.fromarray(noise).save(file, "PNG")
        content = file.getvalue()
    body = json.dumps({"instances": [in_json(content)]}).encode()
    found, codes = kept(lenet, "rest", "POST", "/v1/models/lenet_mnist:predict", body)
    assert codes == [code] * 6
    assert not found
