"""Which accounts of the kept events are left out of all that is learned from."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recgan.core.errors import RecganError

_NEEDED = pa.schema({"user_id": pa.string(), "quarantined": pa.bool_()})


def read_quarantined(screened: Path) -> pa.Array:
    """Return the ids of the accounts that the screen leaves out, sorted.

    Args:
        screened: folder of accounts.parquet.

    Raises:
        RecganError: the file is missing or is not readable Parquet, or a column is missing, has another
            type or a missing value.
    """
    path = screened / "accounts.parquet"
    try:
        with pq.ParquetFile(path) as file:
            table = file.read(columns=_NEEDED.names)  # of a missing column it says nothing
    except FileNotFoundError:
        raise RecganError(
            f"no file {path}, so nothing says which accounts are left out; run the stage that makes it: "
            "dvc repro screen"
        ) from None
    except (pa.ArrowInvalid, OSError) as error:
        raise RecganError(
            f"{path} is not readable Parquet ({error}); delete it and run dvc repro screen"
        ) from None
    for field in _NEEDED:
        if field.name not in table.column_names:
            wrong = "is missing"
        elif table[field.name].type != field.type:
            wrong = f"is {table[field.name].type}, not {field.type}"
        elif empty := table[field.name].null_count:
            wrong = f"is empty in {empty:,} of {len(table):,} rows"
        else:
            continue
        raise RecganError(
            f"{path}: column {field.name} {wrong}, so nothing says for sure which accounts are left out; "
            "run the stage that makes it: dvc repro --force screen, or python -m recgan screen"
        )
    ids = table.filter(table["quarantined"])["user_id"].combine_chunks()
    return ids.take(pc.sort_indices(ids))


def without(events: pa.Table, quarantined: pa.Array) -> pa.Table:
    """Return the events of all other accounts.

    Args:
        events: with a column user_id.
        quarantined: from `read_quarantined`.
    """
    if not len(quarantined):
        return events
    return events.filter(pc.invert(pc.is_in(events["user_id"], value_set=quarantined)))
