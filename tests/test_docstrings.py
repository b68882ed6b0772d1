"""The examples in docstrings say what happens."""

import doctest
import importlib
import importlib.util
import pkgutil

import keras
import numpy as np
import pytest

import kerasd2l

NOT_READ = ("chapters", "cli")  # their docstrings say commands, tests/test_recipes.py reads them
EXTRAS = {"kerasd2l.cluster.ray_worker": "ray"}  # modules that need what the extra `test` has not


def modules():
    names = [info.name for info in pkgutil.walk_packages(kerasd2l.__path__, "kerasd2l.")]
    there = [name for name in names if importlib.util.find_spec(EXTRAS.get(name, "kerasd2l"))]
    return [name for name in there if name.split(".")[1] not in NOT_READ]


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
