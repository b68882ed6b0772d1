"""Multilayer perceptrons: hidden layers, and the nonlinearities that make them worth having."""
