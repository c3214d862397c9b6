"""Rows that wait in memory for a thread that writes them twice a second, off the path of a request."""

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

EVERY_SECONDS = 0.5
"""From one batch to the next. A killed process loses what was added in the last second at most: while two
batches are written and in between, and a busy machine takes a while to write one."""
MAX_WAITING = 100_000
"""Rows that wait while nothing takes any; further ones are lost, and counted."""

Row = tuple[Any, ...]


class Buffered(ABC):
    """Adding a row takes microseconds. What takes no rows ends nothing: it is tried again soon."""

    def __init__(self, place: str, remedy: str, lost: Callable[[int], Any]) -> None:
        """Keep where rows go; `start` begins.

        Args:
            place: what messages call it.
            remedy: what to do where it takes no rows.
            lost: is told of rows that nothing keeps.
        """
        self._place, self._remedy, self._lost = place, remedy, lost
        self._waiting: deque[Row] = deque()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed = False

    @abstractmethod
    def _put(self, rows: list[Row]) -> None:
        """Write rows and take those out of the list that need not be written again; there may be none.

        Raises:
            OSError: the place takes none now.
        """

    @abstractmethod
    def _finish(self) -> None:
        """End what is open, as nothing follows.

        Raises:
            OSError: the place does not take it.
        """

    def start(self) -> None:
        """Begin to write.

        Raises:
            RuntimeError: it is being written already; two threads would write into each other's rows.
        """
        if self._thread is not None and self._thread.is_alive():
            raise RuntimeError(f"{self._place} is being written already")
        self._ending.clear()
        self._thread = threading.Thread(target=self._run, name=f"write {self._place}", daemon=True)
        self._thread.start()

    def add(self, row: Row) -> None:
        """Add a row, whose values are in the order of the schema; from any thread."""
        if len(self._waiting) >= MAX_WAITING:
            self._lost(1)
        else:
            self._waiting.append(row)

    def close(self) -> None:
        """Write what waits, and end."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        began = time.monotonic()
        while not self._ending.wait(max(0.0, began + EVERY_SECONDS - time.monotonic())):
            began = time.monotonic()
            self._write(finish=False)
        self._write(finish=True)
        if self._waiting:  # a connection may have broken since; the next one need not be
            self._write(finish=True)
        if self._waiting:
            log.error("%s: the last %s rows are lost", self._place, f"{len(self._waiting):,}")
            self._lost(len(self._waiting))

    def _write(self, finish: bool) -> None:
        """Write what waits. A place that takes nothing is said once, and tried again soon."""
        rows = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            self._put(rows)
            if finish:
                self._finish()
            if self._failed:
                log.info("%s is written again", self._place)
            self._failed = False
        except OSError as error:
            self._waiting.extendleft(reversed(rows))
            if not self._failed:
                log.error(
                    "%s cannot be written (%s): %s; beyond %s rows that wait, further ones are lost",
                    self._place, error, self._remedy, f"{MAX_WAITING:,}",
                )  # fmt: skip
            self._failed = True
