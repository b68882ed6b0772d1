"""13 Computer vision."""
