#!/usr/bin/env python
"""Tiny SavedModels that show every clause of TensorFlow Serving's contract; nothing is trained.

    python tests/serving/contract/models.py FOLDER --base /models
    docker run --rm -p 8501:8501 -p 8500:8500 -v FOLDER:/models:ro tensorflow/serving \
        --model_config_file=/models/models.config \
        --allow_version_labels_for_unavailable_models=true
    python tests/serving/contract/run.py --url http://127.0.0.1:8501

FOLDER must be absolute for docker. `half_plus_two` has the versions 1 (x / 2 + 2), 2 (x / 2 + 3)
and 3 (not served: the configuration names 1 and 2), with the labels stable (1) and canary (2).
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
from pathlib import Path
from typing import Any

import tensorflow as tf

CONFIG = """model_config_list {{
  config {{
    name: "half_plus_two"
    base_path: "{base}/half_plus_two"
    model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: 1 versions: 2 }} }}
    version_labels {{ key: "stable" value: 1 }}
    version_labels {{ key: "canary" value: 2 }}
  }}
  config {{
    name: "kinds"
    base_path: "{base}/kinds"
    model_platform: "tensorflow"
  }}
  config {{
    name: "upper"
    base_path: "{base}/upper"
    model_platform: "tensorflow"
  }}
  config {{
    name: "per%cent and space"
    base_path: "{base}/odd_name"
    model_platform: "tensorflow"
  }}
  config {{
    name: "leading_zeros"
    base_path: "{base}/leading_zeros"
    model_platform: "tensorflow"
  }}
}}
"""


def write_models(folder: Path, base: str | None = None) -> Path:
    """Write the models and `models.config` into `folder`.

    Args:
        folder: made if it is not there.
        base: str, where the server sees the folder. Default: where it is.

    Returns:
        The path of `models.config`.
    """
    for version, added in enumerate((2.0, 3.0, 4.0), start=1):
        _write_half_plus(folder / "half_plus_two" / str(version), added)
    first = folder / "half_plus_two" / "1"
    shutil.copytree(first, folder / "odd_name" / "1")
    shutil.copytree(first, folder / "leading_zeros" / "0000007")
    (folder / "leading_zeros" / "notes").mkdir()
    _write(
        folder / "upper" / "1",
        serving_default=_signature(lambda text: {"upper": tf.strings.upper(text)}, _texts("text")),
    )
    _write_kinds(folder / "kinds" / "1")
    config = folder / "models.config"
    config.write_text(CONFIG.format(base=base or folder.resolve()))
    return config


def _write_half_plus(path: Path, added: float) -> None:
    module = tf.Module()
    module.added = tf.Variable(added)

    def half_plus(x: Any) -> dict[str, Any]:
        return {"y": x / 2.0 + module.added}

    signature = tf.function(half_plus, [tf.TensorSpec((None,), tf.float32, "x")], autograph=False)
    with _quiet():
        tf.saved_model.save(module, str(path), signatures={"serving_default": signature})


def _write_kinds(path: Path) -> None:
    """One model with a signature for each kind of input and output."""
    batch: tuple[None] = (None,)
    one = {"x": (batch, "float32")}
    signatures = {
        "serving_default": _signature(lambda x: {"y": x}, one),
        "two_inputs": _signature(
            lambda a, b: {"sum": a + b}, {"a": (batch, "float32"), "b": (batch, "float32")}
        ),
        "two_outputs": _signature(lambda x: {"half": x / 2.0, "twice": x * 2.0}, one),
        "vectors": _signature(lambda x: {"y": 2.0 * x}, {"x": ((None, None), "float32")}),
        "two_by_three": _signature(
            lambda x: {"y": tf.reduce_sum(x, (1, 2))}, {"x": ((None, 2, 3), "float32")}
        ),
        "scalar": _signature(lambda x: {"y": x + 1.0}, {"x": ((), "float32")}),
        "constant": _signature(lambda x: {"y": tf.reduce_sum(x)}, one),
        "twice_as_many": _signature(lambda x: {"y": tf.concat([x, x], 0)}, one),
        "uneven": _signature(lambda x: {"all": x, "more": tf.concat([x, x], 0)}, one),
        "none": _signature(lambda x: {"y": x[:0]}, one),
        "not_finite": _signature(lambda x: {"y": tf.stack([x / 0.0, tf.sqrt(-x)], 1)}, one),
        "text": _signature(lambda text: {"upper": tf.strings.upper(text)}, _texts("text")),
        "bytes": _signature(lambda image_bytes: {"same_bytes": image_bytes}, _texts("image_bytes")),
        "text_and_bytes": _signature(
            lambda text: {"same": text, "raw_bytes": text}, _texts("text")
        ),
        "text_and_number": _signature(
            lambda text, number: {"joined": tf.strings.join([text, tf.strings.as_string(number)])},
            _texts("text") | {"number": (batch, "int32")},
        ),
        "optional": _signature(
            lambda x, factor: {"y": x * factor},
            one | {"factor": ((), "float32")},
            {"factor": tf.constant(3.0)},
        ),
        "classify": _signature(_classify, _texts("inputs")),
        "regress": _signature(_regress, _texts("inputs")),
    }
    kinds = ("int8", "int16", "int32", "int64", "uint8", "uint32", "bool", "float64")
    for kind in (*kinds, "float16", "complex64"):
        signatures[kind] = _signature(lambda x: {"y": x}, {"x": (batch, kind)})
    _write(path, **signatures)
    _set_methods(path / "saved_model.pb", ("classify", "regress"))


def _write(path: Path, **signatures: Any) -> None:
    with _quiet():
        tf.saved_model.save(tf.Module(), str(path), signatures=signatures)


def _signature(
    function: Any, inputs: dict[str, tuple[Any, str]], defaults: dict[str, Any] | None = None
) -> Any:
    specs = [tf.TensorSpec(shape, kind, name) for name, (shape, kind) in inputs.items()]
    if defaults:  # `save` takes them from Python's
        function.__defaults__ = tuple(defaults.values())
    return tf.function(function, specs, autograph=False)


def _texts(name: str) -> dict[str, tuple[Any, str]]:
    return {name: ((None,), "string")}


def _classify(inputs: Any) -> dict[str, Any]:
    x = _feature_x(inputs)
    labels = tf.broadcast_to(tf.constant([["low", "high"]]), tf.stack([tf.shape(x)[0], 2]))
    return {"classes": labels, "scores": tf.stack([1.0 - x, x], 1)}


def _regress(inputs: Any) -> dict[str, Any]:
    return {"outputs": 2.0 * _feature_x(inputs)}


def _feature_x(examples: Any) -> Any:
    parsed = tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature((), tf.float32)})
    return parsed["x"]


def _set_methods(path: Path, names: tuple[str, ...]) -> None:
    """Write the method names by which TF Serving knows classifiers; `save` knows only predict."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for name in names:
        signature = saved.meta_graphs[0].signature_def[name]
        signature.method_name = f"tensorflow/serving/{name}"
    path.write_bytes(saved.SerializeToString())


@contextlib.contextmanager
def _quiet() -> Any:
    """Say nothing: `tf.Module` without variables of its own makes `save` log."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--base", help="where the server sees the folder; default: FOLDER")
    arguments = parser.parse_args()
    print(write_models(arguments.folder, arguments.base))


if __name__ == "__main__":
    main()
