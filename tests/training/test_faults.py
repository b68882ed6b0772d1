"""Processes that are killed: what `kerasd2l train` leaves behind, and what --resume makes of it."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import keras
import pytest
import small
from click.testing import CliRunner

from kerasd2l.cli import main

# Builtin digits: 1437 = 11 x 128 + 29, twelve steps an epoch.
TRAIN = ["train", "mlp", "--data", "builtin", "--batch-size", "128", "--seed", "1"]
TRAIN += ["--checkpoint-seconds", "0.01"]


def start(*words, epochs=30):
    command = [sys.executable, "-m", "kerasd2l.cli", *TRAIN, "--epochs", str(epochs)]
    return subprocess.Popen(
        [*command, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={k: v for k, v in os.environ.items() if k not in ("TF_CONFIG", "KERASD2L_DATA")},
    )


def wait_for_epoch(process, number):
    """Read the talk until an epoch is done, then return at a random moment after it."""
    for line in process.stderr:
        if line.startswith(f"epoch {number}/"):
            time.sleep(random.uniform(0, 0.05))
            return
    raise AssertionError(f"ended before epoch {number}: {process.wait()}")


def finish(process):
    out, err = process.communicate(timeout=180)
    return process.returncode, out, err


def weights_of(path):
    return keras.saving.load_model(path / "model.keras", compile=False)


def history_of(path):
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return small.figures([json.loads(line) for line in lines])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody stopped, in this process."""
    path = tmp_path_factory.mktemp("whole") / "run"
    result = CliRunner().invoke(main, [*TRAIN, "--epochs", "30", "--out", str(path)])
    assert result.exit_code == 0, result.output
    return path


def test_killed_terminated_and_resumed_equals_never_stopped(whole, tmp_path):
    path = tmp_path / "run"

    process = start("--out", path)
    wait_for_epoch(process, 3)
    process.kill()
    assert finish(process)[0] == -signal.SIGKILL

    process = start("--out", path, "--resume")
    wait_for_epoch(process, 9)
    process.terminate()
    code, out, err = finish(process)
    assert (code, out) == (143, "")
    assert "stopped at step" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert not (path / "summary.json").exists()

    # whatever of the two came in an epoch's middle: the newest checkpoint is cut, too
    newest = max((path / "checkpoints").glob("step-*"))
    newest.write_bytes(newest.read_bytes()[:1000])
    words = [*TRAIN, "--epochs", "30", "--out", str(path), "--resume", "--json"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert f"{newest} is damaged" in result.stderr
    assert json.loads(result.stdout)["epochs"] == 30
    assert small.difference(weights_of(path), weights_of(whole)) == 0
    assert history_of(path) == history_of(whole)


@pytest.mark.slow
def test_interrupted_the_state_is_saved(whole, tmp_path):
    process = start("--out", tmp_path / "run")
    wait_for_epoch(process, 5)
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert code == 130
    assert "the state is saved" in err.splitlines()[-1]
    code, _, err = finish(start("--out", tmp_path / "run", "--resume"))
    assert code == 0, err
    assert small.difference(weights_of(tmp_path / "run"), weights_of(whole)) == 0


@pytest.mark.slow
def test_kill_at_five_random_moments(whole, tmp_path):
    path = tmp_path / "run"
    for epoch in sorted(random.sample(range(1, 30), 5)):
        process = start("--out", path, *(["--resume"] if path.exists() else []))
        wait_for_epoch(process, epoch)
        process.kill()
        finish(process)
    code, _, err = finish(start("--out", path, "--resume"))
    assert code == 0, err
    assert small.difference(weights_of(path), weights_of(whole)) == 0
    assert history_of(path) == history_of(whole)


@pytest.mark.slow
def test_sigterm_before_the_first_step(tmp_path):
    """At any moment: while TensorFlow loads there is nothing to save, later the state is saved."""
    path = tmp_path / "run"
    for delay in (0.5, 2, 4, 6):
        process = start("--out", path, *(["--resume"] if path.exists() else []), epochs=2000)
        time.sleep(delay)
        process.terminate()
        code, _, err = finish(process)
        assert code in (143, -signal.SIGTERM)
        assert "Traceback" not in err
