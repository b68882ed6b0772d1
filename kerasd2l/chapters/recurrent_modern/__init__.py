"""Modern recurrent networks: gates, depth, both directions, and from there to translation."""

from kerasd2l.chapters.recurrent_modern.corpora import translation_lengths

__all__ = ["translation_lengths"]
