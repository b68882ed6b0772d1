"""Data sets, one a file: each `load(source, ...)` returns a `Data`."""
