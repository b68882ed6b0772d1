"""The examples in docstrings say what happens."""

import doctest
import importlib
import pkgutil

import keras
import numpy as np
import pytest

import kerasd2l

NOT_READ = ("chapters", "cli")  # their docstrings say commands, tests/test_recipes.py reads them


def modules():
    names = [info.name for info in pkgutil.walk_packages(kerasd2l.__path__, "kerasd2l.")]
    return [name for name in names if name.split(".")[1] not in NOT_READ]


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
