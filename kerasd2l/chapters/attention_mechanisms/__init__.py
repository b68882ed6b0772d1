"""10 Attention and Transformers."""
