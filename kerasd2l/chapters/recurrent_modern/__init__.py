"""Modern recurrent networks: gates, depth, both directions, and from there to translation."""

from kerasd2l.chapters.recurrent_modern.corpora import translation_lengths
from kerasd2l.chapters.recurrent_modern.depth import both_directions, stacked_layers
from kerasd2l.chapters.recurrent_modern.gates import gru_gates, lstm_gates
from kerasd2l.chapters.recurrent_modern.language import (
    bidirectional_lstm_lm,
    deep_lstm_lm,
    gru_lm,
    lstm_lm,
)
from kerasd2l.chapters.recurrent_modern.search import hidden_states
from kerasd2l.chapters.recurrent_modern.translating import (
    bleu_scores,
    encoder_decoder,
    search_strategies,
    translation_report,
)
from kerasd2l.chapters.recurrent_modern.translation import seq2seq_gru, seq2seq_lstm

__all__ = [
    "bidirectional_lstm_lm",
    "bleu_scores",
    "both_directions",
    "deep_lstm_lm",
    "encoder_decoder",
    "gru_gates",
    "gru_lm",
    "hidden_states",
    "lstm_gates",
    "lstm_lm",
    "search_strategies",
    "seq2seq_gru",
    "seq2seq_lstm",
    "stacked_layers",
    "translation_lengths",
    "translation_report",
]
