"""Recurrent neural networks: from autoregression and the statistics of text to language models."""

from kerasd2l.chapters.recurrent_neural_networks.corpora import (
    ngram_statistics,
    partitioning,
    text_preprocessing,
)
from kerasd2l.chapters.recurrent_neural_networks.series import (
    sequence_mlp,
    sequence_predictions,
)

__all__ = [
    "ngram_statistics",
    "partitioning",
    "sequence_mlp",
    "sequence_predictions",
    "text_preprocessing",
]
