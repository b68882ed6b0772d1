"""A training in Ray Train workers: `kerasd2l launch --engine ray`.

Ray finds the machines, starts the workers, and starts them again when one or its node is lost;
between the workers is TensorFlow. Needs the extra `ray`. The launcher is the driver of the job.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack, redirect_stdout, suppress
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

from kerasd2l.cluster.jobs import EngineError, Job

_PATIENCE = 10  # times a minute to wait for nodes


class ExtraMissing(EngineError):
    """Ray is not installed."""


def launch(
    job: Job,
    *,
    address: str = "auto",
    cpus_per_worker: float = 1,
    env: Mapping[str, str],
    stdout: BinaryIO | None = None,
    stderr: BinaryIO | None = None,
) -> int:
    """Run the job on a Ray cluster until it has ended. Call it in the main thread.

    Worker 0 is also on the console; all have their logs in the folder "logs" of the run. Ctrl-C,
    SIGTERM and a hang-up let all workers save and end, a second one ends them at once.

    Args:
        job: what to train; its run folder must be on a disk that all nodes share.
        address: of the Ray cluster, "auto" for the one of this machine or of `RAY_ADDRESS`,
            "local" for a new one that ends with the launcher.
        cpus_per_worker: float, cores that Ray sets aside for each.
        env: variables that the workers get, besides those of their nodes.
        stdout: binary stream for the stdout of worker 0, default ours.
        stderr: binary stream for its stderr and our reports, default ours.

    Returns:
        0; or the exit code of the first worker that failed, 128 + n after signal n, 1 where a
        worker was lost; or 130, 143, 129 after our own SIGINT, SIGTERM, SIGHUP.

    Raises:
        ExtraMissing: without Ray.
        EngineError: no such cluster, or Ray refuses the job.
        ValueError: the folder held another run before.
    """
    ray = _import_ray()
    job.check_new()
    logs = Path(job.out).absolute() / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    streams = {"stdout": stdout or sys.stdout.buffer, "stderr": stderr or sys.stderr.buffer}
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(sys.stderr))  # Ray prints
        _connect(ray, address)
        stack.callback(ray.shutdown)
        token = logs / f"ray-{uuid.uuid4().hex[:8]}"  # also the folder of Ray's own notes
        token.mkdir()
        stack.callback(shutil.rmtree, token, ignore_errors=True)
        return _Launch(ray, job, streams, cpus_per_worker, dict(env), token).run()


def _import_ray() -> Any:
    try:
        import ray
        import ray.train
    except ImportError as error:
        raise ExtraMissing(
            f"Ray is not installed ({error}). Install the extra: pip install 'kerasd2l[ray]'."
        ) from error
    return ray


def _connect(ray: Any, address: str) -> None:
    if address.startswith("ray://"):
        raise EngineError(
            "Ray Train does not run through Ray Client (ray://). Start the launcher on a node of "
            "the cluster, for example by: ray job submit -- kerasd2l launch --engine ray ..."
        )
    try:
        if ":" in address:  # where nobody listens Ray would try for many minutes
            host, _, port = address.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except (OSError, ValueError, RuntimeError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise EngineError(
            f"there is no Ray cluster at {address!r}: {first} Start one with `ray start --head`, "
            "or give --address HOST:PORT, or --address local for one on this machine."
        ) from error


class _Launch:
    """One training: Ray Train in a thread, the board's news in the main thread."""

    def __init__(
        self,
        ray: Any,
        job: Job,
        streams: Mapping[str, BinaryIO],
        cpus: float,
        env: dict[str, str],
        token: Path,
    ):
        self.ray, self.job, self.streams, self.token = ray, job, streams, token
        self.needs = {"CPU": cpus} | ({"GPU": job.gpus_per_worker} if job.gpus_per_worker else {})
        self.env = env
        self.signals: list[int] = []
        self.error: BaseException | None = None
        self.attempts = 0
        self.told = 0.0

    def run(self) -> int:
        """Run it to the end; return the exit code."""
        from kerasd2l.cluster.ray_worker import Board

        here = self.ray.get_runtime_context().get_node_id()
        strategy = self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, False)
        board = self.ray.remote(Board).options(num_cpus=0, scheduling_strategy=strategy).remote()
        trainer = self._trainer(board)
        thread = threading.Thread(target=self._fit, args=(trainer,), daemon=True)
        with ExitStack() as stack:
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                number = getattr(signal, name)
                if signal.getsignal(number) != signal.SIG_IGN:  # nohup
                    stack.callback(signal.signal, number, signal.signal(number, self._note))
            self._say_if_too_large()
            thread.start()
            stopped = False
            while thread.is_alive():
                self._write(self.ray.get(board.read.remote(0.5)))
                if self.signals and not stopped:
                    self.ray.get(board.stop.remote())
                    stopped = True
                if len(self.signals) > 1:
                    self._say("ending all workers at once")
                    return 128 + self.signals[0]
                self._report(board)
            self._write(self.ray.get(board.read.remote(0)))
            return self._code(board)

    def _trainer(self, board: Any) -> Any:
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

        from kerasd2l.cluster import ray_worker

        restarts = self.job.max_restarts
        return DataParallelTrainer(
            ray_worker.train,
            train_loop_config={
                "job": self.job,
                "board": board,
                "folder": str(Path.cwd()),
                "logs": str(self.token.parent),
                "token": self.token.name,
                "env": self.env,
            },
            backend_config=ray_worker.Workers(board),
            scaling_config=ScalingConfig(
                num_workers=self.job.workers,
                use_gpu=self.job.gpus_per_worker > 0,
                resources_per_worker=self.needs,
            ),
            run_config=RunConfig(
                name=self.token.name,
                storage_path=str(self.token.parent),
                failure_config=FailureConfig(
                    max_failures=restarts,
                    max_preemption_failures=restarts,
                    controller_failure_limit=_PATIENCE,
                ),
            ),
        )

    def _fit(self, trainer: Any) -> None:
        try:
            trainer.fit()
        except BaseException as error:
            self.error = error

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signals.append(number)

    def _say(self, text: str) -> None:
        self._write([("stderr", f"launch: {text}\n".encode())])

    def _write(self, lines: list[tuple[str, bytes]]) -> None:
        for name, data in lines:
            with suppress(OSError, ValueError):  # a closed pipe or file
                self.streams[name].write(data)
                self.streams[name].flush()

    def _say_if_too_large(self) -> None:
        has = self.ray.cluster_resources()
        for name, each in self.needs.items():
            if has.get(name, 0) < each * self.job.workers:
                self._say(
                    f"{self.job.workers} workers need {each * self.job.workers:g} {name}; the "
                    f"cluster has {has.get(name, 0):g} now. Waiting {_PATIENCE} minutes for more."
                )

    def _report(self, board: Any) -> None:
        """Say that all start again, once each time."""
        if time.monotonic() - self.told < 1:
            return
        self.told = time.monotonic()
        _, _, attempt = self.ray.get(board.endings.remote())
        if attempt > max(self.attempts, 1):
            self._say(f"started all {self.job.workers} again ({attempt - 1})")
        self.attempts = attempt

    def _code(self, board: Any) -> int:
        codes, failures, _ = self.ray.get(board.endings.remote())
        done = len(codes) == self.job.workers and not any(codes.values())
        if done:
            return 0
        if self.signals:
            return 128 + self.signals[0]
        if failures:
            rank, code = failures[0]
            log = self.token.parent / f"worker-{rank}.log"
            last = "" if rank == 0 else f", which ends with:\n{_tail(log)}"
            self._say(f"worker {rank} ended with exit code {code}. Its log: {log}{last}")
            return code
        text = str(self.error or "no worker told how it ended").strip().splitlines()
        self._say(f"Ray gave up: {text[0] if text else type(self.error).__name__}")
        return 1


def _tail(log: Path, lines: int = 10) -> str:
    with open(log, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - 64 * 1024))
        text = file.read().decode("utf8", errors="replace")
    return "\n".join(f"  | {line}" for line in text.splitlines()[-lines:])
