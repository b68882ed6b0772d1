"""Asynchronous training with parameter servers: local processes, as `launch --ps` starts them."""

import json
import os
import signal
import subprocess
import sys
import time

import keras
import pytest
import small
from click.testing import CliRunner

from kerasd2l.cli import main
from kerasd2l.cluster.cluster import Cluster
from kerasd2l.cluster.launch import launch
from kerasd2l.training.strategy import StrategyError, make_strategy

TRAIN = ["train", "mlp", "--data", "builtin", "--seed", "1", "--json"]


def start(workers, servers, *words):
    command = ["launch", "--workers", workers, "--ps", servers, "--", *TRAIN, *words]
    return subprocess.Popen(
        [sys.executable, "-m", "kerasd2l.cli", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={k: v for k, v in os.environ.items() if k not in ("TF_CONFIG", "KERASD2L_DATA")},
    )


def finish(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def wait_for_epoch(process, number):
    for line in process.stderr:
        if line.startswith(f"epoch {number}/"):
            return
    raise AssertionError(f"ended before epoch {number}: {process.wait()}")


def weights_of(path):
    return keras.saving.load_model(path / "model.keras", compile=False)


@pytest.mark.slow
@pytest.mark.multiworker
def test_a_single_worker_does_what_one_device_does(tmp_path):
    """Nobody else changes the weights; all processes end with 0 when the chief has."""
    words = ["--epochs", "2", "--limit-steps", "4", "--out"]
    code, out, err = finish(start(1, 1, *words, tmp_path / "served"))
    assert code == 0, err
    served = json.loads(out)
    result = CliRunner().invoke(main, [*TRAIN, *words, str(tmp_path / "one")])
    assert result.exit_code == 0, result.output
    one = json.loads(result.stdout)
    assert served["strategy"] == "parameter_server"
    assert served["examples"] == one["examples"]
    assert served["metrics"] == pytest.approx(one["metrics"], abs=1e-5)
    assert small.difference(weights_of(tmp_path / "served"), weights_of(tmp_path / "one")) < 1e-5
    for rank in (1, 2):
        log = (tmp_path / "served" / "logs" / f"worker-{rank}.log").read_text()
        assert log.rstrip().endswith("the chief has ended")


@pytest.mark.slow
@pytest.mark.multiworker
def test_two_workers_learn_are_stopped_and_go_on(tmp_path):
    """SIGTERM reaches the servers too, which hold the weights: the chief saves first."""
    out = tmp_path / "run"
    process = start(2, 1, "--epochs", 20, "--out", out)
    wait_for_epoch(process, 3)
    process.terminate()
    code, said, err = finish(process)
    assert code == 143, err
    assert json.loads(said)["exit_code"] == 143
    assert list((out / "checkpoints").glob("step-*.npz"))
    code, said, err = finish(start(2, 1, "--epochs", 20, "--out", out, "--resume"))
    assert code == 0, err
    summary = json.loads(said)
    assert summary["examples"] == {"train": 1437, "test": 360}
    assert summary["metrics"]["test_accuracy"] > 0.8


@pytest.mark.slow
@pytest.mark.multiworker
def test_a_server_that_dies_is_an_error(tmp_path):
    process = start(1, 1, "--epochs", 3000, "--out", tmp_path / "run")
    wait_for_epoch(process, 2)
    children = open(f"/proc/{process.pid}/task/{process.pid}/children").read()
    os.kill(sorted(map(int, children.split()))[-1], signal.SIGKILL)
    began = time.monotonic()
    code, _, err = finish(process)
    assert code == 137, err
    assert "worker 2 was killed by SIGKILL" in err
    assert "ps 0 (" in err and "went away or is frozen" in err
    assert "Traceback" not in err
    assert time.monotonic() - began < 60


CHIEF = {"chief": ["a:1"], "worker": ["a:2"]}


@pytest.mark.parametrize(
    ("strategy", "cluster", "why"),
    [
        ("parameter_server", None, "Received: no cluster"),
        ("parameter_server", Cluster(CHIEF, "chief", 0), "Received: chief, worker"),
        (
            "parameter_server",
            Cluster({"worker": ["a:1"], "ps": ["a:2"]}, "worker", 0),
            "Received: ps, worker",
        ),
        ("multi_worker", Cluster({**CHIEF, "ps": ["a:3"]}, "chief", 0), "Say parameter_server"),
    ],
)
def test_clusters_that_do_not_fit_the_strategy(strategy, cluster, why):
    with pytest.raises(StrategyError, match=why):
        make_strategy(strategy, cluster=cluster)


def test_launch_tells_each_process_what_it_is(tmp_path):
    script = tmp_path / "tell.py"
    script.write_text(
        "import json, os, sys\n"
        "task = json.loads(os.environ['TF_CONFIG'])['task']\n"
        "open(f'{sys.argv[1]}/{task[\"type\"]}-{task[\"index\"]}', 'w').close()\n"
    )
    told = tmp_path / "told"
    told.mkdir()
    code = launch(
        [str(told)],
        workers=2,
        servers=2,
        env=dict(os.environ),
        log_dir=tmp_path / "logs",
        program=[sys.executable, str(script)],
        network="host",
    )
    assert code == 0
    names = ["chief-0", "ps-0", "ps-1", "worker-0", "worker-1"]
    assert sorted(path.name for path in told.iterdir()) == names
