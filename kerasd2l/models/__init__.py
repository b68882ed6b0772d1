"""Keras models by family: public builders to import, e.g. `from kerasd2l.models import lenet`."""

from kerasd2l._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "convnets": "convnets",
        "dropout_mlp": "perceptrons",
        "lenet": "convnets",
        "linear": "linear",
        "linear_regression": "linear",
        "mlp": "perceptrons",
        "perceptrons": "perceptrons",
        "softmax_regression": "linear",
    },
)
