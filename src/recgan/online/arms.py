"""Who meets which version, and how one list is drawn from two."""

import hashlib
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from recgan.registry.experiments import Experiment

CHAMPION, CHALLENGER, BOTH = "champion", "challenger", "interleaved"
"""The arms; of an interleaved list each item is one of the first two's."""

Item = TypeVar("Item")


def place(experiment_id: str, user_id: str) -> float:
    """Return where a shopper stands in [0, 1): every server says the same, each experiment another."""
    digest = hashlib.blake2b(f"{experiment_id}\0{user_id}".encode(errors="surrogatepass"), digest_size=7)
    return int.from_bytes(digest.digest(), "big") / 2**56


def arm_of(experiment: Experiment, user_id: str) -> str:
    """Return the arm of a shopper, the same for every request."""
    if place(experiment.id, user_id) >= experiment.share:
        return CHAMPION
    return CHALLENGER if experiment.design == "split" else BOTH


def team_draft(
    champion: Sequence[Item],
    challenger: Sequence[Item],
    k: int,
    key: Callable[[Item], Hashable],
    heads: Callable[[], bool],
) -> tuple[list[Item], list[str]]:
    """Draw a list from two rankings as two captains choose teams.

    In each round a coin says who chooses first. Either takes its best item that nobody has. Radlinski, Kurup,
    Joachims: "How does clickthrough data reflect retrieval quality?", CIKM 2008.

    Args:
        champion: best first.
        challenger: best first.
        k: length of the list; shorter where both rankings end.
        key: what tells items apart.
        heads: a fair coin; heads lets the champion choose first.

    Returns:
        The items, and whose each of them is.
    """
    drawn: list[Item] = []
    teams: list[str] = []
    taken: set[Hashable] = set()
    rest = {CHAMPION: iter(champion), CHALLENGER: iter(challenger)}
    while len(drawn) < k:
        before = len(drawn)
        for team in (CHAMPION, CHALLENGER) if heads() else (CHALLENGER, CHAMPION):
            chosen = next((item for item in rest[team] if key(item) not in taken), None)
            if chosen is not None and len(drawn) < k:
                taken.add(key(chosen))
                drawn.append(chosen)
                teams.append(team)
        if len(drawn) == before:
            break
    return drawn, teams
