"""Which models are served: the folder is looked at once a second, as TensorFlow Serving does.

A version is loaded when it is complete, warmed up, and only then takes over; the one before
finishes what it has begun and goes. Whatever is wrong with a new version, or with the storage, the
one that serves goes on.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kerasd2l.export.manifest import SavedModelError
from kerasd2l.serving.server.batching import Queue
from kerasd2l.serving.server.calls import ServingError
from kerasd2l.serving.server.loaded import LoadedVersion
from kerasd2l.serving.server.storage import Found, Incomplete, ModelConfig, Storage

POLL = 1.0  # seconds
RETRIES, RETRY_AFTER = 5, 60.0  # of a version that could not be loaded, seconds apart


@dataclass(frozen=True)
class VersionState:
    """What TensorFlow Serving's status tells of a version.

    Args:
        version: int.
        state: "START", "LOADING", "AVAILABLE", "UNLOADING" or "END".
        code: a key of `CODES`: why it could not be loaded, or "OK".
        message: str, the same in words.
    """

    version: int
    state: str
    code: str = "OK"
    message: str = ""


@dataclass
class _Serving:
    """A version that answers, and its queues by signature."""

    version: LoadedVersion
    queues: dict[str, Queue] = field(default_factory=dict)
    closed: bool = False


@dataclass
class _Failure:
    """A version that could not be loaded: what lay there then, when, how often."""

    fingerprint: object
    at: float
    times: int = 1


class Models:
    """The models of a folder.

    Args:
        storage: what is on the disk.
        say: (text) -> anything, for the log.
        together: bool, run in one batch what has gathered.
        most: int, requests that may wait for a signature.
    """

    def __init__(
        self, storage: Storage, say: Callable[[str], object], *, together: bool, most: int
    ):
        self._storage = storage
        self._say = say
        self._together = together
        self._most = most
        self._serving: dict[str, dict[int, _Serving]] = {}
        self._states: dict[str, dict[int, VersionState]] = {}
        self._failures: dict[tuple[str, int], _Failure] = {}
        self._configs: Mapping[str, ModelConfig] = {}
        self._problems: dict[str, str] = {}
        self._looked = False
        self._queues: weakref.WeakSet[Queue] = weakref.WeakSet()  # also of what is being unloaded
        self._lock = threading.Lock()
        self._stop = threading.Event()

    # What the protocols ask.

    def find(
        self, name: str, version: int | None = None, label: str | None = None
    ) -> LoadedVersion:
        """Return the version that answers: the one of this number or label, or the newest.

        Raises:
            ServingError: with TensorFlow Serving's texts.
        """
        serving = self._serving.get(name, {})
        if label is not None:
            config = self._configs.get(name)
            number = config.labels.get(label) if config else None
            if number is None or number not in serving:
                raise ServingError(
                    "INVALID_ARGUMENT", f"Unrecognized servable version label: {label}"
                )
            version = number
        wanted = max(serving, default=None) if version is None else version
        if wanted is None or wanted not in serving:
            which = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise ServingError("NOT_FOUND", f"Servable not found for request: {which}")
        return serving[wanted].version

    def queue(self, version: LoadedVersion, signature: str) -> Queue | None:
        """Return the queue of a signature; None if the version serves no more."""
        serving = self._serving.get(version.name, {}).get(version.version)
        if serving is None or serving.version is not version:
            return None
        queue = serving.queues.get(signature)
        if queue is None:
            with self._lock:
                if serving.closed:
                    return None
                queue = serving.queues.setdefault(
                    signature,
                    Queue(version, signature, together=self._together, most=self._most),
                )
                self._queues.add(queue)
        return queue

    def states(self, name: str, version: int | None = None) -> list[VersionState]:
        """Return what is known of a model's versions, the newest first.

        Raises:
            ServingError: nothing is.
        """
        states = self._states.get(name, {})
        if version is not None and version not in states:
            raise ServingError("NOT_FOUND", f"Could not find version {version} of model {name}")
        if not states:
            raise ServingError("NOT_FOUND", f"Could not find any versions of model {name}")
        numbers = sorted(states, reverse=True) if version is None else [version]
        return [states[number] for number in numbers]

    def names(self) -> list[str]:
        """Return the names of all models that have been seen, in order."""
        return sorted(name for name, states in list(self._states.items()) if states)

    def labels(self, name: str) -> Mapping[str, int]:
        """Return the labels of a model: label -> version."""
        return self._configs[name].labels if name in self._configs else {}

    def problems(self) -> list[str]:
        """Say what is wrong with the storage, in words for a person."""
        return sorted(self._problems.values())

    def stuck(self, patience: float) -> str:
        """Name the version with a call that goes on `patience` seconds after all have left it."""
        with self._lock:
            queues = list(self._queues)
        return next((queue.name for queue in queues if queue.stuck(patience)), "")

    def ready(self) -> bool:
        """Tell whether the folder has been read once."""
        return self._looked

    def waits(self) -> bool:
        """Tell whether a version is there that is not complete yet."""
        return any(s.state == "START" for states in self._states.values() for s in states.values())

    # What the folder says.

    def watch(self) -> None:
        """Look at the folder once a second until `close`."""
        while not self._stop.wait(POLL):
            self.look()

    def look(self) -> None:
        """Look at the folder once: load what is new, let go what is not wanted any more."""
        configs = self._storage.models()
        if configs is None:  # the storage hiccups: nothing is unloaded
            self._problem(
                "storage", "the folder of the models cannot be read; what serves, serves on"
            )
        else:
            nothing = "no models: the folder must hold NAME/VERSION/saved_model.pb"
            self._problem("storage", None if configs or self._serving else nothing)
            self._configs = configs
            for name, config in configs.items():
                try:
                    self._follow(name, config)
                except OSError as error:  # it goes or comes while it is being read: look again
                    self._problem(name, f"{name}: {error.strerror}")
            for name in set(self._serving) - set(configs):
                if self._serving[name]:
                    self._problem(name, f"{name}: its folder is gone; what serves, serves on")
        self._looked = True

    def close(self) -> None:
        """Stop watching; finish what waits."""
        self._stop.set()
        for name in list(self._serving):
            for number in list(self._serving[name]):
                self._unload(name, number)

    def _follow(self, name: str, config: ModelConfig) -> None:
        there, problem = self._storage.versions(config)
        wanted = config.wanted(there)
        if not wanted and problem is None:
            problem = (
                f"{name}: no versions are left; what serves, serves on"
                if self._serving.get(name)
                else f"{name}: its folder has none of the versions that are wanted"
            )
        self._problem(name, problem)
        if not wanted:
            return
        serving = self._serving.setdefault(name, {})
        chosen: list[int] = []
        for number in wanted:  # where the newest cannot be loaded, the one before serves
            if number in serving or self._loads(name, number, there[number]):
                chosen.append(number)
            if len(chosen) == config.most:
                break
        if chosen:  # an old version goes when a new one has arrived, or it would leave a gap
            for number in sorted(set(serving) - set(chosen)):
                self._unload(name, number)
        self._forget(name, there)

    def _forget(self, name: str, there: Mapping[int, Found]) -> None:
        """Drop the states of versions that neither serve nor lie on the disk."""
        serving = self._serving.get(name, {})
        self._states[name] = {
            number: state
            for number, state in self._states.get(name, {}).items()
            if number in serving or number in there
        }
        for key in [key for key in self._failures if key[0] == name and key[1] not in there]:
            del self._failures[key]

    def _loads(self, name: str, number: int, found: Found) -> bool:
        """Load a version; False if it cannot be, or failed before and is still the same."""
        failure = self._failures.get((name, number))
        if failure is not None and failure.fingerprint == found.fingerprint:
            waited = time.monotonic() - failure.at
            if failure.times > RETRIES or waited < RETRY_AFTER:
                return False
        try:
            self._storage.complete(found)
        except Incomplete as error:
            self._set(name, number, "START", "UNAVAILABLE", f"not complete yet: {error}")
            return False
        begin = time.monotonic()
        self._set(name, number, "LOADING")
        try:
            version = LoadedVersion(name, number, found.path)
            warmed = version.warm_up()
            _give_back_memory()
        except Exception as error:  # whatever a stranger's SavedModel does: the others go on
            self._fail(name, number, found, error)
            return False
        self._failures.pop((name, number), None)
        self._serving[name][number] = _Serving(version)
        self._set(name, number, "AVAILABLE")
        note = "" if version.manifest else "; no manifest: not exported by kerasd2l"
        self._say(
            f"{name}/{number}: loaded in {time.monotonic() - begin - warmed:.2f} s, "
            f"warmed up in {warmed:.2f} s{note}"
        )
        return True

    def _fail(self, name: str, number: int, found: Found, error: Exception) -> None:
        code, message = "UNKNOWN", f"{type(error).__name__}: {error}"
        if isinstance(error, SavedModelError | ServingError):
            code = getattr(error, "code", "DATA_LOSS")
            message = str(error)
        message = message.replace(str(found.path), f"{name}/{number}").splitlines()[0][:500]
        before = self._failures.get((name, number))
        times = before.times + 1 if before and before.fingerprint == found.fingerprint else 1
        self._failures[name, number] = _Failure(found.fingerprint, time.monotonic(), times)
        self._set(name, number, "END", code, message)
        self._say(f"{name}/{number}: not loaded: {message}")

    def _unload(self, name: str, number: int) -> None:
        serving = self._serving[name][number]
        self._set(name, number, "UNLOADING")
        with self._lock:
            serving.closed = True
        # no copy of the table may miss a version: find() reads it without a lock
        self._serving[name] = {k: v for k, v in self._serving[name].items() if k != number}
        for queue in serving.queues.values():
            queue.close()
        serving.queues.clear()
        serving.version.close()
        self._set(name, number, "END")
        self._say(f"{name}/{number}: unloaded")
        del serving
        _give_back_memory()

    def _set(self, name: str, number: int, state: str, code: str = "OK", message: str = "") -> None:
        new = VersionState(number, state, code, message)
        before = self._states.setdefault(name, {}).get(number)
        if before != new and state == "START":
            self._say(f"{name}/{number}: {message}")
        # a new table, so that a reader never meets one that changes
        self._states[name] = {**self._states[name], number: new}

    def _problem(self, key: str, text: str | None) -> None:
        if text is None:
            self._problems.pop(key, None)
        elif self._problems.get(key) != text:
            self._problems[key] = text
            self._say(text)


def _give_back_memory() -> None:
    """Return to the system what is free: preparing a graph takes some 30 MB for a while."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):  # where the C library is not glibc
        ctypes.CDLL(None).malloc_trim(0)
