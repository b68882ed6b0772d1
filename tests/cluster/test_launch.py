import io
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from kerasd2l.cli import main
from kerasd2l.cluster.launch import launch, with_out

HEAD = """
import json, os, pathlib, signal, sys, time
config = json.loads(os.environ.get("TF_CONFIG", "null"))
rank = config["task"]["index"] if config else 0
out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
out.mkdir(parents=True, exist_ok=True)
(out / f"pid-{rank}").write_text(str(os.getpid()))

def others():  # wait until all workers are up
    while len([p for p in out.glob("pid-*") if p.read_text()]) < len(config["cluster"]["worker"]):
        time.sleep(0.01)
"""


@pytest.fixture
def start(tmp_path):
    """Launch a small script as the program; returns code, stdout, stderr, and reads logs."""

    def start(body, command=("train", "lenet"), workers=2, **options):
        script = tmp_path / "program.py"
        script.write_text(HEAD + textwrap.dedent(body))
        out = tmp_path / "run"
        stdout, stderr = io.BytesIO(), io.BytesIO()
        code = launch(
            [*command, "--out", str(out)],
            workers=workers,
            program=(sys.executable, "-u", str(script)),
            env={**options.pop("env", {}), "PATH": os.environ["PATH"]},
            log_dir=tmp_path / "logs",
            stdout=stdout,
            stderr=stderr,
            **{"grace": 5.0, **options},
        )
        return code, stdout.getvalue().decode(), stderr.getvalue().decode()

    start.log = lambda rank: (tmp_path / "logs" / f"worker-{rank}.log").read_text()
    start.out = tmp_path / "run"
    return start


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or ") Z " not in stat.read_text()


def wait_for(condition, seconds=10.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def test_all_succeed_and_the_chief_is_on_the_console(start):
    code, stdout, stderr = start(
        """
        sys.stdout.write(f"result {rank}\\n")  # whole lines: print writes in pieces
        sys.stderr.write(f"talk {rank}\\n")
        time.sleep(0.3 * rank)  # the chief may end first
        (out / f"done-{rank}").touch()
        """,
        workers=3,
    )
    assert (code, stdout, stderr) == (0, "result 0\n", "talk 0\n")
    for rank in range(3):
        header, *lines = start.log(rank).splitlines()
        assert header.startswith(f"=== worker {rank}, attempt 1 of 1, ")
        assert header.endswith(f"train lenet --out {start.out}")
        assert sorted(lines) == [f"result {rank}", f"talk {rank}"]
        assert (start.out / f"done-{rank}").exists()


def test_every_worker_gets_its_tf_config_and_the_given_environment(start):
    body = """
        (out / f"env-{rank}").write_text(json.dumps(dict(os.environ)))
    """
    env = {"CUDA_VISIBLE_DEVICES": "1", "TF_CONFIG": "old", "MINE": "x"}
    assert start(body, workers=3, env=env)[0] == 0
    found = [json.loads((start.out / f"env-{rank}").read_text()) for rank in range(3)]
    configs = [json.loads(env["TF_CONFIG"]) for env in found]
    assert [c["task"] for c in configs] == [{"type": "worker", "index": i} for i in range(3)]
    assert configs[0]["cluster"] == configs[2]["cluster"]
    addresses = configs[0]["cluster"]["worker"]
    assert len(set(addresses)) == 3
    assert all(address.startswith("127.0.0.1:") for address in addresses)
    assert all((e["CUDA_VISIBLE_DEVICES"], e["MINE"]) == ("1", "x") for e in found)


def test_one_worker_is_a_plain_run(start):
    body = "sys.exit('TF_CONFIG' in os.environ)"
    script = start.out.parent / "plain.py"
    script.write_text(f"import os, sys\n{body}\n")
    code = launch(
        ["run", "x"],
        workers=1,
        program=(sys.executable, str(script)),
        env={"TF_CONFIG": '{"cluster": {"worker": ["a:1", "b:1"]}}'},
        log_dir=start.out.parent / "logs",
        stdout=io.BytesIO(),
        stderr=io.BytesIO(),
    )
    assert code == 0


def test_one_fails_and_the_others_are_ended(start):
    begin = time.monotonic()
    code, _, stderr = start(
        """
        others()
        if rank == 1:
            print("\\n".join(f"line {i}" for i in range(30)))
            sys.exit(7)
        time.sleep(60)
        """,
        workers=3,
    )
    assert code == 7
    assert time.monotonic() - begin < 5
    assert "launch: worker 1 ended with exit code 7; ending the others\n" in stderr
    assert stderr.endswith("".join(f"  | line {i}\n" for i in range(20, 30)))
    assert "line 19" not in stderr
    assert not any(alive(int((start.out / f"pid-{i}").read_text())) for i in range(3))


def test_a_worker_deaf_to_sigterm_is_killed_after_the_grace(start):
    begin = time.monotonic()
    code, _, stderr = start(
        """
        if rank == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        (out / f"deaf-{rank}").touch()
        if rank == 1:
            while not (out / "deaf-0").exists():
                time.sleep(0.01)
            sys.exit(1)
        time.sleep(60)
        """,
        grace=0.5,
    )
    assert code == 1
    assert 0.5 < time.monotonic() - begin < 5
    assert "killing worker 0, which did not end on SIGTERM" in stderr
    assert not alive(int((start.out / "pid-0").read_text()))


def test_death_by_a_signal_is_128_plus_its_number(start):
    code, _, stderr = start(
        """
        others()
        if rank == 1:
            os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(60)
        """
    )
    assert code == 139
    assert "worker 1 was killed by SIGSEGV" in stderr


ONCE = """
    others()
    with open(out / f"calls-{rank}", "a") as file:
        file.write(json.dumps([sys.argv[1:], config["cluster"]["worker"]]) + "\\n")
    if rank == 0 and BEGUN:
        (out / "config.json").write_text("{}")
    again = "--resume" in sys.argv or (out / "again").exists()
    if not again and rank == 1:
        while len(list(out.glob("calls-*"))) < 2 or (BEGUN and not (out / "config.json").exists()):
            time.sleep(0.01)
        (out / "again").touch()
        print("first attempt", rank)
        ENDING
    if not again:
        time.sleep(60)
    print("well", rank)
"""


@pytest.mark.parametrize("ending", ["sys.exit(1)", "os.kill(os.getpid(), 9)", "sys.exit(138)"])
def test_a_restart_resumes_and_succeeds(start, ending):
    body = ONCE.replace("ENDING", ending).replace("BEGUN", "True")
    code, stdout, stderr = start(body, max_restarts=2)
    assert (code, stdout) == (0, "well 0\n")
    assert "launch: starting all 2 again (1 of 2)" in stderr
    for rank in range(2):
        lines = (start.out / f"calls-{rank}").read_text().splitlines()
        (first, ports), (second, new_ports) = map(json.loads, lines)
        assert first == ["train", "lenet", "--out", str(start.out)]
        assert second == ["train", "--resume", "lenet", "--out", str(start.out)]
        assert ports != new_ports
    log = start.log(1)
    assert log.count("=== worker 1, attempt") == 2
    assert log.index("attempt 1 of 3") < log.index("first attempt") < log.index("attempt 2 of 3")


def test_a_restart_before_the_run_has_begun_does_not_resume(start):
    """`--resume` in a folder without config.json would be an error."""
    body = ONCE.replace("ENDING", "sys.exit(1)").replace("BEGUN", "False")
    assert start(body, max_restarts=1)[0] == 0
    last = json.loads((start.out / "calls-0").read_text().splitlines()[-1])[0]
    assert "--resume" not in last


def test_a_given_resume_is_not_doubled(start):
    start.out.mkdir()
    (start.out / "config.json").write_text("{}")
    body = """
        others()
        with open(out / "calls", "a") as file:
            file.write(f"{sys.argv.count('--resume')}\\n")
        sys.exit(1)
    """
    assert start(body, ["train", "lenet", "--resume"], max_restarts=1)[0] == 1
    assert set((start.out / "calls").read_text().split()) == {"1"}


COUNT = """
    with open(out / f"calls-{rank}", "a") as file:
        file.write("x")
    others()
    time.sleep(0.2 * rank)
    sys.exit(CODE)
"""


@pytest.mark.parametrize("code", [2, 3])
def test_endings_that_would_come_again_are_not_restarted(start, code):
    found, _, stderr = start(COUNT.replace("CODE", str(code)), max_restarts=3)
    assert found == code
    assert (start.out / "calls-0").read_text() == "x"
    assert f"not starting again: exit code {code} would come again" in stderr


def test_restarts_are_counted(start):
    assert start(COUNT.replace("CODE", "1"), max_restarts=2)[0] == 1
    assert (start.out / "calls-0").read_text() == "xxx"


def test_an_older_run_in_the_folder_is_not_resumed_behind_the_users_back(start):
    start.out.mkdir()
    (start.out / "config.json").write_text("{}")
    code, _, stderr = start(COUNT.replace("CODE", "1"), max_restarts=2)
    assert code == 1
    assert (start.out / "calls-0").read_text() == "x"
    assert "held a run before. Give --resume" in stderr


def test_the_code_of_the_first_failure_is_passed_on(start):
    body = """
        others()
        if rank == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(0.5)
            sys.exit(1)
        time.sleep(0.2)
        sys.exit(3)
    """
    assert start(body)[0] == 3


SAVES = """
    def save(*_):
        time.sleep(0.2)
        (out / f"saved-{rank}").touch()
        sys.exit(143)
    signal.signal(signal.SIGTERM, save)
    (out / f"up-{rank}").touch()
    time.sleep(60)
"""


@pytest.mark.parametrize(
    ("number", "expected"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_our_signals_become_sigterm_for_all_workers(start, number, expected):
    def interrupt():
        wait_for(lambda: len(list(start.out.glob("up-*"))) == 2)
        os.kill(os.getpid(), number)

    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    thread = threading.Thread(target=interrupt)
    thread.start()
    code, _, stderr = start(SAVES, max_restarts=3)
    thread.join()
    assert code == expected
    assert "again" not in stderr
    assert all((start.out / f"saved-{rank}").exists() for rank in range(2))
    after = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    assert before == after


def test_a_second_signal_kills(start):
    body = """
    signal.signal(signal.SIGTERM, lambda *_: (out / f"heard-{rank}").touch())
    (out / f"up-{rank}").touch()
    while True:
        time.sleep(60)
    """

    def interrupt():
        for name in ("up", "heard"):
            wait_for(lambda name=name: len(list(start.out.glob(f"{name}-*"))) == 2)
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    begin = time.monotonic()
    assert start(body, grace=30.0)[0] == 130
    thread.join()
    assert time.monotonic() - begin < 10


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is of Linux")
def test_workers_do_not_outlive_a_killed_launcher(tmp_path):
    worker = tmp_path / "worker.py"
    worker.write_text(
        HEAD + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nothers()\ntime.sleep(60)\n"
    )
    out = tmp_path / "run"
    launcher = (
        "import os, sys; from pathlib import Path; from kerasd2l.cluster.launch import launch\n"
        f"launch(['train', '--out', {str(out)!r}], workers=3, env=os.environ,"
        f" program=(sys.executable, {str(worker)!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", launcher])
    wait_for(lambda: len([p for p in out.glob("pid-*") if p.read_text()]) == 3)
    pids = [int(path.read_text()) for path in out.glob("pid-*")]
    assert all(map(alive, pids))
    process.kill()
    process.wait()
    wait_for(lambda: not any(map(alive, pids)))
    assert (out / "logs" / "worker-2.log").exists()  # the default folder of the logs


def test_a_closed_console_does_not_stop_the_chief(start):
    class Closed(io.BytesIO):
        def write(self, data):
            raise BrokenPipeError

    script = start.out.parent / "many.py"
    script.write_text("print('x' * 1_000_000)")
    log_dir = start.out.parent / "logs"
    code = launch(
        ["run"],
        workers=2,
        program=(sys.executable, str(script)),
        env={},
        log_dir=log_dir,
        stdout=Closed(),
        stderr=Closed(),
    )
    assert code == 0
    assert (log_dir / "worker-0.log").stat().st_size > 1_000_000


def test_a_program_that_cannot_start_is_an_error_and_nothing_is_left(tmp_path):
    threads = threading.active_count()
    with pytest.raises(OSError, match="no-such-program"):
        launch(["run"], workers=2, program=("no-such-program",), env={}, log_dir=tmp_path)
    assert threading.active_count() == threads


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["train", "lenet"], "lenet"),
        (["train", "convolutional_neural_networks/lenet"], "convolutional_neural_networks-lenet"),
        (["train", "--seed", "1", "lenet"], "train"),
    ],
)
def test_train_gets_a_folder(command, name):
    first, option, out, *rest = with_out(command)
    assert (first, option, rest) == ("train", "--out", command[1:])
    assert re.fullmatch(rf"runs/{name}-\d{{8}}-\d{{6}}", out)


@pytest.mark.parametrize(
    "command", [["train", "x", "--out", "a"], ["train", "x", "--out=a"], ["evaluate", "runs/x"]]
)
def test_a_given_folder_and_other_commands_stay(command):
    assert with_out(command) == command


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, r"`workers` must be at least 1\. Received: workers=0"),
        ({"max_restarts": -1}, r"`max_restarts` must not be negative\. Received: -1"),
        ({"grace": -1.0}, r"`grace` must not be negative .*grace=-1"),
        ({"command": []}, r"the command is empty\. Give it after --"),
    ],
)
def test_wrong_arguments(options, message):
    arguments = {"command": ["train", "x"], "workers": 2, "env": {}} | options
    with pytest.raises(ValueError, match=message):
        launch(**arguments)


def test_json_is_one_object_also_of_a_failure(start):
    body = """
        print("half a result")
        others()
        print("Error: no such data", file=sys.stderr)
        sys.exit(1 if rank == 1 else 0)
    """
    code, stdout, _ = start(body, ["train", "lenet", "--json"])
    told = json.loads(stdout)
    assert (code, told["exit_code"], told["worker"]) == (1, 1, 1)
    assert told["error"] == "worker 1 ended with exit code 1. Error: no such data"


@pytest.mark.parametrize(
    "words",
    [
        ["--workers", "0"],
        ["--workers", "2", "--grace", "nan"],
        ["--workers", "2", "--engine", "slurm", "--ps", "1"],
        ["--workers", "2", "--engine", "kubernetes"],
    ],
)
def test_json_is_one_object_also_of_a_wrong_option(words):
    result = CliRunner().invoke(main, ["launch", *words, "--", "train", "lenet", "--json"])
    assert result.exit_code == 2
    told = json.loads(result.stdout)
    assert (told["exit_code"], told["worker"]) == (2, None)
    assert told["error"] and told["error"] in " ".join(result.stderr.split())


def test_json_is_that_of_the_last_attempt(start):
    body = ONCE.replace("ENDING", "sys.exit(1)").replace("BEGUN", "True")
    code, stdout, _ = start(body, ["train", "lenet", "--json"], max_restarts=1)
    assert (code, stdout) == (0, "well 0\n")


def test_json_of_a_stopped_launch(start):
    def interrupt():
        wait_for(lambda: len(list(start.out.glob("up-*"))) == 2)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=interrupt)
    thread.start()
    code, stdout, _ = start(SAVES, ["train", "lenet", "--json"])
    thread.join()
    told = {"error": "stopped with exit code 143", "exit_code": 143, "worker": None}
    assert (code, json.loads(stdout)) == (143, told)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_frozen_worker_is_not_waited_for(start):
    """SIGTERM is not heard by a process that is stopped."""
    begin = time.monotonic()
    code, _, stderr = start(
        """
        others()
        if rank == 1:
            os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(0.5)
        sys.exit(1)
        """,
        grace=20.0,
    )
    assert code == 1
    assert "worker 0 ended with exit code 1" in stderr
    assert time.monotonic() - begin < 8
    assert not alive(int((start.out / "pid-1").read_text()))
