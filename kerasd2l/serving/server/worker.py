"""The model process: reads requests of the front, lets the models answer, writes the answers.

    python -m kerasd2l.serving.server.worker FD OPTIONS

FD is the number of an open socket to the front, OPTIONS a JSON object: `folder`, `versions`,
`config`, `together`, `most`, `patience`. The process ends when the front closes the socket.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kerasd2l._lazy import FOR_KERAS_ALONE, left_out
from kerasd2l.serving.server.calls import CODES, Call, Reply, Request, ServingError
from kerasd2l.serving.server.wire import Pipe

THREADS = 32  # at most so many requests run at one time
QUICK = 1 << 16  # bytes of a body that is parsed before the next request is read
PROTOCOLS = {"rest": "rest", "v2": "open_inference", "grpc": "grpc_services", "page": "catalog"}
DEEP = 20_000  # Python's own limit of calls: nested JSON is limited by json_tensors


class Worker:
    """The requests that are under way, and how they are answered.

    Args:
        pipe: to the front.
        models: a `repository.Models`.
    """

    def __init__(self, pipe: Pipe, models: Any):
        self._pipe = pipe
        self._models = models
        self._handlers: dict[str, Callable[[Request, Any], Call | Reply]] = {
            api: importlib.import_module(f"kerasd2l.serving.server.{module}").handle
            for api, module in PROTOCOLS.items()
        }
        self._jobs: dict[int, Any] = {}  # number -> Job, None before it is in a queue
        self._reading = threading.Lock()
        self._threads: set[int] = set()
        self._idle: set[int] = set()  # those that wait for a request

    def run(self) -> None:
        """Answer until the front is gone.

        Every thread reads a request and runs it while the next thread reads: no request is handed
        from one thread to another. Who reads a small one also parses it, before the next thread
        reads: Python does one of these at a time anyway. There are as many threads as were needed
        so far: the fewer, the more of what they need is still in the caches, and oneDNN prepares
        its operations for every thread.
        """
        me = threading.get_ident()
        self._threads.add(me)
        self._idle.add(me)
        while self._serve_one():
            self._idle.add(me)

    def _serve_one(self) -> bool:
        """Read and answer one request; by itself, so that nothing of it is kept afterwards."""
        with self._reading:
            frame = self._pipe.read()
            if frame is None:
                return False
            quick = len(frame[1]) < QUICK
            asked = self._parse(*frame) if quick else None
            if asked or not quick:
                self._idle.discard(threading.get_ident())
                if not self._idle and len(self._threads) < THREADS:
                    with contextlib.suppress(RuntimeError):  # the system has no thread for us now
                        threading.Thread(target=self.run, daemon=True).start()
        if not quick:
            asked = self._parse(*frame)
        del frame
        if asked:
            self._ask(*asked)
        return True

    def _parse(
        self, header: dict[str, Any], body: bytes
    ) -> tuple[int, Request, Call, float] | None:
        """Return what a frame asks of a model; None where it needs none, or asks too late."""
        if "cancel" in header:
            job = self._jobs.pop(header["cancel"], None)
            if job is not None:
                job.cancelled = True
            return None
        number, deadline = header["id"], header["deadline"]
        if time.monotonic() > deadline:  # this process stood still; the front has told it
            return None
        self._jobs[number] = None  # a cancel may come before it has its place in the queue
        request = Request(
            header["api"], header["method"], header["path"], header.get("headers", {}), body
        )
        call = self._call(number, request)
        return None if call is None else (number, request, call, deadline)

    def _call(self, number: int, request: Request) -> Call | None:
        """Return the call that a request asks for; what needs none is answered."""
        try:
            reply = self._handlers[request.api](request, self._models)
        except Exception as error:
            reply = _error(request, self._told(error))
        if isinstance(reply, Call):
            return reply
        self._send(number, request, reply, {})
        return None

    def _ask(self, number: int, request: Request, call: Call | None, deadline: float) -> None:
        """Put a call into its queue; into another one, if its version has just gone."""
        try:
            for _ in range(3):
                if call is None or self._submit(number, request, call, deadline):
                    return
                call = self._call(number, request)
            raise ServingError("UNAVAILABLE", "the model is being unloaded")
        except Exception as error:
            self._send(number, request, _error(request, self._told(error)), {})

    def _told(self, error: Exception) -> ServingError:
        """Return what a client is told of an error; what is our own fault goes to the log."""
        if isinstance(error, ServingError):
            return error
        if isinstance(error, RecursionError):
            return ServingError("INVALID_ARGUMENT", "the request is nested too deeply")
        if isinstance(error, MemoryError):
            return ServingError("RESOURCE_EXHAUSTED", "the request needs too much memory")
        self._pipe.send({"event": "log", "text": _trace(error)})
        return ServingError("INTERNAL", "the server failed at this request; its log says why")

    def _submit(self, number: int, request: Request, call: Call, deadline: float) -> bool:
        """Put a call into its queue; False if the version is gone."""
        from kerasd2l.serving.server.batching import Closed, Job

        def done(outputs: Any, error: ServingError | None, job: Any) -> None:
            now = time.monotonic()
            about = {
                "model": call.version.name,
                "version": call.version.version,
                "batch": job.batch,
                "queued_ms": round(1e3 * ((job.started or now) - job.queued), 3),
                "run_ms": round(1e3 * (now - (job.started or now)), 3),
            }
            if error is not None:
                return self._send(number, request, _error(request, error), about)
            try:
                if call.outputs is not None:
                    outputs = {key: outputs[key] for key in call.outputs}
                reply = call.answer(outputs)
            except Exception as failure:
                reply = _error(request, self._told(failure))
            return self._send(number, request, reply, about)

        queue = self._models.queue(call.version, call.signature)
        if queue is None:
            return False
        job = Job(call, deadline, done)
        if number not in self._jobs:  # nobody waits for it any more
            return True
        self._jobs[number] = job
        try:
            queue.submit(job)
        except Closed:
            return False
        return True

    def _send(self, number: int, request: Request, reply: Reply, about: dict[str, Any]) -> None:
        self._jobs.pop(number, None)
        _, status = CODES[reply.code]
        header = {
            "id": number,
            "code": reply.code,
            "status": reply.http_status or status,
            "message": reply.message,
            "headers": dict(reply.headers),
            **about,
        }
        self._pipe.send(header, reply.body)


def main() -> None:
    """Load the models, tell the front, answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the front says when to stop
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    connection = socket.socket(fileno=int(sys.argv[1]))
    options = json.loads(sys.argv[2])
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # The front needs a core. With all of them, threads of small operations are only in its way.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, (os.cpu_count() or 2) - 1)))
    # A request of nested lists makes thousands of objects and leaves none: Python's rubbish
    # collection, which counts objects that are made, would run for each and find nothing.
    gc.set_threshold(50_000, 20, 100)
    sys.setrecursionlimit(DEEP)
    pipe = Pipe(connection)
    threading.Thread(target=_end_with_front, args=(connection,), daemon=True).start()
    _start_tensorflow()
    from kerasd2l.serving.server.model_config import read_config
    from kerasd2l.serving.server.repository import POLL, Models
    from kerasd2l.serving.server.storage import Storage

    try:
        configs = read_config(Path(options["config"])) if options["config"] else None
    except ServingError as error:
        pipe.send({"event": "failed", "text": error.message})
        return
    versions = options["versions"]
    storage = Storage(
        Path(options["folder"]),
        tuple(versions) if isinstance(versions, list) else versions,
        configs,
    )

    def say(text: str) -> None:
        pipe.send({"event": "log", "text": text})

    models = Models(storage, say, together=options["together"], most=options["most"])
    models.look()
    if models.waits():  # what has no manifest must stay as it is for a while
        time.sleep(POLL)
        models.look()
    worker = Worker(pipe, models)
    pipe.send({"event": "ready", "models": models.names()})
    threading.Thread(target=models.watch, name="watch", daemon=True).start()
    patience = options["patience"]
    threading.Thread(target=_end_if_stuck, args=(models, pipe, patience), daemon=True).start()
    worker.run()
    os._exit(0)  # TensorFlow's threads need no goodbye


def _end_with_front(connection: socket.socket) -> None:
    """End this process when the front is gone, whatever the models are doing then."""
    poll = select.poll()
    poll.register(connection, 0)  # only that the other end is closed
    poll.poll()
    os._exit(0)  # nobody is there who would read an answer


def _end_if_stuck(models: Any, pipe: Pipe, patience: float) -> None:
    """End this process when a model does not come to an end: nothing else stops TensorFlow.

    Args:
        models: a `repository.Models`.
        pipe: to the front, which starts another process.
        patience: seconds that a call may run on when nobody waits for it any more.
    """
    while not (name := models.stuck(patience)):
        time.sleep(min(1.0, patience))
    text = f"{name}: a call runs on {patience:g} s after the last one who waited for it has left"
    pipe.send({"event": "log", "text": f"{text}; the model process ends"})
    os._exit(1)


def _start_tensorflow() -> None:
    """Import TensorFlow without what it tells of graphics cards that are not there."""
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        with left_out(*FOR_KERAS_ALONE):
            import tensorflow as tf

        tf.get_logger().setLevel("ERROR")  # it warns of its old name for loading into a session
        tf.constant(0)
    finally:  # an error is told afterwards, by Python
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


def _error(request: Request, error: ServingError) -> Reply:
    """Write an error as the protocol has it."""
    if request.api == "grpc":
        return Reply(code=error.code, message=error.message)
    return Reply(json.dumps({"error": error.message}, indent=4).encode(), code=error.code)


def _trace(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error)).rstrip()


if __name__ == "__main__":
    main()
