"""Data: sources, readers and the one order of steps; the data sets themselves are in `sets`."""

from kerasd2l._lazy import attach

_MODULES = (
    "annotation_files",
    "annotation_tree",
    "annotations",
    "archive",
    "augmentation",
    "bert_inputs",
    "box_batches",
    "box_sets",
    "box_shapes",
    "bpe",
    "decoded",
    "downloads",
    "huffman",
    "idx",
    "instance_batches",
    "instance_masks",
    "instance_sets",
    "mask_batches",
    "mask_sets",
    "mask_tree",
    "masks",
    "pickled",
    "picture_sets",
    "pictures",
    "pipeline",
    "sequences",
    "source",
    "subwords",
    "text",
    "tfds_boxes",
    "tfds_sets",
    "token_embedding",
    "vocab",
    "word_pieces",
    "word_windows",
    "words",
)
_SETS = (
    "acceptability",
    "bananas",
    "box_folder",
    "camvid",
    "cifar10",
    "diabetes",
    "digits",
    "dogs",
    "facts",
    "fashion_mnist",
    "hotdog",
    "hours",
    "image_folder",
    "imdb",
    "instance_folder",
    "kaggle_cifar10",
    "kaggle_house",
    "mask_folder",
    "mnist",
    "names",
    "ptb",
    "scene_instances",
    "scenes",
    "shakespeare",
    "shapes",
    "snli",
    "style_pair",
    "synthetic",
    "time_machine",
    "translation",
    "voc2012",
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
    | dict.fromkeys(("BoxDataset", "BoxSet"), "box_sets")
    | dict.fromkeys(("InstanceDataset", "InstanceSet"), "instance_sets")
    | dict.fromkeys(("MaskDataset", "MaskSet"), "mask_sets")
    | {"get_tokens_and_segments": "bert_inputs"}
    | dict.fromkeys(("Tokenizer", "tokenize", "truncate_pad"), "text")
    | dict.fromkeys(
        ("TokenEmbedding", "get_analogy", "get_similar_tokens", "knn"), "token_embedding"
    )
    | {"voc_rand_crop": "mask_batches"}
    | dict.fromkeys(
        ("VOC_CLASSES", "VOC_COLORMAP", "label2image", "voc_colormap2label", "voc_label_indices"),
        "masks",
    )
    | dict.fromkeys(("Vocab", "count_corpus"), "vocab"),
)
