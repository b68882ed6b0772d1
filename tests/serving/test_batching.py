"""Waiting, joining and answering."""

import threading
import time

import numpy as np
import pytest

pytest.importorskip("orjson", reason="needs the extra kerasd2l[serve]")

from kerasd2l.serving.server import batching
from kerasd2l.serving.server.batching import Closed, Job, Queue
from kerasd2l.serving.server.calls import Call, Reply, ServingError


class Doubles:
    """A model that doubles; it can be held up, and refuses negative numbers."""

    name, version = "doubles", 1

    def __init__(self, batchable=True):
        self.batchable = {"f"} if batchable else set()
        self.free = threading.Event()
        self.entered = threading.Event()
        self.seen = []

    def run(self, signature, arrays):
        self.entered.set()
        assert self.free.wait(10)
        self.seen.append(arrays["x"].shape)
        if (arrays["x"] < 0).any():
            raise ServingError("INVALID_ARGUMENT", "x is negative")
        return {"y": 2 * arrays["x"]}


class Asked:
    """A job, and what came of it."""

    def __init__(self, queue, x, seconds=10.0, alone=False):
        self.done = threading.Event()
        call = Call(None, "f", {"x": np.array(x, "float32")}, lambda outputs: Reply())
        self.job = Job(call, time.monotonic() + seconds, self._hear)
        if alone:  # it will run in this thread, until the model is let go
            threading.Thread(target=queue.submit, args=[self.job], daemon=True).start()
        else:
            queue.submit(self.job)

    def _hear(self, outputs, error, job):
        self.outputs, self.error = outputs, error
        self.done.set()

    def answer(self):
        assert self.done.wait(10)
        if self.error:
            raise self.error
        return self.outputs["y"].tolist()


@pytest.fixture
def held():
    """A model that is busy with a first request, and its queue."""
    model = Doubles()
    queue = Queue(model, "f", together=True, most=4)
    first = Asked(queue, [[0.0]], alone=True)
    assert model.entered.wait(10)
    yield model, queue, first
    model.free.set()
    queue.close()


def test_what_has_gathered_runs_together_and_everyone_gets_the_own_rows(held):
    model, queue, first = held
    asked = [Asked(queue, x) for x in ([[1.0]], [[2.0], [3.0]], [[4.0]])]
    model.free.set()
    assert first.answer() == [[0.0]]
    assert [one.answer() for one in asked] == [[[2.0]], [[4.0], [6.0]], [[8.0]]]
    assert model.seen == [(1, 1), (4, 1)]
    assert [one.job.batch for one in asked] == [3, 3, 3]


def test_inputs_of_other_shapes_wait_for_their_turn(held):
    model, queue, _ = held
    asked = [Asked(queue, x) for x in ([[1.0]], [[1.0, 2.0]], [[3.0]])]
    model.free.set()
    assert [one.answer() for one in asked] == [[[2.0]], [[2.0, 4.0]], [[6.0]]]
    assert model.seen[1:] == [(2, 1), (1, 2)]


def test_what_is_joined_is_not_larger_than_may_be(held, monkeypatch):
    monkeypatch.setattr(batching, "MOST_BYTES", 3 * 4)  # three numbers
    model, queue, _ = held
    asked = [Asked(queue, x) for x in ([[1.0], [2.0]], [[3.0], [4.0]], [[5.0]])]
    model.free.set()
    assert [one.answer() for one in asked] == [[[2.0], [4.0]], [[6.0], [8.0]], [[10.0]]]
    assert model.seen[1:] == [(3, 1), (2, 1)]


def test_one_that_is_wrong_does_not_harm_the_others(held):
    model, queue, _ = held
    asked = [Asked(queue, x) for x in ([[1.0]], [[-1.0]], [[3.0]])]
    model.free.set()
    assert asked[0].answer() == [[2.0]]
    with pytest.raises(ServingError, match="negative"):
        asked[1].answer()
    assert asked[2].answer() == [[6.0]]


def test_a_full_queue_refuses(held):
    _, queue, _ = held
    for _ in range(4):
        Asked(queue, [[1.0]])
    with pytest.raises(ServingError, match="is full") as error:
        Asked(queue, [[1.0]])
    assert error.value.code == "UNAVAILABLE"


def test_who_has_left_takes_no_place_in_the_queue(held):
    model, queue, _ = held
    for _ in range(4):
        Asked(queue, [[1.0]]).job.cancelled = True
    good = Asked(queue, [[3.0]])
    model.free.set()
    assert good.answer() == [[6.0]]


def test_an_answer_that_cannot_be_written_does_not_stop_the_queue():
    model = Doubles()
    model.free.set()
    queue = Queue(model, "f", together=True, most=4)

    def fail(*_):
        raise MemoryError

    call = Call(None, "f", {"x": np.zeros((1, 1), "float32")}, lambda outputs: Reply())
    with pytest.raises(MemoryError):
        queue.submit(Job(call, time.monotonic() + 10, fail))
    assert Asked(queue, [[1.0]]).answer() == [[2.0]]
    queue.close()


def test_who_has_waited_too_long_is_told_and_not_run(held):
    model, queue, _ = held
    late = Asked(queue, [[1.0]], seconds=0.0)
    cancelled = Asked(queue, [[2.0]])
    cancelled.job.cancelled = True
    good = Asked(queue, [[3.0]])
    model.free.set()
    assert good.answer() == [[6.0]]
    with pytest.raises(ServingError) as error:
        late.answer()
    assert error.value.code == "DEADLINE_EXCEEDED"
    assert model.seen == [(1, 1), (1, 1)] and not cancelled.done.is_set()


def test_no_rows_run_alone(held):
    model, queue, _ = held
    asked = [Asked(queue, x) for x in ([[1.0]], np.zeros((0, 1)), [[3.0]])]
    model.free.set()
    assert [one.answer() for one in asked] == [[[2.0]], [], [[6.0]]]


@pytest.mark.parametrize(("together", "batchable"), [(False, True), (True, False)])
def test_without_batching_every_request_runs_alone(together, batchable):
    model = Doubles(batchable)
    model.free.set()
    queue = Queue(model, "f", together=together, most=99)
    assert [Asked(queue, [[float(i)]]).answer() for i in range(5)] == [
        [[2.0 * i]] for i in range(5)
    ]
    assert set(model.seen) == {(1, 1)}
    queue.close()


def test_closing_finishes_what_waits_and_takes_no_more(held):
    model, queue, _ = held
    waiting = Asked(queue, [[5.0]])
    closing = threading.Thread(target=queue.close)
    closing.start()
    model.free.set()
    assert waiting.answer() == [[10.0]]
    closing.join(10)
    with pytest.raises(Closed):
        Asked(queue, [[1.0]])


def test_a_run_that_nobody_waits_for_is_noticed_while_it_lasts():
    model = Doubles()
    queue = Queue(model, "f", together=True, most=4)
    assert not queue.stuck(0.0)
    late = Asked(queue, [[1.0]], seconds=0.05, alone=True)
    assert model.entered.wait(10)
    assert not queue.stuck(60.0)
    time.sleep(0.2)
    assert queue.stuck(0.1)
    model.free.set()
    assert late.answer() == [[2.0]]
    queue.close()
    assert not queue.stuck(0.0)
