"""Every recipe trains, resumes, spreads over replicas and is served; every demo runs."""

import re
import shlex

import numpy as np
import pytest

from kerasd2l import cli, recipe
from kerasd2l.data import Source
from kerasd2l.run import plain
from kerasd2l.testing import check_recipe

ENTRIES = {entry.name: entry for entry in recipe.entries()}
RECIPES = [name for name, entry in ENTRIES.items() if entry.kind == "recipe"]
DEMOS = [name for name, entry in ENTRIES.items() if entry.kind == "demo"]

# Options of check_recipe for recipes that need them, with the reason.
OPTIONS = {
    "multilayer_perceptrons/house_prices": {"arguments": {"k": 2}},  # a training for each fold
    # its default of 5 cannot be shared by two replicas
    "multilayer_perceptrons/weight_decay": {"arguments": {"batch_size": 4}},
}


def test_the_exceptions_are_recipes_that_exist():
    assert set(OPTIONS) <= set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_recipe(name, tmp_path, no_real_data):
    check_recipe(name, tmp_path, source=Source("builtin"), **OPTIONS.get(name, {}))


def numbers(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, (int, float)) else []


@pytest.mark.parametrize("name", DEMOS)
@pytest.mark.timeout(60)
def test_demo(name, tmp_path, no_real_data):
    result = recipe.load(name).run()
    assert result.values
    assert all(value is not None for value in result.values.values())
    # plain turns NaN and infinity into None
    found = numbers({key: _finite(key, value) for key, value in result.values.items()})
    assert np.isfinite(found).all()
    for title, figure in result.figures.items():
        path = tmp_path / f"{title}.png"
        figure.savefig(path)
        assert path.stat().st_size > 1000
        for axes in figure.axes:
            if axes.lines:
                assert axes.get_xlabel() or axes.get_title(), f"{title}: axes without a name"


def _finite(key, value):
    before, after = numbers(value), numbers(plain(value))
    assert all(np.isfinite(before)) or key.startswith("not finite"), f"{key}: {before}"
    return after


@pytest.mark.parametrize("name", ENTRIES)
def test_docstring_says_section_expectation_and_a_command_that_parses(name):
    entry = ENTRIES[name]
    text = re.sub(r"\s+", " ", entry.function.__doc__ or "")
    loaded = recipe.load(name)
    assert f'Section: "{loaded.section}"' in text
    assert re.search(r"Expected: \S", text)
    (command,) = re.findall(r"Command: (kerasd2l .*?)\s*$", text)
    _, verb, *words = shlex.split(command)
    assert verb == {"recipe": "train", "demo": "run"}[entry.kind]
    with cli.main.commands[verb].make_context(verb, words) as context:
        assert recipe.find(context.params["name"]).name == name
        recipe.load(name, **cli.parse_settings(context.params["pairs"]))
