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
        RecganError: the file is missing, is not readable Parquet, or lacks a column.
    """
    path = screened / "accounts.parquet"
    try:
        table = pq.read_table(path, columns=_NEEDED.names)
    except FileNotFoundError:
        raise RecganError(
            f"no file {path}, so nothing says which accounts are left out; run the stage that makes it: "
            "dvc repro screen"
        ) from None
    except (pa.ArrowInvalid, OSError) as error:
        raise RecganError(f"{path} is not readable Parquet ({error}); delete it and run dvc repro") from None
    if not table.schema.equals(_NEEDED):
        raise RecganError(f"{path} lacks user_id or quarantined; run dvc repro")
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
