"""Recurrent neural networks: from autoregression and the statistics of text to language models."""
