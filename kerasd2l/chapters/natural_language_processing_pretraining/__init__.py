"""14 Natural language processing: pre-training."""
