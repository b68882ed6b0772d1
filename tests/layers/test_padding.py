"""Constant and replication padding against numpy.pad."""

import sys

import keras
import numpy as np
import pytest

from kerasd2l import layers
from kerasd2l.testing import check_layer
from kerasd2l.testing.elsewhere import with_keras

# padding as given, and what numpy.pad is told
PADDINGS = {
    1: ((2, 1), ((2, 1),)),
    2: (((3, 0), (1, 2)), ((3, 0), (1, 2))),
    3: ((1, (3, 0), (1, 2)), ((1, 1), (3, 0), (1, 2))),
}


def _inputs(rank):
    return np.random.default_rng(rank).normal(size=(*(2, 4, 3, 5)[: rank + 1], 2)).astype("f")


@pytest.fixture(params=[1, 2, 3])
def rank(request):
    return request.param


def test_constant(rank):
    given, told = PADDINGS[rank]
    x = _inputs(rank)
    kind = getattr(layers, f"ConstantPadding{rank}D")
    out = check_layer(kind, {"padding": given, "value": -1.5}, x, free_axes=tuple(range(rank + 1)))
    np.testing.assert_array_equal(out, np.pad(x, ((0, 0), *told, (0, 0)), constant_values=-1.5))


def test_replication(rank):
    given, told = PADDINGS[rank]
    x = _inputs(rank)
    kind = getattr(layers, f"ReplicationPadding{rank}D")
    out = check_layer(kind, {"padding": given}, x, free_axes=tuple(range(rank + 1)))
    np.testing.assert_array_equal(out, np.pad(x, ((0, 0), *told, (0, 0)), mode="edge"))


def test_zeros_are_keras_zero_padding(rank):
    given = PADDINGS[rank][1] if rank > 1 else PADDINGS[1][0]
    x = _inputs(rank)
    ours = getattr(layers, f"ConstantPadding{rank}D")(given)(x)
    np.testing.assert_array_equal(ours, getattr(keras.layers, f"ZeroPadding{rank}D")(given)(x))


def test_max_pooling_with_padding_survives_a_reload(tmp_path):
    x = np.arange(16, dtype="float32").reshape(1, 4, 4, 1) - 100
    inputs = keras.Input((4, 4, 1))
    padded = layers.ConstantPadding2D(1, float("-inf"))(inputs)
    model = keras.Model(inputs, keras.layers.MaxPooling2D(3, 2)(padded))
    model.save(tmp_path / "model.keras")
    out = keras.saving.load_model(tmp_path / "model.keras")(x)
    # The book's k 3, p 1, s 2, [[5, 7], [13, 15]] for 0..15; "same" would give [[10, 11], ...].
    np.testing.assert_array_equal(out[0, ..., 0], np.array([[5, 7], [13, 15]]) - 100)


@pytest.mark.parametrize("padding", [-1, (1, -1), (1, 2, 3), ((1, 2, 3), 1)])
def test_bad_padding(padding):
    with pytest.raises(ValueError, match="`padding` must be a whole number"):
        layers.ReplicationPadding2D(padding)


def test_a_fresh_process_knows_every_layer_after_a_star_import(tmp_path):
    inputs = keras.Input((4, 4, 1))
    keras.Model(inputs, layers.ReplicationPadding2D(2)(inputs)).save(tmp_path / "model.keras")
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "import keras\n"
        "assert not any(name.startswith('kerasd2l') for name in sys.modules)\n"
        "from kerasd2l.layers import *\n"
        "print(keras.saving.load_model(sys.stdin.read()).output_shape)\n"
    )
    code, log = with_keras()(str(script), str(tmp_path / "model.keras"))
    assert code == 0 and log.strip().endswith("(None, 8, 8, 1)"), log
