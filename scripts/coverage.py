#!/usr/bin/env python
"""The table of sections in RESULTS.md: where each section lives, and which test covers it.

It is made from the code: recipes and demos state their section, public functions and classes name
it in their docstring (`Section: "lenet"`), and a test covers what it names; the few that name most
of it are told. `--write` renews the table; without it, a table that differs from the code is an
error. tests/test_results.py runs this.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

from kerasd2l.contents import SECTIONS

ROOT = Path(__file__).resolve().parent.parent
_NUMBERS = {section.slug: section.number for section in SECTIONS}
MOST_TESTS = 3  # a row
BEGIN, END = "<!-- sections: begin -->", "<!-- sections: end -->"
_SECTION = re.compile(r"Sections?:\s+((?:\"[\w+./ -]+\"(?:,\s*|\s+and\s+)?)+)")


def main() -> int:
    """Compare or write the table; return the exit code."""
    path = ROOT / "RESULTS.md"
    text = path.read_text("utf8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    wanted = f"{before}{BEGIN}\n{table()}{END}{after}"
    if wanted == text:
        return 0
    if "--write" in sys.argv:
        path.write_text(wanted, "utf8")
        return 0
    print("RESULTS.md: the table of sections differs from the code: scripts/coverage.py --write")
    return 1


def table() -> str:
    """Make the table in Markdown: the sections that are there in the book's order, then the others.

    A section is there if it has a recipe or a demo.
    """
    places = defaultdict(set)
    names = defaultdict(set)
    for section, kind, name in _recipes_and_demos():
        names[section].add(f"{kind} `{name}`")
    for section, module, name in _documented():
        places[section].add(f"`{module}.{name}`")
    tests = _tests()
    lines = []
    for section in [s.slug for s in SECTIONS if s.slug in names]:
        wanted = {_word(entry) for entry in names[section] | places[section]}
        covering = [f"`{test}`" for test in _covering(wanted, tests)]
        cells = [sorted(names[section]), sorted(places[section]), covering]
        row = [_NUMBERS[section], section, *(", ".join(cell) or "-" for cell in cells)]
        lines.append("| " + " | ".join(row) + " |")
    missing = [f"{s.number} {s.slug}" for s in SECTIONS if s.slug not in names]
    head = [
        f"{len(lines)} of {len(SECTIONS)} sections are there.",
        "",
        "| number | section | recipe or demo | functions and layers | tests |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*head, *lines, "", f"Not yet: {', '.join(missing)}.", ""])


def _word(entry: str) -> str:
    """Return the word that a test of `module.name` uses: the module's for `load`, else the name."""
    *_, module, name = ["", *re.findall(r"\w+", entry)]
    return module if name == "load" else name


def _covering(wanted: set[str], tests: dict[str, Counter[str]]) -> list[str]:
    """Return the `MOST_TESTS` files that name `wanted` most; what many name counts less."""
    weight = {word: 1 / max(1, sum(word in words for words in tests.values())) for word in wanted}
    scores = {
        test: sum(weight[word] * words[word] for word in wanted) for test, words in tests.items()
    }
    named = [test for test, score in scores.items() if score]
    return sorted(sorted(named, key=lambda test: -round(scores[test], 9))[:MOST_TESTS])


def uncovered() -> list[str]:
    """Return the sections that no test names."""
    return [line.split("|")[2].strip() for line in table().splitlines() if line.endswith("| - |")]


def _recipes_and_demos():
    """Yield (section, kind, name) of every recipe and demo; a demo may span several sections."""
    from kerasd2l.finding import list_recipes
    from kerasd2l.recipe import Recipe

    for found in list_recipes():
        kind = "recipe" if isinstance(found, Recipe) else "demo"
        for section in re.split(r",\s*", found.section):
            yield section, kind, found.name


def _documented():
    """Yield (section, module, name) of public functions and classes whose docstring names one."""
    for path in sorted((ROOT / "kerasd2l").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if ".chapters." in module:
            continue
        for node in ast.parse(path.read_text("utf8")).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                for names in _SECTION.findall(ast.get_docstring(node) or ""):
                    for section in re.findall(r"\"([^\"]+)\"", names):
                        yield section, module.removeprefix("kerasd2l."), node.name


def _tests() -> dict[str, Counter[str]]:
    """Return for each test file how often it has each identifier, and each word of its strings."""
    found = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if path.name != "test_recipes.py":  # it covers every recipe, and so tells nothing here
            found[str(path.relative_to(ROOT))] = Counter(re.findall(r"\w+", path.read_text("utf8")))
    return found


if __name__ == "__main__":
    sys.exit(main())
