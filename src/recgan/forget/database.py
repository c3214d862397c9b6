"""People in the log of answers that servers write to PostgreSQL."""

from psycopg.sql import SQL, Identifier

from recgan.data.impressions_database import TABLES, batches, columns, opened, table_name
from recgan.forget.search import in_columns, rows_with
from recgan.forget.wanted import Wanted


def count_in_database(url: str, people: Wanted) -> int:
    """Count where people stand, in all rows of all models.

    Raises:
        Unavailable: the database does not answer.
        RecganError: it refuses.
    """
    with opened(url) as connection:
        return sum(in_columns(batch, people) for table in TABLES for batch in batches(connection, table))


def forget_in_database(url: str, people: Wanted) -> None:
    """Delete people's answers and what came of them, in one transaction.

    Raises:
        Unavailable: the database does not answer.
        RecganError: it refuses.
    """
    serials: list[int] = []
    requests: list[str] = []
    with opened(url) as connection:
        for batch in batches(connection, "shown"):
            named = batch.filter(rows_with(batch["user_id"], "user_id", people))
            serials += named["serial"].to_pylist()
            requests += named["request_id"].to_pylist()
        with connection.transaction():
            # Feedback names the answer alone, so it goes with it.
            for table, column, values in (("feedback", "request_id", requests), ("shown", "serial", serials)):
                if values and columns(connection, table):
                    name, by = Identifier(table_name(table)), Identifier(column)
                    connection.execute(SQL("DELETE FROM {} WHERE {} = ANY(%s)").format(name, by), [values])
