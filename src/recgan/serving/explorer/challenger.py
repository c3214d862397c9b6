"""The challenger in memory: loaded when somebody looks at it, once, beside the champion."""

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from recgan.core.redact import clean
from recgan.package import store
from recgan.registry import versions
from recgan.serving.champion import RETRY_AFTER
from recgan.serving.model import ServedModel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Contender:
    """What is known of the challenger now."""

    registered: versions.Challenger | None = None
    """None where nothing challenges the champion, or where the registry does not answer."""
    served: ServedModel | None = None
    """None while it loads, and where it cannot be loaded."""
    problem: str | None = None


class ChallengerWatch:
    """Look for the challenger when asked, and load each version once in a thread of its own."""

    def __init__(self, name: str, root: Path = Path(), poll_seconds: float = 5.0) -> None:
        """Say what to watch.

        Args:
            name: the registered model.
            root: the project.
            poll_seconds: the registry is asked no more often than this.
        """
        self._name, self._root, self._poll_seconds = name, root, poll_seconds
        self._lock = threading.Lock()
        self._now = Contender()
        self._loading: threading.Thread | None = None
        self._look_again = self._load_again = 0.0

    def look(self) -> Contender:
        """Return the challenger; the first to ask for a version begins to load it and does not wait."""
        with self._lock:
            if time.monotonic() >= self._look_again:
                self._look()
                self._look_again = time.monotonic() + self._poll_seconds
            return self._now

    def loaded(self) -> Contender:
        """Return the challenger as `look` does, but wait for one that is being loaded."""
        contender = self.look()
        if contender.served is None and self._loading is not None:
            self._loading.join()
            contender = self.look()
        return contender

    def _look(self) -> None:
        try:
            registered = versions.challenger(self._root, self._name)
        except Exception as error:
            # As with the champion: what is loaded stays, whatever is wrong with the registry.
            if self._now.served is None:
                self._now = Contender(
                    problem=clean(f"the challenger of {self._name} cannot be read: {error}")
                )
            return
        before = self._now
        same = (
            registered is not None
            and before.registered is not None
            and registered.identity == before.registered.identity
        )
        if same and (before.problem is None or time.monotonic() < self._load_again):
            self._now = Contender(registered, before.served, before.problem)
            return
        self._now = Contender(registered)
        if registered is not None:
            self._loading = threading.Thread(
                target=self._load, args=(registered,), name="challenger", daemon=True
            )
            self._loading.start()

    def _load(self, registered: versions.Challenger) -> None:
        version, served, problem = registered.version, None, None
        began = time.monotonic()
        try:
            served = ServedModel(self._name, version, store.load_version(self._name, version))
            served.check()
            log.info(
                "%s version %s is there to be explored, loaded in %.1f s",
                self._name,
                version,
                time.monotonic() - began,
            )
        except BaseException as error:  # whatever it is: a thread that ends in silence would load for ever
            served = None
            problem = clean(f"version {version} does not work: {type(error).__name__}: {error}")
            log.warning("%s: %s", self._name, problem)
        with self._lock:
            if self._now.registered is not None and self._now.registered.identity == registered.identity:
                self._now = Contender(self._now.registered, served, problem)
                self._load_again = time.monotonic() + RETRY_AFTER
