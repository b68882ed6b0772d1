"""Preliminaries: automatic differentiation."""
