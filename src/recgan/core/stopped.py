"""One line for Ctrl-C, from a program's first imports on."""

import sys
from types import TracebackType

STOPPED = "stopped; what was finished is kept"
EXIT_CODE = 128 + 2
"""Of a program that SIGINT ended, as shells have it."""


def one_line_for_ctrl_c() -> None:
    """Have Ctrl-C say one line and end with 130, though nothing is there yet to catch it.

    Imports take seconds, and no `try` of a `main` is around them.
    """
    sys.excepthook = _tell


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    sys.stderr.write(f"\n{STOPPED}\n")
    raise SystemExit(EXIT_CODE)
