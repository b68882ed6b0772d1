"""Parameter servers, all-reduces and what they cost."""

import threading
import time

import numpy as np
import pytest

from kerasd2l.scratch import ParameterServer, ServerStopped, collectives, cost_model
from kerasd2l.scratch import parameter_server as ps

MB, GB = 2**20, 1e9


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("name", collectives.SCHEDULES)
def test_every_allreduce_gives_all_the_sum(name, n):
    random = np.random.default_rng(n)
    arrays = [random.integers(-9, 9, 13).astype(np.float32) for _ in range(n)]
    total = sum(arrays)
    schedule = collectives.SCHEDULES[name](n, 13)
    over_sockets = [a.copy() for a in arrays]
    collectives.carry_out(schedule, arrays)
    assert collectives.time_over_sockets(schedule, over_sockets) > 0
    for array in (*arrays, *over_sockets):
        np.testing.assert_array_equal(array, total)


def test_more_than_a_socket_holds_goes_round():
    arrays = [np.full(1_000_000, i, np.float32) for i in range(3)]
    collectives.time_over_sockets(collectives.ring(3, 1_000_000), arrays)
    assert all((array == 3).all() for array in arrays)


@pytest.mark.parametrize("n", [2, 4, 8])
def test_bytes_and_rounds(n):
    size = 80
    weights = 4 * size
    ring = collectives.ring(n, size)
    assert len(ring) == 2 * (n - 1)
    each = 2 * (n - 1) * weights // n
    assert collectives.traffic(ring, n) == {"sent": [each] * n, "received": [each] * n}
    tree = collectives.tree(n, size)
    assert len(tree) == 2 * np.log2(n)
    assert sum(collectives.traffic(tree, n)["sent"]) == 2 * (n - 1) * weights
    assert collectives.traffic(collectives.one_server(n, size), n)["received"][0] == (
        (n - 1) * weights
    )
    split = collectives.traffic(collectives.split_server(n, size), n)
    assert split["sent"] == [each] * n


def test_a_group_of_nobody_is_refused():
    with pytest.raises(ValueError, match=r"`n` must be at least 1.*Received: n=0, size=4"):
        collectives.ring(0, 4)


def test_the_prices_of_the_book():
    """160 MB (of a million bytes) between four GPUs, 16 GB/s: section "parameterserver"."""
    size, link = 40_000_000, cost_model.Line(0, 1 / (16 * GB))

    def price(name, n):
        return cost_model.seconds(collectives.SCHEDULES[name](n, size), n, link)

    assert price("one server", 4) == pytest.approx(0.060)  # 30 ms there, 30 back
    assert price("one server", 5) == pytest.approx(0.080)  # worker 0 is the CPU
    assert price("split server", 4) == pytest.approx(0.015)
    assert price("ring", 4) == pytest.approx(0.015)
    assert price("tree", 4) == pytest.approx(0.040)
    fast = cost_model.Line(0, 1 / (3 * 18 * GB))  # three rings of NVLink between 8 GPUs
    ring = cost_model.seconds(collectives.ring(8, size), 8, fast)
    assert ring == pytest.approx(7 / 8 * 2 * 0.160 / 54)  # the book leaves out 7/8: "about 6 ms"
    assert round(1000 * ring * 8 / 7) == 6
    slow = cost_model.Line(1e-3, 1 / (16 * GB))  # a message has its price: the tree has fewer
    rounds = {name: collectives.SCHEDULES[name](8, 80) for name in ("ring", "tree")}
    ring, tree = (cost_model.seconds(rounds[name], 8, slow) for name in ("ring", "tree"))
    assert ring == pytest.approx(14e-3, rel=0.01) and tree == pytest.approx(6e-3, rel=0.01)


def test_the_time_of_a_step():
    compute = cost_model.fit_line([16, 32, 64], [0.018, 0.034, 0.066])
    assert (compute.fixed, compute.each) == pytest.approx((0.002, 0.001))
    t1, t2 = compute(64), 0.1
    assert cost_model.step_seconds(t1, t2) == 0.1
    assert cost_model.step_seconds(t1, t2, overlapped=False) == pytest.approx(0.166)
    assert cost_model.throughput(4, 64, 0.1) == pytest.approx(2560)
    assert cost_model.efficiency(t1, 0.1) == pytest.approx(0.66)
    assert cost_model.enough_examples(compute, 0.1) == pytest.approx(98)
    assert cost_model.enough_examples(cost_model.Line(0.2, 0), 0.1) == 0
    falling = cost_model.fit_line([1, 2], [2.0, 1.0])  # noise must not make a rate negative
    assert falling.each == 0 and falling.fixed > 0


def problem(n=64, seed=0):
    random = np.random.default_rng(seed)
    X, y = random.normal(size=(n, 6)), random.integers(0, 3, n)
    return X, y, {"W": random.normal(size=(6, 3)), "b": np.zeros(3)}


def test_softmax_gradients_are_those_of_differences():
    X, y, params = problem(9)
    grads, h = ps.softmax_gradients(params, X, y), 1e-6
    for name, value in params.items():
        for place in np.ndindex(value.shape):
            step = np.zeros_like(value)
            step[place] = h
            up, down = (
                ps.softmax_loss({**params, name: value + sign * step}, X, y) for sign in (1, -1)
            )
            assert grads[name][place] == pytest.approx(9 * (up - down) / (2 * h), abs=1e-5)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_synchronous_workers_are_one_device_with_the_whole_batch(workers):
    X, y, params = problem()
    w = {name: value.copy() for name, value in params.items()}
    for start in range(0, 64, 16):
        grads = ps.softmax_gradients(w, X[start : start + 16], y[start : start + 16])
        w = {name: value - 0.3 * grads[name] / 16 for name, value in w.items()}
    server = ParameterServer(params, 0.3, num_workers=workers)
    part = 16 // workers
    batches = [
        [(X[s : s + part], y[s : s + part]) for s in range(worker * part, 64, 16)]
        for worker in range(workers)
    ]
    delays = [0.001 * (workers - worker) for worker in range(workers)]
    ps.train_with_server(server, batches, ps.softmax_gradients, delays=delays)
    trained, version = server.pull()
    assert version == 4 and server.staleness == [0] * 4 * workers
    for name, value in w.items():
        np.testing.assert_allclose(trained[name], value, rtol=1e-12, atol=1e-14)


def test_asynchronous_gradients_are_stale():
    server = ParameterServer({"w": np.array([1.0])}, 0.5, num_workers=2, synchronous=False)
    one, other = server.pull(), server.pull()  # both have version 0
    server.push(0, {"w": 2 * one[0]["w"]}, examples=1, version=one[1])
    server.push(1, {"w": 2 * other[0]["w"]}, examples=1, version=other[1])
    assert server.staleness == [0, 1]
    params, version = server.pull()
    assert version == 2 and params["w"].tolist() == [-1]  # w - lr 2w twice: 0 would be the best
    params["w"] += 5
    assert server.pull()[0]["w"].tolist() == [-1]  # what was pulled is a copy


def test_a_slow_worker_makes_asynchronous_gradients_stale():
    X, y, params = problem()
    server = ParameterServer(params, 0.1, num_workers=2, synchronous=False)
    quick, slow = [(X[:8], y[:8])] * 20, [(X[8:16], y[8:16])]
    ps.train_with_server(server, [quick, slow], ps.softmax_gradients, delays=[0.001, 0.2])
    assert server.pull()[1] == 21
    assert max(server.staleness) >= 5


def test_a_worker_that_fails_leaves_nobody_waiting():
    def fail_late(params, X, y):
        if threading.current_thread().name.endswith("_1"):
            raise OSError("worker 1 lost its disk")
        return ps.softmax_gradients(params, X, y)

    X, y, params = problem()
    server = ParameterServer(params, 0.1, num_workers=2)
    start = time.perf_counter()
    with pytest.raises(OSError, match="worker 1 lost its disk"):
        ps.train_with_server(server, [[(X, y)] * 2] * 2, fail_late)
    assert time.perf_counter() - start < 5
    with pytest.raises(ServerStopped, match="would never come"):
        server.push(0, {}, examples=1, version=0)


def test_wrong_pushes_and_servers_are_refused():
    with pytest.raises(ValueError, match=r"`num_workers` must be at least 1\. Received: 0"):
        ParameterServer({}, 0.1, num_workers=0)
    with pytest.raises(KeyError, match=r"no parameters \['v'\]. There are: \['w'\]"):
        ParameterServer({"w": np.ones(1)}, 0.1).push(0, {"v": np.ones(1)}, examples=1, version=0)
