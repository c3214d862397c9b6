"""Whether the registry can be used, asked before hours of work and without importing MLflow."""

import http.client
import os
import re
import sqlite3
import ssl
import urllib.error
import urllib.request
from contextlib import closing
from functools import cache
from importlib.metadata import version as installed
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from recgan.core.addresses import check_address
from recgan.core.errors import RecganError, Unavailable

_PATIENCE = 30.0  # seconds for whoever is writing


def check_registry(root: Path = Path()) -> None:
    """Look whether the store that MLFLOW_TRACKING_URI names can be used.

    Raises:
        RecganError: its database is damaged, read-only, or of another version of MLflow, or its address or
            that of RECGAN_LOCK_DATABASE cannot be read.
        Unavailable: it does not answer, or another process keeps it locked.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    check_address("MLFLOW_TRACKING_URI", uri)
    check_address("RECGAN_LOCK_DATABASE", os.environ.get("RECGAN_LOCK_DATABASE", ""))
    if uri.startswith("sqlite:///"):
        check_database(root / uri.removeprefix("sqlite:///"))
    elif uri.startswith(("http://", "https://")):
        _check_server(uri)
    else:
        from recgan.registry.tracking import connect

        connect(root)


def check_database(path: Path, writes: bool = True) -> None:
    """Look whether this MLflow can use an SQLite file; a missing one will be made.

    Args:
        path: of the file.
        writes: whether it must be possible to write there; a server only reads.

    Raises:
        RecganError: it is damaged, read-only, or of another version of MLflow.
        Unavailable: another process keeps it locked.
    """
    if not path.exists():
        return
    found = None
    try:
        # A reader rolls back what a killed writer has left, and has to write for that.
        left = path.with_name(f"{path.name}-journal").exists()
        address = f"file:{quote(str(path.resolve()))}?mode={'rw' if writes or left else 'ro'}"
        with closing(sqlite3.connect(address, uri=True, timeout=_PATIENCE)) as database:
            database.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
            if "alembic_version" in tables:
                found = next((row[0] for row in database.execute("SELECT * FROM alembic_version")), None)
            database.rollback()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise Unavailable(
                f"the registry {path} has been locked by another process for over {_PATIENCE:g} s; "
                "let it end, or end it"
            ) from None
        raise RecganError(
            f"the registry {path} cannot be used: {error}; see to write permission there and free space"
        ) from None
    except sqlite3.DatabaseError as error:
        raise RecganError(
            f"the registry {path} is damaged: {error}; put a backup in its place, "
            "or move it away to begin a new registry, without champion and versions"
        ) from None
    if found is not None:
        _check_schema(path, str(found))


def _check_schema(path: Path, found: str) -> None:
    revisions, befores = _revisions()
    if not revisions or revisions - befores == {found}:
        return
    mlflow = f"MLflow {installed('mlflow')}"
    if found in revisions:
        raise RecganError(
            f"the registry {path} was written by an older MLflow than {mlflow}; make a copy of it, "
            f"then: python -m mlflow db upgrade sqlite:///{path.resolve()}"
        )
    raise RecganError(
        f"the registry {path} was written by a newer MLflow than {mlflow} (its schema is {found}); "
        "use the version that wrote it, or a copy from before"
    )


@cache  # it reads dozens of files, and a server asks every few seconds
def _revisions() -> tuple[set[str], set[str]]:
    """Return the schemas that the installed MLflow knows, and those of them that another one follows."""
    spec = find_spec("mlflow")  # finds it without importing it
    if spec is None or spec.origin is None:
        return set(), set()
    texts = [
        path.read_text(encoding="utf-8")
        for path in (Path(spec.origin).parent / "store/db_migrations/versions").glob("*.py")
    ]
    known, befores = (
        {match[1] for text in texts for match in re.finditer(rf'^{name} = "(\w+)"', text, re.MULTILINE)}
        for name in ("revision", "down_revision")
    )
    return known, befores


def _check_server(uri: str) -> None:
    # urllib takes user:password@host for the name of a host.
    address = re.sub(r"^(https?://)[^/@]*@", r"\1", uri.rstrip("/"))
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=10):
            pass
    except urllib.error.HTTPError:
        pass  # it answers; what it wants is between MLflow and it
    except http.client.InvalidURL as error:
        raise RecganError(f"MLFLOW_TRACKING_URI is {uri}, which is no address ({error})") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if not isinstance(reason, ssl.SSLError):  # MLFLOW_TRACKING_INSECURE_TLS is MLflow's to know
            raise Unavailable(
                f"MLFLOW_TRACKING_URI is {uri}, where nothing answers ({reason}); start the server, "
                "or name another store"
            ) from None
