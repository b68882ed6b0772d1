"""Family names and the countries they are from: 13374 + 6700 names, 18 countries.

The set of the course lesson on recurrent classifiers. Built in: names of places, languages and days
in 18 languages from CLDR, to be told apart by language.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data import limits, pipeline, tables, text
from kerasd2l.data.source import DataError, Source, class_names_of, file_in, resolve
from kerasd2l.data.vocab import UNKNOWN
from kerasd2l.recipe import Data, TensorSpec

babel = lazy("babel")

FILES = ("names_train.csv.gz", "names_test.csv.gz")
# The number of a character is its ASCII code; 0 is any other character, and the padding.
VOCABULARY = (UNKNOWN, *map(chr, range(1, 128)))
LANGUAGES = {
    "Croatian": "hr",
    "Czech": "cs",
    "Dutch": "nl",
    "English": "en",
    "Estonian": "et",
    "Finnish": "fi",
    "French": "fr",
    "German": "de",
    "Hungarian": "hu",
    "Irish": "ga",
    "Italian": "it",
    "Latvian": "lv",
    "Polish": "pl",
    "Portuguese": "pt",
    "Romanian": "ro",
    "Spanish": "es",
    "Turkish": "tr",
    "Vietnamese": "vi",
}
# Letters that are no letter with an accent.
_PLAIN = str.maketrans(
    {"ß": "ss", "ł": "l", "Ł": "L", "\u0131": "i", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D"}
    | {"æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "\u2019": "'"}
)
_LONGEST = 24  # letters of a built-in name


def load(
    source: Source | str | None = None,
    *,
    batch_size: int = 256,
    max_length: int | None = None,
) -> Data:
    """Load names as padded characters with their lengths. Section: "rnn-names-classifier".

    Args:
        source: Source, or the name of its kind: "auto" (default), "builtin" or "files"; the lesson
            names no address to download from. Files: DIR/names/names_train.csv.gz and _test.
        batch_size: int, the global batch.
        max_length: int >= 1, the padded length T; longer names are cut. None: that of the longest
            name of both files.

    Returns:
        Data: x {"characters": (B, T) int32 ASCII codes, padded with 0, "lengths": (B,) int32},
        y (B,) int32; assets["class_names"] (countries in alphabetical order), assets["vocabulary"]
        (128 tokens), assets["tokenizer"], which turns accented Latin letters into plain ones.

    Raises:
        DataError: a file is missing or not right; the message has its name and line.

    Example:
        >>> load("builtin", batch_size=4).features["lengths"].shape
        ()
    """
    if max_length is not None and max_length < 1:
        raise ValueError(f"`max_length` must be at least 1. Received: max_length={max_length}.")
    source = Source.of(source)
    folder = resolve(source, "names", FILES)
    train, test = builtin() if folder is None else (read(file_in(folder, name)) for name in FILES)
    countries = sorted({country for _, country in train})
    strange = sorted({country for _, country in test} - set(countries))
    if strange:
        raise DataError(f"{FILES[1]} has countries that {FILES[0]} has not: {', '.join(strange)}.")
    countries = class_names_of(source, countries, FILES[0])
    if len(countries) < 2:
        raise DataError(
            f"{FILES[0]}: expected names of at least two countries, received "
            f"{', '.join(countries) or 'none'}."
        )
    if max_length is None:
        max_length = max(len(encode(name)) for name, _ in [*train, *test])
    number = {country: i for i, country in enumerate(countries)}

    def arrays(rows: Sequence[tuple[str, str]]):
        codes = [encode(name) for name, _ in rows]
        characters, lengths = text.pad_batch(codes, 0, max_length)
        y = np.array([number[country] for _, country in rows], np.int32)
        return {"characters": characters, "lengths": lengths}, y

    training = pipeline.from_arrays(arrays(train), batch_size=batch_size, seed=source.seed)
    evaluation = pipeline.from_arrays(arrays(test), batch_size=batch_size)
    return pipeline.make_data(
        training,
        test=evaluation,
        features={
            "characters": TensorSpec((max_length,), "int32"),
            "lengths": TensorSpec((), "int32"),
        },
        assets={
            "class_names": countries,
            "vocabulary": list(VOCABULARY),
            "tokenizer": TOKENIZER.to_assets(),
        },
    )


def encode(name: str) -> list[int]:
    """Return the ASCII codes of a name; Latin letters lose their accents, others become 0.

    Example:
        >>> encode("Li\u00e9 \u738b")
        [76, 105, 101, 32, 0]
    """
    return [ord(character) if character.isascii() else 0 for character in TOKENIZER(name)]


def read(path: Path) -> list[tuple[str, str]]:
    """Read a CSV file of name and country, without header, plain or gzipped.

    Raises:
        DataError: not two columns, an empty field, or no names; with the line's number.
    """
    rows = []
    for number, row in tables.read(path):
        if len(row) != 2:
            there = str(row)[:60]
            raise DataError(f"{path}, line {number}: expected name,country, received {there}.")
        name, country = row[0].strip(), row[1].strip()
        if not name or not country:
            raise DataError(f"{path}, line {number}: name and country must not be empty.")
        if max(len(name), len(country)) > limits.NAME_CHARACTERS:
            raise DataError(
                f"{path}, line {number}: expected at most {limits.NAME_CHARACTERS} characters, "
                f"received {row[0][:40]!r}..."
            )
        rows.append((name, country))
    if not rows:
        raise DataError(f"{path} has no names.")
    return rows


def builtin() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return (name, language) for training and test from CLDR, in ASCII letters.

    A name that two languages share is left out; every fifth of a language's names is for the test.
    """
    found: dict[str, set[str]] = {}
    for language, code in LANGUAGES.items():
        locale = babel.Locale(code)
        days, months = (calendar["format"]["wide"] for calendar in (locale.days, locale.months))
        tables = (locale.territories, locale.languages, days, months)
        for name in (_ascii(entry) for table in tables for entry in table.values()):
            if 2 <= len(name) <= _LONGEST:
                found.setdefault(name, set()).add(language)
    rows = sorted((min(of), name) for name, of in found.items() if len(of) == 1)
    train: list[tuple[str, str]] = []
    test: list[tuple[str, str]] = []
    for language in LANGUAGES:
        names = [name for of, name in rows if of == language]
        mixed = np.random.RandomState(0).permutation(len(names))  # numpy's frozen stream
        for place, i in enumerate(mixed):
            (test if place % 5 == 0 else train).append((names[i], language))
    return train, test


def _replacements() -> tuple[tuple[str, str], ...]:
    """Return what turns accented Latin letters into plain ones, as patterns of a Tokenizer."""
    letters: dict[str, str] = {}
    for code in sorted({*range(0xC0, 0x250), *range(0x1E00, 0x1F00), *_PLAIN}):
        plain = _without_accents(chr(code))
        if plain.isascii():
            letters[plain] = letters.get(plain, "") + chr(code)
    accents = ("[\u0300-\u036f]", "")  # that stand behind their letter
    return accents, *((f"[{found}]", plain) for plain, found in sorted(letters.items()))


def _without_accents(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.translate(_PLAIN))
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def _ascii(name: str) -> str:
    """Return a name without accents; letters that have no plain form are dropped."""
    kept = "".join(c for c in _without_accents(name) if c.isascii() and (c.isalpha() or c in " '-"))
    return kept.strip(" '-")


# What a name goes through before training and, in the graph, before serving.
TOKENIZER = text.Tokenizer("char", _replacements(), lower=False)
