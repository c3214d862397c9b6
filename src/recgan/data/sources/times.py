"""Times as exports write them: ISO 8601 text, unix numbers, Parquet's types; what is none is refused."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, BaseModel

from recgan.core.errors import RecganError
from recgan.data.sources.cast import cast
from recgan.data.sources.unix_times import cells, kinds, listed, micros_of

logger = logging.getLogger(__name__)

_UTC = pa.timestamp("us", tz="UTC")
_NAIVE = pa.timestamp("us")
_STAND_INS = tuple(
    datetime(*day) for day in ((1, 1, 1), (1753, 1, 1), (1899, 12, 30), (1900, 1, 1), (1970, 1, 1))
)
"""First instants of calendars: SQL, .NET and spreadsheets write them where there is no time."""


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


class TimesSeen(BaseModel):
    """What a column of times says of itself; a log says it part by part."""

    rows: int = 0
    numbers: bool | None = None
    """Text whose first value is a number; null while there was no value."""
    missing: dict[str, int] = {}
    """What stands for a missing time → rows."""
    cells: dict[str, tuple[int, int, float]] = {}
    """Of numbers, as unix_times.py counts them."""
    others: bool = False
    """Some number is none that could be yyyymmddHH."""
    zoned: int = 0
    local: int = 0
    """Times in ISO 8601 with a zone, and without."""
    example: str | None = None
    """The first of those without."""
    clock: tuple[int, int, int] | None = None
    """Local times, those that come twice, and those that are skipped."""
    wrong: tuple[int, int, str] | None = None
    """How many are written in another format, the row of the first, and that one."""

    def followed_by(self, other: "TimesSeen") -> "TimesSeen":
        """Return what both parts say, the other's rows counted on from this one's."""
        cells = dict(self.cells)
        for name, (count, row, value) in other.cells.items():
            more, first, of_first = cells.get(name, (0, row + self.rows, value))
            cells[name] = (count + more, first, of_first)
        both = [part.clock for part in (self, other) if part.clock is not None]
        wrong = other.wrong and (other.wrong[0], other.wrong[1] + self.rows, other.wrong[2])
        if self.wrong is not None:
            wrong = (self.wrong[0] + (wrong[0] if wrong else 0), *self.wrong[1:])
        return TimesSeen(
            rows=self.rows + other.rows,
            numbers=other.numbers if self.numbers is None else self.numbers,
            missing=added(self.missing, other.missing),
            cells=cells,
            others=self.others or other.others,
            zoned=self.zoned + other.zoned,
            local=self.local + other.local,
            example=other.example if self.example is None else self.example,
            clock=(sum(c[0] for c in both), sum(c[1] for c in both), sum(c[2] for c in both))
            if both
            else None,
            wrong=wrong,
        )

    @property
    def micros(self) -> float | None:
        """Microseconds in one unit of its numbers; None where they are of no one unit."""
        return micros_of(kinds(self.cells, self.others))

    def tell(self, where: str, zone: str | None, written: str | None = None) -> None:
        """Say in the log what was read as what.

        Raises:
            RecganError: numbers are of several units or are dates, some times have a zone and others not, and
                `zone` is None, or some are written in another way.
        """
        for word, count in self.missing.items():
            logger.warning(
                "%s: %s of %s times are %s, which stands for a missing time: read as missing",
                where, f"{count:,}", f"{self.rows:,}", word,
            )  # fmt: skip
        if self.micros is None:
            raise RecganError(
                f"{where}: {listed(kinds(self.cells, self.others), self.rows)}; write all as "
                "2024-05-01T12:30:00Z, or all in one unit"
            )
        if self.zoned and self.local and zone is None:
            raise RecganError(
                f"{where}: {self.zoned:,} times have a zone and {self.local:,}, such as {self.example}, have "
                "none; write all with a zone, or name the zone of those without in ingest.timezone (it may "
                "be UTC)"
            )
        if self.wrong is not None:
            count, row, value = self.wrong
            raise RecganError(
                f"{where}, row {row + 1:,}: {value!r} is not written as {written!r}, and so are {count:,} of "
                f"{self.rows:,} values; mend them, or ingest.time_format"
            )
        if self.clock is not None and not self.numbers:
            local, twice, never = self.clock
            logger.info(
                "%s: %s times without a zone were read as of %s; %s in an hour that comes twice (the first "
                "is taken), %s in one that is skipped (its end is taken)",
                where, f"{local:,}", zone, f"{twice:,}", f"{never:,}",
            )  # fmt: skip


def added(counts: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    """Add counts by name, in the order in which the names came."""
    return {name: counts.get(name, 0) + more.get(name, 0) for name in (*counts, *more)}


def to_times(
    column: pa.ChunkedArray, where: str, zone: str | None, written: str | None = None
) -> pa.ChunkedArray:
    """Read a whole column of times, and say what was read as what; see `times_of` and `TimesSeen.tell`."""
    times, seen = times_of(column, where, zone, written, TimesSeen())
    seen.tell(where, zone, written)
    return times


def times_of(
    column: pa.ChunkedArray, where: str, zone: str | None, written: str | None, before: TimesSeen
) -> tuple[pa.ChunkedArray, TimesSeen]:
    """Read times as instants in UTC; what stands for a missing time becomes null.

    Numbers are unix seconds, milliseconds, microseconds or nanoseconds, told apart by their size. Times
    without a zone are local times of `zone`. In a repeated hour, the earlier of the two instants is meant. A
    time in a skipped hour is the instant of the change.

    Args:
        column: text, numbers, or a Parquet time, all of a log or the next part of it.
        where: the file and column, for messages.
        zone: an IANA name, or None for UTC.
        written: how text is written, in the directives of strptime; None for ISO 8601 or unix numbers.
        before: what the parts before say: their first value and their unit hold for this part too.

    Returns:
        The instants, and what the part says. Numbers of no one unit are null, and refused when all is told.

    Raises:
        RecganError: a value is no time.
    """
    kind, seen = column.type, TimesSeen(rows=len(column))
    if written is not None and pa.types.is_string(kind):
        return _written_times(column, zone, written, seen), seen
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        instants = column.cast(pa.timestamp("us", tz=kind.tz), safe=False).cast(_UTC)
        return _without_stand_ins(instants, seen), seen
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _zoned(_without_stand_ins(column.cast(_NAIVE, safe=False), seen), zone, seen), seen
    if pa.types.is_string(kind):
        column = pc.utf8_trim_whitespace(column)
        first = pc.first(column)  # that is not null; all must be written like it
        seen.numbers = pc.match_substring_regex(first, r"^-?\d+(\.\d+)?$").as_py()
        if not (seen.numbers if before.numbers is None else before.numbers):
            return _iso_times(column, where, zone, before.rows, seen), seen
        words = "a time in unix seconds, as the first one is"
        column = cast(column, pa.float64(), where, words, first_row=before.rows)
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise RecganError(f"{where} is of type {kind}, which is no time; write ISO 8601 or unix seconds")
    return _unix_times(column.cast(pa.float64(), safe=False), before, seen), seen


def _unix_times(column: pa.ChunkedArray, before: TimesSeen, seen: TimesSeen) -> pa.ChunkedArray:
    column = pc.if_else(pc.is_nan(column), None, column)
    missing = pc.is_in(column, value_set=pa.array([0.0, -1.0]))
    values = pc.if_else(missing, None, column).to_numpy()  # null is NaN
    for number in (0.0, -1.0):
        _count_missing(seen, f"{number:.0f}", pc.sum(pc.equal(column, number)).as_py())
    seen.cells, seen.others = cells(values)
    micros = before.followed_by(seen).micros
    if micros is None:
        return pa.chunked_array([pa.nulls(len(column), _UTC)])
    instants = pc.round(pc.multiply(pa.chunked_array([pa.array(values, from_pandas=True)]), micros))
    return _without_stand_ins(instants.cast(pa.int64()).cast(_UTC), seen)


def _iso_times(
    column: pa.ChunkedArray, where: str, zone: str | None, first_row: int, seen: TimesSeen
) -> pa.ChunkedArray:
    never = pc.starts_with(column, "0000-00-00")  # MySQL's
    _count_missing(seen, "0000-00-00", pc.sum(never).as_py())
    shown = column
    text = pc.if_else(never, None, column)
    text = pc.replace_substring_regex(text, r"(\.\d{6})\d+", r"\1")  # no finer than microseconds
    text = pc.replace_substring_regex(text, r"^(\d{4}-\d\d-\d\d)$", r"\1T00:00:00")
    text = pc.replace_substring_regex(text, r" ?(UTC|GMT)$", "Z")
    text = pc.replace_substring_regex(text, r"(:\d\d.*?) +([+-]\d\d(:?\d\d)?)$", r"\1\2")
    zoned = pc.match_substring_regex(text, r":\d\d.*(Z|[+-]\d\d(:?\d\d)?)$")
    with_zone, without = pc.if_else(zoned, text, None), pc.if_else(zoned, None, text)
    words = "a time (ISO 8601, or a unix number)"
    instants = _without_stand_ins(cast(with_zone, _UTC, where, words, shown, first_row), seen)
    local = _without_stand_ins(cast(without, _NAIVE, where, words, shown, first_row), seen)
    seen.zoned, seen.local = (len(part) - part.null_count for part in (instants, local))
    if seen.local:
        seen.example = shown[pc.index(pc.is_valid(local), True).as_py()].as_py()
    return pc.coalesce(instants, _zoned(local, zone, seen))


def _written_times(
    column: pa.ChunkedArray, zone: str | None, written: str, seen: TimesSeen
) -> pa.ChunkedArray:
    column = pc.utf8_trim_whitespace(column)
    zoned = "%z" in written
    read = pd.to_datetime(column.to_pandas(), format=written, errors="coerce", utc=zoned)
    if zoned:
        read = read.dt.tz_convert(None)  # in UTC
    times = pa.chunked_array([pa.array(read, from_pandas=True).cast(_NAIVE, safe=False)])
    wrong = pc.and_(column.is_valid(), times.is_null())
    if pc.any(wrong).as_py():
        row = pc.index(wrong, True).as_py()
        seen.wrong = (pc.sum(wrong).as_py(), row, column[row].as_py())
    return _zoned(_without_stand_ins(times, seen), None if zoned else zone, seen)


def _zoned(local: pa.ChunkedArray, zone: str | None, seen: TimesSeen) -> pa.ChunkedArray:
    """Turn local times into instants, and count how many the changes of the clock make doubtful."""
    if zone is None:
        return local.cast(_UTC)

    def instants(ambiguous: str, nonexistent: str) -> pa.ChunkedArray:
        zoned = pc.assume_timezone(local, zone, ambiguous=ambiguous, nonexistent=nonexistent)
        return zoned.cast(_UTC)

    chosen = instants("earliest", "latest")
    twice = pc.sum(pc.not_equal(chosen, instants("latest", "latest"))).as_py() or 0
    never = pc.sum(pc.not_equal(chosen, instants("earliest", "earliest"))).as_py() or 0
    seen.clock = (len(local) - local.null_count, twice, never)
    return chosen


def _without_stand_ins(times: pa.ChunkedArray, seen: TimesSeen) -> pa.ChunkedArray:
    zone = UTC if times.type.tz else None
    stand_ins = pa.array([time.replace(tzinfo=zone) for time in _STAND_INS], times.type)
    missing = pc.is_in(times, value_set=stand_ins)
    counts = pc.value_counts(times.filter(missing)).to_pylist()
    for count in counts:
        _count_missing(seen, str(count["values"]), count["counts"])
    return pc.if_else(missing, None, times) if counts else times


def _count_missing(seen: TimesSeen, word: str, count: int | None) -> None:
    if count:
        seen.missing[word] = seen.missing.get(word, 0) + count
