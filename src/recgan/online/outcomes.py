"""What came of an experiment's answers: the log of answers and feedback, counted by shopper and by arm.

DuckDB counts, in bounded memory: an experiment of a month may have tens of millions of answers.
"""

import glob
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa

from recgan.core.errors import RecganError
from recgan.core.temporary import temporary_folder
from recgan.data.impressions import FEEDBACK, FINISHED, SHOWN, files_of, read_file
from recgan.online.arms import BOTH, CHALLENGER, CHAMPION
from recgan.registry.experiments import Experiment

METRICS = {"click": "view", "cart": "cart", "purchase": "purchase"}
"""What an answer can lead to, and the event that says so."""
COVERED = 100_000
"""Answers of each arm whose distinct items are counted, at most: the newest ones of the smaller arm, and as
many of the same time of the other, by chance, since ids are random."""

_MEMORY = "600MiB"


@dataclass(frozen=True)
class Outcomes:
    """An experiment's answers."""

    shoppers: pd.DataFrame
    """One row for each shopper of an arm, over the answers whose time for attribution is over: `arm`,
    `user_id`, `answers`, each metric (answers with such an event), `value`; and for each metric
    `METRIC_wins` and `METRIC_decided`, 0 unless lists were interleaved."""
    arms: pd.DataFrame
    """One row for each arm, over all answers: `arm`, `answers`, `failed` (those in which another stood in for
    the challenger, or for the champion), `slowest` (milliseconds of the slowest in a hundred)."""
    items: dict[str, int]
    """Distinct items by arm, in as many answers of each; of interleaved lists by whose they are."""


def read_outcomes(folder: Path, experiment: Experiment, now: datetime, attribution_days: float) -> Outcomes:
    """Count what came of an experiment so far.

    Args:
        folder: of the registered model, where its servers log.
        experiment: whose answers are counted.
        now: the time of the look.
        attribution_days: an event counts for an answer within so many days.

    Raises:
        RecganError: a finished file of the log is damaged.
    """
    with _database() as database:
        try:
            for table, schema in (("shown", SHOWN), ("feedback", FEEDBACK)):
                _log(database, folder / table, schema, f"date={experiment.began.date()}")
            return _count(database, experiment, now, attribution_days)
        except duckdb.Error as error:
            raise RecganError(
                f"the log in {folder} cannot be read ({error}); move the file away that is damaged"
            ) from None


def count(
    shown: pa.Table, feedback: pa.Table, experiment: Experiment, now: datetime, attribution_days: float
) -> Outcomes:
    """Count what came of an experiment's answers; arguments: `read_outcomes`, and the two tables."""
    with _database() as database:
        database.register("shown", shown)
        database.register("feedback", feedback)
        return _count(database, experiment, now, attribution_days)


@contextmanager
def _database() -> Iterator[duckdb.DuckDBPyConnection]:
    with (
        temporary_folder() as folder,
        duckdb.connect(
            config={"memory_limit": _MEMORY, "temp_directory": str(folder), "preserve_insertion_order": False}
        ) as database,
    ):
        yield database


def _log(database: duckdb.DuckDBPyConnection, folder: Path, schema: pa.Schema, first: str) -> None:
    """Let the database see a table of the log from a day on, files that are still written included."""
    found = [path for path in files_of(folder) if path.parent.name >= first]
    # DuckDB takes a * in a folder's name for other folders too.
    finished = [glob.escape(str(path)) for path in found if path.suffix == FINISHED]
    rest = [read_file(path, schema) for path in found if path.suffix != FINISHED]
    # A file of another version may lack a column.
    database.register(f"{folder.name}_open", pa.concat_tables([schema.empty_table(), *rest]))
    whole = f"SELECT * FROM {folder.name}_open"
    if finished:
        files = database.read_parquet(finished, union_by_name=True, hive_partitioning=False)
        files.create_view(f"{folder.name}_finished")
        whole += f" UNION ALL BY NAME SELECT * FROM {folder.name}_finished"
    database.execute(f"CREATE TEMP VIEW {folder.name} AS {whole}")


def _count(
    database: duckdb.DuckDBPyConnection, experiment: Experiment, now: datetime, attribution_days: float
) -> Outcomes:
    window = timedelta(days=attribution_days) // timedelta(microseconds=1)
    values = {
        "experiment": experiment.id,
        "challenger": experiment.challenger,
        "interleaved": experiment.design == "interleave",
        "attribution": window,
        "settled": round(now.timestamp() * 1e6) - window,
    }
    for name, value in values.items():
        database.execute(f"SET VARIABLE {name} = ?", [value])
    database.execute(_ANSWERS)
    database.execute(_EVENTS)
    database.execute(_CAME)
    arms = database.execute(_ARMS).df()
    return Outcomes(database.execute(_SHOPPERS).df(), arms, _items(database, arms, experiment.design))


def _items(database: duckdb.DuckDBPyConnection, arms: pd.DataFrame, design: str) -> dict[str, int]:
    answers = dict(zip(arms["arm"], arms["answers"].tolist(), strict=True))
    both = design == "interleave"
    asked = [BOTH] if both else [CHAMPION, CHALLENGER]
    many = min(COVERED, *(answers.get(arm, 0) for arm in asked))
    if not many:
        return dict.fromkeys((CHAMPION, CHALLENGER), 0)
    start = min(_number(database, _START, {"arm": arm, "many": many}) for arm in asked)
    return {
        arm: _number(
            database,
            _OWN_ITEMS if both else _ARM_ITEMS,
            {"arm": arm, "many": many, "start": start},
        )
        for arm in (CHAMPION, CHALLENGER)
    }


def _number(database: duckdb.DuckDBPyConnection, query: str, values: dict[str, str | int]) -> int:
    row = database.execute(query, values).fetchone()
    assert row is not None
    return int(row[0])


_ANSWERS = f"""
CREATE TEMP VIEW answers AS
SELECT request_id, time, epoch_us(time) AS given, user_id, arm, item_ids, teams, milliseconds,
    coalesce(fallback, false)
    OR (arm = '{CHALLENGER}' AND version <> getvariable('challenger'))
    OR (getvariable('interleaved') AND arm = '{BOTH}' AND teams IS NULL) AS failed
FROM shown
WHERE experiment = getvariable('experiment')
"""

_EVENTS = """
CREATE TEMP TABLE events AS SELECT DISTINCT request_id, item_id, event, time, value, price FROM feedback
"""

_CAME = """
CREATE TEMP TABLE came AS
WITH named AS (
    SELECT request_id, arm, user_id, given, teams, event, item_id, price, value,
        epoch_us(events.time) AS happened,
        list_position(item_ids, item_id) AS place
    FROM answers JOIN events USING (request_id)
)
SELECT * EXCLUDE (teams, place, happened), teams[place] AS team
FROM named
WHERE place > 0 AND happened <= given + getvariable('attribution')
"""
"""What came of items that were shown, in time: one row for each distinct event."""

_ARMS = """
SELECT arm, count(*) AS answers, count(*) FILTER (failed) AS failed,
    quantile_cont(milliseconds, 0.99) AS slowest
FROM answers
GROUP BY arm
"""


def _each(column: str) -> str:
    """Return a column of a query for each metric: {0} is the metric, {1} its event."""
    return ", ".join(column.format(*one) for one in METRICS.items())


_SHOPPERS = f"""
WITH sums AS (
    SELECT arm, user_id, count(*) AS answers
    FROM answers
    WHERE given <= getvariable('settled') AND user_id IS NOT NULL
    GROUP BY arm, user_id
),
settled AS (FROM came WHERE given <= getvariable('settled')),
led AS (
    SELECT arm, user_id,
        {_each("count(DISTINCT request_id) FILTER (event = '{1}') AS {0}")},
        sum(price * coalesce(value, 1)) FILTER (event = 'purchase') AS value
    FROM settled
    GROUP BY arm, user_id
),
sides AS (
    SELECT DISTINCT request_id, arm, user_id, event, item_id,
        CASE team WHEN '{CHALLENGER}' THEN 1 WHEN '{CHAMPION}' THEN -1 ELSE 0 END AS side
    FROM settled
),
lists AS (
    SELECT arm, user_id, event, sign(sum(side)) AS won FROM sides GROUP BY request_id, arm, user_id, event
),
won AS (
    SELECT arm, user_id,
        {_each("sum(won) FILTER (event = '{1}') AS {0}_wins")},
        {_each("sum(abs(won)) FILTER (event = '{1}') AS {0}_decided")}
    FROM lists
    GROUP BY arm, user_id
)
SELECT arm, user_id, answers, coalesce(value, 0) AS value,
    {_each("coalesce({0}, 0) AS {0}")},
    {_each("coalesce({0}_wins, 0) AS {0}_wins")},
    {_each("coalesce({0}_decided, 0) AS {0}_decided")}
FROM sums LEFT JOIN led USING (arm, user_id) LEFT JOIN won USING (arm, user_id)
"""

_START = """
SELECT min(given) FROM (SELECT given FROM answers WHERE arm = $arm ORDER BY given DESC LIMIT $many)
"""
"""The instant from which on an arm has so many answers."""

# The bare time lets files, and parts of them, be left out unread.
_ARM_ITEMS = """
SELECT count(DISTINCT item) FROM (
    SELECT unnest(item_ids) AS item FROM (
        SELECT item_ids FROM answers
        WHERE arm = $arm AND time >= make_timestamptz($start)
        ORDER BY request_id
        LIMIT $many
    )
)
"""

_OWN_ITEMS = """
SELECT count(DISTINCT item) FROM (
    SELECT unnest(item_ids) AS item, unnest(teams) AS team FROM (
        SELECT item_ids, teams FROM answers
        WHERE teams IS NOT NULL AND time >= make_timestamptz($start)
        ORDER BY request_id
        LIMIT $many
    )
)
WHERE team = $arm
"""
