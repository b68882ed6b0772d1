"""The README's Python runs, and its commands exist."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from kerasd2l import cli

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.S)
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", README, re.S)
    for line in block.splitlines()
    if line.startswith("kerasd2l ")
]


@pytest.mark.parametrize("code", PYTHON)
def test_python_runs(code):
    exec(compile(code, "README.md", "exec"), {})


@pytest.mark.parametrize("command", COMMANDS)
def test_command_has_options_that_exist(command):
    _, verb, *words = shlex.split(command)
    words = words[: words.index("--")] if "--" in words else words
    known = {option for p in cli.main.commands[verb].params for option in p.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_quick_start_is_two_commands_in_which_ci_finds_the_tests():
    block = README.split("## Quick start")[1].split("## Import")[0]
    commands = [c for b in re.findall(r"```bash\n(.*?)```", block, re.S) for c in b.splitlines()]
    assert len(commands) == 2
    assert re.match(r"pip install .*pytest", commands[1])
    assert "grep" in (ROOT / ".ci/run").read_text("utf8")


def test_version_needs_no_tensorflow():
    result = CliRunner().invoke(cli.main, ["--version"])
    assert result.exit_code == 0 and "kerasd2l" in result.output
