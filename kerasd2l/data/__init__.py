"""Data sets: one a file, all through the same sources and the same order of steps."""

from kerasd2l._lazy import attach

_MODULES = (
    "archive",
    "digits",
    "fashion_mnist",
    "idx",
    "kaggle_house",
    "mnist",
    "pipeline",
    "source",
    "synthetic",
    "transfer",
)

__getattr__, __dir__, __all__ = attach(
    __name__,
    {module: module for module in _MODULES}
    | dict.fromkeys(("DataError", "Source", "resolve"), "source")
    | dict.fromkeys(("download", "fetch"), "transfer")
    | {"unpack": "archive"},
)
