"""From a trained model to a SavedModel that TF Serving loads without this library, and back.

`import kerasd2l.export` loads no TensorFlow.
"""

from kerasd2l._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "export": "savedmodel",
        "export_run": "savedmodel",
        "load_model": "savedmodel",
        "verify": "check",
        "binary_classifier": "binary",
        "image_classifier": "images",
        "class_answers": "classes",
        "text_classifier": "classes",
        "decode_image": "images",
        "resize_and_scale": "images",
        "regressor": "numbers",
        "load": "predict",
        "Served": "predict",
        "format_prediction": "show",
        "figure": "show",
        "table_regressor": "tables",
        "text_generator": "generation",
        "TextTable": "text",
        "beam_search": "translation",
        "translate": "translation",
        "translator": "translation",
        "manifest": "manifest",
        "SavedModelError": "manifest",
        "ArgumentError": "inputs",
        "InputError": "inputs",
    },
)
