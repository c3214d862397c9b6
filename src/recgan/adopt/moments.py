"""How an export writes its times: decided by all of them, or asked; never guessed."""

import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from recgan.adopt.given import Ask, Given
from recgan.core.errors import RecganError
from recgan.core.redact import shown

_ISO = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.]\d+)?)?)? *(Z|UTC|GMT|[+-]\d\d(:?\d\d)?)?$"
_UNIX = r"^-?\d+(\.\d+)?$"
_NUMBERS = r"\d{1,4}(?P<mark>[./-])\d{1,2}(?P=mark)\d{1,4}"
_NAMED = (
    ("%b %d, %Y", r"[A-Za-z]{3} \d{1,2}, \d{4}"), ("%B %d, %Y", r"[A-Za-z]{4,9} \d{1,2}, \d{4}"),
    ("%d %b %Y", r"\d{1,2} [A-Za-z]{3} \d{4}"), ("%d %B %Y", r"\d{1,2} [A-Za-z]{4,9} \d{4}"),
    ("%d-%b-%Y", r"\d{1,2}-[A-Za-z]{3}-\d{4}"), ("%a, %d %b %Y", r"[A-Za-z]{3}, \d{1,2} [A-Za-z]{3} \d{4}"),
)  # fmt: skip
_CLOCKS = (
    ("", r""), ("%H:%M", r"\d{1,2}:\d\d"), ("%H:%M:%S", r"\d{1,2}:\d\d:\d\d"),
    ("%H:%M:%S.%f", r"\d{1,2}:\d\d:\d\d\.\d+"),
    ("%I:%M %p", r"\d{1,2}:\d\d [AaPp][Mm]"), ("%I:%M:%S %p", r"\d{1,2}:\d\d:\d\d [AaPp][Mm]"),
)  # fmt: skip
_ZONE = r"(?P<zone> ?(?:Z|[+-]\d\d:?\d\d))?$"


@dataclass(frozen=True)
class Moments:
    """How times are read."""

    written: str | None
    """`ingest.time_format`."""
    zoned: bool
    """Each time says its zone, or is a number."""
    words: str


def decide(column: pa.ChunkedArray, name: str, given: Given, ask: Ask) -> Moments:
    """Decide how a column writes its times.

    Args:
        column: all its values.
        name: of the column, for messages.
        given: a format, or which of day and month comes first.
        ask: for what the values leave open.

    Raises:
        RecganError: the values are no times, or of several kinds, or nobody says which comes first.
    """
    if not pa.types.is_string(column.type):
        zoned = not (pa.types.is_timestamp(column.type) and column.type.tz is None) and not pa.types.is_date(
            column.type
        )
        return Moments(None, zoned, f"as the file's own type {column.type}")
    values = pc.unique(pc.drop_null(pc.utf8_trim_whitespace(column)))
    values = values.filter(pc.not_equal(values, ""))
    if not len(values):
        raise RecganError(f"column {name} has no times; say which has: --column timestamp=NAME")
    if given.time_format is not None:
        return Moments(given.time_format, "%z" in given.time_format, f"written {given.time_format}")
    example = shown(str(values[0]))
    if pc.all(pc.match_substring_regex(values, _UNIX)).as_py():
        return Moments(None, True, f"unix numbers, such as {example}")
    if pc.all(pc.match_substring_regex(values, _ISO)).as_py():
        zoned = pc.match_substring_regex(values, r":\d\d.*(Z|UTC|GMT|[+-]\d\d(:?\d\d)?)$")
        says = pc.all(zoned).as_py()
        return Moments(None, says, f"ISO 8601, such as {example}" + ("" if says else ", without a zone"))
    return _in_words(values, name, given, ask)


def _in_words(values: pa.Array, name: str, given: Given, ask: Ask) -> Moments:
    texts = values.to_pylist()
    for date, pattern in (*_NAMED, ("", _NUMBERS)):
        for clock, hours in _CLOCKS:
            for between in ("", " ", ", ", "T"):
                if bool(clock) != bool(between):
                    continue
                whole = re.compile(f"^(?P<date>{pattern}){between}{hours}{_ZONE}")
                found = [whole.match(text) for text in texts]
                if not all(found):
                    continue
                zones = {bool(match["zone"]) for match in found if match}
                if len(zones) > 1:
                    raise RecganError(
                        f"column {name}: some times have a zone and others not; write all with one"
                    )
                day = date or _order({m["date"]: m.string for m in found if m}, name, given, ask)
                gap = " " if any(m["zone"] and m["zone"].startswith(" ") for m in found if m) else ""
                written = day + between + clock + (f"{gap}%z" if zones == {True} else "")
                return Moments(written, zones == {True}, f"written {written}, such as {shown(texts[0])}")
    odd = next((text for text in texts if not re.match(_NUMBERS, text)), texts[-1])
    raise RecganError(
        f"column {name} has values such as {shown(texts[0])} and {shown(odd)}, not times in one way of "
        "writing; say which column has them with --column timestamp=NAME, or how they are written, such as "
        "--time-format '%d.%m.%Y %H:%M'"
    )


def _order(dates: dict[str, str], name: str, given: Given, ask: Ask) -> str:
    """Tell which number of 03/04/2024 is the day: one that is above 12 somewhere."""
    parts = [re.split("[./-]", date) for date in dates]
    marks = {re.sub(r"\d", "", date)[0] for date in dates}
    if len(marks) > 1:
        raise RecganError(f"column {name} has dates with {' and '.join(sorted(marks))}; write all in one way")
    (mark,) = marks
    if all(len(part[0]) == 4 for part in parts):
        return f"%Y{mark}%m{mark}%d"
    if any(len(part[0]) > 2 or len(part[2]) not in (2, 4) for part in parts):
        raise RecganError(
            f"column {name} has several kinds of dates, such as {shown(next(iter(dates)))}; write all alike"
        )
    year = "%Y" if all(len(part[2]) == 4 for part in parts) else "%y"
    days_first, months_first = f"%d{mark}%m{mark}{year}", f"%m{mark}%d{mark}{year}"
    first = next((date for date, part in zip(dates, parts, strict=True) if int(part[0]) > 12), None)
    second = next((date for date, part in zip(dates, parts, strict=True) if int(part[1]) > 12), None)
    if first and second:
        raise RecganError(
            f"column {name} has {shown(dates[first])} and {shown(dates[second])}: the day is first in one, "
            "the month in the other; write all in one way"
        )
    if first or second:
        return days_first if first else months_first
    if given.day_first is None:
        question = (
            f"column {name} has only dates such as {shown(next(iter(dates)))}, in which no number is above "
            "12: does the day or the month come first"
        )
        answer = ask(question, "day, month", "--day-first or --month-first").strip().lower()
        if answer not in ("day", "month"):
            raise RecganError(f"{answer!r} is neither day nor month; say --day-first or --month-first")
        return days_first if answer == "day" else months_first
    return days_first if given.day_first else months_first
