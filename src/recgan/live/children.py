"""Commands of the project's own, which never outlive who started them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil

from recgan.core.errors import RecganError

_LAST_LINES = 15


def environment(place: Path) -> dict[str, str]:
    """Return the environment of the project's commands: none of the user's servers, registry or secrets."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RECGAN_", "MLFLOW_", "PREFECT_", "DVC_"))
    }
    code = [str(place.resolve()), str((place / "src").resolve())]
    return ours | {"PYTHONPATH": os.pathsep.join(code), "PYTHONUNBUFFERED": "1"}


def run(place: Path, arguments: list[str], log: Path) -> str:
    """Run `python …` in the project, and return what it printed.

    Args:
        place: the project.
        arguments: of Python.
        log: where all that it prints is added.

    Raises:
        RecganError: it failed; the message has its last lines.
    """
    before = log.stat().st_size if log.exists() else 0
    with log.open("ab") as said, guarded(place, arguments, said) as child:
        code = child.wait()
    printed = log.read_bytes()[before:].decode(errors="replace")
    if code:
        last = "\n".join(printed.strip().splitlines()[-_LAST_LINES:])
        raise RecganError(f"`python {' '.join(arguments)}` in {place} ended with {code}; see {log}:\n{last}")
    return printed


@contextmanager
def guarded(place: Path, arguments: list[str], said: IO[bytes]) -> "Iterator[subprocess.Popen[bytes]]":
    """Run `python …` in the project for the length of the block at most, also where this process is killed.

    Its guard ends the whole group when the pipe that this process holds is closed.
    """
    command = [sys.executable, "flows/guard.py", sys.executable, *arguments]
    child = subprocess.Popen(
        command,
        cwd=place,
        env=environment(place),
        stdin=subprocess.PIPE,
        stdout=said,
        stderr=said,
        start_new_session=True,  # Ctrl-C is for this process, which ends the child
    )
    try:
        yield child
    finally:
        end(child)


def end(child: "subprocess.Popen[bytes]", seconds: float = 40) -> None:
    """Ask the command behind a guard to end, and end it."""
    with suppress(psutil.Error):
        for command in psutil.Process(child.pid).children():
            command.terminate()
    try:
        child.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        child.kill()
    assert child.stdin is not None
    child.stdin.close()
    child.wait()
