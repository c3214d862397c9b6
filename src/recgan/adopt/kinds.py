"""Which of the export's events are views, carts, purchases and ratings."""

from collections.abc import Sequence
from dataclasses import dataclass

from recgan.adopt.choice import Columns, is_rating
from recgan.adopt.formats import KINDS, Format, plain
from recgan.adopt.given import Ask, Given
from recgan.core.errors import RecganError
from recgan.data.settings import EVENT_KINDS, EventKind


@dataclass(frozen=True)
class Kinds:
    """`ingest.event`, or the names that a column has."""

    event: EventKind | None
    names: dict[str, EventKind]
    """The file's name → ours, without those that are ours already."""
    others: tuple[str, ...]
    """Names of events that are none of ours, whose rows are left out."""


def decide(found: Sequence[str], columns: Columns, kind: Format, given: Given, ask: Ask) -> Kinds:
    """Say what each name of an event means.

    Args:
        found: all that the column of events has, the most frequent first; empty without such a column.
        columns: of the export.
        kind: of export.
        given: what somebody said of them.
        ask: for what is open.

    Raises:
        RecganError: an answer is no kind, or nobody says what the rows are.
    """
    if given.event is not None:
        return Kinds(_kind(given.event, "--event"), {}, ())
    if "event" not in columns.events:
        if kind.event is not None:
            return Kinds(kind.event, {}, ())
        value = columns.events.get("value")
        if value is not None and is_rating(value):
            return Kinds("rating", {}, ())
        if value is not None or "price" in columns.events:
            return Kinds("purchase", {}, ())
        answer = ask(
            "no column says what kind of event a row is: what are they all", ", ".join(EVENT_KINDS), "--event"
        )
        return Kinds(_kind(answer, "--event"), {}, ())
    column = columns.events["event"]
    for name in given.event_names:
        if name not in found:
            there = ", ".join(found[:20])
            raise RecganError(f"--event-name {name}=…: column {column} has no {name}, only {there}; mend it")
    meant: dict[str, EventKind] = {}
    known = kind.event_names or KINDS
    for name in found:
        if name in given.event_names:
            meant[name] = _kind(given.event_names[name], f"--event-name {name}")
        elif plain(name) in known:
            meant[name] = known[plain(name)]
    if not meant:
        question = (
            f"column {column} has {', '.join(found[:10])}, none of which is a known kind of event: which one "
            "is a purchase"
        )
        name = ask(question, "one of them", "--event-name NAME=purchase (or view, cart, rating)")
        if name not in found:
            raise RecganError(f"column {column} has no {name}; mend it")
        meant[name] = "purchase"
    names = {name: ours for name, ours in meant.items() if name != ours}
    return Kinds(None, names, tuple(name for name in found if name not in meant))


def _kind(name: str, flag: str) -> EventKind:
    for kind in EVENT_KINDS:
        if name.strip().lower() == kind:
            return kind
    raise RecganError(f"{flag}: {name!r} is none of {', '.join(EVENT_KINDS)}; mend it")
