"""The accounts that the last screening left out of training: read when the file of them changes."""

import logging
import threading
from pathlib import Path

from recgan.accounts.published import Published, read_published
from recgan.core.errors import RecganError
from recgan.core.stamp import Stamp, stamp
from recgan.serving.explorer.schema import MAX_MEMBERS_SHOWN, Group, KnownItem, LeftOut
from recgan.serving.explorer.search import Lines, known
from recgan.serving.model import ServedModel

log = logging.getLogger(__name__)


class LeftOutWatch:
    """Keep what the newest readable file says.

    It is read when somebody looks, so that a server without an explorer never does. A file that cannot be
    read changes nothing: what was read before is still true of an earlier screening. Without a file nobody is
    left out.
    """

    def __init__(self, path: Path) -> None:
        """Say which file to look at."""
        self._path = path
        self._lock = threading.Lock()
        self._seen: Stamp | None = None
        self._found: Published | None = None
        self._ids: list[str] = []
        self._lines = Lines([])

    def look(self) -> Published | None:
        """Return what the file says; None without one."""
        with self._lock:
            now = stamp(self._path)
            if now != self._seen:
                self._seen = now
                self._read(now)
            return self._found

    def find(self, q: str, limit: int) -> list[str]:
        """Return the ids of accounts that are left out, by a part of them."""
        self.look()
        with self._lock:
            return [self._ids[line] for line in self._lines.find(q, limit)]

    def _read(self, now: Stamp | None) -> None:
        try:
            self._found = None if now is None else read_published(self._path)
        except RecganError as error:
            log.warning("%s", error)
            return
        self._ids = [] if self._found is None else list(self._found.accounts)
        self._lines = Lines(user_id.replace("\t", " ") for user_id in self._ids)


def left_out(published: Published | None, user_id: str | None, served: ServedModel) -> LeftOut | None:
    """Say why a shopper is left out of training, and with whom; None where nobody says so.

    Args:
        published: of the last screening; None without a file.
        user_id: of the shopper; None is somebody new.
        served: the version that is shown, which says more of the products that it knows.
    """
    account = None if published is None or user_id is None else published.accounts.get(user_id)
    if published is None or account is None:
        return None
    group = None if account.group is None else published.groups.get(account.group)
    return LeftOut(
        reasons=list(account.reasons),
        until=published.until,
        group=None
        if group is None
        else Group(
            reason=group.reason,
            first=group.first,
            last=group.last,
            products=[
                KnownItem(**one.model_dump())
                if (position := served.position(one.item_id)) is None
                else known(served, position)
                for one in group.products
            ],
            accounts=len(group.user_ids),
            others=[one for one in group.user_ids if one != user_id][:MAX_MEMBERS_SHOWN],
        ),
    )
