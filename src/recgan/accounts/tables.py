"""What the screen writes of accounts and of groups of them."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recgan.core.files import read_whole
from recgan.data.events import read_table

DETECTORS = ("lock_max", "lock_mean", "overlap", "popularity", "pca", "labelled")
"""The figures of an account; each is null where its detector did not run."""

ACCOUNTS = pa.schema(
    {
        "user_id": pa.string(),
        "score": pa.float64(),  # in [0, 1]: how suspect, to rank the list by
        **dict.fromkeys(DETECTORS, pa.float64()),
        "quarantined": pa.bool_(),  # left out of all that is learned from
        "suspect": pa.bool_(),  # listed, not left out
        "reasons": pa.list_(pa.string()),  # in words, the most telling first
        "group_id": pa.int32(),  # null where it acts with no group
        "verdict": pa.string(),  # a person's: cleared or condemned; null where nobody judged
    }
)
"""One row for each account of the kept events, the most suspect first."""

GROUPS = pa.schema(
    {
        "group_id": pa.int32(),
        "accounts": pa.int32(),
        "first": pa.timestamp("us", tz="UTC"),  # of what they did together
        "last": pa.timestamp("us", tz="UTC"),
        "items": pa.list_(pa.string()),  # that they share, the most telling first
        "reason": pa.string(),
        "quarantined": pa.bool_(),  # whether any of them is
    }
)
"""One row for each group of accounts that act together, the largest first."""


@dataclass(frozen=True)
class Screened:
    """The two tables of data/screened."""

    accounts: pa.Table
    groups: pa.Table


def write_screened(tables: Screened, folder: Path) -> None:
    """Write accounts.parquet and groups.parquet into an existing folder."""
    pq.write_table(tables.accounts.cast(ACCOUNTS), folder / "accounts.parquet", compression="zstd")
    pq.write_table(tables.groups.cast(GROUPS), folder / "groups.parquet", compression="zstd")


def read_screened(folder: Path) -> Screened:
    """Read both tables of data/screened.

    Raises:
        RecganError: a file is missing, is not readable Parquet, or has other columns.
        Unavailable: the folder was replaced again and again meanwhile.
    """
    return read_whole(folder, _read)


def _read(folder: Path) -> Screened:
    return Screened(
        read_table(folder / "accounts.parquet", ACCOUNTS), read_table(folder / "groups.parquet", GROUPS)
    )
