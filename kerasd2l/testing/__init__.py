"""Checks for layers, models, data, endpoints and recipes: ours, and those of users.

Every check raises AssertionError with what was expected and what came, or returns what it made.
They need TensorFlow as Keras' backend and no test framework.
"""

from kerasd2l._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Elsewhere": "elsewhere",
        "check_data": "data",
        "check_endpoint": "endpoints",
        "check_layer": "layers",
        "check_model": "models",
        "check_recipe": "recipes",
        "elsewhere": "elsewhere",
    },
)
