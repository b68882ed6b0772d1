"""Multilayer perceptrons: hidden layers, and the nonlinearities that make them worth having."""

from kerasd2l.chapters.multilayer_perceptrons.activations import activation_functions
from kerasd2l.chapters.multilayer_perceptrons.networks import mlp

__all__ = ["activation_functions", "mlp"]
