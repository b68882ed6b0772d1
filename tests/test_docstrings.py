"""The examples in docstrings say what happens."""

import doctest
import importlib
import pkgutil

import keras
import numpy as np
import pytest

import kerasd2l

ROOMS = ("layers", "models", "losses", "metrics", "scratch", "data", "export", "training")


def modules():
    for room in ROOMS:
        module = importlib.import_module(f"kerasd2l.{room}")
        yield module.__name__
        for info in pkgutil.iter_modules(getattr(module, "__path__", ())):
            yield f"{module.__name__}.{info.name}"


def examples(name):
    module = importlib.import_module(name)
    names = {"keras": keras, "np": np, "kerasd2l": kerasd2l, **vars(module)}
    return [test for test in doctest.DocTestFinder().find(module, globs=names) if test.examples]


@pytest.mark.parametrize("name", modules())
def test_examples(name):
    told = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in examples(name):
        runner.run(test, out=told.append)
    assert not runner.failures, "".join(told)


def test_there_are_examples():
    assert sum(len(examples(name)) for name in modules()) > 150
