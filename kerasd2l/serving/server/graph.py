"""A SavedModel as TensorFlow Serving runs it: its graph in a session.

The same call through `tf.saved_model.load` takes twice as long for a small model: a function that
is called from Python goes through the eager runtime first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf.config_pb2 import CallableOptions
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from kerasd2l.export.manifest import SavedModelError
from kerasd2l.export.messages import plain_message
from kerasd2l.serving.predict import in_order, shape_of, signature_of
from kerasd2l.serving.server.calls import ServingError

v1 = tf.compat.v1
OURS = "__saved_model_"  # so begin the names of signatures that are TensorFlow's own
LOOPS = {"While", "StatelessWhile", "For", "MapDefun", "Enter"}
Shape = tuple[int | None, ...]


class Graph:
    """The graph, its variables and tables, and a call for each signature.

    Args:
        folder: with `saved_model.pb`.

    Raises:
        SavedModelError: it cannot be loaded, or has no signatures.
    """

    def __init__(self, folder: Path):
        self._graph = tf.Graph()
        # what an export wrote beside a device that is not there runs on one that is
        self._session = v1.Session(
            graph=self._graph, config=v1.ConfigProto(allow_soft_placement=True)
        )
        try:
            with self._graph.as_default():
                content = v1.saved_model.load(self._session, _tags(folder), str(folder))
        except (OSError, ValueError, RuntimeError, LookupError, tf.errors.OpError) as error:
            self._session.close()
            raise SavedModelError(f"cannot load {folder}: {plain_message(error)}") from error
        self.definitions = dict(content.signature_def)
        asked = {key: d for key, d in self.definitions.items() if not key.startswith(OURS)}
        if not asked:
            raise SavedModelError(f"{folder} has no signatures: there is nothing to ask.")
        self.signatures = in_order(signature_of(name, found) for name, found in asked.items())
        self.inputs = {key: _shapes(found.inputs) for key, found in asked.items()}
        self.outputs = {key: _shapes(found.outputs) for key, found in asked.items()}
        functions = {f.signature.name: f for f in content.graph_def.library.function}
        self._loops = {key for key, found in asked.items() if self._has_loops(found, functions)}
        self._calls: dict[str, Callable[..., Sequence[Any]]] = {}
        self._lock = threading.Lock()

    def run(self, signature: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run a signature on all of its inputs.

        Args:
            signature: str, its name.
            arrays: input name -> array of the signature's dtype and rank; strings as objects.

        Returns:
            Output name -> array; strings are objects of bytes.

        Raises:
            ServingError: an output is no dense tensor. tf.errors.OpError: the model fails.
        """
        call = self._calls.get(signature) or self._first_call(signature)
        found = call(*(arrays[key] for key in sorted(arrays)))
        outputs = self.signatures[signature].outputs
        return {
            key: _array(value, outputs[key].dtype)
            for key, value in zip(sorted(outputs), found, strict=True)
        }

    def close(self) -> None:
        """Free the variables; nothing may be running."""
        self._calls.clear()
        self._session.close()

    def _first_call(self, signature: str) -> Callable[..., Sequence[Any]]:
        """Make the call of a signature, or wait for it; calls of others go on meanwhile."""
        with self._lock:
            if signature not in self._calls:
                self._calls[signature] = self._make_call(signature)
            return self._calls[signature]

    def _make_call(self, signature: str) -> Callable[..., Sequence[Any]]:
        """Return (arrays in the order of the inputs' names) -> arrays in that of the outputs'."""
        inputs, outputs = self.definitions[signature].inputs, self.definitions[signature].outputs
        if any(info.WhichOneof("encoding") != "name" for info in outputs.values()):
            raise ServingError("UNIMPLEMENTED", "the model answers with a ragged or sparse tensor")
        with self._graph.as_default():
            # a session fetches nothing twice, and nothing that it is fed
            fetches = [tf.identity(self._tensor(outputs[key])).name for key in sorted(outputs)]
        feeds = [inputs[key].name for key in sorted(inputs)]
        options = CallableOptions(feed=feeds, fetch=fetches)
        if signature not in self._loops:
            # No other thread must be woken. A loop could end here with a call for each iteration.
            options.run_options.inter_op_thread_pool = -1  # the caller's thread
        # `make_callable` is public, but goes through `run`, whose checks of every feed, in Python,
        # take as long as a small model: 0.3 ms.
        return self._session._make_callable_from_options(options)

    def _has_loops(self, definition: Any, functions: Mapping[str, Any]) -> bool:
        """Tell whether a signature has loops, also within functions."""
        infos = [
            info for info in definition.outputs.values() if info.WhichOneof("encoding") == "name"
        ]
        waiting = [self._tensor(info).op for info in infos]
        nodes = {}
        while waiting:
            op = waiting.pop()
            if op.name not in nodes:
                nodes[op.name] = op.node_def
                waiting += [tensor.op for tensor in op.inputs] + list(op.control_inputs)
        defs = list(nodes.values())
        seen: set[str] = set()
        while defs:
            node = defs.pop()
            if node.op in LOOPS:
                return True
            called = [attr.func.name for attr in node.attr.values() if attr.HasField("func")]
            called += [f.name for attr in node.attr.values() for f in attr.list.func]
            for name in {node.op, *called} & functions.keys() - seen:
                seen.add(name)
                defs += functions[name].node_def
        return False

    def _tensor(self, info: Any) -> Any:
        return self._graph.get_tensor_by_name(info.name)


def _tags(folder: Path) -> list[str]:
    """Return the tags of the graph that is served; without a file, the usual ones."""
    try:
        content = SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    except (FileNotFoundError, DecodeError):  # the loader reads text, too, and says what is wrong
        return ["serve"]
    tags = [list(graph.meta_info_def.tags) for graph in content.meta_graphs]
    return tags[0] if len(tags) == 1 else ["serve"]


def _shapes(infos: Mapping[str, Any]) -> dict[str, Shape | None]:
    return {key: shape_of(info) for key, info in infos.items()}


def _array(value: Any, dtype: str) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value
    return np.array(value, object if dtype == "string" else dtype)  # a scalar
