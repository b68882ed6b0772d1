"""What a client makes of a server's answers; the server itself is in the contract's tests."""

import subprocess
import sys

import numpy as np
import pytest

from kerasd2l.recipe import TensorSpec
from kerasd2l.serving import InputError, remote
from kerasd2l.serving.predict import Asked, Signature


class Small(Asked):
    """Takes two pictures at once."""

    path, manifest = "here", {}

    def __init__(self):
        inputs = {"image_bytes": TensorSpec((None,), "string")}
        outputs = {"sizes": TensorSpec((None,), "int64")}
        self.signatures = {"serving_default": Signature("serving_default", inputs, outputs)}

    def call(self, arrays, signature="serving_default"):
        pictures = arrays["image_bytes"]
        if len(pictures) > 2:
            raise InputError("A body has at most 32 MB.")
        if b"bad" in list(pictures):
            raise InputError("no picture")
        return {"sizes": np.array([len(content) for content in pictures])}


def test_what_is_too_much_together_is_asked_file_by_file(tmp_path):
    files = [str(tmp_path / f"{i}.png") for i in range(3)]
    for i, file in enumerate(files):
        (tmp_path / file).write_bytes(b"x" * (i + 1))
    assert Small().predict(files)["sizes"].tolist() == [1, 2, 3]
    (tmp_path / files[1]).write_bytes(b"bad")
    with pytest.raises(InputError, match=r"1\.png: no picture"):
        Small().predict(files)


@pytest.mark.parametrize("dtype", ["float32", "string"])
def test_empty_lists_have_all_axes(dtype):
    assert remote._array([[], []], TensorSpec((None, None, 5), dtype)).shape == (2, 0, 5)
    assert remote._array([], TensorSpec((None, 3), dtype)).shape == (0, 3)


def test_defaults_of_a_server_are_read_as_they_are():
    import tensorflow as tf
    from google.protobuf.json_format import MessageToDict

    for value in (0.5, float("inf"), 7, 0, True, b"text", [1, 2]):
        proto = tf.make_tensor_proto(value)
        entry = MessageToDict(
            proto, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        read, wanted = remote._default(entry), tf.make_ndarray(proto)
        assert read.dtype == wanted.dtype and read.shape == wanted.shape
        assert read.tolist() == wanted.tolist()
    big = MessageToDict(tf.make_tensor_proto(2**62), preserving_proto_field_name=True)
    assert remote._default(big) == 2**62


def test_a_server_is_asked_without_loading_tensorflow():
    program = (
        "import sys\n"
        "from kerasd2l.cli import main\n"
        "try:\n"
        "    main(['predict', '--url', 'http://127.0.0.1:1', 'm', '1'], standalone_mode=False)\n"
        "except Exception as error:\n"
        "    print(error)\n"
        "print('tensorflow' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "no server answers" in done.stdout and done.stdout.endswith("False\n"), done
