"""The log of answers in PostgreSQL: its tables, which servers write, and their rows as files of this machine.

Whoever reads the log reads files. Where servers write to a database, `pull` first brings what is new of it,
as finished files beside those that servers of this machine may have written.
"""

import os
import re
from collections.abc import Iterator, Set
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Composed, Identifier

from recgan.core.addresses import check_address
from recgan.core.errors import RecganError, Unavailable
from recgan.core.files import replacing
from recgan.data.impressions import DATABASE, FEEDBACK, FINISHED, SHOWN

TABLES = {"shown": (SHOWN, "time"), "feedback": (FEEDBACK, "received")}
"""The schema of each table, and when its row was written. The database has one more column: `serial`, which
orders rows as they were written; and feedback has the `name` of the registered model, as answers do."""

FILE_ROWS = 100_000
"""Of a file that is pulled."""
_AT_ONCE = 10_000
"""Rows that the database sends at once."""
_PATIENCE = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,  # milliseconds until a connection counts as broken
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "application_name": "recgan",
    "client_encoding": "UTF8",
}
_PULLED = re.compile(r"pulled-(\d+)-(\d+)")


def table_name(table: str) -> str:
    """Return what a table of the log is called in the database."""
    return f"recgan_{table}"


def database() -> str | None:
    """Return the address of the database that servers log to; None where they log to files.

    Raises:
        RecganError: it is no address of PostgreSQL.
    """
    url = os.environ.get(DATABASE)
    if not url:
        return None
    check_address(DATABASE, url)
    plain = url.replace("postgresql+psycopg://", "postgresql://", 1)  # as SQLAlchemy writes it
    try:
        if not plain.startswith(("postgresql://", "postgres://")):
            raise psycopg.ProgrammingError("it does not begin with postgresql://")
        conninfo_to_dict(plain)
    except psycopg.ProgrammingError as error:
        said = str(error).strip()
        raise RecganError(
            f"{DATABASE} is {url}, which is no address of PostgreSQL ({said}); "
            "write postgresql://user:password@host/database"
        ) from None
    return plain


def connect(url: str) -> "psycopg.Connection[Any]":
    """Return a connection that gives up within seconds; what the address itself says goes first.

    Raises:
        psycopg.Error: the database does not answer, or takes nobody of that name.
    """
    given = conninfo_to_dict(url)
    more: dict[str, Any] = {name: value for name, value in _PATIENCE.items() if name not in given}
    connection = psycopg.connect(url, autocommit=True, **more)
    try:
        connection.execute("SET TimeZone = 'UTC'; SET lock_timeout = '10s'")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def opened(url: str) -> "Iterator[psycopg.Connection[Any]]":
    """Connect for the length of the block.

    Raises:
        Unavailable: the database does not answer.
        RecganError: it refuses.
    """
    try:
        with connect(url) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise Unavailable(f"the database that {DATABASE} names does not answer: {_line(error)}") from None
    except psycopg.Error as error:
        raise RecganError(f"the database that {DATABASE} names refuses: {_line(error)}") from None


def _line(error: psycopg.Error) -> str:
    return " ".join(str(error).split())


def columns(connection: "psycopg.Connection[Any]", table: str) -> Set[str]:
    """Return the columns that a table has; none where there is no table."""
    query = "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0"
    return {name for (name,) in connection.execute(query, [table_name(table)])}


def prepare(connection: "psycopg.Connection[Any]", table: str) -> None:
    """Make a table, or add the columns that one of an earlier version lacks.

    Who may not do so, as where another has made the tables, needs not where nothing is missing.

    Raises:
        psycopg.Error: the database refuses it, or keeps text in an encoding that has not all characters.
    """
    schema, instant = TABLES[table]
    if (encoding := connection.info.parameter_status("server_encoding")) != "UTF8":
        raise psycopg.NotSupportedError(f"its encoding is {encoding}, but must be UTF8")
    wanted = {"name": "text", **{field.name: _type(field.type) for field in schema}}
    missing = sorted(wanted.keys() - columns(connection, table))
    if not missing:
        return
    name, added = Identifier(table_name(table)), SQL(", ").join(
        SQL("ADD COLUMN IF NOT EXISTS {} ").format(Identifier(one)) + SQL(wanted[one])
        for one in missing
    )  # fmt: skip
    with connection.transaction():
        # Servers begin together, and CREATE … IF NOT EXISTS alone fails where two do it at once.
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('recgan log of answers'))")
        serial = SQL("(serial bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)")
        connection.execute(SQL("CREATE TABLE IF NOT EXISTS {} ").format(name) + serial)
        connection.execute(SQL("ALTER TABLE {} ").format(name) + added)
        for column, method in ((instant, "brin"), ("request_id", "btree")):
            connection.execute(
                SQL("CREATE INDEX IF NOT EXISTS {} ON {} USING {} ({})").format(
                    Identifier(f"{table_name(table)}_{column}"), name, Identifier(method), Identifier(column)
                )
            )


def _type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"{_type(kind.value_type)}[]"
    if pa.types.is_timestamp(kind):
        return "timestamptz"
    return {
        pa.string(): "text",
        pa.int32(): "integer",
        pa.bool_(): "boolean",
        pa.float64(): "double precision",
        pa.float32(): "real",
    }[kind]


def listed(names: list[str]) -> Composed:
    """Return columns as SQL lists them."""
    return SQL(", ").join(map(Identifier, names))


def batches(connection: "psycopg.Connection[Any]", table: str) -> Iterator[pa.RecordBatch]:
    """Yield all rows of all models with their `serial`, and of the schema's columns those that there are."""
    schema, _ = TABLES[table]
    have = columns(connection, table)
    if not have:
        return
    fields = [pa.field("serial", pa.int64()), *(field for field in schema if field.name in have)]
    query = SQL("SELECT {} FROM {}").format(
        listed([field.name for field in fields]), Identifier(table_name(table))
    )
    with connection.transaction(), connection.cursor(name="rows") as cursor:
        cursor.execute(query, binary=True)
        while rows := cursor.fetchmany(_AT_ONCE):
            arrays = [
                pa.array(values, field.type)
                for values, field in zip(zip(*rows, strict=True), fields, strict=True)
            ]
            yield pa.record_batch(arrays, schema=pa.schema(fields))


# --- rows as files --------------------------------------------------------------------------------------


def pull(folder: Path, url: str) -> None:
    """Write what servers have logged since the last pull, as finished files of days.

    A file's name says up to which row it reaches, so a kill loses and doubles nothing. Another pull into
    the same folder waits. Memory holds a file's rows.

    Args:
        folder: of the registered model, whose name it has.
        url: of the database.

    Raises:
        Unavailable: the database does not answer.
        RecganError: it is another one than before, or refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".pull.lock"), opened(url) as connection:
        for table in TABLES:
            _pull(connection, table, folder / table)


def _pull(connection: "psycopg.Connection[Any]", table: str, folder: Path) -> None:
    schema, instant = TABLES[table]
    have = columns(connection, table)
    if not have:
        return  # no server has ever begun
    found = (_PULLED.fullmatch(path.stem) for path in folder.glob(f"date=*/*{FINISHED}"))
    done = max((int(one[2]) for one in found if one), default=0)
    newest = _newest(connection, table)
    if newest < done:
        raise RecganError(
            f"{folder} holds rows up to number {done:,} of {table_name(table)}, but the database that "
            f"{DATABASE} names has given out {newest:,}: it is another one, or an older state; move "
            f"{folder.parent} away, and what it holds is brought anew"
        )
    names = [field.name for field in schema if field.name in have]
    query = SQL("SELECT {} FROM {} WHERE name = %s AND serial > %s AND serial <= %s ORDER BY serial").format(
        listed([instant, "serial", *names]), Identifier(table_name(table))
    )
    rows: list[tuple[Any, ...]] = []
    days: set[date] = set()
    with connection.transaction(), connection.cursor(name="pull") as cursor:
        cursor.itersize = _AT_ONCE
        cursor.execute(query, [folder.parent.name, done, newest], binary=True)
        last = done
        for when, serial, *row in cursor:
            spanned = days | {when.date()}
            # A folder holds its own day and the one before: what is written just after midnight may be of it.
            if len(rows) == FILE_ROWS or max(spanned) - min(spanned) > timedelta(days=1):
                _write(folder, schema, names, rows, max(days), done, last)
                rows, days, done = [], set(), last
            days.add(when.date())
            rows.append(tuple(row))
            last = serial
    if rows:
        _write(folder, schema, names, rows, max(days), done, newest)


def _newest(connection: "psycopg.Connection[Any]", table: str) -> int:
    """Return the newest number below which no row is still to come.

    Numbers are given out before their rows are committed, and another server may be between the two. Who
    writes holds a lock that this one waits for.
    """
    name = table_name(table)
    with connection.transaction():
        connection.execute(SQL("LOCK TABLE {} IN SHARE MODE").format(Identifier(name)))
        query = "SELECT pg_sequence_last_value(pg_get_serial_sequence(%s, 'serial')::regclass)"
        row = connection.execute(query, [name]).fetchone()
    return (row and row[0]) or 0


def _write(
    folder: Path,
    schema: pa.Schema,
    names: list[str],
    rows: list[tuple[Any, ...]],
    day: date,
    after: int,
    until: int,
) -> None:
    values = dict(zip(names, zip(*rows, strict=True), strict=True))
    nothing = (None,) * len(rows)
    arrays = [pa.array(values.get(field.name, nothing), field.type) for field in schema]
    path = folder / f"date={day}" / f"pulled-{after:019}-{until:019}{FINISHED}"
    with replacing(path) as new:
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), new, compression="zstd")
