"""What is known of the new products for one package, and their places among the known ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recgan.newcomers.tastes import Standing
from recgan.package.packaged import Catalogue, PackagedRecommender
from recgan.recommenders.protocol import top_k

Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Origin:
    """Which package the weights fit, and what was read for them."""

    name: str
    """The registered model."""
    version: str
    run_id: str
    package: str
    """md5 of the package: the weights fit no other."""
    until: datetime
    """The instant of the newest event that was read."""


@dataclass(frozen=True)
class Newcomers:
    """The new products for one package."""

    origin: Origin
    item_ids: list[str]
    catalogue: Catalogue
    standing: Standing
    vectors: NDArray[np.float32]
    """(new, width + 1)"""
    lift: float
    max_share: float
    """Of a list, as long as there are known products to fill it."""
    stand_ins: NDArray[np.int32]
    """(new, few) positions of known products that stand for each in a history."""
    stand_in_shares: NDArray[np.float32]
    """(new, few) what each of them counts; a row adds up to 1."""
    owners: dict[str, list[int]]
    """Shopper → the new products that the log says they have had, as places in `item_ids`."""
    md5: str | None = None
    """Of the file that this was read from."""

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.item_ids)

    @cached_property
    def places(self) -> dict[str, int]:
        """Where each stands in `item_ids`."""
        return {item_id: place for place, item_id in enumerate(self.item_ids)}

    def fits(self, packaged: PackagedRecommender) -> bool:
        """Tell whether these are the weights for a package."""
        return packaged.md5 == self.origin.package

    def score(self, scores: Scores) -> Scores:
        """Score the new products (rows, new) on the scale of the known products' scores (rows, known)."""
        return self.standing.score(scores, self.vectors, self.lift)

    def stand_in(self, place: int) -> list[tuple[int, float]]:
        """Return the known products, position and share, that stand for a new one in a history."""
        pairs = zip(self.stand_ins[place].tolist(), self.stand_in_shares[place].tolist(), strict=True)
        return [(position, share) for position, share in pairs if share > 0]

    def had_by(self, user_id: str) -> list[int]:
        """Return the new products that a shopper has had, as places in `item_ids`."""
        return self.owners.get(user_id, [])


def top_k_of_both(known: Scores, new: Scores, k: int, max_share: float) -> tuple[NDArray[np.int32], Scores]:
    """Rank known and new products in one list, with no more than a share of new ones.

    Where fewer known products than places are left, new ones take the places that would be empty.

    Args:
        known: (rows, known) scores, -inf where one is left out; not changed.
        new: (rows, new) the same.
        k: length of a list; clipped to the number of products.
        max_share: of a list of k that may be new.

    Returns:
        Positions (rows, k), best first, those of the new products after all known ones, and their scores.
        The rest is position -1 and score -inf, as in `top_k`.
    """
    n_known, n_new = known.shape[1], new.shape[1]
    best, values = top_k(known, min(k, n_known))
    if n_new == 0:
        return best, values
    few, theirs = top_k(new, min(k, n_new))
    room = np.maximum(int(max_share * k + 1e-9), k - (best >= 0).sum(axis=1))
    theirs[np.arange(few.shape[1]) >= room[:, None]] = -np.inf
    both = np.hstack([values, theirs])
    ids = np.hstack([best, np.where(few >= 0, few + n_known, -1)])
    order = np.argsort(-both, axis=1, kind="stable")[:, : min(k, n_known + n_new)]
    ranked = np.take_along_axis(both, order, axis=1)
    return np.where(np.isneginf(ranked), -1, np.take_along_axis(ids, order, axis=1)), ranked


def unfit(newcomers: Newcomers, packaged: PackagedRecommender, version: str) -> str:
    """Say why the weights are not used for a version."""
    made = newcomers.origin
    return (
        f"the file of new products was made for version {made.version} of {made.name} (md5 {made.package}), "
        f"and version {version} has md5 {packaged.md5}: it is not used; run `recgan newcomers` for this "
        "version"
    )


def together(known: Catalogue, new: Catalogue) -> Catalogue:
    """Return what the shop says of known and new products, in that order."""

    def both(field: str) -> list[str | None] | None:
        parts = [getattr(part, field) for part in (known, new)]
        if not any(parts):
            return None
        return [
            value
            for part, values in zip((known, new), parts, strict=True)
            for value in values or [None] * len(part.titles)
        ]

    return Catalogue(
        known.titles + new.titles,
        known.categories + new.categories,
        known.prices + new.prices,
        both("images"),
        both("brands"),
    )


def texts(values: Sequence[object]) -> list[str | None]:
    """Return texts, and None for whatever is none."""
    return [value if isinstance(value, str) else None for value in values]
