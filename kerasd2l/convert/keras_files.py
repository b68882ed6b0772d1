"""From a file of Keras to arrays by their names: `layer/weight`, as "conv1_conv/kernel".

No file runs a program: an .h5 is read as arrays alone, a .keras in Keras' safe mode.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data import limits

if TYPE_CHECKING:
    import keras
else:
    keras = lazy("keras")

h5py = lazy("h5py")

HDF5 = b"\x89HDF\r\n\x1a\n"  # how such a file begins
_MOST_ARRAYS = 10_000


def read_h5(path: Path) -> dict[str, np.ndarray]:
    """Read the weights of an .h5 of `keras.applications`, or of a model saved as .h5.

    Raises:
        ValueError: it holds no layers by their names. OSError, KeyError, RuntimeError, TypeError:
            it is damaged.
    """
    arrays: dict[str, np.ndarray] = {}
    most = path.stat().st_size * limits.RATIO + limits.SMALL_BYTES  # bytes, unpacked

    def take(name: str, item: Any) -> None:
        nonlocal most
        if isinstance(item, h5py.Dataset):
            most -= item.nbytes
            if most < 0 or len(arrays) == _MOST_ARRAYS:
                raise ValueError("it unpacks to far more than it has")
            # "conv1_conv/conv1_conv/kernel:0", and "block1_conv1/block1_conv1_W_1:0" of old ones
            layer, weight = name.split("/")[0], name.split("/")[-1].partition(":")[0]
            old = re.fullmatch(rf"{re.escape(layer)}_(W|b)(_\d+)?", weight)
            weight = {"W": "kernel", "b": "bias"}[old[1]] if old else weight
            arrays[f"{layer}/{weight}"] = np.asarray(item)

    with h5py.File(path, "r") as file:
        root = file["model_weights"] if "model_weights" in file else file
        if "layer_names" not in root.attrs:
            raise ValueError(
                "it does not name its layers. Save the whole model instead: "
                "`model.save('FILE.keras')`"
            )
        root.visititems(take)
    return arrays


def read_keras(path: Path) -> dict[str, np.ndarray]:
    """Read the weights of a .keras file of standard layers.

    Raises:
        ValueError: it has code in it, or a class of others. BadZipFile, OSError, KeyError, ...: it
            is damaged.
    """
    model = keras.saving.load_model(path, compile=False)
    name = f"{model.name}/"
    return {
        weight.path.removeprefix(name): keras.ops.convert_to_numpy(weight.value)
        for weight in model.weights
    }
