"""Several workers: the numbers of one device, one who writes, and a launcher that starts again."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import keras
import pytest
import small
from click.testing import CliRunner

from kerasd2l.cli import main
from kerasd2l.training.checkpoint import read

pytestmark = pytest.mark.multiworker

CLI = [sys.executable, "-m", "kerasd2l.cli"]
# 1437 = 11 x 126 + 51: the last batch leaves 25 and 26 examples to two workers.
TRAIN = ["train", "mlp", "--data", "builtin", "--batch-size", "126", "--seed", "2"]
TRAIN += ["--checkpoint-seconds", "0"]  # after every epoch


def environment(**more):
    hidden = ("TF_CONFIG", "KERASD2L_DATA")
    return {**{k: v for k, v in os.environ.items() if k not in hidden}, **more}


def start(*words, **env):
    return subprocess.Popen(
        [*CLI, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**env),
    )


def finish(process):
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


def model_of(path):
    return keras.saving.load_model(path / "model.keras", compile=False)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """The same training on one device: path and summary."""
    return on_one(tmp_path_factory.mktemp("one") / "run", 3)


def on_one(path, epochs):
    """Train on one device, in this process."""
    words = [*TRAIN, "--epochs", str(epochs), "--out", str(path), "--json"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return path, json.loads(result.stdout)


@pytest.mark.slow
def test_launch_equals_one_device_and_prints_one_object(one, tmp_path):
    path = tmp_path / "run"
    launch = ["launch", "--workers", 2, "--"]
    code, out, err = finish(start(*launch, *TRAIN, "--epochs", 3, "--out", path, "--json"))
    assert code == 0, err
    (line,) = out.splitlines()
    summary = json.loads(line)
    assert (summary["strategy"], summary["replicas"]) == ("multi_worker", 2)
    assert summary["examples"] == one[1]["examples"] == {"train": 1437, "test": 360}
    assert summary["metrics"] == pytest.approx(one[1]["metrics"], abs=1e-5)
    assert small.difference(model_of(path), model_of(one[0])) < 1e-4
    assert {log.name for log in (path / "logs").iterdir()} == {"worker-0.log", "worker-1.log"}


def wait_for_checkpoint(path, step, process):
    until = time.monotonic() + 120
    while not any(int(p.stem[5:]) >= step for p in path.glob("checkpoints/step-*.npz")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)


def worker_pids(launcher):
    """Return the process ids of the launcher's children, worker 0 first."""
    text = open(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read()
    return sorted(map(int, text.split()))


@pytest.mark.slow
def test_a_killed_worker_is_survived_and_sigterm_saves_all(tmp_path):
    """kill -9 of worker 1: all start again. SIGTERM to the launcher: all save, and --resume."""
    words = [*TRAIN, "--epochs", 16]
    whole, path = tmp_path / "whole", tmp_path / "run"
    _, expected = on_one(whole, 16)
    process = start(
        "launch", "--workers", 2, "--max-restarts", 1, "--grace", 3, "--", *words, "--out", path
    )
    wait_for_checkpoint(path, 12 * 2, process)
    os.kill(worker_pids(process)[1], signal.SIGKILL)
    killed_at = max(int(p.stem[5:]) for p in path.glob("checkpoints/step-*.npz"))
    wait_for_checkpoint(path, killed_at + 12, process)
    process.terminate()
    code, _, err = finish(process)
    assert code == 143, err
    assert "worker 1 was killed by SIGKILL; ending the others" in err
    assert "starting all 2 again (1 of 1)" in err
    assert "stopped at step" in err
    newest = max(path.glob("checkpoints/step-*.npz"))
    assert read(newest).position["step"] > killed_at
    again = [*words, "--out", path, "--resume", "--json"]
    code, out, err = finish(start("launch", "--workers", 2, "--", *again))
    assert code == 0, err
    (line,) = out.splitlines()
    summary = json.loads(line)
    assert (summary["strategy"], summary["replicas"]) == ("multi_worker", 2)
    assert summary["examples"] == expected["examples"] == {"train": 1437, "test": 360}
    assert summary["metrics"] == pytest.approx(expected["metrics"], abs=1e-5)
    assert small.difference(model_of(path), model_of(whole)) < 1e-4
    assert {log.name for log in (path / "logs").iterdir()} == {"worker-0.log", "worker-1.log"}


def test_tf_config_of_others_and_only_the_chief_writes(one, tmp_path):
    """As TFJob sets it; each process has its own --out, as on machines without a shared disk."""
    with socket.socket() as a, socket.socket() as b:
        for sock in (a, b):
            sock.bind(("127.0.0.1", 0))
        chief, worker = (f"127.0.0.1:{sock.getsockname()[1]}" for sock in (a, b))
    cluster = {"chief": [chief], "worker": [worker]}
    processes = [
        start(
            *[*TRAIN, "--epochs", 3, "--out", tmp_path / kind],
            TF_CONFIG=json.dumps({"cluster": cluster, "task": {"type": kind, "index": 0}}),
        )
        for kind in ("chief", "worker")
    ]
    results = [finish(process) for process in processes]
    assert [code for code, _, _ in results] == [0, 0], results
    assert not (tmp_path / "worker").exists()
    assert small.difference(model_of(tmp_path / "chief"), model_of(one[0])) < 1e-4


def test_a_peer_that_does_not_come_ends_with_its_name(tmp_path):
    with socket.socket() as a, socket.socket() as b:
        for sock in (a, b):
            sock.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{sock.getsockname()[1]}" for sock in (a, b)]
    config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": 0}}
    words = [*TRAIN, "--out", tmp_path / "run", "--rendezvous-timeout", "2"]
    code, out, err = finish(start(*words, TF_CONFIG=json.dumps(config)))
    assert (code, out) == (1, "")
    assert f"worker 1 ({addresses[1]})" in err
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()
