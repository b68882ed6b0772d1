"""The script that mutates the files of every reader: a part of what it does, and its own eyes."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


def mutate_readers(*arguments):
    command = [sys.executable, SCRIPTS / "mutate_readers.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_no_reader_falls_for_mutated_files():
    done = mutate_readers("--count=100", "--seed=7", "--jobs=1", "--light")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all                   100" in done.stdout


@pytest.mark.slow
def test_no_reader_falls_for_five_thousand_mutated_files():
    done = mutate_readers("--count=5000", "--seed=11")
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_unknown_reader_is_told():
    done = mutate_readers("--only=nothing")
    assert done.returncode == 2 and "is none of idx, " in done.stderr


EYES = """
import os, pickle, subprocess, sys, time
from pathlib import Path
from mutation_tools import Watch

watch = Watch(Path.cwd(), seconds=0.5)

def fails():
    raise KeyError("x")

def writes():
    open("../beside", "w").close()

def starts():
    pickle.loads(b"cposix\\nsystem\\n(S'true'\\ntR.")

def waits():
    os.mkfifo("pipe")
    open("pipe", "rb")

def fills():
    return bytearray(b"1") * (1200 << 20)

def refuses():
    raise ValueError("x")

def is_right():
    open("here", "w").close()

for read in (fails, writes, starts, waits, fills, refuses, is_right):
    tally = watch.try_one(read, (ValueError,))
    found = [k for k in ("raw", "outside", "code", "hangs", "large", "refused", "read")
             if getattr(tally, k)]
    print(read.__name__, *found)
"""


def test_the_watch_sees_each_fault(tmp_path):
    (tmp_path / "root").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", EYES],
        cwd=tmp_path / "root",
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
    )
    seen = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert "large" in seen.pop("fills"), done.stderr  # on a busy machine it also takes long
    assert seen == {
        "fails": ["raw"],
        "writes": ["outside", "read"],
        "starts": ["code", "read"],
        "waits": ["hangs"],
        "refuses": ["refused"],
        "is_right": ["read"],
    }


def test_mutations_are_the_same_for_the_same_seed():
    spec = importlib.util.spec_from_file_location("tools", SCRIPTS / "mutation_tools.py")
    tools = importlib.util.module_from_spec(spec)
    sys.modules["tools"] = tools
    spec.loader.exec_module(tools)
    import random

    content = b"some 12 bytes, 3 numbers\n" * 50
    made = [[tools.mutate(random.Random(i), content) for i in range(60)] for _ in range(2)]
    assert made[0] == made[1] and len(set(made[0])) > 55 and content not in made[0][:3]
