"""RESULTS.md says what the code says: the table of sections, and commands that parse."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from kerasd2l import finding

ROOT = Path(__file__).resolve().parent.parent
ROWS = re.findall(r"`(kerasd2l train [^`]*)`", (ROOT / "RESULTS.md").read_text("utf8"))


@pytest.fixture(scope="module")
def coverage():
    spec = importlib.util.spec_from_file_location("coverage_script", ROOT / "scripts/coverage.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_table_of_sections_is_what_the_code_says(coverage):
    text = (ROOT / "RESULTS.md").read_text("utf8")
    assert coverage.table() in text, "scripts/coverage.py --write renews it"


def test_every_section_has_a_test(coverage):
    assert coverage.uncovered() == []


@pytest.mark.parametrize("command", ROWS)
def test_command_of_a_figure_parses(command):
    words = shlex.split(command)
    settings = dict(words[i + 1].split("=", 1) for i, word in enumerate(words) if word == "--set")
    assert finding.load(words[2], **settings)


@pytest.mark.parametrize("page", ["README.md", "RESULTS.md", "CHANGELOG.md", "CONTRIBUTING.md"])
def test_scripts_and_tests_that_a_page_names_exist(page):
    named = set(re.findall(r"(?:scripts|tests)/\w[\w/]*\.py", (ROOT / page).read_text("utf8")))
    assert not [path for path in sorted(named) if not (ROOT / path).exists()]
