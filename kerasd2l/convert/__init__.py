"""Weights from elsewhere: checkpoints of PyTorch and Hugging Face become models of this library.

`names` says what is known, `reading` makes arrays of a file, a family (`d2l`, `hugging_face`) says
which array is which weight, `rules` puts them there and accounts for every one of both sides.
`import kerasd2l.convert` loads no TensorFlow.
"""

from kerasd2l._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Converted": "conversion",
        "convert": "conversion",
        "check_free": "saving",
        "is_folder": "saving",
        "save": "saving",
        "ConvertError": "reading",
        "TARGETS": "names",
    },
)
