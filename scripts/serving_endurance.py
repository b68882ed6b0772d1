#!/usr/bin/env python
"""Ask `kerasd2l serve` for minutes while versions come and go, with rubbish, and kill its models.

--minutes: 16 connections ask without a pause while a new version is published every five seconds
and old ones are deleted. No request may fail, and the memory of both processes must stay flat.
--pictures: the same with a photograph in each request, in place of numbers.
--malformed: so many malformed requests from a seed (`serving_fuzz.py`), good ones beside them. No
process may end, none may go without a status, and the good ones' 99th percentile must stay below
twice what it is without them. Who makes them gives way (nice): the clients share the machine.
--kill: kill -9 of the process with the models. Until it is back, which may take 15 seconds,
requests get 503.

All of it stays on 127.0.0.1. The models are an untrained LeNet and those of the contract, both made
here. Prints what was seen, and exits with 1 if any of it was not as it must be.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import click
from serving_fuzz import Seen
from serving_process import Server, serving

ROOT = Path(__file__).resolve().parents[1]
CONNECTIONS = 16
SENDERS = 2  # of malformed requests, at one time
GROWTH = 0.05  # of the memory that the first fifth of the time may have left to grow
BACK_WITHIN = 15.0
SECONDS = 40.0


@dataclass
class Asked:
    """What came of good requests: how often each status, and how long each took."""

    statuses: Counter = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def percentile(self, percent: int) -> float:
        """Return a percentile of the time that an answer took, in milliseconds."""
        return 1000 * statistics.quantiles(self.seconds, n=100)[percent - 1]

    def end(self) -> Asked:
        """Stop asking."""
        self.stop.set()
        for thread in self.threads:
            thread.join()
        return self


def asking(server: Server, path: str, body: bytes, connections: int, pause: float = 0.0) -> Asked:
    """Start threads that ask over connections of their own until they are told to end."""
    asked = Asked()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)
        while not asked.stop.is_set():
            begin = time.perf_counter()
            try:
                connection.request("POST", path, body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
                status = str(response.status)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                status = type(error).__name__
            asked.seconds.append(time.perf_counter() - begin)
            asked.statuses[status] += 1
            if pause:
                asked.stop.wait(pause)
        connection.close()

    asked.threads = [threading.Thread(target=ask) for _ in range(connections)]
    for thread in asked.threads:
        thread.start()
    return asked


def publish(model: Path) -> int:
    """Copy the newest version as the next one, and delete all but the two newest before it."""
    numbers = sorted(int(path.name) for path in model.iterdir() if path.name.isdigit())
    half = model / ".tmp-copy"
    shutil.copytree(model / str(numbers[-1]), half)
    manifest = half / "assets.extra" / "manifest.json"
    if manifest.exists():
        content = json.loads(manifest.read_text())
        manifest.write_text(json.dumps(content | {"version": numbers[-1] + 1}))
    half.rename(model / str(numbers[-1] + 1))
    for number in numbers[:-2]:
        old = model / f".tmp-old-{number}"
        (model / str(number)).rename(old)
        shutil.rmtree(old)
    return numbers[-1] + 1


def served_version(server: Server, name: str) -> int:
    """Return the newest version that is available."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)
    connection.request("GET", f"/v1/models/{name}")
    states = json.loads(connection.getresponse().read())["model_version_status"]
    connection.close()
    return max(int(one["version"]) for one in states if one["state"] == "AVAILABLE")


def endure(
    model: Path, body: bytes, seconds: float, every: float, say: Callable[[str], object]
) -> list[str]:
    """Ask for so many seconds while versions come and go; return what went wrong."""
    faults = []
    memory: list[dict[str, float]] = []
    with serving(model.parent) as server:
        first = server.model_process()
        asked = asking(server, f"/v1/models/{model.name}:predict", body, CONNECTIONS)
        begin = published = told = time.monotonic()
        newest = 1
        while (now := time.monotonic()) - begin < seconds:
            if now - published >= every:
                newest, published = publish(model), now
            memory.append(server.memory())
            if now - told >= 30:
                told = now
                line = ", ".join(f"{name} {size:.0f} MB" for name, size in memory[-1].items())
                count, seen = sum(asked.statuses.values()), served_version(server, model.name)
                say(f"  {now - begin:4.0f} s: {count} answers, version {seen}, {line}")
            time.sleep(1)
        end = time.monotonic() + 3 * every
        while (found := served_version(server, model.name)) < newest and time.monotonic() < end:
            time.sleep(0.5)
        asked.end()
        if server.model_process() != first:
            faults.append("the process with the models was another one at the end")
    if found < newest:
        faults.append(f"version {newest} was published, {found} is served")
    if set(asked.statuses) != {"200"}:
        faults.append(f"not all were answered: {dict(asked.statuses)}")
    rate = len(asked.seconds) / seconds
    say(f"  {len(asked.seconds)} answers ({rate:.0f}/s), {newest} versions")
    say(f"  p50 {asked.percentile(50):.1f} ms, p99 {asked.percentile(99):.1f} ms")
    faults += _growth(memory, say)
    return faults


def _growth(memory: list[dict[str, float]], say: Callable[[str], object]) -> list[str]:
    """Compare the memory of the second fifth of the time with that of the last."""
    faults, fifth = [], len(memory) // 5
    if not fifth:
        return []
    for name in memory[0]:
        sizes = [row[name] for row in memory]
        early = statistics.median(sizes[fifth : 2 * fifth])
        late = statistics.median(sizes[-fifth:])
        say(f"  {name}: {early:.0f} MB early, {late:.0f} MB late, at most {max(sizes):.0f} MB")
        if late > (1 + GROWTH) * early:
            faults.append(f"{name} grew from {early:.0f} to {late:.0f} MB")
    return faults


def bear(
    server: Server, images: str | None, count: int, seed: int, say: Callable[[str], object]
) -> list[str]:
    """Send malformed requests, good ones beside them; return what went wrong."""
    good = ("/v1/models/half_plus_two:predict", json.dumps({"instances": [1.0] * 64}).encode())
    seen, faults = Seen(), []
    first = server.model_process()
    calm = min(30.0, count / 100)
    probe = asking(server, *good, 1, pause=0.005)
    time.sleep(calm)
    alone = probe.end().percentile(99)
    # in processes of their own that give way: to make rubbish must not hold up the probe
    attack = [str(server.port), server.grpc, images or "-", str(count // SENDERS)]
    words = [["serving_fuzz.py", *attack, str(seed + i)] for i in range(SENDERS)]
    probe, told = _meanwhile(server, good, words)
    for printed in told:
        seen.add(Seen.from_json(printed))
    after = probe.percentile(99)
    if server.model_process() != first:
        faults.append("the process with the models ended")
    say(f"  asked {dict(seen.asked)}")
    say(f"  answered {dict(sorted(seen.statuses.items()))}")
    say(f"  good: p99 {alone:.1f} ms alone, {after:.1f} ms beside malformed ones")
    sizes = server.memory().items()
    say(f"  memory {', '.join(f'{name} {size:.0f} MB' for name, size in sizes)}")
    if set(probe.statuses) != {"200"}:
        faults.append(f"good ones beside them: {dict(probe.statuses)}")
    if count >= 1000 and after > 2 * alone:
        faults.append(f"p99 of good ones went from {alone:.1f} to {after:.1f} ms")
    return faults + seen.faults


def _meanwhile(
    server: Server, good: tuple[str, bytes], scripts: list[list[str]]
) -> tuple[Asked, list[str]]:
    """Ask good requests while scripts run; return what came of them, and what the scripts print."""
    running = [
        subprocess.Popen(
            ["nice", "-n", "19", sys.executable, str(ROOT / "scripts" / script), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for script, *words in scripts
    ]
    probe = asking(server, *good, 1, pause=0.005)
    told = [process.communicate(good[1].decode())[0] for process in running]
    probe.end()
    if any(process.returncode for process in running):
        raise RuntimeError(f"{scripts[0][0]} failed")
    return probe, told


def kill(server: Server, say: Callable[[str], object]) -> list[str]:
    """Kill the process with the models; return what went wrong."""
    body = json.dumps({"instances": [1.0]}).encode()
    asked = asking(server, "/v1/models/half_plus_two:predict", body, 4, pause=0.01)
    time.sleep(0.5)
    worker = server.model_process()
    if worker is None:
        asked.end()
        return ["there is no process with the models"]
    os.kill(worker, signal.SIGKILL)
    begin = time.monotonic()
    while not asked.statuses["503"] and time.monotonic() - begin < SECONDS:
        time.sleep(0.01)
    answered = asked.statuses["200"]
    while asked.statuses["200"] <= answered + 4 and time.monotonic() - begin < SECONDS:
        time.sleep(0.01)
    back = time.monotonic() - begin
    asked.end()
    say(f"  back after {back:.1f} s; {dict(asked.statuses)}")
    faults = [f"back after {back:.1f} s"] if back > BACK_WITHIN else []
    if not asked.statuses["503"] or set(asked.statuses) - {"200", "503"}:
        faults.append(f"answers were {dict(asked.statuses)}")
    return faults


@click.command()
@click.option("--minutes", type=float, default=0.0, help="Of endurance.")
@click.option("--every", default=5.0, show_default=True, help="Seconds between two versions.")
@click.option("--pictures", is_flag=True, help="Ask with a photograph, not with numbers.")
@click.option("--malformed", default=0, help="How many.")
@click.option("--seed", default=0, show_default=True)
@click.option("--kill", "kills", is_flag=True)
def main(
    minutes: float, every: float, pictures: bool, malformed: int, seed: int, kills: bool
) -> None:
    """Print what was seen, and every fault."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from benchmark_serving import json_bodies, write_model

    sys.path.append(str(ROOT / "tests" / "serving" / "contract"))
    from models import write_models

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_models(folder / "all").unlink()  # the configuration does not name LeNet
        write_model(folder / "one")
        shutil.copytree(folder / "one" / "lenet", folder / "all" / "lenet")
        faults = []
        if kills or malformed:
            with serving(folder / "all") as server:
                if kills:
                    click.echo("kill -9 of the process with the models")
                    faults += kill(server, click.echo)
                if malformed:
                    click.echo(f"{malformed} malformed requests")
                    faults += bear(server, "lenet", malformed, seed, click.echo)
        if minutes:
            click.echo(f"{minutes:g} minutes, a new version every {every:g} seconds")
            body = json_bodies()["picture" if pictures else "numbers"]
            faults += endure(folder / "one" / "lenet", body, 60 * minutes, every, click.echo)
    for fault in faults[:50]:
        click.echo(f"FAULT {fault}")
    click.echo(f"{len(faults)} faults")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
