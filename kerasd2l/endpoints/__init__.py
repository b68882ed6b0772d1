"""Signatures of exported models, by what goes in and out: preprocessing and names in the graph.

`import kerasd2l.endpoints` loads no TensorFlow.
"""

from kerasd2l._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "bert_answers": "bert",
        "bert_classifier": "bert",
        "bert_inference": "bert",
        "bert_tagger": "bert",
        "binary_classifier": "binary",
        "image_classifier": "images",
        "image_segmenter": "masks",
        "class_answers": "classes",
        "text_classifier": "classes",
        "decode_image": "images",
        "detector": "boxes",
        "resize_and_scale": "images",
        "finite": "numbers",
        "instance_segmenter": "instances",
        "masked_words": "bert",
        "paste": "instances",
        "pair_classifier": "sentences",
        "regressor": "numbers",
        "sentence_classifier": "sentences",
        "suppressed": "boxes",
        "table_regressor": "tables",
        "text_generator": "generation",
        "TextTable": "text",
        "check_length_exponent": "translation",
        "translate": "translation",
        "translator": "translation",
        "word_neighbours": "words",
    },
)
