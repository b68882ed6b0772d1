"""`launch --engine slurm`: the script, and what a real Slurm does with it."""

import json
import shlex
import subprocess
import sys
import time

import keras
import pytest
import slurm_cluster
import small
from click.testing import CliRunner

from kerasd2l.cli import main
from kerasd2l.cluster import slurm
from kerasd2l.cluster.jobs import EngineError, Job, train_job

CLI = [sys.executable, "-m", "kerasd2l.cli"]
TRAIN = ["train", "lenet", "--data", "builtin", "--seed", "2"]

# A worker of seconds: it says who it is, and saves and ends with 143 on SIGTERM.
PROGRAM = """
import os, pathlib, signal, sys, time
out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
rank = os.environ["SLURM_PROCID"]

def save(number, frame):
    (out / f"saved-{rank}").touch()
    sys.exit(143)

signal.signal(signal.SIGTERM, save)
with open(out / f"starts-{rank}", "a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
"""


def preview(*words):
    result = CliRunner().invoke(main, ["launch", "--engine", "slurm", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result.stdout


def directives(text):
    lines = [line for line in text.splitlines() if line.startswith("#SBATCH ")]
    return dict(line.removeprefix("#SBATCH --").partition("=")[::2] for line in lines)


def test_the_script_says_what_was_asked(tmp_path):
    path = tmp_path / "100% my run"
    options = ["--workers", 3, "--nodes", 3, "--time", "1-02:00:00", "--partition", "gpu"]
    options += ["--gpus-per-worker", 2, "--sbatch", "account=me", "--sbatch", "exclusive"]
    text = preview(*options, "--dry-run", "--", *TRAIN, "--set", "a=b c", "--out", path)
    assert directives(text) == {
        "job-name": "kerasd2l-100-my-run",
        "ntasks": "3",
        "nodes": "3",
        "gpus-per-task": "2",
        "time": "1-02:00:00",
        "partition": "gpu",
        "output": f'"{tmp_path}/100%% my run/logs/slurm-%j.log"',
        "open-mode": "append",
        "requeue": "",
        "signal": "B:USR1@90",
        "account": "me",
        "exclusive": "",
    }
    (line,) = [line for line in text.replace("\\\n", "").splitlines() if " srun " in line]
    words = shlex.split(line.replace("$resume", "").rstrip(" &"))
    assert words[1:] == [
        "--distribution=block",
        "--kill-on-bad-exit=1",
        "--open-mode=append",
        f"--output={tmp_path}/100%% my run/logs/worker-%t.log",
        *CLI,
        *["train", "lenet", "--data", "builtin", "--seed", "2"],
        *["--set", "a=b c", "--out", str(path)],
    ]
    assert subprocess.run(["bash", "-n", "-c", text], check=False).returncode == 0
    assert not path.exists()


def test_own_options_of_sbatch_take_precedence():
    text = slurm.script(train_job(TRAIN, workers=2), options={"signal": "B:USR1@300"})
    assert directives(text)["signal"] == "B:USR1@300"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"options": {"a b": "1"}}, "long name such as account"),
        ({"options": {"account": "x\nrm"}}, "a line break"),
        ({"partition": "x\n#SBATCH --uid=0"}, "a line break"),
    ],
)
def test_what_sbatch_could_not_have_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        slurm.script(train_job(TRAIN, workers=2), **options)


def test_without_sbatch_the_script_stays(tmp_path):
    job = train_job([*TRAIN, "--out", str(tmp_path / "run")], workers=2)
    with pytest.raises(EngineError, match="no-such-sbatch is not here"):
        slurm.submit(slurm.script(job), job, sbatch="no-such-sbatch")
    assert (tmp_path / "run/logs/job.sbatch").read_text() == slurm.script(job)


def test_a_folder_that_holds_a_run_is_not_submitted_again(tmp_path):
    (tmp_path / "config.json").touch()
    job = train_job([*TRAIN, "--out", str(tmp_path)], workers=2)
    with pytest.raises(ValueError, match="already holds a run"):
        slurm.submit(slurm.script(job), job)
    again = Job((*job.command, "--resume"), workers=2)
    with pytest.raises(EngineError, match="not here"):
        slurm.submit(slurm.script(again), again, sbatch="no-such-sbatch")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    if reason := slurm_cluster.missing():
        pytest.skip(reason)
    with slurm_cluster.slurm(tmp_path_factory.mktemp("slurm")) as running:
        yield running


def test_slurm_reads_the_options_as_they_were_meant(cluster, tmp_path):
    folder = tmp_path / """it's "my" run # 1"""
    text = slurm.script(
        train_job([*TRAIN, "--out", str(folder)], workers=1), options={"comment": "it's"}
    )
    (tmp_path / "job.sbatch").write_text(text)
    number = cluster("sbatch", "--parsable", "--hold", str(tmp_path / "job.sbatch")).strip()
    shown = cluster("scontrol", "show", "job", number)
    cluster("scancel", number)
    assert f"StdOut={folder}/logs/slurm-{number}.log\n" in shown
    assert "Comment=it's" in shown


def test_a_script_that_is_only_shown_tells_of_the_folder_that_slurm_does_not_make(tmp_path):
    words = ["--workers", "2", "--dry-run", "--", *TRAIN, "--out", f"{tmp_path}/my run"]
    result = CliRunner().invoke(main, ["launch", "--engine", "slurm", *words])
    assert f"mkdir -p '{tmp_path}/my run/logs'" in result.stderr
    assert not (tmp_path / "my run").exists()


@pytest.fixture
def submit(cluster, tmp_path):
    """Submit a job of two workers that run PROGRAM and `body`; return its number and folder."""
    script = tmp_path / "program.py"
    path = tmp_path / "run"

    def submit(body, restarts=0, **options):
        script.write_text(PROGRAM + body)
        command = ("train", "lenet", "--out", str(path))
        job = Job(command, workers=2, max_restarts=restarts)
        text = slurm.script(job, program=(sys.executable, str(script)), **options)
        (path / "logs").mkdir(parents=True)
        file = path / "logs/job.sbatch"
        file.write_text(text)
        return cluster("sbatch", "--parsable", str(file)).strip()

    submit.path = path
    submit.log = lambda: "".join(file.read_text() for file in (path / "logs").glob("*.log"))
    return submit


def test_slurm_starts_both_again_after_a_failure(cluster, submit):
    number = submit(
        """
if rank == "1" and len((out / "starts-1").read_text().splitlines()) == 1:
    os.kill(os.getpid(), signal.SIGKILL)
if "--resume" not in sys.argv:
    time.sleep(60)
""",
        restarts=2,
    )
    assert cluster.wait(number, {"COMPLETED", "FAILED"}, 60) == "COMPLETED", submit.log()
    for rank in range(2):
        first, second = (submit.path / f"starts-{rank}").read_text().splitlines()
        assert first == f"train lenet --out {submit.path}"
        assert second == f"train --resume lenet --out {submit.path}"
    assert "starting all again (1 of 2)" in submit.log()


@pytest.mark.slow
def test_waiting_gives_the_exit_code_of_the_job(cluster, tmp_path):
    line = [*CLI, "launch", "--engine", "slurm", "--workers", "1", "--sbatch", "wait", "--"]
    line += ["train", "lenet", "--set", "no_such=1", "--out", str(tmp_path)]
    done = subprocess.run(line, env=cluster.env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout.strip().isdigit()
    assert "no_such" in (tmp_path / "logs/worker-0.log").read_text()


@pytest.mark.slow
def test_slurm_does_not_try_again_what_would_come_again(cluster, submit):
    number = submit("sys.exit(3)", restarts=2)
    assert cluster.wait(number, {"COMPLETED", "FAILED"}, 60) == "FAILED"
    assert len((submit.path / "starts-0").read_text().splitlines()) == 1
    assert "ExitCode=3:0" in cluster("scontrol", "show", "job", number)


@pytest.mark.slow
def test_a_cancelled_job_saves_and_does_not_come_back(cluster, submit):
    number = submit("time.sleep(120)")
    until = time.monotonic() + 30
    while not (submit.path / "starts-1").exists():
        assert time.monotonic() < until, submit.log()
        time.sleep(0.2)
    cluster("scancel", number)
    assert cluster.wait(number, {"COMPLETED", "FAILED", "CANCELLED"}, 60) == "CANCELLED"
    until = time.monotonic() + 30
    while not all((submit.path / f"saved-{rank}").exists() for rank in range(2)):
        assert time.monotonic() < until, submit.log()
        time.sleep(0.2)
    time.sleep(5)
    assert cluster.state(number) == "CANCELLED"
    assert len((submit.path / "starts-0").read_text().splitlines()) == 1


def launched(cluster, *words):
    """Submit by the command; return the number of the job."""
    done = subprocess.run(
        [*CLI, "launch", "--engine", "slurm", "--workers", "2", *map(str, words)],
        env=cluster.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The same training in two local workers."""
    path = tmp_path_factory.mktemp("local") / "run"
    line = [*CLI, "launch", "--workers", "2", "--", *TRAIN, "--epochs", "3", "--out", str(path)]
    subprocess.run(line, check=True, capture_output=True)
    return path


def weights(path):
    return keras.saving.load_model(path / "model.keras", compile=False)


@pytest.mark.slow
@pytest.mark.multiworker
def test_srun_needs_no_other_flag(cluster, local, tmp_path):
    """`train` in two tasks finds the other by Slurm's variables: equal to two local workers."""
    path = tmp_path / "run"
    number = launched(cluster, "--time", "10", "--", *TRAIN, "--epochs", 3, "--out", path)
    state = cluster.wait(number, {"COMPLETED", "FAILED", "TIMEOUT"}, 300)
    log = (path / "logs/worker-1.log").read_text()
    assert state == "COMPLETED", log
    assert "epoch 3/3" in log
    summary = json.loads((path / "summary.json").read_text())
    assert (summary["strategy"], summary["replicas"]) == ("multi_worker", 2)
    assert small.difference(weights(path), weights(local)) == 0


@pytest.mark.slow
def test_slurm_tells_of_the_time_limit_and_starts_the_job_again(cluster, submit):
    """Slurm's own signal, before a limit of a minute, which it may send up to a minute early."""
    number = submit(
        """
if "--resume" not in sys.argv:
    time.sleep(200)
""",
        time="1",
        options={"signal": "B:USR1@20"},
    )
    until = time.monotonic() + 120
    while "saved before the time limit, back into the queue" not in submit.log():
        assert time.monotonic() < until, submit.log()
        time.sleep(0.5)
    assert all((submit.path / f"saved-{rank}").exists() for rank in range(2))
    back(cluster, number)
    assert cluster.wait(number, {"COMPLETED", "FAILED", "TIMEOUT"}, 100) == "COMPLETED"
    for rank in range(2):
        starts = (submit.path / f"starts-{rank}").read_text().splitlines()
        assert ["--resume" in line for line in starts] == [False, True]


@pytest.mark.slow
@pytest.mark.multiworker
def test_a_training_that_is_requeued_gives_the_same_weights(cluster, tmp_path):
    """The signal of the time limit in mid-training: saved, requeued, resumed."""
    path, whole = tmp_path / "run", tmp_path / "whole"
    words = [*map(str, [*TRAIN, "--epochs", 30])]
    number = launched(cluster, "--time", "30", "--", *words, "--out", path)
    log = path / f"logs/slurm-{number}.log"
    until = time.monotonic() + 240
    while not list(path.glob("checkpoints/step-*.npz")):
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.1)
    cluster("scancel", "--batch", "--signal=USR1", number)
    while "saved before the time limit, back into the queue" not in log.read_text():
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.5)
    assert "stopped at step" in (path / "logs/worker-0.log").read_text()
    assert not (path / "summary.json").exists()
    back(cluster, number)
    state = cluster.wait(number, {"COMPLETED", "FAILED", "TIMEOUT"}, 400)
    assert state == "COMPLETED", log.read_text()
    line = [*CLI, "launch", "--workers", "2", "--", *words, "--out", str(whole)]
    subprocess.run(line, check=True, capture_output=True)
    assert small.difference(weights(path), weights(whole)) == 0


def back(cluster, number):
    """Let a job that is back in the queue start at once: Slurm would wait for two minutes."""
    cluster.wait(number, {"PENDING"}, 30)
    until = time.monotonic() + 30
    while cluster.state(number) == "PENDING" and time.monotonic() < until:
        cluster("scontrol", "update", f"JobId={number}", "StartTime=now", check=False)
        time.sleep(1)
