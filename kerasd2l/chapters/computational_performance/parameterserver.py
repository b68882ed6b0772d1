"""12.7 Parameter servers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kerasd2l import data, figures, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

by_hand = lazy("kerasd2l.scratch.data_parallel")
collectives = lazy("kerasd2l.scratch.collectives")
cost_model = lazy("kerasd2l.scratch.cost_model")
server_by_hand = lazy("kerasd2l.scratch.parameter_server")
np = lazy("numpy")
tf = lazy("tensorflow")


def parameter_server(
    *,
    workers: int = 4,
    batch_size: int = 64,
    learning_rate: float = 0.5,
    slow: float = 0.02,
    source: data.Kind = "builtin",
    examples: int = 1280,
    seed: int = 0,
) -> Demo:
    """Train softmax regression with a server and workers: in step, and each at its own pace.

    Section: "parameterserver". Worker 0 takes 20 ms longer for a batch than the others. In step
    (synchronous) all wait for it, and the weights are those of one device that took the batches
    whole. Each at its own pace (asynchronous), a worker takes the next part of a batch whenever it
    is ready, and the server a step with every gradient; its staleness is how many steps were taken
    since its worker pulled. A stale gradient is of another place, and a large step there does harm:
    how much depends on when it comes.
    Expected: synchronous weights equal those of one device; asynchronous training is over sooner,
    its gradients are stale, those of the slow worker most, and its loss is larger; with --set
    learning_rate=0.05 it is smaller than in step, as there are four times as many steps.
    Command: kerasd2l run parameter_server --set workers=8 --out figures
    """
    if not 0 <= slow < float("inf"):
        raise ValueError(f"`slow` must be seconds, 0 or more. Received: slow={slow}.")
    if workers < 1 or batch_size < workers or examples < batch_size:
        raise ValueError(
            "`workers` must be at least 1, `batch_size` at least `workers`, `examples` at least "
            f"`batch_size`. Received: {workers}, {batch_size}, {examples}."
        )

    def run() -> DemoResult:
        X, y = _examples(source, examples, seed)
        params = {"W": np.zeros((X.shape[1], y.max() + 1)), "b": np.zeros(y.max() + 1)}
        delays = [slow] + [0.001] * (workers - 1)
        starts = range(0, len(X) - batch_size + 1, batch_size)
        whole = [(X[s : s + batch_size], y[s : s + batch_size]) for s in starts]
        cuts = np.linspace(0, batch_size, workers + 1).astype(int)
        parts = [[(X[a:b], y[a:b]) for X, y in whole] for a, b in itertools.pairwise(cuts)]
        gradients = server_by_hand.softmax_gradients
        options: dict[str, Any] = {"lr": learning_rate, "num_workers": workers}
        one = scratch.ParameterServer(params, learning_rate)
        in_step = scratch.ParameterServer(params, **options)
        at_own_pace = scratch.ParameterServer(params, **options, synchronous=False)
        queue = iter([part for row in zip(*parts, strict=True) for part in row])
        seconds = {}
        for name, server, batches, waits in (
            ("one device", one, [whole], [0.001]),
            ("synchronous", in_step, parts, delays),
            ("asynchronous", at_own_pace, [queue] * workers, delays),
        ):
            with scratch.Benchmark() as benchmark:
                scratch.train_with_server(server, batches, gradients, delays=waits)
            seconds[name] = benchmark.seconds
        servers = {"one device": one, "synchronous": in_step, "asynchronous": at_own_pace}
        return _told(servers, seconds, X, y)

    return Demo("parameterserver", run)


def _examples(source: str, count: int, seed: int) -> tuple[Any, Any]:
    loaded = data.fashion_mnist.load(data.Source(source, seed=seed), batch_size=count)
    X, y = next(iter(loaded.epoch(0)))
    return X.numpy().reshape(len(X), -1).astype(np.float64), y.numpy().astype(np.int64)


def _told(servers: dict[str, Any], seconds: dict[str, float], X: Any, y: Any) -> DemoResult:
    trained = {name: server.pull() for name, server in servers.items()}
    (alone, _), (in_step, _) = trained["one device"], trained["synchronous"]
    staleness = {name: server.staleness for name, server in servers.items()}
    values = {
        "largest difference, synchronous from one device": max(
            float(np.abs(in_step[name] - alone[name]).max()) for name in alone
        ),
        "seconds": seconds,
        "steps of the server": {name: steps for name, (_, steps) in trained.items()},
        "loss": {
            name: server_by_hand.softmax_loss(params, X, y) for name, (params, _) in trained.items()
        },
        "staleness, mean": {name: float(np.mean(s)) for name, s in staleness.items()},
        "staleness, largest": {name: int(max(s)) for name, s in staleness.items()},
    }
    figure, panels = figures.new_figure()
    axes = panels[0, 0]
    counts = np.bincount(staleness["asynchronous"])
    axes.bar(np.arange(len(counts)), counts)
    axes.set(
        title="Asynchronous gradients",
        xlabel="staleness: steps since the worker pulled",
        ylabel="gradients",
    )
    return DemoResult(values, {"staleness": figure})


def allreduce(*, workers: int = 4, megabytes: float = 160.0, gigabytes: float = 16.0) -> Demo:
    """Add up gradients of several workers in four ways: what each sends, and what that costs.

    Section: "parameterserver". One server, a server in parts, a tree, a ring: rounds of sends,
    carried out and counted in bytes; priced for 160 MB over links of 16 GB/s, as in the book: one
    GPU of four as the server 60 ms, the CPU as the server 80 ms, a part for each GPU 15 ms (as a
    ring); a ring over 8 GPUs with three links of 18 GB/s 5.2 ms, "about 6" where 7/8 is left out.
    The drawing has the prices over the number of workers, with 50 microseconds a round.
    Expected: all have the sum; a ring's worker sends 2 (n - 1) / n of the bytes, however many.
    Command: kerasd2l run allreduce --set workers=8 --out figures
    """
    positive = 0 < megabytes < float("inf") and 0 < gigabytes < float("inf")
    if not 2 <= workers <= 256 or not positive:
        raise ValueError(
            "`workers` must be 2 to 256, `megabytes` and `gigabytes` positive numbers. "
            f"Received: {workers}, {megabytes}, {gigabytes}."
        )
    return Demo("parameterserver", lambda: _add_up(workers, megabytes * 1e6, gigabytes * 1e9))


def _add_up(workers: int, size: float, bandwidth: float) -> DemoResult:
    values: dict[str, Any] = {}
    random, numbers = np.random.default_rng(0), int(size / 4)
    arrays = [random.integers(-9, 10, 1000).astype(np.float32) for _ in range(workers)]
    link = cost_model.Line(0.0, 1 / bandwidth)
    for name, make in collectives.SCHEDULES.items():
        schedule = make(workers, 1000)
        copies = [array.copy() for array in arrays]
        collectives.carry_out(schedule, copies)
        traffic = collectives.traffic(schedule, workers)
        values[name] = {
            "all have the sum": all((copy == sum(arrays)).all() for copy in copies),
            "rounds": len(schedule),
            "bytes sent by each, of 4000": traffic["sent"],
            "milliseconds": 1e3 * cost_model.seconds(make(workers, numbers), workers, link),
        }
    fast = cost_model.Line(0.0, 1 / 54e9)
    values["the book's, milliseconds"] = {
        "one of four as the server": _milliseconds("one server", 4, cost_model.Line(0, 1 / 16e9)),
        "the CPU as the server": _milliseconds("one server", 5, cost_model.Line(0, 1 / 16e9)),
        "a part for each of four": _milliseconds("split server", 4, cost_model.Line(0, 1 / 16e9)),
        "a ring over 8 GPUs, 54 GB/s": _milliseconds("ring", 8, fast),
        "the same without 7/8, as the book counts": _milliseconds("ring", 8, fast) * 8 / 7,
    }
    counts = np.array([2, 4, 8, 16, 32, 64])
    figure, (panels,) = figures.new_figure(1, 2, width=5)
    for axes, weight in zip(panels, (size, size / 1000), strict=True):
        for style, name in zip(("-o", "--s", "-.^", ":x"), collectives.SCHEDULES, strict=True):
            schedules = [collectives.SCHEDULES[name](n, int(weight / 4)) for n in counts]
            prices = [
                cost_model.seconds(schedule, n, cost_model.Line(5e-5, 1 / bandwidth))
                for schedule, n in zip(schedules, counts, strict=True)
            ]
            axes.plot(counts, [1e3 * price for price in prices], style, label=name, markersize=4)
        axes.set(title=f"{weight / 1e6:g} MB", xlabel="workers", ylabel="milliseconds")
        axes.set(xscale="log", yscale="log")
        axes.set_xticks(counts, counts)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return DemoResult(values, {"allreduce": figure})


def _milliseconds(name: str, n: int, link: Any) -> float:
    return 1e3 * cost_model.seconds(collectives.SCHEDULES[name](n, 40_000_000), n, link)


def step_cost(
    *, workers: int = 2, batches: tuple[int, ...] = (8, 16, 32, 64, 128), repeats: int = 10
) -> Demo:
    """Measure computing and communicating, fit the cost model, and compare steps with it.

    Section: "parameterserver". Each worker computes LeNet's gradients (129,068 weights) on b
    examples: t1 = fixed + each * b. A ring between threads, over sockets, adds them up: t2 of so
    many bytes. A step in turn takes t1 + t2, with both at once max(t1, t2); measured beside the
    model, with throughput, efficiency t1 / step, and the batch from which on t1 >= t2. All workers
    share this machine's cores: at once is slower than on machines of their own.
    Expected: the larger b, the nearer is efficiency to 1; measured steps follow the model.
    Command: kerasd2l run step_cost --set repeats=30 --out figures
    """
    if workers < 2 or len(batches) < 2 or min(batches) < 1 or repeats < 1:
        raise ValueError(
            "`workers` must be at least 2, `batches` two numbers, `repeats` 1. "
            f"Received: {workers}, {batches}, {repeats}."
        )
    return Demo("parameterserver", lambda: _fit_costs(workers, batches, repeats))


def _fit_costs(workers: int, batches: Sequence[int], repeats: int) -> DemoResult:
    params = [tf.Variable(p) for p in scratch.lenet_params()]
    weights = sum(p.shape.num_elements() for p in params)
    ring = collectives.ring(workers, weights)
    arrays = [np.ones(weights, np.float32) for _ in range(workers)]

    @tf.function
    def gradients(X, y):
        with tf.GradientTape() as tape:
            loss = by_hand.sum_of_losses(y, by_hand.lenet(X, params))
        return tape.gradient(loss, params)

    with ThreadPoolExecutor(workers + 1) as pool:

        def compute(b: int) -> None:
            piece = tf.ones((b, 28, 28, 1)), tf.zeros(b, tf.int32)
            for grads in list(pool.map(gradients, *zip(*[piece] * workers, strict=True))):
                grads[0].numpy()

        def at_once(b: int) -> None:
            sending = pool.submit(collectives.time_over_sockets, ring, arrays)
            compute(b)
            sending.result()

        computing = {
            b: scratch.best_seconds(lambda b=b: compute(b), repeats=repeats) for b in batches
        }
        both = {b: scratch.best_seconds(lambda b=b: at_once(b), repeats=repeats) for b in batches}
    sending = {}  # bytes that a worker sends in a round -> seconds of a round
    for size in (2**12, 2**14, 2**16, 2**18, weights):
        schedule = collectives.ring(workers, size)
        some = [np.ones(size, np.float32) for _ in range(workers)]
        times = [collectives.time_over_sockets(schedule, some) for _ in range(repeats)]
        sending[4 * size // workers] = min(times) / len(schedule)
    return _fitted(workers, ring, computing, sending, both)


def _fitted(
    workers: int,
    ring: Any,
    computing: dict[int, float],
    sending: dict[int, float],
    both: dict[int, float],
) -> DemoResult:
    """Fit both lines, and compare measured steps with what they say."""
    compute = cost_model.fit_line(list(computing), list(computing.values()))
    link = cost_model.fit_line(list(sending), list(sending.values()))
    t2 = cost_model.seconds(ring, workers, link)
    last = list(sending.values())[-1] * len(ring)  # of all weights, measured
    b = np.array(list(computing))
    t1, in_turn = np.array(list(computing.values())), np.array(list(computing.values())) + last
    at_once = np.array(list(both.values()))
    model = {
        "in turn": cost_model.step_seconds(compute(b), t2, overlapped=False),
        "at once": cost_model.step_seconds(compute(b), t2),
    }
    measured = {"in turn": in_turn, "at once": at_once}
    values = {
        "examples of a worker": b.tolist(),
        "t1, seconds: fixed, each example": [compute.fixed, compute.each],
        "a round, seconds: fixed, each byte": [link.fixed, link.each],
        "bandwidth, 10^9 bytes a second": 1e-9 / link.each if link.each else "not to be seen",
        "t2 of all weights, seconds: model, measured": [t2, last],
        "t1 >= t2 from so many examples on": cost_model.enough_examples(compute, t2),
    }
    for name, steps in measured.items():
        values[f"step {name}, seconds"] = {
            "measured": steps.tolist(),
            "model": model[name].tolist(),
            "throughput, examples a second": cost_model.throughput(workers, b, steps).tolist(),
            "efficiency t1 / step": cost_model.efficiency(t1, steps).tolist(),
        }
    return DemoResult(
        values, {"step_cost": _draw_costs(workers, computing, compute, model, measured)}
    )


def _draw_costs(workers: int, computing: Any, compute: Any, model: Any, measured: Any):
    b = np.array(list(computing))
    figure, (panels,) = figures.new_figure(1, 2, width=5)
    left, right = panels
    left.plot(b, [1e3 * t for t in computing.values()], "ko", label="t1, measured")
    left.plot(b, 1e3 * compute(b), "k-", label="t1, model")
    for name, colour, mark in (("in turn", "tab:blue", "o"), ("at once", "tab:orange", "x")):
        left.plot(b, 1e3 * model[name], "--", color=colour, label=f"step {name}, model")
        left.plot(b, 1e3 * measured[name], mark, color=colour, label=f"step {name}, measured")
        for axes_values, style in ((model[name], "--"), (measured[name], mark)):
            rate = cost_model.throughput(workers, b, axes_values)
            label = f"{name}, {'model' if style == '--' else 'measured'}"
            right.plot(b, rate, style, color=colour, label=label)
    left.set(title="A step", xlabel="examples of a worker", ylabel="milliseconds")
    right.set(
        title=f"Throughput of {workers} workers",
        xlabel="examples of a worker",
        ylabel="examples a second",
    )
    for axes in panels:
        axes.set(xscale="log")
        axes.set_xticks(b, b)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return figure
