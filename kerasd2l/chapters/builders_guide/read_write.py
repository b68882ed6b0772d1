"""5.5 File input and output."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from kerasd2l import scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

models = lazy("kerasd2l.models")
keras = lazy("keras")
np = lazy("numpy")


def read_write(*, seed: int = 0) -> Demo:
    """Save and load a tensor, a list, a dict, the weights of an MLP 20-256-10, and the MLP itself.

    Section: "read-write". Files in a temporary folder: .npz, .weights.h5, .keras.
    Expected: everything comes back equal.
    Command: kerasd2l run read_write
    """
    return Demo(section="read-write", run=lambda: _read_and_write(seed))


def _read_and_write(seed: int) -> DemoResult:
    keras.utils.set_random_seed(seed)
    x = keras.ops.arange(4.0)
    y = keras.ops.zeros(4)
    net = models.MLP()
    inputs = keras.random.uniform((2, 20), seed=seed)
    outputs = np.asarray(net(inputs))
    values: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        for name, tensors in {"tensor": x, "list": [x, y], "dict": {"x": x, "y": y}}.items():
            scratch.save_tensors(path / "tensors.npz", tensors)
            loaded = scratch.load_tensors(path / "tensors.npz")
            pairs = zip(keras.tree.flatten(loaded), keras.tree.flatten(tensors), strict=True)
            values[f"{name} equal"] = all(np.array_equal(a, b) for a, b in pairs)
            values[f"{name} bytes"] = (path / "tensors.npz").stat().st_size
        net.save_weights(path / "mlp.weights.h5")
        clone = models.MLP()
        clone.build((None, 20))
        clone.load_weights(path / "mlp.weights.h5")
        values["MLP from its weights equal"] = np.array_equal(clone(inputs), outputs)
        net.save(path / "mlp.keras")
        whole = keras.saving.load_model(path / "mlp.keras")
        values["MLP from its file equal"] = np.array_equal(whole(inputs), outputs)
        values["MLP bytes"] = (path / "mlp.keras").stat().st_size
    return DemoResult(values)
