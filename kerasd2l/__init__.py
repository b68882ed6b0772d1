"""Dive into Deep Learning in Keras 3 on TensorFlow: import models, run recipes, serve SavedModels.

`import kerasd2l` loads no TensorFlow; the rooms below load theirs on first use.
"""

from kerasd2l._lazy import attach

__version__ = "0.1.0"

_ROOMS = (
    "cluster",
    "convert",
    "data",
    "endpoints",
    "export",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "scratch",
    "serving",
    "testing",
    "training",
)

__getattr__, __dir__, __all__ = attach(
    __name__,
    {room: room for room in _ROOMS}
    | dict.fromkeys(("Data", "Demo", "DemoResult", "Endpoint", "Recipe"), "recipe")
    | dict.fromkeys(("list_recipes", "load"), "finding")
    | {"Run": "run"},
)
