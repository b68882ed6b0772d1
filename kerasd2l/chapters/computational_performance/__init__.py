"""Computational performance: graphs, hardware, several devices and several machines."""
