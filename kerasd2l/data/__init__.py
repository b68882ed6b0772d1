"""Data: sources, readers and the one order of steps; the data sets themselves are in `sets`."""

from kerasd2l._lazy import attach

_MODULES = (
    "archive",
    "downloads",
    "idx",
    "pickled",
    "picture_sets",
    "pictures",
    "pipeline",
    "sequences",
    "source",
    "text",
    "tfds_sets",
    "vectors",
    "vocab",
    "words",
)
_SETS = (
    "cifar10",
    "diabetes",
    "digits",
    "fashion_mnist",
    "hours",
    "image_folder",
    "imdb",
    "kaggle_house",
    "mnist",
    "names",
    "shakespeare",
    "shapes",
    "snli",
    "synthetic",
    "time_machine",
    "translation",
)

__getattr__, __dir__, __all__ = attach(
    __name__,
    {module: module for module in _MODULES}
    | {name: f"sets.{name}" for name in _SETS}
    | dict.fromkeys(
        ("DataError", "Source", "data_error_in", "resolve", "Kind", "SourceLike", "builtin_only"),
        "source",
    )
    | dict.fromkeys(("download", "fetch"), "downloads")
    | dict.fromkeys(("Dataset", "PictureSet", "load_pictures", "picture_shape"), "picture_sets")
    | dict.fromkeys(("read_members", "unpack"), "archive")
    | dict.fromkeys(("Tokenizer", "tokenize", "truncate_pad"), "text")
    | {"load_vectors": "vectors"}
    | dict.fromkeys(("Vocab", "count_corpus"), "vocab"),
)
