"""Rules of a shop that cannot all be obeyed."""

from collections.abc import Callable, Iterator
from itertools import combinations

from recgan.core.redact import shown
from recgan.online.rules import HARD, Pin, Rules

Described = Callable[[str], tuple[str | None, str | None]]
"""The category and the brand of an item; None for what is not known."""


def contradictions(rules: Rules, described: Described) -> list[str]:
    """Say which rules contradict each other, and which of them wins."""
    return list(_contradictions(rules, described))


def _contradictions(rules: Rules, described: Described) -> Iterator[str]:
    hard = [
        rule.model_copy(update={"items": frozenset(rule.items)})
        for rule in rules.rules
        if isinstance(rule, HARD)
    ]
    pins = [rule for rule in rules.rules if isinstance(rule, Pin)]
    for pin in pins:
        about = described(pin.item)
        for rule in hard:
            if rule.meets(pin) and rule.names(pin.item, *about):
                yield (
                    f"{pin.name!r} pins {shown(pin.item)}, which {rule.name!r} ({rule.kind}) leaves out: "
                    f"{rule.name!r} wins"
                )
    for one, other in combinations(pins, 2):
        apart = one.categories and other.categories and not {*one.categories} & {*other.categories}
        if one.place == other.place and one.meets(other) and not apart:
            yield (
                f"{one.name!r} and {other.name!r} pin to place {one.place}: {one.name!r} has it, the other "
                "the nearest free one, behind it where there is one"
            )
