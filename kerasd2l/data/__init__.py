"""Data: sources, readers and the one order of steps; the data sets themselves are in `sets`."""

from kerasd2l._lazy import attach

_MODULES = (
    "archive",
    "bert_inputs",
    "bpe",
    "downloads",
    "huffman",
    "idx",
    "pickled",
    "picture_sets",
    "pictures",
    "pipeline",
    "sequences",
    "source",
    "subwords",
    "text",
    "tfds_sets",
    "token_embedding",
    "vocab",
    "word_windows",
    "words",
)
_SETS = (
    "acceptability",
    "cifar10",
    "diabetes",
    "digits",
    "facts",
    "fashion_mnist",
    "hours",
    "image_folder",
    "imdb",
    "kaggle_house",
    "mnist",
    "names",
    "ptb",
    "shakespeare",
    "shapes",
    "snli",
    "synthetic",
    "time_machine",
    "translation",
    "wikitext",
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
    | {"get_tokens_and_segments": "bert_inputs"}
    | dict.fromkeys(("Tokenizer", "tokenize", "truncate_pad"), "text")
    | dict.fromkeys(
        ("TokenEmbedding", "get_analogy", "get_similar_tokens", "knn"), "token_embedding"
    )
    | dict.fromkeys(("Vocab", "count_corpus"), "vocab"),
)
