"""The champion in memory: a background thread notices a moved alias and swaps one reference."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from recgan.registry import store
from recgan.serving.model import ServedModel

log = logging.getLogger(__name__)

RETRY_AFTER = 60.0
"""Seconds until a version that could not be loaded is tried again."""


class ChampionWatch:
    """Keep the newest champion that works.

    `serving` is read once for each request, so a request ends on the version that it began with; the old
    version is freed when the last one that reads it has ended.
    """

    def __init__(
        self,
        name: str,
        root: Path = Path(),
        poll_seconds: float = 5.0,
        on_swap: Callable[[ServedModel], None] = lambda served: None,
        on_problem: Callable[[], None] = lambda: None,
    ) -> None:
        """Say what to watch; `start` begins.

        Args:
            name: the registered model.
            root: the project.
            poll_seconds: between two looks at the alias.
            on_swap: called with a version that now answers.
            on_problem: called for each look that failed.
        """
        self.name = name
        self.serving: ServedModel | None = None
        self.problem: str | None = f"the champion of {name} is not loaded yet; ask again in a few seconds"
        self._root, self._poll_seconds = root, poll_seconds
        self._on_swap, self._on_problem = on_swap, on_problem
        self._refused: tuple[str, float] | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look, at once and then every few seconds."""
        self._thread = threading.Thread(target=self._run, name="champion", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop looking; a load that is under way is not waited for longer than five seconds."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def look(self) -> None:
        """Look at the alias once; load, try and swap in what it names, if that is new."""
        try:
            version = store.champion_version(self._root, self.name)
            if version is None:
                self._tell(
                    f"{self.name} has no champion; a version becomes one by passing the gate: make run "
                    "(other data, other names: --name)"
                )
            elif self.serving is not None and version == self.serving.model.version:
                self.problem = None
            elif self._refused is None or self._refused[0] != version or time.monotonic() > self._refused[1]:
                self._swap(version)
        except Exception as error:
            # The old version goes on answering, whatever is the matter with the registry.
            self._tell(f"the champion of {self.name} cannot be read: {error}")

    def _swap(self, version: str) -> None:
        began = time.monotonic()
        try:
            champion = store.load_champion(self._root, self.name)
            served = ServedModel(self.name, champion.version, champion.packaged)
            served.check()
        except Exception as error:
            self._refused = version, time.monotonic() + RETRY_AFTER
            self._tell(f"version {version} of {self.name} does not work: {type(error).__name__}: {error}")
            return
        self.serving, self.problem, self._refused = served, None, None
        self._on_swap(served)
        log.info("%s version %s answers, loaded in %.1f s", self.name, version, time.monotonic() - began)

    def _tell(self, problem: str) -> None:
        if problem != self.problem:
            log.warning("%s", problem)
        self.problem = problem
        self._on_problem()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.look()
            self._stopping.wait(self._poll_seconds)
