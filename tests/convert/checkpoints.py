"""The checkpoints of tests/fixtures/checkpoints, and copies of them with something changed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from kerasd2l.convert import ConvertError, convert

HERE = Path(__file__).parent.parent / "fixtures" / "checkpoints"
NAMES = {
    "bert": "bert",
    "d2l_bert": "bert",
    "d2l_seq2seq": "seq2seq",
    "d2l_transformer": "transformer",
}
SETTINGS = {"d2l_bert": {"num_heads": 3}, "d2l_transformer": {"num_heads": 3}}


def arrays_of(case):
    return pytest.importorskip("safetensors.numpy").load_file(HERE / case / "model.safetensors")


def answers_of(case):
    """What the reference implementation took and gave."""
    answers = dict(np.load(HERE / case / "answers.npz"))
    return {k: v.astype("int32" if v.dtype.kind == "i" else v.dtype) for k, v in answers.items()}


def copied(case, tmp_path, arrays=None, **config):
    """Copy a checkpoint with other arrays, or with another config.json (None: without the key)."""
    folder = tmp_path / "copy"
    shutil.copytree(HERE / case, folder)
    if arrays is not None:
        safetensors = pytest.importorskip("safetensors.numpy")
        whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        safetensors.save_file(whole, folder / "model.safetensors")
    if config:
        there = json.loads((folder / "config.json").read_text()) | config
        told = {key: value for key, value in there.items() if value is not None}
        (folder / "config.json").write_text(json.dumps(told))
    return folder


def converted(case, folder=None, **options):
    pytest.importorskip("safetensors")
    return convert(folder or HERE / case, NAMES[case], SETTINGS.get(case), **options)


def refusal(case, folder, **options):
    """Convert what must be refused, and return the one line that says why."""
    with pytest.raises(ConvertError) as caught:
        converted(case, folder, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)
