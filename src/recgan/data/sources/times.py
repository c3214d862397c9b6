"""Times as exports write them: ISO 8601 text, unix numbers, Parquet's types; what is none is refused."""

import logging
from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import AfterValidator

from recgan.core.errors import RecganError
from recgan.data.sources.cast import cast

logger = logging.getLogger(__name__)

_UTC = pa.timestamp("us", tz="UTC")
_NAIVE = pa.timestamp("us")
_STAND_INS = tuple(
    datetime(*day) for day in ((1, 1, 1), (1753, 1, 1), (1899, 12, 30), (1900, 1, 1), (1970, 1, 1))
)
"""First instants of calendars: SQL, .NET and spreadsheets write them where there is no time."""

_UNITS = (
    ("seconds", 1e8, 1e6),
    ("milliseconds", 1e11, 1e3),
    ("microseconds", 1e14, 1.0),
    ("nanoseconds", 1e17, 1e-3),
)
"""Unit, the least number (of March 1973) taken for it, and microseconds in one; each next begins 1,000 on."""
_LARGEST = 9.2e18  # nanoseconds of 2261, the last that 64 bits hold


def _known_zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("no such time zone; write an IANA name such as Europe/Berlin") from None


def _known_format(written: str) -> str:
    now = datetime(2024, 12, 31, 23, 59, 58, 999_000, tzinfo=UTC)
    try:
        datetime.strptime(now.strftime(written), written)
    except ValueError:
        raise ValueError("not Python's directives of a time; write it as in %d.%m.%Y %H:%M") from None
    return written


ZoneName = Annotated[str, AfterValidator(_known_zone)]
TimeFormat = Annotated[str, AfterValidator(_known_format)]


def to_times(
    column: pa.ChunkedArray, where: str, zone: str | None, written: str | None = None
) -> pa.ChunkedArray:
    """Read times as instants in UTC; what stands for a missing time becomes null.

    Numbers are unix seconds, milliseconds, microseconds or nanoseconds, told apart by their size. Times
    without a zone are local times of `zone`. In a repeated hour, the earlier of the two instants is meant. A
    time in a skipped hour is the instant of the change.

    Args:
        column: text, numbers, or a Parquet time.
        where: the file and column, for messages.
        zone: an IANA name, or None for UTC.
        written: how text is written, in the directives of strptime; None for ISO 8601 or unix numbers.

    Raises:
        RecganError: a value is no time, numbers are of several units or are dates, or some times have a zone
            and others not, and `zone` is None.
    """
    kind = column.type
    if written is not None and pa.types.is_string(kind):
        return _written_times(column, where, zone, written)
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return _without_stand_ins(column.cast(pa.timestamp("us", tz=kind.tz), safe=False).cast(_UTC), where)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _zoned(_without_stand_ins(column.cast(_NAIVE, safe=False), where), where, zone)
    if pa.types.is_string(kind):
        column = pc.utf8_trim_whitespace(column)
        first = pc.first(column)  # that is not null; all must be written like it
        if pc.match_substring_regex(first, r"^-?\d+(\.\d+)?$").as_py() is not True:
            return _iso_times(column, where, zone)
        column = cast(column, pa.float64(), where, "a time in unix seconds, as the first one is")
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise RecganError(f"{where} is of type {kind}, which is no time; write ISO 8601 or unix seconds")
    return _unix_times(column.cast(pa.float64(), safe=False), where)


def _unix_times(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    column = pc.if_else(pc.is_nan(column), None, column)
    missing = pc.is_in(column, value_set=pa.array([0.0, -1.0]))
    values = pc.if_else(missing, None, column).to_numpy()  # null is NaN
    counts = {f"{number:.0f}": pc.sum(pc.equal(column, number)).as_py() for number in (0.0, -1.0)}
    _say_missing(where, counts, len(column))

    size = np.abs(values)
    tops = [*(least for _, least, _ in _UNITS[1:]), _LARGEST]
    dates, small = _numbered_dates(values), size < _UNITS[0][1]
    kinds = {
        f"unix {unit}": (size >= least) & (size < top) & ~dates
        for (unit, least, _), top in zip(_UNITS, tops, strict=True)
    }
    units = any(rows.any() for rows in kinds.values())
    days = (size >= 20_000) & (size < 80_000)  # 1954 to 2119
    if not units and (small & ~dates & ~days).any():
        # Small numbers of any size count from a beginning of their own; some look like days or dates.
        days, dates = np.zeros_like(days), dates & ~small
    kinds |= {
        "larger than any unit of unix time": size >= _LARGEST,
        "dates written as a number": dates,
        "day numbers of a spreadsheet": days,
    }
    found = {name: rows for name, rows in kinds.items() if rows.any()}
    if len(found) > 1 or any(not name.startswith("unix ") for name in found):
        raise RecganError(
            f"{where}: {_listed(values, found)}; write all as 2024-05-01T12:30:00Z, or all in one unit"
        )
    unit = next(iter(found), "unix seconds")
    micros = next(micros for name, _, micros in _UNITS if unit == f"unix {name}")
    instants = pc.round(pc.multiply(pa.chunked_array([pa.array(values, from_pandas=True)]), micros))
    return _without_stand_ins(instants.cast(pa.int64()).cast(_UTC), where)


def _numbered_dates(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say which numbers are yyyymmdd, yyyymmddHHMM or yyyymmddHHMMSS of 1900 to 2100, or all yyyymmddHH."""
    present = np.isfinite(values) & (np.abs(values) < 1e15)
    number = np.where(present & (values == np.floor(values)), values, 0).astype(np.int64)
    days, hours, minutes, seconds = (
        _is_date(*np.divmod(number, 10**digits), digits) for digits in (0, 2, 4, 6)
    )
    # Ten digits also are unix seconds from March 2030 on, few of which look like a date.
    return days | minutes | seconds | (hours if hours[present].all() else False)


def _is_date(day: NDArray[np.int64], clock: NDArray[np.int64], digits: int) -> NDArray[np.bool_]:
    year, month, clock = day // 10_000, day // 100 % 100, clock * 10 ** (6 - digits)
    return (
        (year >= 1900)
        & (year <= 2100)
        & (month >= 1)
        & (month <= 12)
        & (day % 100 >= 1)
        & (day % 100 <= 31)
        & (clock < 240_000)
        & (clock // 100 % 100 < 60)
        & (clock % 100 < 60)
    )


def _listed(values: NDArray[np.float64], found: dict[str, NDArray[np.bool_]]) -> str:
    parts = []
    for name, rows in found.items():
        row = int(rows.argmax())
        parts.append(
            f"{np.count_nonzero(rows):,} of {len(values):,} values are {name} "
            f"(row {row + 1:,}: {values[row]:.16g})"
        )
    return ", ".join(parts)


def _iso_times(column: pa.ChunkedArray, where: str, zone: str | None) -> pa.ChunkedArray:
    never = pc.starts_with(column, "0000-00-00")  # MySQL's
    _say_missing(where, {"0000-00-00": pc.sum(never).as_py()}, len(column))
    shown = column
    text = pc.if_else(never, None, column)
    text = pc.replace_substring_regex(text, r"(\.\d{6})\d+", r"\1")  # no finer than microseconds
    text = pc.replace_substring_regex(text, r"^(\d{4}-\d\d-\d\d)$", r"\1T00:00:00")
    text = pc.replace_substring_regex(text, r" ?(UTC|GMT)$", "Z")
    text = pc.replace_substring_regex(text, r"(:\d\d.*?) +([+-]\d\d(:?\d\d)?)$", r"\1\2")
    zoned = pc.match_substring_regex(text, r":\d\d.*(Z|[+-]\d\d(:?\d\d)?)$")
    with_zone, without = pc.if_else(zoned, text, None), pc.if_else(zoned, None, text)
    words = "a time (ISO 8601, or a unix number)"
    instants = _without_stand_ins(cast(with_zone, _UTC, where, words, shown), where)
    local = _without_stand_ins(cast(without, _NAIVE, where, words, shown), where)
    n_zoned, n_local = (len(part) - part.null_count for part in (instants, local))
    if n_zoned and n_local and zone is None:
        example = shown[pc.index(pc.is_valid(local), True).as_py()]
        raise RecganError(
            f"{where}: {n_zoned:,} times have a zone and {n_local:,}, such as {example}, have none; "
            "write all with a zone, or name the zone of those without in ingest.timezone (it may be UTC)"
        )
    return pc.coalesce(instants, _zoned(local, where, zone))


def _written_times(column: pa.ChunkedArray, where: str, zone: str | None, written: str) -> pa.ChunkedArray:
    column = pc.utf8_trim_whitespace(column)
    zoned = "%z" in written
    read = pd.to_datetime(column.to_pandas(), format=written, errors="coerce", utc=zoned)
    if zoned:
        read = read.dt.tz_convert(None)  # in UTC
    times = pa.chunked_array([pa.array(read, from_pandas=True).cast(_NAIVE, safe=False)])
    wrong = pc.and_(column.is_valid(), times.is_null())
    if pc.any(wrong).as_py():
        row = pc.index(wrong, True).as_py()
        count = pc.sum(wrong).as_py()
        raise RecganError(
            f"{where}, row {row + 1:,}: {column[row].as_py()!r} is not written as {written!r}, and so are "
            f"{count:,} of {len(column):,} values; mend them, or ingest.time_format"
        )
    return _zoned(_without_stand_ins(times, where), where, None if zoned else zone)


def _zoned(local: pa.ChunkedArray, where: str, zone: str | None) -> pa.ChunkedArray:
    """Turn local times into instants, and say how many the changes of the clock make doubtful."""
    if zone is None:
        return local.cast(_UTC)

    def instants(ambiguous: str, nonexistent: str) -> pa.ChunkedArray:
        zoned = pc.assume_timezone(local, zone, ambiguous=ambiguous, nonexistent=nonexistent)
        return zoned.cast(_UTC)

    chosen = instants("earliest", "latest")
    twice = pc.sum(pc.not_equal(chosen, instants("latest", "latest"))).as_py() or 0
    never = pc.sum(pc.not_equal(chosen, instants("earliest", "earliest"))).as_py() or 0
    logger.info(
        "%s: %s times without a zone were read as of %s; %s in an hour that comes twice (the first is "
        "taken), %s in one that is skipped (its end is taken)",
        where, f"{len(local) - local.null_count:,}", zone, f"{twice:,}", f"{never:,}",
    )  # fmt: skip
    return chosen


def _without_stand_ins(times: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    zone = UTC if times.type.tz else None
    stand_ins = pa.array([time.replace(tzinfo=zone) for time in _STAND_INS], times.type)
    missing = pc.is_in(times, value_set=stand_ins)
    counts = pc.value_counts(times.filter(missing)).to_pylist()
    _say_missing(where, {str(count["values"]): count["counts"] for count in counts}, len(times))
    return pc.if_else(missing, None, times) if counts else times


def _say_missing(where: str, counts: dict[str, int | None], rows: int) -> None:
    for word, count in counts.items():
        if count:
            logger.warning(
                "%s: %s of %s times are %s, which stands for a missing time: read as missing",
                where, f"{count:,}", f"{rows:,}", word,
            )  # fmt: skip
