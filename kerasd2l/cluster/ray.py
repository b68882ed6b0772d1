"""A training in Ray Train workers: `kerasd2l launch --engine ray`.

Ray finds the machines, starts the workers, and starts them again when one or its node is lost;
between the workers is TensorFlow. Needs the extra `ray`. The launcher is the driver of the job.
"""

from __future__ import annotations

import json
import shutil
import socket
import sys
import threading
import uuid
from collections.abc import Mapping
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import Any, BinaryIO

from kerasd2l.cluster.jobs import EngineError, Job
from kerasd2l.cluster.launch import Signals
from kerasd2l.cluster.worker import write

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
    SIGTERM and a hang-up let all workers save and end, a second one ends them at once. Where the
    command has `--json`, stdout gets one object, as from the local launcher.

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
    job = job.from_anywhere()
    logs = Path(job.out) / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    streams = {"stdout": stdout or sys.stdout.buffer, "stderr": stderr or sys.stderr.buffer}
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(sys.stderr))  # Ray prints
        _connect(ray, address)
        stack.callback(ray.shutdown)
        token = logs / f"ray-{uuid.uuid4().hex[:8]}"  # also the folder of Ray's own notes
        token.mkdir()
        stack.callback(shutil.rmtree, token, ignore_errors=True)
        try:
            return _Launch(ray, job, streams, cpus_per_worker, dict(env), token).run()
        except ray.exceptions.RayError as error:
            raise EngineError(
                f"the Ray cluster is lost ({_first_line(error)}). Start again with --resume."
            ) from error


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
        raise EngineError(
            f"there is no Ray cluster at {address!r} ({_first_line(error)}). Start one with "
            "`ray start --head`, or give --address HOST:PORT, or --address local for one on this "
            "machine."
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


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
        self.held: bytes | None = b"" if "--json" in job.command else None
        self.signals: list[int] = []
        self.error: BaseException | None = None
        self.starts = 0

    def run(self) -> int:
        """Run it to the end; return the exit code."""
        from kerasd2l.cluster.ray_worker import Board

        here = self.ray.get_runtime_context().get_node_id()
        strategy = self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, False)
        board = self.ray.remote(Board).options(num_cpus=0, scheduling_strategy=strategy).remote()
        thread = threading.Thread(target=self._fit, args=(self._trainer(board),), daemon=True)
        with Signals() as signals:
            self.signals = signals.received
            self._say_if_too_large()
            thread.start()
            stopped = False
            while thread.is_alive() and len(self.signals) < 2:
                self._take(self.ray.get(board.read.remote(0.5)))
                if self.signals and not stopped:
                    self.ray.get(board.stop.remote())
                    stopped = True
            self._take(self.ray.get(board.read.remote(0)))
            code, error, rank = self._ending(*self.ray.get(board.endings.remote()))
        if error:
            self._say(error)
        if self.held is not None:
            told = json.dumps({"error": error, "exit_code": code, "worker": rank}) + "\n"
            write(self.streams["stdout"], told.encode() if code else self.held)
        return code

    def _trainer(self, board: Any) -> Any:
        from ray.train.v2.api.config import FailureConfig, RunConfig, ScalingConfig
        from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

        from kerasd2l.cluster import ray_worker

        restarts = self.job.max_restarts
        run_config: Any = RunConfig(  # the trainer's annotation is the older class of that name
            name=self.token.name,
            storage_path=str(self.token.parent),
            failure_config=FailureConfig(
                max_failures=restarts,
                max_preemption_failures=restarts,
                controller_failure_limit=_PATIENCE,
            ),
        )
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
            run_config=run_config,
        )

    def _fit(self, trainer: Any) -> None:
        try:
            trainer.fit()
        except BaseException as error:
            self.error = error

    def _say(self, text: str) -> None:
        write(self.streams["stderr"], f"launch: {text}\n".encode())

    def _take(self, lines: list[tuple[str, bytes]]) -> None:
        """Show what worker 0 says; with --json its result is held back until all have ended."""
        for name, data in lines:
            if name == "begin":
                self.starts += 1
                self.held = None if self.held is None else b""
                if self.starts > 1:
                    again = f"{self.starts - 1} of {self.job.max_restarts}"
                    self._say(f"starting all {self.job.workers} again ({again})")
            elif name == "stdout" and self.held is not None:
                self.held += data
            else:
                write(self.streams[name], data)

    def _say_if_too_large(self) -> None:
        has = self.ray.cluster_resources()
        for name, each in self.needs.items():
            if has.get(name, 0) < each * self.job.workers:
                self._say(
                    f"{self.job.workers} workers need {each * self.job.workers:g} {name}; the "
                    f"cluster has {has.get(name, 0):g} now. Waiting {_PATIENCE} minutes for more."
                )

    def _ending(
        self, codes: dict[int, int], failures: list[tuple[int, int, str]]
    ) -> tuple[int, str | None, int | None]:
        """Return exit code, error in words, and the worker that failed first."""
        if len(codes) == self.job.workers and not any(codes.values()):
            return 0, None, None
        if self.signals:
            code = 128 + self.signals[0]
            return code, f"stopped by a signal, exit code {code}", None
        if failures:
            rank, code, said = failures[0]
            log = self.token.parent / f"worker-{rank}.log"
            return code, f"{said}. Its log: {log}", rank
        text = _first_line(self.error) if self.error else "no worker told how it ended"
        return 1, f"Ray gave up: {text}", None
