"""Convolutional neural networks: from an edge detector to LeNet."""
