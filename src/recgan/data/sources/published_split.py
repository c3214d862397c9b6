"""A fixed published split, to compare with a paper's numbers: two files of `user item rating`."""

import csv
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa

from recgan.core.errors import RecganError
from recgan.core.redact import shown
from recgan.data.events import Tables
from recgan.data.settings import Source
from recgan.data.sources.columns import make_tables


class PublishedSplitSource(Source):
    """A fixed published split: two text files of `user item rating`, ids as the paper has them."""

    source: Literal["published-split"]
    train: str
    """Name of the train file inside `path`."""
    test: str
    """Name of the test file inside `path`."""


def read(params: PublishedSplitSource, folder: Path) -> Tables:
    """Read both files; the events have no times and say in `split` which file they come from.

    Raises:
        RecganError: a file is missing, or a line is not `user item rating`.
    """
    parts = [("train", _read(folder / params.train, "train")), ("test", _read(folder / params.test, "test"))]
    frame = pd.concat([part.assign(split=name) for name, part in parts], ignore_index=True)
    return make_tables(
        {
            "user_id": pa.array(frame["user_id"], pa.string()),
            "item_id": pa.array(frame["item_id"], pa.string()),
            "event": pa.scalar("rating"),
            "value": pa.array(frame["value"], pa.float64()),
            "split": pa.array(frame["split"], pa.string()),
        }
    )


def _read(path: Path, name: str) -> pd.DataFrame:
    if not path.is_file():
        raise RecganError(f"no file {path}; put the split there or mend ingest.path and ingest.{name}")
    try:
        frame = pd.read_csv(
            path,
            sep=r"\s+",
            header=None,
            dtype=str,
            keep_default_na=False,
            na_values=[""],
            quoting=csv.QUOTE_NONE,  # else a quote sign swallows lines
        )
    except (ValueError, UnicodeDecodeError) as error:  # pandas' parser errors are ValueErrors
        raise RecganError(
            f"{path} is no text file of `user item rating` ({str(error).strip()}); replace it"
        ) from None
    if frame.shape[1] != 3:
        raise RecganError(
            f"{path} has {frame.shape[1]} columns; `user item rating` is needed, without a header"
        )
    frame.columns = pd.Index(["user_id", "item_id", "value"])
    value = pd.to_numeric(frame["value"], errors="coerce")
    if value.isna().any():
        row = int(value.isna().to_numpy().argmax())
        line = " ".join(str(part) for part in frame.iloc[row].dropna())
        raise RecganError(f"{path}, row {row + 1}: `{shown(line)}` is not `user item rating`; mend that line")
    return frame.assign(value=value)
