"""The champion in memory: a background thread notices a moved alias and swaps one reference."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from recgan.core.redact import clean
from recgan.newcomers.weights import Newcomers
from recgan.package import store
from recgan.registry import versions
from recgan.serving.experiments import Experiments
from recgan.serving.model import ServedModel
from recgan.serving.newcomers import NewcomersWatch
from recgan.serving.schema import NewProducts

log = logging.getLogger(__name__)

RETRY_AFTER = 60.0
"""Seconds until a version that could not be loaded is tried again."""
SILENT_AFTER = 120.0
"""Seconds without the end of a look from which on /ready says so, beside the time between two looks."""


class ChampionWatch:
    """Keep the newest champion that works.

    `serving` is read once for each request, so a request ends on the version that it began with. The old
    version is freed when the last request that reads it has ended.
    """

    def __init__(
        self,
        name: str,
        root: Path = Path(),
        poll_seconds: float = 5.0,
        on_swap: Callable[[ServedModel], None] = lambda served: None,
        on_problem: Callable[[], None] = lambda: None,
        on_look: Callable[[], None] = lambda: None,
        newcomers: Path | None = None,
        on_newcomers: Callable[[Newcomers | None], None] = lambda found: None,
    ) -> None:
        """Say what to watch; `start` begins.

        Args:
            name: the registered model.
            root: the project.
            poll_seconds: between two looks at the alias.
            on_swap: called with a version that now answers.
            on_problem: called for each look that failed.
            on_look: called at the end of each look.
            newcomers: the file of new products to watch beside the alias.
            on_newcomers: called with the new products that are shown now.
        """
        self.name = name
        self.serving: ServedModel | None = None
        self._problem: str | None = f"the champion of {name} is not loaded yet; ask again in a few seconds"
        self._root, self._poll_seconds = root, poll_seconds
        self._on_swap, self._on_problem, self._on_look = on_swap, on_problem, on_look
        self.experiments = Experiments(name, root)
        self._newcomers = NewcomersWatch(newcomers)
        self._on_newcomers = on_newcomers
        self._looked = time.monotonic()
        self._refused: tuple[versions.VersionId, float] | None = None
        self._live: versions.VersionId | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def problem(self) -> str | None:
        """What is the matter with finding the newest champion, or None."""
        if self._thread is not None and not self._stopping.is_set():
            if not self._thread.is_alive():
                return "the thread that looks for a new champion has ended; restart the server"
            silent = time.monotonic() - self._looked
            if silent > SILENT_AFTER + self._poll_seconds:
                return (
                    f"the thread that looks for a new champion has not come back for {silent:.0f} s: the "
                    "registry does not answer, or a large version is being loaded; see the registry"
                )
        return self._problem

    def start(self) -> None:
        """Begin to look, at once and then every few seconds."""
        self._stopping.clear()
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
            version = versions.champion_version(self._root, self.name)
            if version is None:
                self._tell(f"{versions.why_none(self._root, self.name)} (other data, other names: --name)")
            elif self.serving is not None and version == self._live:
                self._problem = None
                self._renew(self.serving)
            elif self._refused is None or self._refused[0] != version or time.monotonic() > self._refused[1]:
                self._swap(version)
            if self.serving is not None:
                self.experiments.look()
        except Exception as error:
            # The old version goes on answering, whatever is wrong with the registry.
            self._tell(f"the champion of {self.name} cannot be read: {error}")
        finally:
            self._looked = time.monotonic()
            self._on_look()

    def _swap(self, identity: versions.VersionId) -> None:
        began, version = time.monotonic(), identity.version
        try:
            champion = store.load_champion(self._root, self.name)
            new = self._newcomers.look(champion.packaged, champion.version, None)
            served = ServedModel(self.name, champion.version, champion.packaged)
            served.check()  # before new products are beside it: theirs are another's faults
            served = self._newcomers.tried(served, new)
        except Exception as error:
            self._refused = identity, time.monotonic() + RETRY_AFTER
            self._tell(f"version {version} of {self.name} does not work: {type(error).__name__}: {error}")
            return
        self.serving, self._problem, self._refused = served, None, None
        self._live = champion.identity
        self._on_swap(served)
        self._on_newcomers(served.newcomers)
        log.info("%s version %s answers, loaded in %.1f s", self.name, version, time.monotonic() - began)

    def _renew(self, serving: ServedModel) -> None:
        """Swap in other new products with the same package, where the file of them has changed."""
        new = self._newcomers.look(serving.packaged, serving.model.version, serving.newcomers)
        if new is not serving.newcomers:
            self.serving = self._newcomers.tried(serving, new)
            self._on_newcomers(self.serving.newcomers)

    def new_products(self) -> NewProducts:
        """Say which new products are shown, and what is the matter with the newest file of them."""
        shown = None if self.serving is None else self.serving.newcomers
        return NewProducts(
            products=0 if shown is None else len(shown),
            until=None if shown is None else shown.origin.until,
            problem=self._newcomers.problem,
        )

    def _tell(self, problem: str) -> None:
        problem = clean(problem)
        if problem != self._problem:
            log.warning("%s", problem)
        self._problem = problem
        self._on_problem()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look()
            except BaseException as error:  # a library that calls sys.exit must not end the looking
                self._tell(f"the thread that looks for a new champion met {type(error).__name__}: {error}")
            self._stopping.wait(self._poll_seconds)
