"""Where MLflow keeps runs and versions, and the critical section around its aliases."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import sqlalchemy
from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking.registry import UnsupportedModelRegistryStoreURIException

from recgan.core.addresses import check_address
from recgan.core.errors import RecganError, Unavailable
from recgan.core.stamp import Stamp, stamp
from recgan.registry.reachable import check_database
from recgan.registry.relocation import FOLDER, check_place

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"

_KIND = {"mlflow.experimentKind": "custom_model_development"}
"""So MLflow's pages open an experiment at its runs, not at the traces of a language model."""
_connected: dict[str, Stamp | None] = {}
"""Stores that have answered this process, and what the file of each SQLite database was."""
_LOCK_TIMEOUT = 600.0  # seconds; a promotion that decides anew inside takes some ten


def tracking_uri(root: Path = Path()) -> str:
    """Return MLFLOW_TRACKING_URI, with a relative SQLite path taken from the root of the project."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    path = _sqlite_path(uri)
    return uri if path is None else f"sqlite:///{(root / path).resolve()}"


def database_file(root: Path = Path()) -> Path | None:
    """Return the SQLite database that is the tracking store; None where it is something else."""
    return _sqlite_path(tracking_uri(root))


def connect(root: Path = Path()) -> MlflowClient:
    """Point MLflow at the tracking store and return a client; a new SQLite database is made quietly.

    A store that has answered this process is not asked again, as that takes most of the time of a short call.

    Raises:
        RecganError: the store is nothing that MLflow takes, its address holds a password that is not
            written as an address must have it, or it is a damaged database, or one that was moved or copied.
        Unavailable: it does not answer.
    """
    uri = tracking_uri(root)
    if "://" not in uri or uri.startswith("file:"):
        raise RecganError(
            f"MLFLOW_TRACKING_URI is {uri}, but MLflow needs a database or a server; "
            "set it to sqlite:///mlflow.db, postgresql://… or http://…"
        )
    check_address("MLFLOW_TRACKING_URI", uri)
    for name in ("alembic", "mlflow.store.db.utils"):  # some thirty lines for every new database
        logging.getLogger(name).setLevel(logging.WARNING)
    database = database_file(root)
    if database is not None:
        if uri in _connected and not database.exists():
            raise Unavailable(f"the database {database} is gone; put it back from a backup")
        check_database(database, writes=False)
        # A pooled connection would go on reading a file that was removed or replaced.
        os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    file = None if database is None else stamp(database)
    try:
        client = MlflowClient(uri, uri)
        if uri in _connected and _connected[uri] == file:
            return client
        experiments = client.search_experiments()
    except (
        UnsupportedModelRegistryStoreURIException,
        sqlalchemy.exc.ArgumentError,
        ValueError,  # a port that is no number
        ImportError,  # the database's driver
    ) as error:
        raise RecganError(
            f"MLFLOW_TRACKING_URI is {uri}, which MLflow cannot open here ({error}); "
            "set it to sqlite:///mlflow.db, postgresql://… or http://…"
        ) from None
    except (MlflowException, sqlalchemy.exc.SQLAlchemyError) as error:
        raise Unavailable(f"MLflow's store at {uri} does not answer: {error}") from None
    if database is not None:
        check_place(database, [str(experiment.artifact_location) for experiment in experiments])
        file = file or stamp(database)  # it may be new
    _connected[uri] = file
    return client


def artifact_location(root: Path, experiment: str) -> str | None:
    """Return where a new experiment keeps its files; None leaves it to a tracking server.

    Beside an SQLite database it is the folder mlartifacts/, so that a run in another work tree leaves its
    files with its database. With another database it is MLFLOW_DEFAULT_ARTIFACT_ROOT, the name that
    MLflow's own server uses.

    Raises:
        RecganError: the store is a database on another machine and MLFLOW_DEFAULT_ARTIFACT_ROOT is not set.
    """
    uri = tracking_uri(root)
    if uri.startswith(("http://", "https://")):
        return None
    if base := os.environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT"):
        return f"{base.rstrip('/')}/{experiment}"
    path = _sqlite_path(uri)
    if path is None:
        raise RecganError(
            f"the tracking store is {uri}, which keeps no files; "
            "set MLFLOW_DEFAULT_ARTIFACT_ROOT to a shared folder or s3://bucket/path"
        )
    return (path.parent / FOLDER / experiment).as_uri()


def experiment_of(client: MlflowClient, root: Path, name: str) -> str:
    """Return the id of the experiment of a registered model, which is made where there is none."""
    found = client.get_experiment_by_name(name)
    if found is None:
        return str(client.create_experiment(name, artifact_location(root, name), tags=_KIND))
    return str(found.experiment_id)


def current(client: MlflowClient, name: str, alias: str = CHAMPION) -> ModelVersion | None:
    """Return the version that holds an alias, or None."""
    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):  # no model, no alias
            return None
        raise


@contextmanager
def critical_section(root: Path, name: str, timeout: float = _LOCK_TIMEOUT) -> Iterator[None]:
    """Hold the one lock of a registered model: MLflow's aliases have no compare-and-set.

    It is a Postgres advisory lock where the store is Postgres or RECGAN_LOCK_DATABASE names one, so that
    every machine takes part. For an SQLite database it is a file lock beside it. Before a tracking server
    alone it is a file lock of this machine, which other machines do not see.

    Args:
        root: the project.
        name: the registered model.
        timeout: seconds to wait for another holder.

    Raises:
        Unavailable: another process holds the lock for longer than `timeout`.
    """
    uri = tracking_uri(root)
    busy = Unavailable(
        f"another process has been registering or promoting {name} for over {timeout:g} s; "
        "let it end, then run this again"
    )
    database = os.environ.get("RECGAN_LOCK_DATABASE") or uri
    if database.startswith("postgresql"):
        with _postgres_lock(database, name, timeout, busy):
            yield
        return
    path = _sqlite_path(uri)
    if path is None:
        beside = Path(tempfile.gettempdir()) / f"recgan-{hashlib.sha256(uri.encode()).hexdigest()[:16]}"
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path
    lock = FileLock(f"{beside}.{name}.lock", timeout=timeout)
    try:
        lock.acquire()
    except Timeout:
        raise busy from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _postgres_lock(uri: str, name: str, timeout: float, busy: Unavailable) -> Iterator[None]:
    """Hold a session-level advisory lock; it falls with its connection, so a crash leaves none behind."""
    key = int.from_bytes(hashlib.sha256(f"recgan:{name}".encode()).digest()[:8], "big", signed=True)
    engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.pool.NullPool, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(f"SET lock_timeout = {int(timeout * 1000)}"))
            try:
                connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), {"key": key})
            except sqlalchemy.exc.OperationalError as error:
                if "lock timeout" not in str(error):
                    raise
                raise busy from None
            try:
                yield
            finally:
                connection.execute(sqlalchemy.text("SELECT pg_advisory_unlock(:key)"), {"key": key})
    finally:
        engine.dispose()


def _sqlite_path(uri: str) -> Path | None:
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None
