"""A registry whose folder was moved or copied: MLflow's database holds absolute paths of its files.

A relative path would not help: MLflow takes it from the working directory of whoever reads it, not from the
database. So a database that names another folder than its own is refused, and one command mends it.
"""

import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from recgan.core.errors import RecganError, Unavailable

FOLDER = "mlartifacts"
"""Beside a database in a file: where its experiments keep their files."""

_PATIENCE = 20.0  # seconds for another process to end its transaction
_LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
_PACKAGES = """
SELECT versions.name, versions.version, coalesce(logged.artifact_location, versions.storage_location),
       aliases.alias
FROM model_versions AS versions
LEFT JOIN logged_models AS logged
       ON logged.model_id = replace(coalesce(versions.storage_location, versions.source), 'models:/', '')
LEFT JOIN registered_model_aliases AS aliases
       ON aliases.name = versions.name AND aliases.version = versions.version
WHERE versions.current_stage <> 'Deleted_Internal'
ORDER BY aliases.alias = 'champion' DESC
"""
"""A version with two aliases stands there twice, first as the champion."""


@dataclass(frozen=True)
class Relocated:
    """What `relocate` changed."""

    database: Path
    kept: Path | None
    """The database as it was; None where nothing had to be changed."""
    moved_from: tuple[Path, ...]
    locations: int
    """Places in the database that were rewritten."""
    missing: int
    """Versions without an alias whose files are not here; they stay without."""


def elsewhere(database: Path, locations: Iterable[str]) -> list[Path]:
    """Return the folders of that name, other than the database's own, in which experiments keep their files.

    Args:
        database: the file.
        locations: of the experiments.
    """
    own = {(database.parent / FOLDER).resolve()}
    if (chosen := _local(os.environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT", ""))) is not None:
        own.add(chosen.resolve())
    recorded = {path.parent for location in locations if (path := _local(location)) is not None}
    return sorted(folder for folder in recorded if folder.name == FOLDER and folder.resolve() not in own)


def check_place(database: Path, locations: Iterable[str]) -> None:
    """Refuse a registry that would read and write the files of another folder.

    Args:
        database: the file.
        locations: of the experiments.

    Raises:
        RecganError: it was moved or copied here.
    """
    if found := elsewhere(database, locations):
        raise RecganError(
            f"the registry {database} was moved or copied here: it names the files in {found[0]}, not those "
            f"in {database.parent / FOLDER}; nothing was changed. `python -m recgan relocate` makes it use "
            "the files here, and keeps a copy of the database"
        )


def relocate(database: Path) -> Relocated:
    """Make a registry that was moved or copied use the files beside its database.

    All locations change in one transaction, after a copy of the database was kept. Files are neither moved
    nor changed, here or in the folder where they were.

    Args:
        database: the file.

    Raises:
        RecganError: there is no such database, or the files of a version with an alias are not here.
        Unavailable: another process is writing to the database.
    """
    if not database.is_file():
        raise RecganError(f"no database {database}: nothing was registered here yet; make run")
    own = database.parent / FOLDER
    try:
        with closing(sqlite3.connect(database, timeout=_PATIENCE, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            rows = connection.execute(
                "SELECT artifact_location FROM experiments WHERE artifact_location > ''"
            )
            found = elsewhere(database, [location for (location,) in rows])
            if not found:
                connection.execute("ROLLBACK")
                return Relocated(database, None, (), 0, 0)
            missing = _missing(connection, found, own)
            kept = _keep(database)
            changed = sum(_rewrite(connection, folder, own) for folder in found)
            connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        raise Unavailable(
            f"the database {database} cannot be changed: {error}; end the processes that use it, then run "
            "this again"
        ) from None
    except sqlite3.DatabaseError as error:
        raise RecganError(f"{database} is no database of MLflow: {error}; restore it from a backup") from None
    return Relocated(database, kept, tuple(found), changed, missing)


def sentence(done: Relocated) -> str:
    """Say what was changed and what was kept."""
    own = done.database.parent / FOLDER
    if done.kept is None:
        return f"{done.database} names the files in {own} already; nothing was changed"
    lines = [
        f"{done.database} now uses the files in {own}, no longer those in "
        f"{', '.join(map(str, done.moved_from))}: {done.locations:,} locations rewritten; the database "
        f"before is {done.kept}"
    ]
    if done.missing:
        lines.append(f"{done.missing:,} versions without an alias have no files here and cannot be loaded")
    return "\n".join(lines)


def _missing(connection: sqlite3.Connection, found: list[Path], own: Path) -> int:
    """Count the versions whose package is not here.

    Raises:
        RecganError: one of them has an alias.
    """
    missing = set()
    for name, version, location, alias in connection.execute(_PACKAGES):
        path = _local(str(location or ""))
        folder = next((one for one in found if path is not None and path.is_relative_to(one)), None)
        if path is None or folder is None or (own / path.relative_to(folder)).is_dir():
            continue
        if alias is not None:
            raise RecganError(
                f"version {version} of {name} is the {alias}, and its files are not in {own}: they were in "
                f"{path}. Bring the folder {folder} here as {own}, then run this again; nothing was changed"
            )
        missing.add((name, version))
    return len(missing)


def _rewrite(connection: sqlite3.Connection, folder: Path, own: Path) -> int:
    changed = 0
    for table, column in _LOCATIONS:
        for old, new in ((folder.as_uri(), own.as_uri()), (str(folder), str(own))):
            changed += connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, length(?) + 1) "
                f"WHERE {column} = ? OR substr({column}, 1, length(?) + 1) = ? || '/'",
                (new, old, old, old, old),
            ).rowcount
    return changed


def _keep(database: Path) -> Path:
    names = (f"{database.name}.before-relocate{number}" for number in ("", *map(str, range(2, 1000))))
    kept = next(path for path in map(database.with_name, names) if not path.exists())
    # A second reader, since the first one's transaction has changed nothing yet.
    with closing(sqlite3.connect(database)) as before, closing(sqlite3.connect(kept)) as copy:
        before.backup(copy)
    return kept


def _local(location: str) -> Path | None:
    if location.startswith("file://"):
        return Path(unquote(urlsplit(location).path))
    return Path(location) if location.startswith("/") else None
