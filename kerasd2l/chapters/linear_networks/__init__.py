"""Linear networks: regression, and softmax regression on pictures."""
