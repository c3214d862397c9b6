"""Run a flow in this process and say what came of it."""

import logging
import sys
from collections.abc import Callable
from typing import TypeVar

from prefect.states import State

from recgan.errors import RecganError

T = TypeVar("T")


class OneLinePerFault(logging.Filter):
    """Drop the traceback records of errors that are written for the reader: the state says the same."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record but those that carry a RecganError."""
        return not (record.exc_info and isinstance(record.exc_info[1], RecganError))


def run_here(run: Callable[[], State[T]], closing: Callable[[T], str]) -> int:
    """Run a flow, print its closing lines or its one error, and return the exit code.

    Args:
        run: runs the flow and returns its state.
        closing: what to print about the result.
    """
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addFilter(OneLinePerFault())
    try:
        result = run().result()
    except RecganError as error:
        sys.stderr.write(f"\nerror: {error}\n")
        return 1
    sys.stdout.write(closing(result))
    return 0
