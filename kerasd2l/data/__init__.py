"""Data sets: one a file, all through the same sources and the same order of steps."""

from kerasd2l._lazy import attach

_MODULES = (
    "archive",
    "cifar10",
    "diabetes",
    "digits",
    "fashion_mnist",
    "hours",
    "idx",
    "image_folder",
    "kaggle_house",
    "mnist",
    "names",
    "pickled",
    "picture_sets",
    "pictures",
    "pipeline",
    "sequences",
    "shakespeare",
    "shapes",
    "source",
    "synthetic",
    "text",
    "time_machine",
    "transfer",
    "translation",
    "vocab",
)

__getattr__, __dir__, __all__ = attach(
    __name__,
    {module: module for module in _MODULES}
    | dict.fromkeys(("DataError", "Source", "data_error_in", "resolve"), "source")
    | dict.fromkeys(("download", "fetch"), "transfer")
    | dict.fromkeys(("PictureSet", "load_pictures", "picture_shape"), "picture_sets")
    | dict.fromkeys(("read_members", "unpack"), "archive")
    | dict.fromkeys(("Tokenizer", "tokenize", "truncate_pad"), "text")
    | dict.fromkeys(("Vocab", "count_corpus"), "vocab"),
)
