"""Run a flow in this process and say what came of it."""

import atexit
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import httpx
from prefect.client.orchestration import get_client
from prefect.context import refresh_global_settings_context
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    PREFECT_UI_URL,
    temporary_settings,
)
from prefect.states import State

from flows.temporary_server import temporary_server
from recgan.core.errors import RecganError, Unavailable
from recgan.core.stopped import EXIT_CODE, STOPPED

T = TypeVar("T")


class ErrorOnce(logging.Filter):
    """Leave an error to the end of the run: Prefect logs it in each task and flow that it passes through."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop the records of raised errors, and cut a failed state to its name."""
        if record.exc_info:
            return False
        if ended := re.match(r"Finished in state (Failed|TimedOut|Crashed)(?=\()", record.getMessage()):
            record.msg, record.args = ended[0], ()
        return True


def run_here(
    run: Callable[[], State[T]], closing: Callable[[T], str], check: Callable[[], object] = lambda: None
) -> int:
    """Run a flow, print its closing lines or its one error, and return the exit code.

    Args:
        run: runs the flow and returns its state.
        closing: what to print about the result.
        check: raises a RecganError where a server need not be started first to know it.
    """
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addFilter(ErrorOnce())
    server = ExitStack()
    # Prefect sends the last logs and events while the interpreter ends, just before this.
    atexit.register(server.close)
    try:
        check()
        server.enter_context(prefect_api())
        result = run().result()
    except RecganError as error:
        sys.stderr.write(f"\nerror: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{STOPPED}\n")
        return EXIT_CODE
    sys.stdout.write(closing(result))
    return 0


@contextmanager
def prefect_api() -> Iterator[None]:
    """Have a Prefect server that answers: the one that is named, else one for the length of the block.

    Raises:
        RecganError: no temporary server starts, or the named one is of another version.
        Unavailable: the named server does not answer.
    """
    if PREFECT_API_URL.value():
        _check_api(str(PREFECT_API_URL.value()))
        yield
        return
    home, starts_within = PREFECT_HOME.value(), PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value()
    with (
        temporary_server(home, starts_within) as url,
        temporary_settings({PREFECT_API_URL: url, PREFECT_UI_URL: ""}),  # it serves no pages to point at
        _for_all_threads(url),
    ):
        yield


@contextmanager
def _for_all_threads(url: str) -> Iterator[None]:
    """Name a server to threads too that Prefect starts itself: they take the settings of the process.

    A pool of processes has one that hands on their events. Without an address it starts a server that
    nobody ends.
    """
    os.environ["PREFECT_API_URL"] = url
    refresh_global_settings_context()
    try:
        yield
    finally:
        del os.environ["PREFECT_API_URL"]
        refresh_global_settings_context()


def _check_api(url: str) -> None:
    named = "PREFECT_API_URL" + (
        "" if os.environ.get("PREFECT_API_URL") else " (of .env, prefect.toml or a profile)"
    )
    try:
        with httpx.Client(timeout=10) as client:
            client.get(f"{url.rstrip('/')}/health")  # Prefect's own client tries for longer and says less
        with get_client(sync_client=True):  # compares the versions
            pass
    except httpx.InvalidURL as error:
        raise RecganError(f"{named} is {url!r}, which is no address ({error}); write http://…/api") from None
    except (httpx.HTTPError, RuntimeError) as error:
        raise Unavailable(
            f"{named} is {url}, where no Prefect server answers as it should ({error}); start that server, "
            "name another, or name none: the flow then runs by itself"
        ) from None
