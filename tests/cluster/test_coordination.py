"""What TensorFlow's errors tell about lost workers; the texts are those of TensorFlow 2.21."""

import pytest

from kerasd2l.cluster import coordination
from kerasd2l.cluster.cluster import Cluster

THREE = Cluster({"chief": ["a:1"], "worker": ["b:1", "c:1"]}, "worker", 1)
RESET = "recvmsg:Connection reset by peer"
FROM = "Additional GRPC error information from remote target /job:{}/replica:0/task:{} while "
FROZEN = """Collective ops is aborted by: Error reported from /job:worker/task:1: The following \
tasks are unhealthy (stopped sending heartbeats):
/job:worker/replica:0/task:1
/job:chief/replica:0/task:0
The tasks have crashed. Check the task logs for an earlier error."""


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        (f"aborted by: {RESET}\n{FROM.format('worker', 0)}calling RecvBuf:", ["worker 0 (b:1)"]),
        (  # what worker 0 has heard of the chief, and tells us
            f"aborted by: {RESET}\n{FROM.format('worker', 0)}calling RecvBuf:\n"
            f'{{grpc_message:"aborted by: {RESET}\\n{FROM.format("chief", 0)}calling"}}',
            ["chief 0 (a:1)"],
        ),
        (FROZEN, ["worker 1 (c:1)", "chief 0 (a:1)"]),
        ("Deadline Exceeded\n\nRPC: /tensorflow.CoordinationService/Heartbeat", ["chief 0 (a:1)"]),
        ("a node was cancelled", []),
        (f"{FROM.format('ps', 7)}calling", []),
    ],
)
def test_the_lost_are_named(text, lost):
    assert [str(task) for task in coordination.lost_tasks(RuntimeError(text), THREE)] == lost


def told(fingerprint="tensorflow=2.21 config=aa", **cluster):
    return {"cluster": cluster or {"worker": ["a:1", "b:1"]}, "fingerprint": fingerprint}


def test_what_differs_is_said():
    say = coordination._difference
    assert say(told(), told()) == ""
    other = say(told(), told("tensorflow=2.20 config=aa"))
    assert other == "is of another kind: tensorflow=2.20 there, tensorflow=2.21 here"
    assert "babel=3 there, babel=None here" in say(told(), told("tensorflow=2.21 babel=3"))
    assert "another cluster: {'worker': ['a:1']} there" in say(told(), told(worker=["a:1"]))
