"""The file of new products beside the champion: read when it changes, used only where it fits."""

import logging
from pathlib import Path

from recgan.core.redact import clean
from recgan.core.stamp import Stamp, stamp
from recgan.newcomers.file import read_newcomers
from recgan.newcomers.weights import Newcomers, unfit
from recgan.package.packaged import PackagedRecommender
from recgan.serving.model import ServedModel

log = logging.getLogger(__name__)


class NewcomersWatch:
    """Keep the newest new products that fit the package which answers.

    A file that does not fit, that cannot be read or with which the package does not answer changes nothing:
    what fitted before is still true of the package. It is tried again when the file or the package changes.
    """

    def __init__(self, path: Path | None) -> None:
        """Say which file to watch; None shows no new products."""
        self.problem: str | None = None
        self._path = path
        self._seen: tuple[Stamp | None, str | None] | None = None

    def look(self, packaged: PackagedRecommender, version: str, shown: Newcomers | None) -> Newcomers | None:
        """Return what is to be shown beside a package.

        Args:
            packaged: that answers, or is about to.
            version: of it.
            shown: the new products beside it so far.
        """
        now = (None if self._path is None else stamp(self._path), packaged.md5)
        if now == self._seen:
            return shown
        self._seen = now
        if self._path is None or now[0] is None:
            self.problem = None
            return None
        try:
            found = read_newcomers(self._path)
        except Exception as error:
            self._tell(str(error))
            return shown
        if not found.fits(packaged):
            self._tell(unfit(found, packaged, version))
            return shown
        self.problem = None
        return found

    def tried(self, served: ServedModel, new: Newcomers | None) -> ServedModel:
        """Return a version with the new products beside it, or as it was where it then does not answer."""
        if new is None and served.newcomers is None:
            return served
        beside = ServedModel(served.model.name, served.model.version, served.packaged, new)
        try:
            beside.check()
        except Exception as error:
            self._tell(f"the new products of {self._path} do not work: {type(error).__name__}: {error}")
            return served
        log.info("%d new products beside version %s", 0 if new is None else len(new), served.model.version)
        return beside

    def _tell(self, problem: str) -> None:
        self.problem = clean(problem)
        log.warning("%s", self.problem)
