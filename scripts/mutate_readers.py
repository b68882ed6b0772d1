#!/usr/bin/env python
"""Mutate the files of every reader from a seed, and count what must never happen.

Raw tracebacks (anything but the library's own errors), readers that take more than 5 seconds or a
process of more than 1 GiB, files written outside the folder, programs started, dead processes.
Prints a table; exits with 1 if any of these counts is not 0. Linux only.
"""

from __future__ import annotations

import functools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
from mutation_readers import HEAVY, readers
from mutation_tools import Tally, Watch, limit_process

_SILENT = 60  # seconds after which a process that says nothing is ended
_QUIET = {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
_COLUMNS = ("tried", "read", "refused", "raw", "hangs", "large", "outside", "code", "died")


@click.command()
@click.option("--count", default=6000, help="mutations of all readers together")
@click.option("--seed", default=0)
@click.option("--jobs", default=os.cpu_count() or 1, help="processes")
@click.option("--only", multiple=True, help="names of readers")
@click.option("--light", is_flag=True, help="without the readers that import TensorFlow")
@click.option("--first", hidden=True, type=int, help="be a worker: begin with this mutation")
@click.option("--step", hidden=True, default=1)
def main(count, seed, jobs, only, light, first, step):
    """Try the readers of kerasd2l on mutated files."""
    if first is not None:
        return _work(count, seed, _names(only, light), first, step)
    names = _names(only, light)
    tallies = {name: Tally() for name in names}
    for group in ([n for n in names if n not in HEAVY], [n for n in names if n in HEAVY]):
        for name, tally in _try(group, count * len(group) // len(names), seed, jobs):
            tallies[name].add(tally)
    sys.exit(_report(tallies))


def _names(only: tuple[str, ...], light: bool) -> list[str]:
    known = list(readers())
    strange = [name for name in only if name not in known]
    if strange:
        raise click.BadParameter(f"{strange[0]!r} is none of {', '.join(known)}")
    return [name for name in known if name in (only or known) and not (light and name in HEAVY)]


def _try(names: list[str], count: int, seed: int, jobs: int) -> list[tuple[str, Tally]]:
    """Share the mutations out among worker processes."""
    arguments = [f"--count={count}", f"--seed={seed}", f"--step={jobs}"]
    arguments += [f"--only={name}" for name in names]
    with ThreadPoolExecutor(jobs) as pool:
        workers = [pool.submit(_supervise, arguments, job, count, jobs) for job in range(jobs)]
        return [pair for worker in workers for pair in worker.result()]


def _work(count: int, seed: int, names: list[str], first: int, step: int) -> None:
    """Try every step-th mutation and say before and after each what it is and what came of it."""
    if set(names) & set(HEAVY):
        import kerasd2l.scratch.tensor_files
        import kerasd2l.training.checkpoint  # noqa: F401
    known = readers()
    with tempfile.TemporaryDirectory() as root:
        os.chdir(root)
        folder = Path(root) / "files"
        watch = Watch(Path(root))
        for name in names:  # what is not mutated must be read
            _write(folder, known[name].make(None))
            known[name].read(folder)
            shutil.rmtree(folder)
        limit_process()
        for number in range(first, count, step):
            name = names[number % len(names)]
            _say({"number": number, "name": name})
            reader = known[name]
            _write(folder, reader.make(random.Random(f"{seed} {number}")))
            tally = watch.try_one(functools.partial(reader.read, folder), reader.known)
            _say({"number": number, "name": name, "tally": vars(tally)})
            shutil.rmtree(folder)


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _say(line: dict) -> None:
    print(json.dumps(line), flush=True)


def _supervise(arguments: list[str], job: int, count: int, jobs: int) -> list[tuple[str, Tally]]:
    """Run a worker, and a new one after each that dies or falls silent."""
    tallies: list[tuple[str, Tally]] = []
    first = job
    while first < count:
        command = [sys.executable, __file__, *arguments, f"--first={first}"]
        worker = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=os.environ | _QUIET
        )
        doing = None
        for line in _lines(worker):
            doing = json.loads(line)
            if "tally" in doing:
                tally = Tally(**doing["tally"])
                tally.faults = [f"mutation {doing['number']}: {fault}" for fault in tally.faults]
                tallies.append((doing["name"], tally))
                first = doing["number"] + jobs
        if worker.wait() == 0:
            break
        if doing is None:
            raise SystemExit("a worker did not start")
        if "tally" not in doing:
            what = f"mutation {doing['number']}: the process died with {worker.returncode}"
            tallies.append((doing["name"], Tally(tried=1, died=1, faults=[what])))
            first = doing["number"] + jobs
    return tallies


def _lines(worker: subprocess.Popen) -> Iterator[str]:
    """Yield the lines that a worker says; end it when it says nothing for too long."""
    assert worker.stdout is not None  # noqa: S101
    while True:
        alarm = threading.Timer(_SILENT, worker.kill)
        alarm.start()
        line = worker.stdout.readline()
        alarm.cancel()
        if not line:
            return
        yield line


def _report(tallies: dict[str, Tally]) -> int:
    """Print the table and the faults; return the exit code."""
    total = Tally()
    for tally in tallies.values():
        total.add(tally)
    print(f"{'reader':16}", *(f"{name:>8}" for name in _COLUMNS), f"{'most s':>8} {'MiB':>6}")
    for name, tally in [*tallies.items(), ("all", total)]:
        cells = [f"{getattr(tally, column):8}" for column in _COLUMNS]
        print(f"{name:16}", *cells, f"{tally.seconds:8.2f} {tally.mib:6}")
    for name, tally in tallies.items():
        for fault in tally.faults[:5]:
            print(f"\n{name}, {fault.strip()}")
    return int(total.bad > 0)


if __name__ == "__main__":
    main()
