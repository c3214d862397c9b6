"""Newcomers: the products that the champion does not know, from the newest events, for lists and server."""

import logging
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.data.screened import read_quarantined
from recgan.newcomers.file import read_newcomers, target_path, write_newcomers
from recgan.newcomers.log import UndatedError
from recgan.newcomers.make import Asked, make
from recgan.newcomers.weights import Newcomers
from recgan.package.evidence import trained_under
from recgan.package.store import load_champion
from recgan.registry.outage import outside
from recgan.registry.tracking import connect
from recgan.registry.versions import VersionId
from recgan.settings import Params

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Updated:
    """What became of the file of new products."""

    path: Path
    newcomers: Newcomers | None
    why_none: str = ""


@outside()
def update_newcomers(root: Path, params: Params) -> Updated:
    """Write the file of new products for the champion, from the newest kept events.

    Where the section newcomers says no, or the log has no timestamps, the file is removed: lists and server
    then name the products of the package alone.

    Args:
        root: the project, with data/kept and data/screened.
        params: of the project.

    Raises:
        RecganError: there is no champion, its package cannot be read, or a table is missing.
        Unavailable: the registry does not answer.
    """
    name, path = params.register_.name, target_path(root, params.register_.name)
    if not params.newcomers.enabled:
        return _without(path, "newcomers.enabled is false")
    client, champion = connect(root), load_champion(root, name)
    trained = trained_under(client, name, champion.version) or {}
    until = trained.get("trained_until")
    asked = Asked(
        params.recommend.k,
        not params.features.repeat_purchases,
        None if until is None else datetime.fromisoformat(until),
    )
    kept, left_out = root / layout.KEPT, read_quarantined(root / layout.SCREENED)
    try:
        found = make(champion.packaged, name, champion.identity[:2], kept, left_out, params.newcomers, asked)
    except UndatedError as undated:
        return _without(path, str(undated))
    write_newcomers(found, path)
    return Updated(path, found)


def newcomers_for(root: Path, name: str, version: VersionId) -> Newcomers | None:
    """Return the new products for a version; None, with a warning, where the file is another's or damaged."""
    path = target_path(root, name)
    if not path.exists():
        return None
    try:
        found = read_newcomers(path)
    except RecganError as error:
        log.warning("%s", error)
        return None
    if (found.origin.version, found.origin.run_id) != (version.version, version.run_id):
        log.warning(
            "%s was made for version %s, not for version %s: no new products are shown until "
            "`recgan newcomers` has run",
            path,
            found.origin.version,
            version.version,
        )
        return None
    return found


def outcome(updated: Updated) -> str:
    """Name what became of the file."""
    return "Skipped" if updated.newcomers is None else "Updated"


def sentence(updated: Updated) -> str:
    """Say what the file holds, or why there is none."""
    found = updated.newcomers
    if found is None:
        return f"no new products are shown: {updated.why_none}"
    return (
        f"{updated.path} holds {len(found):,} new products for {found.origin.name} version "
        f"{found.origin.version}, from the events until {found.origin.until:%Y-%m-%d %H:%M} UTC, "
        f"lift {found.lift:g}"
    )


def _without(path: Path, why: str) -> Updated:
    path.unlink(missing_ok=True)
    return Updated(path, None, why)
