"""Asking exported models: from words and files to the answer of a SavedModel.

`import kerasd2l.serving` loads no TensorFlow.
"""

from kerasd2l._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "load": "predict",
        "Served": "predict",
        "Remote": "remote",
        "format_prediction": "show",
        "figure": "show",
        "finds": "boxes",
        "boxes_figure": "boxes",
        "segments": "masks",
        "mask_figure": "masks",
        "attends": "show",
        "attention_figure": "show",
        "ArgumentError": "inputs",
        "InputError": "inputs",
    },
)
