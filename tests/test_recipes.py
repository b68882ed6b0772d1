"""Every recipe trains, is saved and is served; every demo runs, here or in a test of its chapter.

One recipe of each kind trains in a graph and is asked for all its signatures by default; the others
train operation by operation, by the same `train_step`, and are asked for the usual one. Resuming
and replicas are tested once for each way of training by default. All of it for all recipes, and in
graphs, is in the slow tests: each traces its steps anew, for some ten seconds.
"""

import functools
import gc
import itertools
import re
import shlex
from pathlib import Path

import pytest
from small_arguments import SMALL_ARGUMENTS, SMALL_DEMOS

from kerasd2l import cli, finding
from kerasd2l.data import Source
from kerasd2l.run import plain
from kerasd2l.testing import check_recipe

ENTRIES = {entry.name: entry for entry in finding.entries()}
RECIPES = [name for name, entry in ENTRIES.items() if entry.kind == "recipe"]
DEMOS = [name for name, entry in ENTRIES.items() if entry.kind == "demo"]
# A test of their chapter runs most demos and looks at what they find. These it does not name, or
# not in the default suite.
CHAPTERS = "".join(path.read_text() for path in (Path(__file__).parent / "chapters").glob("*.py"))
NOT_RUN = [name for name in DEMOS if f'"{name.rpartition("/")[2]}"' not in CHAPTERS]
NOT_RUN += [
    "attention_mechanisms/nadaraya_watson",
    "attention_mechanisms/positional_encoding",
    "computer_vision/semantic_segmentation_and_dataset",
    "natural_language_processing_pretraining/bert_dataset",
    "natural_language_processing_pretraining/subword_embedding",
    "recurrent_modern/hidden_states",
]

# One of a kind: what a way of training has that others have not.
WAYS_OF_TRAINING = {
    "computer_vision/neural_style": "a picture as the variable, a fit of its own",
    "computer_vision/train_with_data_aug": "pictures changed at random, batch normalisation",
    "multilayer_perceptrons/dropout_mlp": "random numbers in the model",
    "multilayer_perceptrons/house_prices": "a fit of its own, in folds",
    "recurrent_neural_networks/rnn_lm": "a state carried from batch to batch",
    "recurrent_modern/seq2seq_gru": "a subclassed model, weights of examples",
}

# They answer token by token: a loop that is quicker as a graph.
WRITERS = [name for name in RECIPES if name.endswith("_lm")]

# Large recipes are checked small. In their own size, or with the parts that the small ones leave
# out, they are slow tests.
LARGER = {name: {} for name in SMALL_ARGUMENTS if name.startswith("convolutional_modern/")}
LARGER |= {
    "lessons/names_classifier": {"num_layers": 1, "num_hiddens": 8, "embed_size": 8},
    "recurrent_modern/bidirectional_lstm_lm": {"num_hiddens": 16, "num_steps": 6},
    "multilayer_perceptrons/house_prices": {},
}


_TESTS = itertools.count()


@pytest.fixture
def free_memory():
    """Models are cycles of references: hundreds of megabytes wait for the collector."""
    yield
    if next(_TESTS) % 4 == 3:  # looking for them takes a third of a second
        gc.collect()


def test_the_small_ones_are_recipes_that_exist():
    assert set(RECIPES) >= set(SMALL_ARGUMENTS) | set(WAYS_OF_TRAINING)
    assert set(DEMOS) >= set(NOT_RUN) | set(SMALL_DEMOS)


def check_small(name, directory, **options):
    arguments = SMALL_ARGUMENTS.get(name, {})
    return check_recipe(name, directory, source=Source("builtin"), arguments=arguments, **options)


@functools.cache
def first_of_their_kind():
    """Return the first recipe of each kind: of those with the same endpoints, loss and metrics."""
    found = {}
    for name in (*WAYS_OF_TRAINING, *RECIPES):
        recipe = finding.load(name)
        if recipe.loss() is None:  # trained in graphs, and asked, by the tests of models and boxes
            continue
        builds = [getattr(endpoint.build, "func", endpoint.build) for endpoint in recipe.endpoints]
        learned = [type(part).__name__ for part in (recipe.loss(), *recipe.metrics())]
        kind = (*((build.__module__, build.__qualname__) for build in builds), *learned)
        found.setdefault(kind, name)
    return set(found.values())


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in WAYS_OF_TRAINING])
def test_recipe_trains_reloads_and_is_served(name, tmp_path, no_real_data, free_memory):
    first = name in first_of_their_kind()
    check_small(
        name,
        tmp_path,
        replicas=None,
        resume=False,
        graphs=name in WRITERS or first,
        signatures=None if first else ["serving_default"],
    )


@pytest.mark.parametrize("name", WAYS_OF_TRAINING)
def test_resumed_and_on_replicas_it_is_the_same_training(name, tmp_path, no_real_data, free_memory):
    check_small(name, tmp_path, graphs=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in RECIPES if name not in WAYS_OF_TRAINING])
def test_every_recipe_resumed_and_on_replicas_is_the_same_training(
    name, tmp_path, no_real_data, free_memory
):
    check_small(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGER)
def test_larger_recipe(name, tmp_path, no_real_data, free_memory):
    check_recipe(name, tmp_path, source=Source("builtin"), arguments=LARGER[name])


def leaves(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


@pytest.mark.parametrize("name", sorted(set(NOT_RUN)))
@pytest.mark.timeout(60)
def test_demo(name, tmp_path, no_real_data):
    check_demo(finding.load(name, **SMALL_DEMOS.get(name, {})), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", DEMOS)
def test_demo_in_its_own_size(name, tmp_path, no_real_data):
    check_demo(finding.load(name), tmp_path)


def check_demo(demo, tmp_path):
    result = demo.run()
    found = leaves(plain(result.values))  # NaN and infinity come as None
    assert found
    assert all(isinstance(leaf, (int, float, str)) for leaf in found), result.values
    for title, figure in result.figures.items():
        path = tmp_path / f"{title}.png"
        figure.savefig(path)
        assert path.stat().st_size > 1000
        for axes in figure.axes:
            if axes.lines:
                assert axes.get_xlabel() or axes.get_title(), f"{title}: axes without a name"


@pytest.mark.parametrize("name", ENTRIES)
def test_docstring_says_section_expectation_and_a_command_that_parses(name):
    entry = ENTRIES[name]
    text = re.sub(r"\s+", " ", entry.function.__doc__ or "")
    loaded = finding.load(name)
    assert f'Section: "{loaded.section}"' in text
    assert re.search(r"Expected: \S", text)
    (command,) = re.findall(r"Command: (kerasd2l .*?)\s*$", text)
    _, verb, *words = shlex.split(command)
    assert verb == {"recipe": "train", "demo": "run"}[entry.kind]
    with cli.main.commands[verb].make_context(verb, words) as context:
        assert finding.find(context.params["name"]).name == name
        finding.load(name, **cli.parse_settings(context.params["pairs"]))
