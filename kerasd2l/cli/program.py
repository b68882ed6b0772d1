"""The program around the verbs: streams that are closed, readers that leave, Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import click

EXIT_STOPPED = 128 + signal.SIGINT  # as a shell has it, like those below
EXIT_NO_READER = 128 + signal.SIGPIPE


class _EndsWell:
    """What ends as other programs do, of `Verb` and `Program`.

    A stream that is closed (`2>&-`) leads nowhere, and what its encoding lacks is escaped: talk
    that nobody hears stops no work. Where the result has lost its reader (`| head -1`) the exit
    code is 141, without a word; Ctrl-C is 130.
    """

    def make_context(self, *arguments: Any, **named: Any) -> click.Context:
        open_streams()
        with _ends():
            return super().make_context(*arguments, **named)  # type: ignore[misc]

    def invoke(self, ctx: click.Context) -> Any:
        with _ends():
            return super().invoke(ctx)  # type: ignore[misc]


class Verb(_EndsWell, click.Command):
    """A verb, which may also be a program of its own: scripts/train.py."""


class Program(_EndsWell, click.Group):
    """The group of verbs."""

    command_class = Verb


@contextlib.contextmanager
def _ends() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        say("stopped by Ctrl-C")
        sys.exit(EXIT_STOPPED)
    except BrokenPipeError:
        mute(sys.stdout)
        sys.exit(EXIT_NO_READER)
    except OSError as error:  # a full disk under the result
        mute(sys.stdout)
        say(f"Error: {error}")
        sys.exit(1)


def say(text: str) -> None:
    """Talk to the person, on stderr; where nobody listens, the work goes on."""
    try:
        click.echo(text, err=True)
    except OSError:
        mute(sys.stderr)


def open_streams() -> None:
    """Let closed streams lead nowhere, and escape what the encoding of the others lacks."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # a closed one would be the number of the next file that is opened
    os.close(number)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf8"))
        elif hasattr(getattr(sys, name), "reconfigure"):
            getattr(sys, name).reconfigure(errors="backslashreplace")


def mute(stream: Any) -> None:
    """Let a stream lead nowhere: what it still holds must not be an error when Python ends."""
    with contextlib.suppress(OSError, ValueError):  # a stream without a number
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@contextlib.contextmanager
def ends_at_once() -> Iterator[None]:
    """Let Ctrl-C end the process where libraries would make an error of their own of it.

    For their import, when nothing has been written yet.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: Any) -> None:
        os._exit(EXIT_STOPPED)

    before = signal.getsignal(signal.SIGINT)
    if before == signal.SIG_IGN:  # as in the background of a shell
        yield
        return
    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
