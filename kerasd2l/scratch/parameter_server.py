"""A parameter server by hand: workers pull parameters and push gradients.

Synchronous: the server waits for the gradients of all workers, adds them up and takes one step, as
one device with the whole batch would. Asynchronous: it takes a step with every gradient that comes,
and some were computed with parameters that are no longer the newest: they are stale.
Section: "parameterserver".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]


class ServerStopped(RuntimeError):
    """A worker failed: the others would wait for its gradients for ever."""


class ParameterServer:
    """Keeps parameters by their names, gives them out, and takes steps with gradients.

    w <- w - lr * (sum of gradients) / (their examples). Section: "parameterserver".

    Args:
        params: name -> array, copied.
        lr: float, learning rate of the mean over examples.
        num_workers: int >= 1. Default: 1.
        synchronous: bool, wait for the gradients of all workers before a step. Default: True.

    Raises:
        ValueError: less than one worker.

    Example:
        >>> server = ParameterServer({"w": np.array([1.0])}, lr=0.5)
        >>> server.push(0, {"w": np.array([2.0])}, examples=2, version=0)
        >>> server.pull()
        ({'w': array([0.5])}, 1)
    """

    def __init__(
        self, params: Arrays, lr: float, *, num_workers: int = 1, synchronous: bool = True
    ):
        if num_workers < 1:
            raise ValueError(f"`num_workers` must be at least 1. Received: {num_workers}.")
        self._params = {name: np.array(value) for name, value in params.items()}
        self._lr, self._num_workers, self._synchronous = lr, num_workers, synchronous
        self._version, self._waiting, self._stopped = 0, {}, False  # type: ignore[var-annotated]
        self._changed = threading.Condition()
        self.staleness: list[int] = []

    def pull(self) -> tuple[dict[str, np.ndarray], int]:
        """Return copies of the parameters, and how many steps they have behind them."""
        with self._changed:
            return {name: value.copy() for name, value in self._params.items()}, self._version

    def push(self, worker: int, grads: Arrays, *, examples: int, version: int) -> None:
        """Hand in gradients, summed over examples; synchronous: return when all have done so.

        Args:
            worker: int, whose gradients these are.
            grads: name -> array, for all or some of the parameters.
            examples: int, how many they are the sum of.
            version: int, of the parameters that they were computed with.

        Raises:
            KeyError: a parameter that is not here.
            ServerStopped: another worker failed.
        """
        unknown = set(grads) - set(self._params)
        if unknown:
            raise KeyError(f"no parameters {sorted(unknown)}. There are: {sorted(self._params)}.")
        with self._changed:
            self.staleness.append(self._version - version)
            if not self._synchronous:
                self._step([(grads, examples)])
                return
            self._waiting[worker] = grads, examples
            if len(self._waiting) == self._num_workers:
                # In the order of the workers, whoever came first: sums are rounded alike.
                self._step([self._waiting[number] for number in sorted(self._waiting)])
                self._waiting.clear()
                self._changed.notify_all()
                return
            now = self._version
            self._changed.wait_for(lambda: self._stopped or self._version > now)
            if self._version == now:
                raise ServerStopped("another worker failed; its gradients would never come.")

    def stop(self) -> None:
        """Let no worker wait any longer."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _step(self, pushed: Sequence[tuple[Arrays, int]]) -> None:
        examples = sum(count for _, count in pushed)
        for name, value in self._params.items():
            grads = [grads[name] for grads, _ in pushed if name in grads]
            if grads:
                value -= self._lr * sum(grads) / examples
        self._version += 1


def train_with_server(
    server: ParameterServer,
    batches: Sequence[Iterable[tuple[np.ndarray, np.ndarray]]],
    gradients: Callable[[Arrays, np.ndarray, np.ndarray], Arrays],
    *,
    delays: Sequence[float] = (),
) -> None:
    """Let each worker, a thread, pull, compute and push until its batches are used up.

    Section: "parameterserver".

    Args:
        server: the parameter server.
        batches: for each worker its own (X, y); as many for each where the server is synchronous.
        gradients: (params, X, y) -> name -> gradient, summed over the examples.
        delays: seconds that each worker takes longer for a batch: of slow machines.

    Raises:
        Exception: what the first worker that failed raised.
    """
    delays = delays or [0.0] * len(batches)

    def work(worker: int) -> None:
        try:
            for X, y in batches[worker]:
                params, version = server.pull()
                grads = gradients(params, X, y)
                if delays[worker]:
                    time.sleep(delays[worker])
                server.push(worker, grads, examples=len(X), version=version)
        except BaseException:
            server.stop()
            raise

    with ThreadPoolExecutor(len(batches)) as pool:
        workers = [pool.submit(work, number) for number in range(len(batches))]
    errors = [error for worker in workers if (error := worker.exception())]
    for error in sorted(errors, key=lambda e: isinstance(e, ServerStopped)):
        raise error


def softmax_gradients(params: Arrays, X: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Return the gradients of softmax regression, summed over the examples.

    (softmax(X W + b) - onehot(y)), times X for W. Section: "parameterserver".

    Args:
        params: "W" (D, K) and "b" (K,).
        X: (B, D).
        y: (B,) int classes.
    """
    error = _probabilities(params, X)
    error[np.arange(len(y)), y] -= 1
    return {"W": X.T @ error, "b": error.sum(axis=0)}


def softmax_loss(params: Arrays, X: np.ndarray, y: np.ndarray) -> float:
    """Return the mean cross-entropy of softmax regression. Section: "parameterserver"."""
    likely = _probabilities(params, X)[np.arange(len(y)), y]
    return float(-np.log(np.maximum(likely, 1e-30)).mean())


def _probabilities(params: Arrays, X: np.ndarray) -> np.ndarray:
    logits = X @ params["W"] + params["b"]  # (B, K)
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)
