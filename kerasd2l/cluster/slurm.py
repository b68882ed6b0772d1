"""A training as a Slurm job: `kerasd2l launch --engine slurm` writes the script and submits it.

`srun` starts the workers, which find each other by Slurm's variables. Shortly before the time
limit the workers save, and the job goes back into the queue to continue; a node that fails does
the same without saving. What is cancelled saves and ends.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from kerasd2l.cluster.jobs import EngineError, Job

SECONDS_TO_SAVE = 90  # Slurm's clock may be a minute early
_KEY = re.compile(r"[a-z][a-z-]*")

_BODY = """
# The folder of the logs must be there before sbatch: Slurm makes none, and fails the job.
late=
# Shortly before the time limit the workers get SIGTERM: they save and end with 143.
trap 'late=yes; scancel --signal=TERM "$SLURM_JOB_ID"' USR1

code=0
for attempt in $(seq 0 {restarts}); do
    resume={resume}
    if [ "$attempt" -gt 0 ] || [ "${{SLURM_RESTART_COUNT:-0}}" -gt 0 ]; then resume=--resume; fi
    srun --distribution=block --kill-on-bad-exit=1 --open-mode=append --output={log} \\
        {command} &
    step=$!
    wait "$step"; code=$?
    if [ -n "$late" ]; then wait "$step"; code=$?; fi  # the trap ended the first wait
    if [ -n "$late" ] && [ "$code" -eq 143 ]; then
        echo "launch: saved before the time limit, back into the queue" >&2
        scontrol requeue "$SLURM_JOB_ID"
        exit 143
    fi
    case "$code" in 1 | 129 | 13? | 14?) ;; *) break ;; esac  # 0: done; 2, 3: would come again
    if [ "$attempt" -lt {restarts} ]; then
        echo "launch: exit code $code; starting all again ($((attempt + 1)) of {restarts})" >&2
    fi
done
exit "$code"
"""


def script(
    job: Job,
    *,
    nodes: int | None = None,
    time: str | None = None,
    partition: str | None = None,
    options: Mapping[str, str] | None = None,
    program: Sequence[str] = (sys.executable, "-m", "kerasd2l.cli"),
) -> str:
    """Return the script for `sbatch`.

    Args:
        job: what to train; its run folder must be on a disk that all nodes share.
        nodes: int, how many machines; Slurm decides without it.
        time: str, the time limit as Slurm writes it, such as "30" (minutes) or "1-12:00:00".
        partition: str, the queue.
        options: other options of sbatch by their long names; they take precedence over ours. An
            empty value is a flag.
        program: the command line in front of the command, the same on all nodes.

    Raises:
        ValueError: an option that sbatch could not have, a line break in one.
    """
    logs = job.out.replace("%", "%%") + "/logs"
    settings = {
        "job-name": job.name,
        "ntasks": str(job.workers),
        "output": f"{logs}/slurm-%j.log",
        "open-mode": "append",
        "requeue": "",
        "signal": f"B:USR1@{SECONDS_TO_SAVE}",
    }
    asked = {
        "nodes": str(nodes) if nodes else None,
        "time": time,
        "partition": partition,
        "gpus-per-task": str(job.gpus_per_worker) if job.gpus_per_worker else None,
    }
    settings |= {key: value for key, value in asked.items() if value}
    for key, value in {**settings, **(options or {})}.items():
        if not _KEY.fullmatch(key):
            raise ValueError(
                f"an option of sbatch has a long name such as account. Received: {key!r}."
            )
        settings[key] = _plain(value)
    lines = [f"#SBATCH --{key}{'=' + value if value else ''}" for key, value in settings.items()]
    words = [*program, job.command[0]]
    rest = [word for word in job.command[1:] if word != "--resume"]
    body = _BODY.format(
        restarts=job.max_restarts,
        resume="--resume" if job.resumes else "",
        log=shlex.quote(f"{logs}/worker-%t.log"),
        command=f"{shlex.join(words)} $resume {shlex.join(rest)}",
    )
    return "\n".join(["#!/bin/bash", *lines]) + "\n" + body


def submit(text: str, job: Job, *, sbatch: str = "sbatch") -> tuple[str, int]:
    """Submit the script, a copy of which stays in the run folder.

    Args:
        text: what `script` wrote.
        job: the same job.
        sbatch: str, the program.

    Returns:
        The number of the job; and 0, or with sbatch's option `wait` the exit code of the job.

    Raises:
        EngineError: there is no sbatch, or it refuses the script.
        ValueError: the folder held another run before.
    """
    job.check_new()
    logs = Path(job.out) / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    file = logs / "job.sbatch"
    file.write_text(text)
    line = [sbatch, "--parsable", str(file)]
    try:
        done = subprocess.run(line, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise EngineError(
            f"{sbatch} is not here: this machine cannot submit to Slurm. The script is {file}; "
            "take it to a login node, or see it with --dry-run."
        ) from None
    number = done.stdout.strip().split(";")[0]
    if not number:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise EngineError(f"Slurm refused the job: {said}. The script is {file}.")
    return number, done.returncode


def _plain(value: str) -> str:
    """Return a value for a line of the script, in quotes and escaped where sbatch needs it."""
    if "\n" in value or "\r" in value:
        raise ValueError(f"a line break cannot stand in an option of sbatch. Received: {value!r}.")
    if not re.search(r"""[\s"'#\\]""", value):
        return value
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
