"""How to find a recipe or demo by its name, and how words become its arguments.

This module knows no TensorFlow: `kerasd2l list` and `kerasd2l show` answer at once.
"""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
import importlib
import importlib.util
import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kerasd2l import contents
from kerasd2l.contents import Section
from kerasd2l.recipe import Demo, Recipe
from kerasd2l.run import RENAMED

CHAPTERS = "kerasd2l.chapters"


@dataclass(frozen=True)
class Entry:
    """A line of the table of contents: the chapter function behind a name.

    Args:
        name: str, "chapter/function".
        kind: "recipe" or "demo".
        section: where it stands.
        function: makes the recipe or demo from its keyword arguments.
    """

    name: str
    kind: Literal["recipe", "demo"]
    section: Section
    function: Callable[..., Recipe | Demo]

    @property
    def short(self) -> str:
        """The part of the name after the chapter."""
        return self.name.rpartition("/")[2]


class UnknownName(ValueError):
    """A recipe, demo or argument that does not exist; the message offers near matches."""


def entries() -> list[Entry]:
    """Return every recipe and demo, in the order of the book and of its sections' files."""
    return [entry for section in contents.SECTIONS for entry in entries_of(section)]


def entries_of(section: Section) -> list[Entry]:
    """Return the recipes and demos of a section in the order of its file; none: not built yet."""
    name = f"{CHAPTERS}.{section.chapter}.{section.module}"
    try:
        if importlib.util.find_spec(name) is None:
            return []
    except ModuleNotFoundError:  # no such chapter
        return []
    kinds: dict[Any, Literal["recipe", "demo"]] = {"Recipe": "recipe", "Demo": "demo"}
    module = importlib.import_module(name)
    found = []
    for label, function in vars(module).items():
        if label.startswith("_") or getattr(function, "__module__", "") != name:
            continue  # a helper, or of another room
        returns = getattr(function, "__annotations__", {}).get("return")
        kind = kinds.get(getattr(returns, "__name__", returns))
        if kind and inspect.isfunction(function):
            found.append(Entry(f"{section.chapter}/{label}", kind, section, function))
    return found


def find(name: str) -> Entry:
    """Find a recipe or demo.

    Args:
        name: str, `chapter/function`, or `function` where that is unique; or the slug or number of
            a section that has one entry ("rnn-concise", "8.6").

    Raises:
        UnknownName: no such name, or one of several; the message says which.
    """
    known = entries()
    hits = [entry for entry in known if name in (entry.name, entry.short)]
    section = None if hits else section_of(name)
    if section:
        hits = entries_of(section)
        if not hits:
            raise UnknownName(f"section {section.number} {section.slug} is not built yet.")
    if len(hits) == 1:
        return hits[0]
    choice = " or ".join(entry.name for entry in hits)
    if section:
        raise UnknownName(
            f"section {section.number} {section.slug} has {len(hits)} entries. Say {choice}."
        )
    if hits:
        raise UnknownName(f"{name!r} is in more than one chapter. Say {choice}.")
    names = [entry.short for entry in known] + [entry.name for entry in known]
    names += [entry.section.slug for entry in known]
    raise UnknownName(f"no recipe or demo named {name!r}.{near_matches(name, names)}")


def section_of(label: str) -> Section | None:
    """Return the section of a slug or number, or None."""
    for section in contents.SECTIONS:
        if label.lower() in (section.slug, section.number.lower()):
            return section
    return None


def matching(pattern: str = "*") -> list[Entry]:
    """Return the entries that a pattern means, in the book's order.

    Args:
        pattern: str, the number or slug of a section or chapter; else part of the name or section
            of an entry, or with `*` and `?` as in file names.
    """
    known = entries()
    labels = [_labels(entry) for entry in known]
    if any(pattern.lower() in words for words in labels):
        return [
            entry
            for entry, words in zip(known, labels, strict=True)
            if pattern.lower() in words or pattern == entry.short  # mlp: 4.2, and a recipe of 4.4
        ]
    if not any(sign in pattern for sign in "*?["):
        pattern = f"*{pattern}*"
    return [
        entry
        for entry in known
        if fnmatch.fnmatch(entry.name, pattern) or fnmatch.fnmatch(entry.section.slug, pattern)
    ]


def _labels(entry: Entry) -> tuple[str, ...]:
    """Return what means this entry as one of a section or a chapter."""
    number = entry.section.number.lower()
    return number, number.partition(".")[0], entry.section.slug, entry.section.chapter


def near_matches(word: str, known: typing.Iterable[str]) -> str:
    """Return " Did you mean ...?" with the names closest to `word`, or the way to list them."""
    close = difflib.get_close_matches(word, sorted(set(known)), n=3, cutoff=0.5)
    if close:
        return f" Did you mean {' or '.join(close)}?"
    return " `kerasd2l list` shows them all."


@dataclass(frozen=True)
class Argument:
    """An argument of a chapter function.

    Args:
        path: str, `learning_rate`, or `corpus.partition` for a field of a group.
        annotation: its type, resolved.
        default: what it is if nobody says otherwise.
    """

    path: str
    annotation: Any
    default: Any


def parameters(function: Callable) -> dict[str, Argument]:
    """Return the arguments of a chapter function by name.

    The fields of a group of numbers (an argument that is a dataclass) count one by one: by their
    own name where no other argument has it, else as `corpus.partition`.
    """
    every = []
    for name, parameter in _signature(function).items():
        if not dataclasses.is_dataclass(parameter.annotation):
            every.append(Argument(name, parameter.annotation, parameter.default))
            continue
        hints = typing.get_type_hints(parameter.annotation, include_extras=True)
        every += [
            Argument(
                f"{name}.{field.name}", hints[field.name], getattr(parameter.default, field.name)
            )
            for field in dataclasses.fields(parameter.annotation)
        ]
    last = [argument.path.rpartition(".")[2] for argument in every]
    return {
        name if last.count(name) == 1 else argument.path: argument
        for name, argument in zip(last, every, strict=True)
    }


def _signature(function: Callable) -> dict[str, inspect.Parameter]:
    hints = typing.get_type_hints(function, include_extras=True)
    return {
        name: parameter.replace(annotation=hints.get(name, str))
        for name, parameter in inspect.signature(function).parameters.items()
    }


def load(name: str, /, **arguments: Any) -> Recipe | Demo:
    """Build a recipe or demo by its name.

    Args:
        name: str, "chapter/function" or a unique "function".
        **arguments: values for the function's keyword arguments. A string is converted to the
            argument's type, as on the command line. A field of a group is `corpus.partition` (in a
            dict), or just `partition` where no other argument has that name.

    Returns:
        The Recipe or Demo, with `name` and all resolved `arguments` filled in.

    Raises:
        UnknownName: no such name or argument.
        TypeError: a value of the wrong kind.
        ValueError: a value out of range.

    Example:
        >>> load("lenet", learning_rate=0.5).arguments["learning_rate"]
        0.5
    """
    return build(find(name), **arguments)


def build(entry: Entry, **arguments: Any) -> Recipe | Demo:
    """Build the recipe or demo of an entry; `load` does it by name.

    Raises:
        UnknownName, TypeError, ValueError: as `load`.
    """
    known = parameters(entry.function)
    values = {key: parameter.default for key, parameter in known.items()}
    for given, value in _flat(arguments).items():
        key = _argument(given, known, entry.short)
        values[key] = value = convert(key, value, known[key].annotation)
        if entry.kind == "recipe" and isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"`{key}` must be a finite number. Received: {key}={value}.")
    if not 0 <= (values.get("seed") or 0) < 2**31:
        raise ValueError(f"`seed` must be 0 to 2147483647. Received: seed={values['seed']}.")
    built = entry.function(**_grouped(entry.function, values))
    return dataclasses.replace(built, name=entry.name, arguments=values)


def _flat(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Take groups apart: `corpus=Corpus(...)` or `corpus={...}` becomes `corpus.partition=...`."""
    flat: dict[str, Any] = {}
    for key, value in arguments.items():
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        if isinstance(value, Mapping):
            flat |= {f"{key}.{name}": item for name, item in value.items()}
        else:
            flat[key] = value
    return flat


def _argument(given: str, known: Mapping[str, Argument], recipe: str) -> str:
    """Return the name of an argument that was given by its name or by its path."""
    given = given if given in known else RENAMED.get(given, given)
    for name, argument in known.items():
        if given in (name, argument.path):
            return name
    shared = [name for name in known if name.rpartition(".")[2] == given]
    if shared:
        raise UnknownName(f"{recipe} has more than one {given!r}. Say {' or '.join(shared)}.")
    close = difflib.get_close_matches(given.rpartition(".")[2], known, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    names = ", ".join(known) or "none"
    raise UnknownName(f"{recipe} has no argument {given!r}.{hint} It has: {names}.")


def _grouped(function: Callable, values: Mapping[str, Any]) -> dict[str, Any]:
    """Put the fields of each group together again."""
    arguments: dict[str, Any] = {}
    fields: dict[str, dict[str, Any]] = {}
    for name, argument in parameters(function).items():
        group, dot, field = argument.path.partition(".")
        if dot:
            fields.setdefault(group, {})[field] = values[name]
        else:
            arguments[name] = values[name]
    signature = _signature(function)
    return arguments | {
        group: signature[group].annotation(**numbers) for group, numbers in fields.items()
    }


def convert(key: str, value: Any, annotation: Any) -> Any:
    """Convert `value` (often text from the command line) to the type `annotation`.

    Understands int, float, bool, str, Literal, Optional and tuples ("2,2,2").

    Raises:
        TypeError: the value is not of that type. ValueError: not one of a Literal's choices.
    """
    origin, options = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return convert(key, value, options[0])
    if origin is Literal:
        for option in options:
            if value == option or (isinstance(value, str) and value == str(option)):
                return option
        choices = ", ".join(map(str, options))
        raise ValueError(f"`{key}` must be one of {choices}. Received: {key}={value}.")
    if origin in (typing.Union, types.UnionType):
        if value is None or (isinstance(value, str) and value.lower() == "none"):
            if type(None) in options:
                return None
        (annotation,) = (option for option in options if option is not type(None))
        return convert(key, value, annotation)
    if origin is tuple:
        items = (value.split(",") if value else ()) if isinstance(value, str) else value
        if not isinstance(items, (list, tuple)):
            raise TypeError(f"`{key}` must be a list such as 2,2,2. Received: {key}={value!r}.")
        kinds = options if options[-1] is not Ellipsis else [options[0]] * len(items)
        if len(kinds) != len(items):
            raise TypeError(f"`{key}` must have {len(kinds)} items. Received: {key}={value!r}.")
        return tuple(convert(key, item, kind) for item, kind in zip(items, kinds, strict=True))
    return _convert_plain(key, value, annotation)


def _convert_plain(key: str, value: Any, kind: type) -> Any:
    """Convert to int, float, bool or str; refuse what would lose or invent information."""
    wrong = TypeError(f"`{key}` must be {_NOUNS.get(kind, kind)}. Received: {key}={value!r}.")
    if kind is bool:
        words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if isinstance(value, str) and value.lower() in words:
            return words[value.lower()]
        if not isinstance(value, bool):
            raise wrong
        return value
    if kind in (int, float):
        if isinstance(value, bool) or (kind is int and isinstance(value, float)):
            raise wrong
        try:
            value = kind(value)
        except (TypeError, ValueError):
            raise wrong from None
        if key == "learning_rate" and not 0 < value < float("inf"):
            raise ValueError(f"`{key}` must be a positive number. Received: {key}={value}.")
        return value
    if not isinstance(value, str):
        raise wrong
    return value


_NOUNS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def list_recipes(pattern: str = "*") -> list[Recipe | Demo]:
    """Build every recipe and demo that a pattern means (see `matching`) with its defaults."""
    return [build(entry) for entry in matching(pattern)]
