"""Labelled sets: files of `user item rating [time]` and of `user label`, or a folder of events and users."""

import gzip
import io
import re
import zlib
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recgan.accounts.log import Log, log_of, read_labels
from recgan.core.errors import RecganError
from recgan.core.redact import shown
from recgan.data.events import EVENTS, read_table

_SEPARATORS = ("::", "\t", ",", ";", "|")
_LABELS = {"1": 1, "true": 1, "fake": 1, "0": 0, "false": 0, "genuine": 0}
_LEAST = 10
"""Labelled accounts of each kind."""
_MILLISECONDS = 1e11
"""Seconds since 1970 are below until the year 5138, milliseconds above since 1973."""
_FIRST, _LAST = -62_135_596_800, 253_402_300_799
"""Seconds since 1970 of the years 1 and 9999."""
_NO_VALUE = ("", "na", "n/a", "null", "none", "-")


def read_folder(folder: Path) -> tuple[Log, NDArray[np.int8]]:
    """Read events.parquet and the labels of users.parquet, as data/ingested has them.

    Raises:
        RecganError: a table is missing or has other columns, or hardly any account has a label.
    """
    events = read_table(folder / "events.parquet", EVENTS)
    named = pc.and_(pc.is_valid(events["user_id"]), pc.is_valid(events["item_id"]))
    log = log_of(ibis.memtable(events.filter(named)))
    labels = read_labels(folder, log)
    _check_labels(folder / "users.parquet", labels)
    return log, labels


def read_ratings(path: Path, separator: str | None, clip: float | None) -> Log:
    """Read `user item rating [time]`, one a line, with or without a line of names.

    Args:
        path: of the file, or gzipped.
        separator: None takes the first of `::`, tab, comma, semicolon, bar that the first line has, or space.
        clip: what ratings are cut down to; None leaves them.

    Raises:
        RecganError: there is no such file, it is no text, or a line does not say what it should.
    """
    rows = _rows(path, separator, 3, "user item rating [time]")
    rows = _without_names(path, rows, 2, "rating")
    for column, what in enumerate(("user", "item")):
        _refuse(path, rows[column], (rows[column].str.strip() == "").to_numpy(), what, "name one in each row")
    stars = _numbers(path, rows[2])
    times = _times(path, rows[3]) if rows.shape[1] > 3 else pa.nulls(len(rows))
    table = pa.table(
        {
            "user_id": pa.array(rows[0], pa.string()),
            "item_id": pa.array(rows[1], pa.string()),
            "event": pa.array(["rating"] * len(rows), pa.string()),
            "timestamp": times.cast(EVENTS.field("timestamp").type),
            "value": pa.array(stars if clip is None else np.minimum(stars, clip), pa.float64()),
            "price": pa.nulls(len(rows), pa.float64()),
            "session_id": pa.nulls(len(rows), pa.string()),
            "split": pa.nulls(len(rows), pa.string()),
        },
        schema=EVENTS,
    )
    return log_of(ibis.memtable(table))


def read_user_labels(path: Path, log: Log, separator: str | None) -> NDArray[np.int8]:
    """Read `user label`, one a line: 1, true or fake; 0, false or genuine.

    Returns:
        (users,) 1 fake, 0 genuine, -1 for a user of the log that the file does not name.

    Raises:
        RecganError: there is no such file, a line does not say what it should, or the labels are of other
            users, or all alike, or a user has both.
    """
    rows = _rows(path, separator, 2, "user label")
    if str(rows.iloc[0, 1]).strip().lower() not in _LABELS:
        rows = _without_names(path, rows, 1, "label")
    told = rows[1].str.strip().str.lower()
    _refuse(path, rows[1], ~told.isin(list(_LABELS)).to_numpy(), "label", f"write {', '.join(_LABELS)}")
    values = told.map(_LABELS)
    other = (values != values.groupby(rows[0]).transform("first")).to_numpy()
    _refuse(path, rows[0], other, "user", "an earlier row gives it the other label; keep one of them")
    by_user = dict(zip(rows[0], values, strict=True))
    labels = np.array([by_user.get(user, -1) for user in log.user_ids], dtype=np.int8)
    _check_labels(path, labels)
    return labels


def _check_labels(path: Path, labels: NDArray[np.int8]) -> None:
    fake, genuine = (int((labels == kind).sum()) for kind in (1, 0))
    if min(fake, genuine) < _LEAST:
        raise RecganError(
            f"{path} labels {fake:,} fake and {genuine:,} genuine accounts of the {len(labels):,} that have "
            f"events; measuring takes {_LEAST} of each, so see whether both files are of one set"
        )


def _rows(path: Path, separator: str | None, least: int, columns: str) -> pd.DataFrame:
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8-sig")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8-sig") as opened
        ):
            text = opened.read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RecganError(f"{path} is cut off or damaged ({error}); copy or compress it anew") from None
    except OSError as error:
        raise RecganError(
            f"{path} is not readable ({error}); give the path of a file of `{columns}`"
        ) from None
    except UnicodeDecodeError:
        raise RecganError(f"{path} is no text in UTF-8; give a file of `{columns}`") from None
    first = text.lstrip().split("\n", 1)[0]
    mark = separator or next((one for one in _SEPARATORS if one in first), None)
    text = text.replace("::", "\t") if mark == "::" else text
    fields = "\t" if mark == "::" else mark or r"\s+"
    if len(fields) > 1 and fields != r"\s+":
        fields = re.escape(fields)  # pandas takes it for a pattern
    try:
        rows = pd.read_csv(
            io.StringIO(text),
            sep=fields,
            header=None,
            dtype=str,
            keep_default_na=False,
            engine="python" if len(fields) > 1 and fields != r"\s+" else "c",
        ).fillna("")
    except ValueError as error:  # of pandas' parser, too
        raise RecganError(
            f"{path}: {error}; give a file of `{columns}`, one a line".replace("\n", " ")
        ) from None
    if rows.shape[1] < least:
        raise RecganError(
            f"{path} has {rows.shape[1]} column(s), such as {shown(first[:60])}; it takes `{columns}`, and "
            "--separator says what stands between them"
        )
    return rows


def _without_names(path: Path, rows: pd.DataFrame, column: int, what: str) -> pd.DataFrame:
    """Leave a first row of names out: its rating or label is a word, neither a number nor a missing value."""
    text = str(rows.iloc[0, column]).strip()
    try:
        float(text)
    except ValueError:
        if text.lower() in _NO_VALUE:
            return rows
    else:
        return rows  # NaN and inf as well
    if len(rows) == 1:
        raise RecganError(f"{path} has one row, whose {what} is {shown(text)}; it takes rows below the names")
    return rows.iloc[1:]


def _refuse(path: Path, texts: pd.Series, bad: NDArray[np.bool_], what: str, remedy: str) -> None:
    """Raise for the first text that is bad, with its row."""
    if bad.any():
        place = int(np.flatnonzero(bad)[0])
        row = int(texts.index.to_numpy()[place]) + 1
        text = str(texts.iloc[place])
        raise RecganError(
            f"{path}, row {row}: the {what} is {shown(text) if text.strip() else 'empty'}; {remedy}"
        )


def _numbers(path: Path, texts: pd.Series) -> NDArray[np.float64]:
    numbers = pd.to_numeric(texts, errors="coerce").to_numpy(np.float64)
    _refuse(path, texts, ~np.isfinite(numbers), "rating", "it must be a number")
    return numbers


def _times(path: Path, texts: pd.Series) -> pa.Array:
    """Read seconds or milliseconds since 1970, or dates."""
    numbers = pd.to_numeric(texts, errors="coerce").to_numpy(np.float64)
    remedy = "write seconds since 1970 or a date such as 2026-01-31 12:00:00, or leave the column out"
    finite = np.isfinite(numbers)
    if 2 * finite.sum() > len(finite):
        thousandths = np.median(np.abs(numbers[finite])) > _MILLISECONDS
        seconds = numbers / 1e3 if thousandths else numbers
        bad = ~((seconds >= _FIRST) & (seconds <= _LAST))
        _refuse(path, texts, bad, "time", remedy)
        return pa.array((numbers * (1e3 if thousandths else 1e6)).astype(np.int64))
    times = pd.to_datetime(texts, utc=True, errors="coerce", format="ISO8601")
    times = times.where(~finite)
    _refuse(path, texts, times.isna().to_numpy(), "time", remedy)
    return pa.array(times.dt.tz_localize(None).to_numpy("datetime64[us]"))
