"""Run: the folder of one training run, written before work starts.

config.json    what was asked for: recipe, arguments, seed, strategy, versions
assets.json    plain data that serving needs: class names, vocabulary
data.json      how many examples, and a hash of the first: what a resume compares
metrics.jsonl  one line per epoch
checkpoints/   the last two states to resume from, and the best one
tensorboard/   event files of the same figures: `tensorboard --logdir RUN`
model.keras    the trained model
curves.png     loss and metrics over the epochs
summary.json   the result; its presence means that the run is finished
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

if os.name == "posix":
    import fcntl

# Arguments of recipes that had another name once, and those that are options of the training now:
# run folders and scripts still say them.
RENAMED = {"embedding_dim": "embed_size", "units": "num_hiddens"}
RETIRED = ("skip_broken", "jit_compile")
# Ways to the same files: data.json tells whether they hold the same.
_SAME_FILES = ("auto", "files", "download")


class RunError(Exception):
    """A run folder that is missing, damaged, of another run, or not to be overwritten."""


@dataclass(frozen=True)
class Run:
    """One training run and its folder.

    Args:
        path: the folder.
        recipe: str, full name "chapter/function".
        arguments: the resolved arguments of the recipe.
        seed: int, the seed of weights, data order and dropout.
        strategy: str, "one", "mirrored" or "multi_worker".
        replicas: int, replicas that share the global batch.
        options: everything else that shapes the numbers: data source, precision, limits.
        versions: name -> version of what computed it.
        writes: False on the workers of a cluster that must leave the folder alone.
    """

    path: Path
    recipe: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    strategy: str = "one"
    replicas: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    writes: bool = True

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        return self.path / "model.keras"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def curves(self) -> Path:
        return self.path / "curves.png"

    @contextlib.contextmanager
    def owned(self) -> Iterator[None]:
        """Own the folder: nobody else trains in it until this ends, be it by death.

        What a killed owner was writing is removed. Whoever does not write owns nothing.

        Raises:
            RunError: another process owns it, or it cannot be made.
        """
        if not self.writes:
            yield
            return
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            lock = _locked(self.path / ".lock")
        except BlockingIOError:
            raise RunError(
                f"another training is at work in {self.path}. Wait for its end, or give another "
                "--out."
            ) from None
        except OSError as error:
            raise RunError(f"cannot make the run folder {self.path}: {error}") from error
        try:
            for left in (*self.path.glob(".*.tmp"), *self.path.glob(".*.keras")):
                left.unlink(missing_ok=True)
            yield
        finally:
            (self.path / ".lock").unlink(missing_ok=True)  # while it is locked
            os.close(lock)
            if not (self.path / "config.json").exists():
                self._remove_folders()  # of a run that did not start

    def config(self) -> dict[str, Any]:
        """Return what config.json holds."""
        config = asdict(self)
        return {key: value for key, value in config.items() if key not in ("path", "writes")}

    def start(self) -> None:
        """Make the folder and write config.json, before any work.

        Raises:
            RunError: the folder holds another run, or cannot be made.
        """
        if not self.writes:
            return
        if (self.path / "config.json").exists():
            raise RunError(
                f"{self.path} already holds a run. Give --resume to continue it, or another --out."
            )
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot make the run folder {self.path}: {error}") from error
        try:
            self.write("config.json", self.config())
        except BaseException:
            self.discard()
            raise

    def resume(self) -> None:
        """Check that the folder holds this same run; epochs, strategy and versions may differ.

        So may the place of the data: what was read there is compared by `data.json`.

        Raises:
            RunError: there is no run, or it was started with other settings.
        """
        there = open_run(self.path)
        if there.recipe != self.recipe:
            raise RunError(
                f"{self.path} is a run of {there.recipe}, not of {self.recipe}. "
                "Resume it under its own name, or give another --out."
            )
        asked, before = _comparable(self), _comparable(there)
        changed = []
        for group in ("arguments", "options"):
            keys = sorted(set(asked[group]) | set(before[group]))
            changed += [
                f"{key}: {getattr(there, group).get(key)!r} then, "
                f"{plain(getattr(self, group).get(key))!r} now"
                for key in keys
                if key != "epochs" and before[group].get(key) != asked[group].get(key)
            ]
        if before["seed"] != asked["seed"]:
            changed.append(f"seed: {before['seed']} then, {asked['seed']} now")
        if changed:
            raise RunError(
                f"{self.path} was started with other settings ({'; '.join(changed)}). "
                "Resume with the same settings, or give another --out."
            )

    def discard(self) -> None:
        """Take back `start`: nothing came of the run, and its folder is free for another one."""
        if not self.writes:
            return
        for name in ("config.json", "assets.json", "data.json"):
            (self.path / name).unlink(missing_ok=True)
        self._remove_folders()

    def _remove_folders(self) -> None:
        for folder in (self.checkpoints, self.path):
            with contextlib.suppress(OSError):  # somebody's own files stay
                folder.rmdir()

    def write(self, name: str, content: Any) -> None:
        """Write a JSON file of the run: whole or not at all."""
        if self.writes:
            write_json(self.path / name, content)

    def read(self, name: str) -> Any:
        """Read a JSON file of the run; None where it does not exist."""
        path = self.path / name
        if not path.exists():
            return None
        try:
            return _read_json(path)
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(f"cannot read {path}: {error}") from error

    def write_metrics(self, history: list[dict[str, Any]]) -> None:
        """Write metrics.jsonl anew from the history: after a resume nothing stands there twice."""
        if self.writes:
            lines = "".join(json.dumps(plain(event)) + "\n" for event in history)
            write_atomic(self.metrics, lines.encode("utf8"))


def open_run(path: str | os.PathLike) -> Run:
    """Open the folder of an earlier run.

    Raises:
        RunError: no run there, or its config.json cannot be read.
    """
    path = Path(path)
    if not (path / "config.json").is_file():
        hint = "it does not exist" if not path.exists() else "it has no config.json"
        raise RunError(f"{path} is not the folder of a run: {hint}. `kerasd2l train` makes one.")
    try:
        config = _read_json(path / "config.json")
        return Run(path=path, **_as_now(_checked(config)))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RunError(f"{path / 'config.json'} is damaged: {error}") from error


def _read_json(path: Path) -> Any:
    """Read a JSON file of a run: a regular one, for a pipe would be waited for, of usual size."""
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(number, "rb") as file:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError("it is no file")
        content = file.read(_MOST_JSON + 1)
    if len(content) > _MOST_JSON:
        raise ValueError(f"it has more than {_MOST_JSON} bytes")
    return json.loads(content)


_MOST_JSON = 16 << 20  # an empty object takes 3 bytes in the file, 64 in memory
_KINDS = {"recipe": str, "strategy": str, "seed": int, "replicas": int}
_KINDS |= dict.fromkeys(("arguments", "options", "versions"), dict)


def _checked(config: dict[str, Any]) -> dict[str, Any]:
    """Refuse a config.json that no training has written."""
    for key, value in config.items():
        if key not in _KINDS:
            raise ValueError(f"it has the unknown key {key!r}")
        if not isinstance(value, _KINDS[key]):
            raise TypeError(f"{key} must be of the kind {_KINDS[key].__name__}, it is {value!r}")
    return config


def _comparable(run: Run) -> dict[str, Any]:
    """Return the configuration as a resume compares it: the same files may lie elsewhere now."""
    config = json.loads(json.dumps(plain(run.config())))
    options = config["options"]
    options.pop("data_dir", None)
    if options.get("data") in _SAME_FILES:
        options["data"] = _SAME_FILES[0]
    return config


def _locked(path: Path) -> int:
    """Open and lock a file for this process alone; its death lets go.

    Raises:
        BlockingIOError: another process has it.
    """
    while True:
        file = os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_NONBLOCK", 0))
        try:
            if os.name == "posix":  # elsewhere nobody is kept out
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file), os.stat(path)):
                return file
        except FileNotFoundError:
            pass  # its owner has just gone, and taken it along
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _as_now(config: dict[str, Any]) -> dict[str, Any]:
    """Say the config.json of an earlier version in today's words."""
    arguments = {RENAMED.get(key, key): value for key, value in config["arguments"].items()}
    retired = {key: arguments.pop(key) for key in RETIRED if key in arguments}
    options = config.get("options", {}) | {key: value for key, value in retired.items() if value}
    return {**config, "arguments": arguments, "options": options}


def versions() -> dict[str, str]:
    """Return the versions of what computes: this library, TensorFlow, Keras, numpy."""
    from importlib import metadata  # slow to import, and most verbs do not ask

    found = {}
    for name in ("kerasd2l", "tensorflow", "keras", "numpy"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def write_json(path: Path, content: Any) -> None:
    """Write strict JSON, whole or not at all; NaN and infinity become null."""
    text = json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomic(path, text.encode("utf8", "backslashreplace"))  # a file's name may be no UTF-8


def write_atomic(path: Path, content: bytes) -> None:
    """Write a whole file or none: a reader never sees half of it."""
    with atomic(path) as file:
        file.write(content)


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that takes the name `path` once it is complete and on the disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with writing(path), open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new name, too, must survive a power cut
        finally:
            os.close(folder)
    finally:
        temporary.unlink(missing_ok=True)


def save_keras(model: Any, path: Path) -> None:
    """Write a model into a .keras file, whole or not at all."""
    temporary = path.with_name(f".{os.getpid()}.keras")
    try:
        with writing(path):
            model.save(temporary)
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Let an error of a disk name what was being written: "No space left on device" names nothing.

    Raises:
        OSError: as it was raised, with the name of `path`.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:  # numpy: "5 requested and 0 written"
            raise OSError(f"cannot write {path}: {error}") from error
        error.filename = str(path)
        raise


def plain(value: Any) -> Any:
    """Turn numpy numbers, tuples, paths and non-finite floats into what JSON knows."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # numpy and tensors
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
