"""The log of answers in PostgreSQL: twice a second, one transaction with what was added.

So a process that is killed loses what was added in the last second at most, and one that is told to end loses
nothing. While the database takes nothing, rows wait.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import psycopg
from psycopg.sql import SQL, Identifier

from recgan.core.redact import clean
from recgan.data.impressions import DATABASE
from recgan.data.impressions_database import TABLES, connect, listed, prepare, table_name
from recgan.serving.buffered import Buffered, Row


class _Doubt(NamedTuple):
    """A batch whose transaction may have been committed, where the answer did not arrive."""

    rows: int
    serial: int
    """Of its last row, if it was."""
    request_id: str


class DatabaseLog(Buffered):
    """Appends rows to a table."""

    def __init__(self, url: str, name: str, table: str, lost: Callable[[int], Any]) -> None:
        """Keep the table; it is made with the first row.

        Args:
            url: of the database.
            name: of the registered model.
            table: shown or feedback.
            lost: is told of rows that nothing keeps.
        """
        super().__init__(f"{table_name(table)} of PostgreSQL", f"see to the database of {DATABASE}", lost)
        self._url, self._table = url, table
        columns = TABLES[table][0].names
        self._more = () if "name" in columns else (name,)
        self._request = columns.index("request_id")
        self._copy = SQL("COPY {} ({}) FROM STDIN").format(
            Identifier(table_name(table)), listed([*columns, *(["name"] if self._more else [])])
        )
        self._connection: psycopg.Connection[Any] | None = None
        self._doubt: _Doubt | None = None

    def _put(self, rows: list[Row]) -> None:
        if not rows:
            return
        try:
            self._send(rows)
        except psycopg.Error as error:
            self._close()
            raise OSError(clean(" ".join(str(error).split()))) from None

    def _finish(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _send(self, rows: list[Row]) -> None:
        if self._connection is None:
            self._connection = connect(self._url)
            prepare(self._connection, self._table)
        if self._doubt is not None:
            if self._is_there(self._connection, self._doubt):
                del rows[: self._doubt.rows]
            self._doubt = None
        if not rows:
            return
        with self._connection.transaction():
            with self._connection.cursor() as cursor, cursor.copy(self._copy) as copy:
                for row in rows:
                    copy.write_row([*map(_as_text_has_it, row), *self._more])
            serial = self._serial(self._connection)
            self._doubt = _Doubt(len(rows), serial, rows[-1][self._request])
        self._doubt = None
        rows.clear()

    def _serial(self, connection: "psycopg.Connection[Any]") -> int:
        """Return the number of the last row that this connection has written."""
        query = "SELECT currval(pg_get_serial_sequence(%s, 'serial'))"
        row = connection.execute(query, [table_name(self._table)]).fetchone()
        assert row is not None
        return int(row[0])

    def _is_there(self, connection: "psycopg.Connection[Any]", doubt: _Doubt) -> bool:
        query = SQL("SELECT FROM {} WHERE serial = %s AND request_id = %s").format(
            Identifier(table_name(self._table))
        )
        return connection.execute(query, [doubt.serial, doubt.request_id]).fetchone() is not None


def _as_text_has_it(value: Any) -> Any:
    """Return a value that PostgreSQL can hold: its text has no NUL, which a request may ask with."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, list | tuple):
        return [_as_text_has_it(one) for one in value]
    return value
