"""Recipes by name: chapters of our own here, the words of --set, near matches."""

import sys
from types import ModuleType
from typing import Literal, Optional

import pytest

from kerasd2l import finding
from kerasd2l.contents import Section
from kerasd2l.finding import UnknownName, convert
from kerasd2l.recipe import Data, Demo, DemoResult, Endpoint, Expected, Recipe, TensorSpec
from kerasd2l.tasks.language_model import Corpus

LENET = """
from __future__ import annotations
from typing import Literal
from kerasd2l.recipe import Demo, DemoResult, Recipe

def lenet(*, learning_rate: float = 0.5, kind: Literal["a", "b"] = "a") -> Recipe:
    \"\"\"Doc.\"\"\"
    return make("lenet")

def edges() -> Demo:
    return Demo(section="lenet", run=lambda: DemoResult({"x": 1}))

def make(section) -> object:
    none = lambda *arguments: None
    return Recipe(section=section, dataset="d", data=none, model=none, optimizer=none, loss=none,
                  metrics=none, epochs=1, batch_size=2)

def _hidden() -> Recipe:
    raise AssertionError("private")
"""
IMPORTS = "from book.one.le_net import edges, make\nfrom kerasd2l.recipe import Recipe\n"
TWICE = IMPORTS + "def twice() -> Recipe:\n    return make('twice')\n"
OTHER = IMPORTS + "def lenet() -> Recipe:\n    return make('other')\n"


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book of two chapters with `lenet` in both, and a section that is not built."""
    sections = []
    for number, chapter, slug, text in (
        ("1.1", "one", "le-net", LENET),
        ("2.1", "two", "twice-more", TWICE),
        ("2.2", "two", "missing", None),
        ("2.3", "two", "other", OTHER),
    ):
        sections.append(Section(number, slug, slug.title(), chapter))
        (tmp_path / "book" / chapter).mkdir(parents=True, exist_ok=True)
        if text is not None:
            (tmp_path / "book" / chapter / f"{slug.replace('-', '_')}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(finding, "CHAPTERS", "book")
    monkeypatch.setattr(finding.contents, "SECTIONS", tuple(sections))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "book"]:
        assert isinstance(sys.modules.pop(name), ModuleType)


def make(**changes):
    nothing = dict.fromkeys(("data", "model", "optimizer", "loss", "metrics"), lambda: None)
    return Recipe(
        **{"section": "s", "dataset": "d", "epochs": 1, "batch_size": 2} | nothing | changes
    )


def test_entries_are_the_annotated_public_functions_where_they_are_defined(book):
    found = [(entry.name, entry.kind, entry.short) for entry in finding.entries()]
    assert found == [
        ("one/lenet", "recipe", "lenet"),
        ("one/edges", "demo", "edges"),
        ("two/twice", "recipe", "twice"),
        ("two/lenet", "recipe", "lenet"),
    ], "in the order of the book, and in a section of its file"


def test_a_unique_last_part_or_the_whole_name_finds(book):
    assert finding.find("twice").name == "two/twice"
    assert finding.find("two/lenet").function().section == "other"


def test_a_shared_last_part_is_refused_with_the_whole_names(book):
    with pytest.raises(UnknownName, match="Say one/lenet or two/lenet"):
        finding.find("lenet")


@pytest.mark.parametrize("label", ["twice-more", "2.1"])
def test_a_section_of_one_entry_finds_it(book, label):
    assert finding.find(label).name == "two/twice"


def test_a_section_of_several_entries_or_none_says_so(book):
    with pytest.raises(
        UnknownName, match=r"1\.1 le-net has 2 entries\. Say one/lenet or one/edges"
    ):
        finding.find("1.1")
    with pytest.raises(UnknownName, match=r"section 2\.2 missing is not built yet"):
        finding.find("missing")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("twise", "no recipe or demo named 'twise'. Did you mean twice or"),
        ("one/lenett", "one/lenet"),
        ("zzzzzz", "`kerasd2l list` shows them all"),
    ],
)
def test_a_wrong_name_gets_near_matches(book, name, message):
    with pytest.raises(UnknownName) as error:
        finding.find(name)
    assert message in str(error.value)


def test_load_fills_in_name_and_all_arguments(book):
    loaded = finding.load("one/lenet", kind="b")
    assert loaded.name == "one/lenet"
    assert loaded.arguments == {"learning_rate": 0.5, "kind": "b"}
    assert finding.load("one/lenet", learning_rate="0.25").arguments["learning_rate"] == 0.25
    demo = finding.load("edges")
    assert (demo.name, demo.arguments, demo.run().values) == ("one/edges", {}, {"x": 1})


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"learning_rat": 1}, UnknownName, "Did you mean learning_rate?"),
        ({"zzz": 1}, UnknownName, "has no argument 'zzz'. It has: learning_rate, kind."),
        ({"kind": "c"}, ValueError, "`kind` must be one of a, b. Received: kind=c."),
        ({"learning_rate": "fast"}, TypeError, "`learning_rate` must be a number"),
        ({"learning_rate": "0"}, ValueError, "`learning_rate` must be a positive number"),
        ({"learning_rate": "nan"}, ValueError, "`learning_rate` must be a positive number"),
    ],
)
def test_wrong_arguments_are_refused(book, arguments, kind, message):
    with pytest.raises(kind) as error:
        finding.load("one/lenet", **arguments)
    assert message in str(error.value)


def test_an_argument_of_a_function_without_any_is_refused(book):
    with pytest.raises(UnknownName, match="It has: none"):
        finding.load("edges", x=1)


def test_list_matches_parts_and_patterns(book):
    def names(pattern):
        return [found.name for found in finding.list_recipes(pattern)]

    assert len(names("*")) == 4
    assert names("lenet") == ["one/lenet", "two/lenet"]
    assert names("two/*") == names("2") == names("two") == ["two/twice", "two/lenet"]
    assert names("le-net") == names("1.1") == ["one/lenet", "one/edges"]
    assert names("t?o/l*") == ["two/lenet"]
    assert names("nothing") == []


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        ("3", int, 3),
        (3, int, 3),
        ("-3", int, -3),
        ("1e-3", float, 0.001),
        (1, float, 1.0),
        ("true", bool, True),
        ("No", bool, False),
        (False, bool, False),
        ("text", str, "text"),
        ("relu", Literal["relu", "tanh"], "relu"),
        ("2", Literal[1, 2], 2),
        ("none", int | None, None),
        ("None", Optional[float], None),  # noqa: UP045
        (None, int | None, None),
        ("5", int | None, 5),
        ("2,3", tuple[int, ...], (2, 3)),
        ([2, 3], tuple[int, ...], (2, 3)),
        ("2,0.5", tuple[int, float], (2, 0.5)),
        ("7", tuple[int, ...], (7,)),
        ("", tuple[int, ...], ()),
    ],
)
def test_convert(value, annotation, expected):
    found = convert("key", value, annotation)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("value", ["nan", float("inf"), "-inf"])
def test_a_recipe_takes_finite_numbers_only(value):
    with pytest.raises(
        ValueError, match=f"`width` must be a finite number. Received: width={value}"
    ):
        finding.load("resnet18", width=value)


@pytest.mark.parametrize(
    ("value", "annotation", "message"),
    [
        ("3.5", int, "`key` must be a whole number. Received: key='3.5'"),
        (3.5, int, "a whole number"),
        (True, int, "a whole number"),
        ("", int, "a whole number"),
        ("many", float, "a number"),
        (None, float, "a number"),
        ("maybe", bool, "true or false"),
        (1, bool, "true or false"),
        (3, str, "text"),
        ("none", int, "a whole number"),
        ("2,x", tuple[int, ...], "a whole number"),
        ("2,3,4", tuple[int, int], "`key` must have 2 items"),
        (5, tuple[int, ...], "a list such as 2,2,2"),
    ],
)
def test_convert_refuses_what_would_lose_or_invent(value, annotation, message):
    with pytest.raises(TypeError) as error:
        convert("key", value, annotation)
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["epochs", "batch_size"])
def test_a_recipe_counts_from_one(name):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1. Received: {name}=0"):
        make(**{name: 0})


def test_the_first_endpoint_is_the_default_one():
    endpoint = Endpoint("predict", {"x": TensorSpec((None,))}, lambda m, a: None, dict)
    with pytest.raises(
        ValueError, match=r"must be named \"serving_default\"\. Received: .'predict'"
    ):
        make(endpoints=(endpoint,))


def test_expected_says_a_figure_or_a_range_and_its_source():
    assert str(Expected("test_accuracy", 0.7, 0.7, "book")) == "test_accuracy 0.7 (book)"
    assert str(Expected("test_loss", 0.1, 0.25, "run")) == "test_loss 0.1-0.25 (run)"


def test_data_without_an_order_has_one_order():
    data = Data("train", None, None, {}, {}, {})
    assert data.epoch(3) == "train"
    assert Data("train", None, None, {}, {}, {}, order=lambda n: f"epoch {n}").epoch(3) == "epoch 3"


def test_types_are_frozen():
    for value in (make(), Demo("s", lambda: DemoResult({})), TensorSpec((None,))):
        with pytest.raises(AttributeError):
            value.section = "other"


# Groups of numbers


@pytest.mark.parametrize(
    "given",
    [
        {"partition": "random"},
        {"corpus.partition": "random"},
        {"corpus": {"partition": "random"}},
        {"corpus": Corpus(partition="random")},
    ],
    ids=["flat", "path", "dict", "object"],
)
def test_a_number_of_a_group_is_set_by_its_name_its_path_or_with_the_group(given):
    arguments = finding.load("gru_lm", **given).arguments
    assert arguments["partition"] == "random"
    assert arguments == {**finding.load("gru_lm").arguments, "partition": "random"}


def test_a_number_that_is_called_like_its_group_keeps_its_flat_name():
    assert finding.load("gru_lm", corpus="shakespeare").dataset == "shakespeare"


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"corpus.partitio": "random"}, UnknownName, "Did you mean partition"),
        ({"corpus.partition": "sideways"}, ValueError, "`partition` must be one of sequential"),
        ({"descent.epochs": "many"}, TypeError, "`epochs` must be a whole number"),
        ({"corpus.learning_rate": 1}, UnknownName, "has no argument 'corpus.learning_rate'"),
        ({"pictures": {"size": 3}}, UnknownName, "has no argument 'pictures.size'"),
    ],
)
def test_wrong_numbers_of_a_group_are_refused(given, kind, message):
    with pytest.raises(kind) as error:
        finding.load("gru_lm", **given)
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["embed_size", "embedding_dim"])
def test_an_argument_is_found_by_the_name_that_it_had_before(name):
    assert finding.load("gru_lm", **{name: 3}).arguments["embed_size"] == 3
