"""What recipes of one kind of problem share: data to loss, metrics and endpoints.

A task takes small frozen dataclasses of numbers, so that a recipe is numbers only.
"""
