"""What every engine has to know of a job: its command, its run folder, what it may do again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from kerasd2l.cluster.launch import out_of, with_out, with_resume


class EngineError(RuntimeError):
    """An engine that cannot do what it was asked for: no cluster, a refused job."""


@dataclass(frozen=True)
class Job:
    """One `train` for several workers.

    Args:
        command: tuple of str, such as ("train", "--out", "runs/lenet", "lenet").
        workers: int, how many processes train together.
        gpus_per_worker: int, 0 for a CPU.
        max_restarts: int, how often all start again from the newest checkpoint after a failure.
    """

    command: tuple[str, ...]
    workers: int
    gpus_per_worker: int = 0
    max_restarts: int = 0

    @property
    def out(self) -> str:
        """The run folder, as the command has it."""
        out = out_of(self.command)
        if out is None:
            raise ValueError(f"the command has no --out. Received: {' '.join(self.command)}.")
        return out

    @property
    def resumes(self) -> bool:
        """Whether the command itself asks for what was begun before."""
        return "--resume" in self.command

    @property
    def name(self) -> str:
        """A name for schedulers, of the run folder: small letters, digits and dashes."""
        words = re.sub(r"[^a-z0-9]+", "-", PurePosixPath(self.out).name.lower()).strip("-")
        return f"kerasd2l-{words or 'train'}"[:40].rstrip("-")

    @property
    def unique_name(self) -> str:
        """A name that no job with another run folder has: runs/a/lenet is not runs/b/lenet."""
        path = str(PurePosixPath(self.out))
        return f"{self.name}-{hashlib.sha256(path.encode()).hexdigest()[:6]}"

    def from_anywhere(self) -> Job:
        """Return the job whose run folder does not depend on where its workers start."""
        words, out = list(self.command), str(Path(self.out).absolute())
        for number, word in enumerate(words):
            if word == "--out":
                words[number + 1] = out
                break
            if word.startswith("--out="):
                words[number] = f"--out={out}"
                break
        return replace(self, command=tuple(words))

    def with_resume(self) -> tuple[str, ...]:
        """Return the command that goes on from the newest checkpoint, or starts where none is."""
        return tuple(with_resume(self.command))

    def check_new(self) -> None:
        """Refuse a folder that held a run before: a restart would go on with that one.

        Raises:
            ValueError: it did, and the command has no --resume.
        """
        if not self.resumes and (Path(self.out) / "config.json").exists():
            raise ValueError(
                f"{self.out} already holds a run. Give --resume to continue it, or another --out."
            )


def train_job(command: Sequence[str], **numbers: int) -> Job:
    """Return the job of a command; one without `--out` gets a new folder under runs/.

    Args:
        command: sequence of str, which starts with "train".
        **numbers: the other fields of Job.

    Raises:
        ValueError: it is no `train`.
    """
    if not command or command[0] != "train":
        raise ValueError(
            "a cluster runs `train` only, such as: -- train lenet --out runs/lenet. "
            f"Received: {' '.join(command) or 'nothing'}."
        )
    return Job(tuple(with_out(command)), **numbers)
