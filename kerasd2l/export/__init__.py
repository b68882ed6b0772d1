"""From a trained model to a SavedModel that TF Serving loads without this library.

`import kerasd2l.export` loads no TensorFlow.
"""

from kerasd2l._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "export": "savedmodel",
        "export_run": "savedmodel",
        "load_model": "kerasfile",
        "recipe_of": "savedmodel",
        "verify": "check",
        "manifest": "manifest",
        "find": "versions",
        "SavedModelError": "manifest",
    },
)
