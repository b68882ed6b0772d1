"""`kerasd2l list` and `show`: the table of contents, and what an entry does."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Sequence
from typing import Any

import click

from kerasd2l import contents, finding
from kerasd2l.contents import Section
from kerasd2l.finding import Entry
from kerasd2l.recipe import Demo

COLUMNS = ("number", "name", "section", "kind", "data", "expected")
NOT_BUILT = "not built yet"


def rows_of(pattern: str, *, everything: bool) -> list[dict[str, str | None]]:
    """Return the rows of a pattern, in the book's order.

    Args:
        pattern: str, as `finding.matching` takes it.
        everything: bool, also sections that are not built yet.

    Raises:
        click.ClickException: nothing matches.
    """
    rows = [describe(entry) for entry in finding.matching(pattern)]
    if everything:
        missing = [
            {**dict.fromkeys(COLUMNS), "number": s.number, "section": s.slug, "kind": NOT_BUILT}
            for s in contents.SECTIONS
            if not finding.entries_of(s) and _means(pattern, s)
        ]
        order = [section.number for section in contents.SECTIONS]
        rows = sorted(rows + missing, key=lambda row: order.index(row["number"] or ""))
    if rows:
        return rows
    section = finding.section_of(pattern)
    if section:
        raise click.ClickException(f"section {section.number} {section.slug} is {NOT_BUILT}.")
    for chapter in contents.CHAPTERS:
        if pattern.lower() in (chapter.number.lower(), chapter.slug):
            raise click.ClickException(
                f"chapter {chapter.number} {chapter.slug} is {NOT_BUILT}. "
                f"`kerasd2l list --all {chapter.number}` shows its sections."
            )
    names = [word for s in contents.SECTIONS for word in (s.slug, s.chapter)]
    names += [entry.short for entry in finding.entries()]
    raise click.ClickException(
        f"nothing matches {pattern!r}.{finding.near_matches(pattern, names)}"
    )


def _means(pattern: str, section: Section) -> bool:
    chapter = section.number.partition(".")[0].lower()
    words = (section.slug, section.number.lower(), section.chapter, chapter)
    return pattern.lower() in words or pattern == "*"


def describe(entry: Entry) -> dict[str, str | None]:
    """Return the row of an entry."""
    found = finding.build(entry)
    row = {"number": entry.section.number, "name": entry.name, "section": found.section}
    if isinstance(found, Demo):
        return {**row, "kind": "demo", "data": None, "expected": None}
    expected = str(found.expected) if found.expected else None
    return {**row, "kind": "recipe", "data": found.dataset, "expected": expected}


def print_table(rows: Sequence[dict[str, str | None]]) -> None:
    """Print rows under the headings of their chapters."""
    from rich.console import Console
    from rich.table import Table

    widths = {c: max(len(c), *(len(row[c] or "-") for row in rows)) for c in COLUMNS}
    # Where nobody looks at a screen, a line is a line however long.
    wide = None if sys.stdout.isatty() else sum(widths.values()) + 2 * len(widths)
    console = Console(file=sys.stdout, width=wide, highlight=False)
    chapters = {chapter.number: chapter for chapter in contents.CHAPTERS}
    first = True
    for number, chapter in chapters.items():
        mine = [row for row in rows if (row["number"] or "").partition(".")[0] == number]
        if not mine:
            continue
        table = Table(box=None, show_header=first, padding=(0, 2, 0, 0), pad_edge=False)
        for column in COLUMNS:
            table.add_column(column, min_width=widths[column] if wide else None)
        for row in mine:
            table.add_row(*(row[column] or "-" for column in COLUMNS))
        with console.capture() as capture:  # rich would end the program where nobody reads
            console.print(f"{number} {chapter.title}", style="bold")
            console.print(table)
        click.echo(capture.get(), nl=False)
        first = False


def describe_arguments(entry: Entry) -> list[dict[str, Any]]:
    """Return name, type and default of each argument of an entry."""
    return [
        {"name": key, "type": type_name(argument.annotation), "default": argument.default}
        for key, argument in finding.parameters(entry.function).items()
    ]


def print_entry(entry: Entry) -> None:
    """Print what an entry does, and its arguments."""
    text = inspect.cleandoc(entry.function.__doc__ or "")
    click.echo(f"{entry.name}\n\n{text}\n\nArguments (--set NAME=VALUE):")
    arguments = describe_arguments(entry)
    for argument in arguments:
        click.echo(f"  {argument['name']}: {argument['type']} = {argument['default']}")
    if not arguments:
        click.echo("  none")


def type_name(annotation: Any) -> str:
    """Return what a person may give: "int", "one of fashion_mnist, mnist", "tuple[int, ...]"."""
    if typing.get_origin(annotation) is typing.Annotated:
        return annotation.__metadata__[0]
    if typing.get_origin(annotation) is typing.Literal:
        return f"one of {', '.join(map(str, typing.get_args(annotation)))}"
    if isinstance(annotation, type) and not typing.get_origin(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "")
