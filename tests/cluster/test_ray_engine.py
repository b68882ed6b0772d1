"""`launch --engine ray` on a real Ray cluster of two nodes on this machine."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import pytest
import small

from kerasd2l.training.checkpoint import read

ray = pytest.importorskip("ray", reason="the extra `ray` has it")
pytest.importorskip("ray.train", reason="the extra `ray` has it")

from ray.cluster_utils import Cluster  # noqa: E402

from kerasd2l.cluster.ray_worker import Board  # noqa: E402

pytestmark = pytest.mark.multiworker

CLI = [sys.executable, "-m", "kerasd2l.cli"]
EPOCHS = 30
TRAIN = ["train", "mlp", "--data", "builtin", "--batch-size", "126", "--seed", "2", "--json"]


@pytest.fixture
def cluster():
    """A head without cores, where the launcher is, and two nodes with two cores each."""
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    cluster.nodes = [cluster.add_node(num_cpus=2) for _ in range(2)]
    yield cluster
    cluster.shutdown()


def start(*words, **env):
    hidden = ("TF_CONFIG", "KERASD2L_DATA", "RAY_ADDRESS")
    return subprocess.Popen(
        [*CLI, "launch", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**{k: v for k, v in os.environ.items() if k not in hidden}, **env},
    )


def finish(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def on_ray(cluster, *words, workers=2, cpus=2):
    """Start the launcher; two cores for each worker: one worker for each node."""
    options = ["--engine", "ray", "--address", cluster.address, "--cpus-per-worker", cpus]
    return start(*options, "--workers", workers, *words)


def weights(path):
    return keras.saving.load_model(path / "model.keras", compile=False)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The same training in two local workers, never disturbed."""
    path = tmp_path_factory.mktemp("local") / "run"
    code, out, err = finish(
        start(
            "--workers",
            2,
            "--",
            *TRAIN,
            "--epochs",
            EPOCHS,
            "--out",
            path,
            TF_CPP_MIN_LOG_LEVEL="3",
        )
    )
    assert code == 0, err
    return path, json.loads(out)


def wait_for_step(path, step, process):
    """Return the newest step that is saved, once it is `step` or later."""
    until = time.monotonic() + 200
    while True:
        steps = [int(file.stem[5:]) for file in path.glob("checkpoints/step-*.npz")]
        if steps and max(steps) >= step:
            return max(steps)
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)


def trainings(path):
    """Return rank -> process id of the workers that train into `path`."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().split(b"\0")
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"train" in line and str(path).encode() in line and b"launch" not in line:
            config = [v for v in variables if v.startswith(b"TF_CONFIG=")]
            if config:
                found[json.loads(config[0][10:])["task"]["index"]] = int(folder.name)
    return found


def ancestors(pid):
    while pid > 1:
        yield pid
        stat = Path(f"/proc/{pid}/stat").read_text()
        pid = int(stat.rpartition(")")[2].split()[1])


def node_of(cluster, pid):
    """Return the node whose raylet started the process."""
    for node in cluster.nodes:
        (info,) = node.all_processes["raylet"]
        if info.process.pid in ancestors(pid):
            return node
    raise AssertionError("no node has this process")


@pytest.mark.slow
def test_two_nodes_equal_two_local_workers(cluster, local, tmp_path):
    path = tmp_path / "run"
    code, out, err = finish(on_ray(cluster, "--", *TRAIN, "--epochs", EPOCHS, "--out", path))
    assert code == 0, err
    (line,) = out.splitlines()
    summary = json.loads(line)
    assert (summary["strategy"], summary["replicas"]) == ("multi_worker", 2)
    assert summary["examples"] == {"train": 1437, "test": 360}
    assert summary["metrics"] == local[1]["metrics"]
    assert small.difference(weights(path), weights(local[0])) == 0
    assert f"epoch {EPOCHS}/{EPOCHS}" in err
    assert {log.name for log in (path / "logs").iterdir()} == {"worker-0.log", "worker-1.log"}
    assert f"epoch {EPOCHS}/{EPOCHS}" in (path / "logs" / "worker-1.log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_node_killed_in_mid_training_is_survived(cluster, local, tmp_path, rank):
    """The node of worker `rank` is gone, a new one comes: from the newest checkpoint on."""
    path = tmp_path / "run"
    process = on_ray(cluster, "--max-restarts", 2, "--", *TRAIN, "--epochs", EPOCHS, "--out", path)
    killed_at = wait_for_step(path, 12 * 3, process)
    cluster.remove_node(node_of(cluster, trainings(path)[rank]), allow_graceful=False)
    cluster.nodes.append(cluster.add_node(num_cpus=2))
    code, out, err = finish(process)
    assert code == 0, err
    assert killed_at < 12 * EPOCHS
    assert "launch: starting all 2 again (1 of 2)" in err
    (line,) = out.splitlines()
    assert json.loads(line)["metrics"] == local[1]["metrics"]
    assert small.difference(weights(path), weights(local[0])) == 0
    log = (path / "logs" / "worker-1.log").read_text()
    assert "attempt 1 of 3" in log and "attempt 2 of 3" in log
    assert not trainings(path)


@pytest.mark.slow
def test_sigterm_saves_in_all_workers_and_resume_goes_on(cluster, local, tmp_path):
    path = tmp_path / "run"
    words = [*TRAIN, "--epochs", EPOCHS, "--out", path]
    process = on_ray(cluster, "--max-restarts", 2, "--", *words)
    wait_for_step(path, 12 * 2, process)
    process.terminate()
    code, out, err = finish(process)
    assert code == 143, err
    assert json.loads(out)["exit_code"] == 143
    assert "stopped at step" in err
    newest = max(path.glob("checkpoints/step-*.npz"))
    assert read(newest).position["step"] < 12 * EPOCHS
    assert not trainings(path)
    code, out, err = finish(on_ray(cluster, "--", *words))
    assert code == 1
    assert json.loads(out)["worker"] is None
    assert f"{path} already holds a run. Give --resume to continue it" in err
    code, out, err = finish(on_ray(cluster, "--", *words, "--resume"))
    assert code == 0, err
    assert json.loads(out)["metrics"] == local[1]["metrics"]
    assert small.difference(weights(path), weights(local[0])) == 0


@pytest.mark.slow
def test_a_cluster_that_is_lost_ends_everything(tmp_path):
    """Ray itself ends the launcher when its head does not answer any more."""
    path = tmp_path / "run"
    lost = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    process = on_ray(lost, "--", *TRAIN, "--epochs", 5000, "--out", path, cpus=1)
    wait_for_step(path, 12, process)
    lost.shutdown()
    code, _, err = finish(process)
    assert code not in (0, 2, 3), err
    assert "Traceback" not in err
    assert not trainings(path)


@pytest.mark.slow
def test_a_launcher_that_is_killed_leaves_no_training_behind(cluster, tmp_path):
    path = tmp_path / "run"
    process = on_ray(cluster, "--", *TRAIN, "--epochs", 5000, "--out", path)
    wait_for_step(path, 12, process)
    pids = trainings(path).values()
    assert len(pids) == 2
    process.kill()
    until = time.monotonic() + 30
    while trainings(path):
        assert time.monotonic() < until
        time.sleep(0.2)


@pytest.mark.slow
def test_what_would_come_again_is_not_tried_again(tmp_path):
    """A wrong argument is found by the workers: exit code 2, once, and nothing on stdout."""
    words = ["--engine", "ray", "--address", "local", "--workers", 2, "--max-restarts", 3, "--"]
    path = tmp_path / "run"
    began = time.monotonic()
    code, out, err = finish(start(*words, "train", "lenet", "--set", "no_such=1", "--out", path))
    assert (code, out) == (2, ""), err
    assert "no_such" in err
    assert "ending the others, since it would come again" in err
    assert "starting all" not in err
    assert "Traceback" not in err
    for rank in range(2):
        assert "attempt 1 of 4" in (path / "logs" / f"worker-{rank}.log").read_text()
    assert time.monotonic() - began < 60


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root hides a folder from a node")
def test_a_node_that_does_not_see_the_run_folder_is_named(tmp_path):
    """The node has a file system of its own where the launcher has the run folder."""
    shared = tmp_path / "shared"
    shared.mkdir()
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    join = f"{sys.executable} -m ray.scripts.scripts start --address={cluster.address}"
    hidden = f"mount -t tmpfs none {shared} && exec {join} --num-cpus=2 --block"
    node = subprocess.Popen(
        ["unshare", "-m", "bash", "-c", hidden],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        words = ["--max-restarts", 1, "--", *TRAIN, "--out", shared / "run"]
        code, out, err = finish(on_ray(cluster, *words, cpus=1))
    finally:
        os.killpg(node.pid, signal.SIGTERM)
        node.wait(30)
        cluster.shutdown()
    assert code == 1, err
    assert f"does not see {shared}/run/logs: --out must be on a disk that all nodes share" in err
    assert "starting all" not in err
    assert "does not see" in json.loads(out)["error"]


def test_no_cluster_is_one_line(tmp_path):
    words = ["--engine", "ray", "--address", "127.0.0.1:1", "--workers", 2, "--", "train", "lenet"]
    code, out, err = finish(start(*words, "--out", tmp_path / "run"))
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert "there is no Ray cluster at '127.0.0.1:1'" in line and "ray start --head" in line


def test_without_the_extra_it_is_named(tmp_path):
    """A usage error: exit code 2."""
    (tmp_path / "ray.py").write_text("raise ImportError('no module named ray')")
    words = ["--engine", "ray", "--workers", 2, "--", "train", "lenet", "--out", tmp_path / "run"]
    places = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    code, out, err = finish(start(*words, PYTHONPATH=places))
    assert (code, out) == (2, "")
    assert "pip install 'kerasd2l[ray]'" in " ".join(err.split())
    assert not (tmp_path / "run").exists()


def test_the_board_keeps_the_order_of_output_and_of_failures():
    async def story():
        board = Board()
        assert await board.read(0.01) == []
        await board.begin(["a:1", "b:2"])
        await board.ended(1, 1, "gone")
        assert await board.read(5) == [("begin", b"")]
        await board.begin(["a:3", "b:4"])
        assert await board.begun() == (2, ["a:3", "b:4"])
        await board.write("stdout", b"a")
        await board.write("stderr", b"b")
        await board.ended(1, 137, "killed")
        await board.ended(0, 1, "alone")
        assert not await board.is_stopped()
        await board.stop()
        assert await board.is_stopped()
        assert await board.read(5) == [("begin", b""), ("stdout", b"a"), ("stderr", b"b")]
        assert await board.endings() == ({1: 137, 0: 1}, [(1, 137, "killed"), (0, 1, "alone")])

    asyncio.run(story())
