"""Rules of a shop that cannot all be obeyed."""

from collections.abc import Callable, Iterator, Sequence

from recgan.core.redact import shown
from recgan.online.rules import HARD, Blacklist, OutOfStock, Pin, Rules

Described = Callable[[str], tuple[str | None, str | None]]
"""The category and the brand of an item; None for what is not known."""

_NAMED = 5
"""Rules that a sentence names."""


def contradictions(rules: Rules, described: Described) -> list[str]:
    """Say which rules contradict each other, and which of them wins.

    A pin is told once as left out, and once beside the first pin that it yields its place to.
    """
    hard = [
        rule.model_copy(update={"items": frozenset(rule.items)})
        for rule in rules.rules
        if isinstance(rule, HARD)
    ]
    pins = [rule for rule in rules.rules if isinstance(rule, Pin)]
    found, places = list[str](), dict[int, list[Pin]]()
    for pin in pins:
        about = described(pin.item)
        over = [rule for rule in hard if rule.meets(pin) and rule.names(pin.item, *about)]
        if over:
            found.append(_left_out(pin, over))
        if not any(rule.spans(pin) for rule in over):  # else it never stands at its place
            places.setdefault(pin.place, []).append(pin)
    for place, there in places.items():
        found += _one_place(place, there)
    return found


def some(names: Sequence[str]) -> str:
    """Name rules: the first few, and how many more there are."""
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"{', '.join(map(repr, names[:_NAMED]))}{more}"


def _left_out(pin: Pin, over: Sequence[OutOfStock | Blacklist]) -> str:
    first = f"{pin.name!r} pins {shown(pin.item)}, which {over[0].name!r} ({over[0].kind})"
    if len(over) == 1:
        return f"{first} leaves out: {over[0].name!r} wins"
    return f"{first} and {len(over) - 1:,} more leave out: they win"


def _one_place(place: int, pins: Sequence[Pin]) -> Iterator[str]:
    losers: dict[str, list[str]] = {}
    for at, pin in enumerate(pins):
        winner = next((one for one in pins[:at] if _clash(one, pin)), None)
        if winner is not None:
            losers.setdefault(winner.name, []).append(pin.name)
    for winning, others in losers.items():
        if len(others) == 1:
            yield (
                f"{winning!r} and {others[0]!r} pin to place {place}: {winning!r} has it, the other the "
                "nearest free one, behind it where there is one"
            )
        else:
            yield (
                f"{winning!r} has place {place}, to which {some(others)} pin too: each of them has the "
                "nearest free one, behind it where there is one"
            )


def _clash(one: Pin, other: Pin) -> bool:
    apart = one.categories and other.categories and not {*one.categories} & {*other.categories}
    return one.item != other.item and one.meets(other) and not apart
