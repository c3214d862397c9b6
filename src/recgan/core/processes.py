"""Processes that do not outlive those that started them."""

import os
import signal
import sys
import time
from contextlib import suppress
from threading import Thread

import psutil

_GRACE = 30.0  # seconds to end cleanly


def end_with_dvc(seconds: float = 1) -> None:
    """End this process when the DVC that runs it as a stage is gone.

    `kill -9` of dvc leaves its stage running, writing beside whoever runs it next. A process that a person
    started is left alone: the end of a shell is no reason to stop. A shell between dvc and this process
    lives on when dvc is killed, so the parent alone says nothing.

    Args:
        seconds: between two looks.
    """
    if "DVC_STAGE" not in os.environ:  # dvc sets it for its children
        return
    dvc = _dvc()
    if dvc is None:
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # lets temporary files go

    def watch() -> None:
        while is_alive(dvc):
            time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE)
        os._exit(128 + signal.SIGKILL)

    Thread(target=watch, daemon=True).start()


def end_with_parent(seconds: float = 1) -> None:
    """End this process, without more ado, when the one that started it is gone.

    Args:
        seconds: between two looks.
    """
    parent = psutil.Process().parent()

    def watch() -> None:
        while parent is not None and is_alive(parent):
            time.sleep(seconds)
        os._exit(128 + signal.SIGKILL)

    Thread(target=watch, daemon=True).start()


def is_alive(process: psutil.Process) -> bool:
    """Tell whether a process runs: it is neither gone nor waiting for its parent to notice its end."""
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _dvc() -> psutil.Process | None:
    """Return the nearest ancestor that was not itself started as a stage."""
    with suppress(psutil.Error):
        for ancestor in psutil.Process().parents():
            if "DVC_STAGE" not in ancestor.environ():
                return ancestor
    return None
