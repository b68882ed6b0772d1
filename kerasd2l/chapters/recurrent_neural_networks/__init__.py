"""Recurrent neural networks: from autoregression and the statistics of text to language models."""

from kerasd2l.chapters.recurrent_neural_networks.corpora import (
    ngram_statistics,
    partitioning,
    text_preprocessing,
)
from kerasd2l.chapters.recurrent_neural_networks.from_scratch import (
    rnn_from_scratch,
    rnn_hidden_state,
)
from kerasd2l.chapters.recurrent_neural_networks.language import rnn_lm
from kerasd2l.chapters.recurrent_neural_networks.series import (
    sequence_mlp,
    sequence_predictions,
)
from kerasd2l.chapters.recurrent_neural_networks.through_time import (
    backpropagation_through_time,
)

__all__ = [
    "backpropagation_through_time",
    "ngram_statistics",
    "partitioning",
    "rnn_from_scratch",
    "rnn_hidden_state",
    "rnn_lm",
    "sequence_mlp",
    "sequence_predictions",
    "text_preprocessing",
]
