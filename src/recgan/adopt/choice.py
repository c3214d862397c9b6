"""Which column of an export is which of ours."""

from dataclasses import dataclass

from recgan.adopt.formats import Format, named, plain
from recgan.adopt.given import Ask, Given
from recgan.adopt.sample import Export
from recgan.core.errors import RecganError
from recgan.data.events import EVENTS, ITEMS

_MOSTLY = 0.9  # share of rows from which a column is as good as full
_REQUIRED = {
    "user_id": "which column says who it was: a customer, visitor or account",
    "item_id": "which column says what it was about: a product",
    "timestamp": "which column says when it was",
}


@dataclass(frozen=True)
class Columns:
    """Our columns and the export's."""

    events: dict[str, str]
    items: dict[str, str]
    """Columns of the events that describe the items."""
    order: str | None
    """The column by which blanks of an order's later rows are filled from its first one; None for no such."""
    filled: tuple[str, ...]
    """Those with such blanks, whether they are mapped or not."""


def choose(export: Export, kind: Format, given: Given, ask: Ask) -> Columns:
    """Map an export's columns: by what was given, else by their names, the fullest of equal rank.

    Raises:
        RecganError: a column that was given is not there, or nobody says which a required one is.
    """
    for ours, theirs in given.columns.items():
        if ours not in (*EVENTS.names, *ITEMS.names) or ours == "split":
            known = ", ".join(
                dict.fromkeys(name for name in (*EVENTS.names, *ITEMS.names) if name != "split")
            )
            raise RecganError(f"--column {ours}={theirs}: {ours} is none of {known}; mend it")
        if theirs and theirs not in export.columns:
            raise RecganError(
                f"--column {ours}={theirs}: no column {theirs}, only {', '.join(export.columns)}; mend it"
            )
    order, filled = _filling(export, kind)
    events: dict[str, str] = {}
    for ours, names in kind.columns.items():
        if ours in given.columns:
            if given.columns[ours]:
                events[ours] = given.columns[ours]
            continue
        if ours == "event" and (given.event or kind.event):
            continue
        taken = [theirs for mine, theirs in events.items() if mine != "item_id"]
        found = [column for column in named(export.columns, names) if column not in taken]
        found = [column for column in found if export.filled(column) > 0]
        if found:
            if ours == "user_id" and kind.order:
                events[ours] = _customer(export, found, order, filled)
            else:
                events[ours] = _fullest(export, found)
    for ours, question in _REQUIRED.items():
        if ours not in events:
            answer = ask(question, ", ".join(export.columns), f"--column {ours}=NAME")
            if answer not in export.columns:
                raise RecganError(
                    f"no column {answer}, only {', '.join(export.columns)}; mend --column {ours}=NAME"
                )
            events[ours] = answer
    items = {}
    for ours, names in kind.items.items():
        if ours in given.columns and ours not in EVENTS.names:
            if given.columns[ours]:
                items[ours] = given.columns[ours]
            continue
        who = {events["user_id"], events["timestamp"], events.get("event")}
        # A column that numbers the products tells nothing as their title.
        found = [c for c in named(export.columns, names) if c not in who and export.filled(c) > 0]
        if found and not (ours == "title" and found[0] == events["item_id"] and _numbers(export, found[0])):
            items[ours] = found[0]
    for ours, theirs in given.columns.items():
        if ours in ITEMS.names and ours not in EVENTS.names and theirs:
            items[ours] = theirs
    return Columns(events, items, order, filled)


def _filling(export: Export, kind: Format) -> tuple[str | None, tuple[str, ...]]:
    """Find the columns that an order's later rows leave blank, and the one that names the order."""
    order = next((c for c in named(export.columns, kind.order) if export.filled(c) == 1), None)
    if order is None:
        return None, ()
    first: dict[str | None, int] = {}
    later = [row for row, value in enumerate(export.rows[order]) if first.setdefault(value, row) != row]
    columns = named(export.columns, kind.filled)
    for column in columns:
        values = export.rows[column]
        if any(values[row] is None and values[first[export.rows[order][row]]] is not None for row in later):
            return order, tuple(columns)  # all of them: that of cancellations may be blank in these rows
    return None, ()


def _customer(export: Export, found: list[str], order: str | None, filled: tuple[str, ...]) -> str:
    """Take the first column that names half the orders' customers: guests leave it blank.

    An address knows a guest again, a number does not.
    """
    return next((c for c in found if _share(export, c, order, filled) >= 0.5), found[0])


def _fullest(export: Export, found: list[str]) -> str:
    """Take the first column that is as good as full, else the fullest."""
    return next((c for c in found if export.filled(c) >= _MOSTLY), max(found, key=export.filled))


def _share(export: Export, column: str, order: str | None, filled: tuple[str, ...]) -> float:
    if order is None or column not in filled:
        return export.filled(column)
    named_orders = {o for o, v in zip(export.rows[order], export.rows[column], strict=True) if v is not None}
    return len(named_orders) / max(len(set(export.rows[order])), 1)


def _numbers(export: Export, column: str) -> bool:
    values = [value for value in export.rows[column] if value is not None]
    return all(value.replace(".", "").isdigit() for value in values)


def is_rating(column: str) -> bool:
    """Tell whether a column of values has stars."""
    return plain(column) in ("rating", "stars", "score", "bewertung")
