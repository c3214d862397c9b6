"""Run a command that does not outlive whoever started it, however that one ends.

    python guard.py COMMAND… < a pipe that the parent holds open

A parent that is killed with -9 runs no `finally`, and its children live on. So the guard leads a process
group of its own with the command in it. It kills that group when its standard input ends, that is, when the
last holder of the pipe's other end is gone. It imports nothing of the project, so it runs from any folder.
"""

import os
import signal
import subprocess
import sys
from threading import Thread


def main() -> int:
    """Run the command of the command line and return its exit code."""
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    Thread(target=_watch, daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


def _watch() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
