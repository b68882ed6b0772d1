"""Multilayer perceptrons: hidden layers, and the nonlinearities that make them worth having."""

from kerasd2l.chapters.multilayer_perceptrons.activations import (
    activation_functions,
    backpropagation,
)
from kerasd2l.chapters.multilayer_perceptrons.house_prices import house_prices
from kerasd2l.chapters.multilayer_perceptrons.networks import dropout_by_hand, dropout_mlp, mlp
from kerasd2l.chapters.multilayer_perceptrons.regularization import (
    polynomial_fits,
    polynomial_regression,
    weight_decay,
    weight_decay_norms,
)
from kerasd2l.chapters.multilayer_perceptrons.separation import perceptron, xor
from kerasd2l.chapters.multilayer_perceptrons.shifted import distribution_shift
from kerasd2l.chapters.multilayer_perceptrons.stability import (
    numerical_stability,
    xavier_initialization,
)

__all__ = [
    "activation_functions",
    "backpropagation",
    "distribution_shift",
    "dropout_by_hand",
    "dropout_mlp",
    "house_prices",
    "mlp",
    "numerical_stability",
    "perceptron",
    "polynomial_fits",
    "polynomial_regression",
    "weight_decay",
    "weight_decay_norms",
    "xavier_initialization",
    "xor",
]
