"""Numbers that stand for times: their unit is told by their size, and what is no such number is refused."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

UNITS = (
    ("seconds", 1e8, 1e6),
    ("milliseconds", 1e11, 1e3),
    ("microseconds", 1e14, 1.0),
    ("nanoseconds", 1e17, 1e-3),
)
"""Unit, the least number (of March 1973) taken for it, and microseconds in one; each next begins 1,000 on."""
_LARGEST = 9.2e18  # nanoseconds of 2261, the last that 64 bits hold
_TOO_LARGE = "larger than any unit of unix time"
_DATES = "dates written as a number"
_DAYS = "day numbers of a spreadsheet"
_ORDER = (*(f"unix {name}" for name, _, _ in UNITS), _TOO_LARGE, _DATES, _DAYS)

Cells = Mapping[str, tuple[int, int, float]]
"""Size and form of numbers, such as "date small" → how many there are, the row of the first, and that one."""


def cells(values: NDArray[np.float64]) -> tuple[dict[str, tuple[int, int, float]], bool]:
    """Count numbers by their size and by the date that they may be.

    Args:
        values: (rows,); NaN is no value.

    Returns:
        The cells, and whether some number is none that could be yyyymmddHH.
    """
    size = np.abs(values)
    tops = [*(least for _, least, _ in UNITS[1:]), _LARGEST]
    small = size < UNITS[0][1]
    days = (size >= 20_000) & (size < 80_000)  # 1954 to 2119
    sizes = {"days": days, "small": small & ~days, _TOO_LARGE: size >= _LARGEST}
    for (unit, least, _), top in zip(UNITS, tops, strict=True):
        sizes[f"unix {unit}"] = (size >= least) & (size < top)
    dates, hours, others = _numbered_dates(values)
    found = {}
    for name, of_size in sizes.items():
        for form, of_form in (("date", dates), ("hour", hours), ("plain", ~dates & ~hours)):
            rows = of_size & of_form
            if count := np.count_nonzero(rows):
                row = int(rows.argmax())
                found[f"{form} {name}"] = (int(count), row, float(values[row]))
    return found, others


def kinds(counted: Cells, others: bool) -> dict[str, tuple[int, int, float]]:
    """Return what the numbers of a column are: kind → how many, the row of the first, and that one.

    Small numbers of any size count from a beginning of their own, and are of no kind.

    Args:
        counted: the cells of all its rows.
        others: some number is none that could be yyyymmddHH.
    """
    # Ten digits also are unix seconds from March 2030 on, few of which look like a date.
    dates = ("date",) if others else ("date", "hour")
    split = {tuple(cell.split(" ", 1)): what for cell, what in counted.items()}
    units = any(form not in dates and name.startswith("unix ") for form, name in split)
    # Small numbers of any size count from a beginning of their own; some look like days or dates.
    own = not units and any(form not in dates and name == "small" for form, name in split)
    found: dict[str, tuple[int, int, float]] = {}
    for (form, name), (count, row, value) in split.items():
        if own and name in ("days", "small"):
            continue
        kind = _DATES if form in dates else _DAYS if name == "days" else name
        if kind != "small":
            more, first, of_first = found.get(kind, (0, row, value))
            found[kind] = (count + more, *min((first, of_first), (row, value)))
    return {kind: found[kind] for kind in _ORDER if kind in found}


def micros_of(found: Mapping[str, object]) -> float | None:
    """Return the microseconds in one unit of a column's numbers; None where the kinds are no one unit."""
    unit = next(iter(found), "unix seconds")
    return {f"unix {name}": micros for name, _, micros in UNITS}.get(unit) if len(found) < 2 else None


def listed(found: Cells, rows: int) -> str:
    """Say of how many rows each kind is, with the first."""
    return ", ".join(
        f"{count:,} of {rows:,} values are {name} (row {row + 1:,}: {value:.16g})"
        for name, (count, row, value) in found.items()
    )


def _numbered_dates(values: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], bool]:
    """Say which numbers are yyyymmdd, yyyymmddHHMM or yyyymmddHHMMSS of 1900 to 2100, which yyyymmddHH."""
    present = np.isfinite(values) & (np.abs(values) < 1e15)
    number = np.where(present & (values == np.floor(values)), values, 0).astype(np.int64)
    days, hours, minutes, seconds = (
        _is_date(*np.divmod(number, 10**digits), digits) for digits in (0, 2, 4, 6)
    )
    return days | minutes | seconds, hours, not hours[present].all()


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
