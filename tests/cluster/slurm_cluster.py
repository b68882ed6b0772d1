"""A Slurm of one's own for tests: Debian's munged, slurmctld and slurmd, in a folder.

Nobody else's Slurm is touched: other ports, other sockets, SLURM_CONF in the environment.
`python tests/cluster/slurm_cluster.py COMMAND ...` runs a command in one.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "scancel", "squeue")
CONFIG = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=5
RebootProgram=/bin/true
ReturnToService=2
SlurmdTimeout=30
KillWait=10
InactiveLimit=0
NodeName=localhost NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4
SlurmdParameters=config_overrides
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing():
    """Return why no Slurm can be started here, or None."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (apt install slurm-wlm munge)"
    return None if os.geteuid() == 0 else "munged and slurmd start as root only"


def _path():
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


class Slurm:
    """A running Slurm: its environment, and its programs."""

    def __init__(self, folder, conf):
        self.folder = folder
        self.env = {**os.environ, "SLURM_CONF": str(conf), "PATH": _path()}

    def __call__(self, *words, check=True):
        done = subprocess.run(
            words, env=self.env, capture_output=True, text=True, check=False, timeout=60
        )
        assert not check or done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def state(self, job):
        """Return the state of a job, such as RUNNING; the last known one after its end."""
        for word in self("scontrol", "-o", "show", "job", str(job), check=False).split():
            if word.startswith("JobState="):
                return word.removeprefix("JobState=")
        return "GONE"

    def logs(self):
        return "\n".join(
            f"== {path}\n{path.read_text()[-3000:]}" for path in self.folder.glob("*.log")
        )

    def wait(self, job, states, seconds=120):
        """Wait until the job is in one of the states; return it."""
        until = time.monotonic() + seconds
        while (state := self.state(job)) not in states:
            assert time.monotonic() < until, (state, self.logs())
            time.sleep(0.5)
        return state


def _ports():
    """Return two free ports."""
    with socket.socket() as one, socket.socket() as two:
        for sock in (one, two):
            sock.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


@contextlib.contextmanager
def slurm(folder: Path):
    """Start a Slurm of one node, localhost, with four slots; end it."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    for name in ("state", "spool-localhost"):
        (folder / name).mkdir()
    conf = folder / "slurm.conf"
    host = socket.gethostname().partition(".")[0]
    conf.write_text(CONFIG.format(folder=folder, ports=_ports(), host=host, user="root"))
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    cluster = Slurm(folder, conf)
    munge = ["munged", "--foreground", "--force", f"--key-file={key}"]
    munge += [f"--socket={folder}/munge.socket", f"--pid-file={folder}/munge.pid"]
    munge += [f"--log-file={folder}/munge.log", f"--seed-file={folder}/munge.seed"]
    lines = [munge, ["slurmctld", "-D", "-i"], ["slurmd", "-D", "-N", "localhost"]]
    processes = []
    try:
        for line in lines:
            with open(folder / f"out-{Path(line[0]).name}-{len(processes)}.log", "wb") as log:
                processes.append(
                    subprocess.Popen(
                        line, env=cluster.env, stdout=log, stderr=log, start_new_session=True
                    )
                )
            time.sleep(1.0)
        until = time.monotonic() + 30
        while cluster("sinfo", "-h", "-o", "%t %D", check=False).split() != ["idle", "1"]:
            assert time.monotonic() < until, cluster.logs()
            time.sleep(0.5)
        yield cluster
    finally:
        cluster("scancel", "--full", "--state=RUNNING", "--user=root", check=False)
        time.sleep(0.5)
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
            process.kill()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch, slurm(Path(scratch) / "slurm") as cluster:
        done = subprocess.run(sys.argv[1:], env=cluster.env, check=False)
    sys.exit(done.returncode)
