"""A list that is answered, and how it came about."""

from dataclasses import dataclass

from recgan.serving.schema import Item


@dataclass(frozen=True)
class Drawn:
    """The chances of a list that was drawn."""

    propensities: tuple[float, ...] | None
    """The probability of each item at its place, given the ones above it; None where something moved items
    after the draw."""
    candidates: tuple[str, ...]
    """The items that were drawn from, best first."""
    log_weights: tuple[float, ...]
    """Of the candidates in that order, as Plackett and Luce's model has them; 0 is the largest."""


@dataclass(frozen=True)
class Ranking:
    """The best items, best first; or drawn from them, in the order of the draw."""

    items: list[Item]
    fallback: bool
    """The recommender failed and popularity stood in."""
    drawn: Drawn | None = None
    """None for the best in their order."""
    rules: list[str] | None = None
    """The rules of the shop that changed the list; None where none did."""
    reordered: bool = False
    """Pins, caps or variety changed it, so it is not the best in their order."""
    pinned: tuple[Item, ...] = ()
    """What is pinned, beside a list that is still to be drawn from."""
