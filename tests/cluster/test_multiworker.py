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
@pytest.mark.parametrize("workers", [2, 3])
def test_launch_equals_one_device_and_prints_one_object(one, tmp_path, workers):
    path = tmp_path / "run"
    launch = ["launch", "--workers", workers, "--"]
    code, out, err = finish(start(*launch, *TRAIN, "--epochs", 3, "--out", path, "--json"))
    assert code == 0, err
    (line,) = out.splitlines()
    summary = json.loads(line)
    assert (summary["strategy"], summary["replicas"]) == ("multi_worker", workers)
    assert summary["examples"] == one[1]["examples"] == {"train": 1437, "test": 360}
    assert summary["metrics"] == pytest.approx(one[1]["metrics"], abs=1e-5)
    assert small.difference(model_of(path), model_of(one[0])) < 1e-4
    logs = {log.name for log in (path / "logs").iterdir()}
    assert logs == {f"worker-{rank}.log" for rank in range(workers)}


def wait_for_checkpoint(path, step, process):
    until = time.monotonic() + 120
    while not any(int(p.stem[5:]) >= step for p in path.glob("checkpoints/step-*.npz")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)


def worker_pids(launcher):
    """Return the process ids of the workers among the launcher's children, worker 0 first."""
    text = open(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read()
    pids = sorted(map(int, text.split()))
    return [pid for pid in pids if b"train" in open(f"/proc/{pid}/cmdline", "rb").read()]


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


def addresses_of_two():
    with socket.socket() as a, socket.socket() as b:
        for sock in (a, b):
            sock.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{sock.getsockname()[1]}" for sock in (a, b)]


def two(addresses, path, *words, seeds=(2, 2), **options):
    """Start two workers by TF_CONFIG; worker 1 may have another seed."""
    configs = [
        json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})
        for index in range(2)
    ]
    return [
        start(*TRAIN, "--seed", seed, *words, "--out", path, TF_CONFIG=config, **options)
        for seed, config in zip(seeds, configs, strict=True)
    ]


def test_tf_config_of_others_and_only_the_chief_writes(one, tmp_path):
    """As TFJob sets it; each process has its own --out, as on machines without a shared disk."""
    chief, worker = addresses_of_two()
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


@pytest.mark.slow
def test_a_peer_that_does_not_come_ends_with_its_name(tmp_path):
    addresses = addresses_of_two()
    config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": 0}}
    words = [*TRAIN, "--out", tmp_path / "run", "--rendezvous-timeout", "2"]
    code, out, err = finish(start(*words, TF_CONFIG=json.dumps(config)))
    assert (code, out) == (1, "")
    assert f"worker 1 ({addresses[1]})" in err
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("lost", [0, 1])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.slow
def test_a_lost_peer_is_named_on_the_survivor(tmp_path, lost, number):
    """Killed or frozen in mid-training: an error within 30 s, and the last checkpoint is whole."""
    addresses, path = addresses_of_two(), tmp_path / "run"
    processes = two(addresses, path, "--epochs", 500)
    try:
        wait_for_checkpoint(path, 12, processes[1 - lost])
        processes[lost].send_signal(number)
        began = time.monotonic()
        code, out, err = finish(processes[1 - lost])
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert (code, out) == (1, "")
    assert time.monotonic() - began < 40
    assert f"Error: worker {lost} ({addresses[lost]}) went away or is frozen (" in err
    assert "Traceback" not in err
    assert read(max(path.glob("checkpoints/step-*.npz"))).position["step"] >= 12


@pytest.mark.slow
def test_workers_with_other_commands_refuse_each_other(tmp_path):
    """What the coordination service's store is for; and the others' ports are really those."""
    addresses = addresses_of_two()
    processes = two(addresses, tmp_path / "run", seeds=(2, 3))
    for rank, process in enumerate(processes):
        code, out, err = finish(process)
        assert (code, out) == (1, ""), err
        other = 1 - rank
        assert f"Error: worker {other} ({addresses[other]}) is of another kind: config=" in err
        assert "Traceback" not in err
    assert not (tmp_path / "run").exists()


def test_a_taken_port_is_a_usage_error(monkeypatch, tmp_path):
    addresses = addresses_of_two()
    config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    with socket.create_server(("127.0.0.1", int(addresses[0].rpartition(":")[2]))):
        result = CliRunner().invoke(main, [*TRAIN, "--out", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert f"worker 0 ({addresses[0]}), cannot listen on port" in result.stderr
