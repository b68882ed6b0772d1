"""Processes that know nothing of this one: TensorFlow takes seconds to start, a fork does not."""

from __future__ import annotations

import functools
import json
import select
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any, cast

from kerasd2l.export import check, fresh

_ZYGOTE = Path(__file__).with_name("zygote.py")
_RELOAD = Path(__file__).with_name("reload.py")
_SECONDS = 300  # after which a script that says nothing has failed


class Elsewhere:
    """Runs scripts in processes in which nothing was imported but TensorFlow.

    One process imports TensorFlow and forks a child for every script, so that many checks pay for
    one start. It ends with this process, or by `close`.

    Args:
        without: names of modules that cannot be imported there.
    """

    def __init__(self, without: tuple[str, ...] = ()):
        self.without = without
        self._process: subprocess.Popen | None = None

    def __call__(self, script: str, stdin: str) -> tuple[int, str]:
        """Run a Python file with a text on its stdin; return its exit code and what it printed."""
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            request = json.dumps({"script": script, "stdin": stdin, "log": str(log)})
            process = self._start()
            stdin_there = cast(IO[bytes], process.stdin)
            stdin_there.write(request.encode() + b"\n")
            stdin_there.flush()
            code = int(self._line(process))
            return code, log.read_text("utf8", "replace")

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> subprocess.Popen:
        if self._process is None:
            self._process = subprocess.Popen(
                check.isolated(str(_ZYGOTE), *self.without),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=tempfile.gettempdir(),
                bufsize=0,
            )
            self._line(self._process)
        return self._process

    def _line(self, process: subprocess.Popen) -> bytes:
        """Wait for the next line of the process."""
        stdout = cast(IO[bytes], process.stdout)
        ready, _, _ = select.select([stdout], [], [], _SECONDS)
        line = stdout.readline() if ready else b""
        if not line:
            self.close()
            raise RuntimeError(
                f"the fresh process {'died' if ready else f'said nothing for {_SECONDS} s'}."
            )
        return line


@functools.cache
def without_this_library() -> Elsewhere:
    """Return the one process of this process in which neither kerasd2l nor Keras is there."""
    return Elsewhere(without=fresh.FORBIDDEN)


@functools.cache
def with_keras() -> Elsewhere:
    """Return the one process of this process that knows Keras and can import kerasd2l."""
    return Elsewhere()


def reload(path: Path, inputs: Any, modules: tuple[str, ...] = ()) -> Any:
    """Load a .keras file elsewhere and return its outputs there.

    Args:
        path: the file.
        inputs: nest of arrays.
        modules: names of modules with classes that are not of this library.

    Raises:
        AssertionError: it cannot be loaded there.
    """
    with tempfile.TemporaryDirectory() as folder:
        reply = Path(folder) / "reply.json"
        request = {
            "path": str(path.resolve()),
            "inputs": encode(inputs),
            "modules": list(modules),
            "sys_path": [str(Path(entry).resolve()) for entry in sys.path],
            "reply": str(reply),
        }
        code, log = with_keras()(str(_RELOAD), json.dumps(request))
        if code or not reply.exists():
            raise AssertionError(f"{path} cannot be loaded in a fresh process:\n{log[-2000:]}")
        return decode(json.loads(reply.read_text("utf8")))


def encode(tree: Any) -> Any:
    """Turn a nest of arrays into plain data."""
    if isinstance(tree, dict):
        return {"dict": {key: encode(value) for key, value in tree.items()}}
    if isinstance(tree, (list, tuple)):
        kind = "tuple" if isinstance(tree, tuple) else "list"
        return {kind: [encode(value) for value in tree]}
    return None if tree is None else {"array": fresh.encode(tree)}


def decode(plain: Any) -> Any:
    """Turn what `encode` made back into a nest of arrays."""
    if plain is None:
        return None
    ((kind, content),) = plain.items()
    if kind == "dict":
        return {key: decode(value) for key, value in content.items()}
    if kind == "array":
        return fresh.decode(content)
    return (tuple if kind == "tuple" else list)(decode(value) for value in content)
