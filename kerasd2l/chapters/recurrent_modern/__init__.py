"""Modern recurrent networks: gates, depth, both directions, and from there to translation."""

from kerasd2l.chapters.recurrent_modern.corpora import translation_lengths
from kerasd2l.chapters.recurrent_modern.search import hidden_states

__all__ = ["hidden_states", "translation_lengths"]
