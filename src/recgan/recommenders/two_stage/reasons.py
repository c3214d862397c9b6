"""Why the discriminator puts an item where it stands, in words of its features.

A group of features earns what the discriminator's score of the item would lose if they had the mean of the
list. A group that earns nothing is no reason. Nor is one whose words would be untrue: an item far from the
usual price is not near it, whatever the distance is worth.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.recommenders.two_stage.judged import Judged
from recgan.recommenders.two_stage.pairs import FEATURES, GENERATOR, views
from recgan.recommenders.two_stage.statistics import Statistics

Kind = Literal["seen with", "brand", "category", "like", "price", "rising", "popular", "new", "first stage"]

_TOGETHER: Final = tuple(name for name in FEATURES if name.startswith(("together", "follows", "factors")))
_GROUPS: Final[dict[Kind, tuple[str, ...]]] = {
    "seen with": _TOGETHER,
    "brand": ("brand",),
    "category": ("category",),
    "like": ("words, recent", "words, last"),
    "price": ("price",),
    "rising": ("popular lately", "rising"),
    "popular": ("popularity",),
    "new": ("days known",),
    "first stage": GENERATOR,
}
_LOW: Final = ("price", "days known")
"""Of these a low value is what the words say, of all others a high one."""


@dataclass(frozen=True)
class Reason:
    """One thing that speaks for an item."""

    kind: Kind
    earned: float
    """What it adds to the discriminator's score."""
    item: int | None
    """The item of the history that it is about; None where it is about none."""


def reasons(judged: Judged, user_items: csr_array, ages: csr_array | None, position: int) -> list[Reason]:
    """Return what speaks for an item, the most first; nothing where the generator does not propose it.

    Args:
        judged: what ranks.
        user_items: (1, items), the history.
        ages: of its entries; None where nothing is known of time.
        position: of the item.
    """
    scores = judged.generator.score(user_items, ages)
    ids, _, features = judged.judge(scores, user_items, ages)
    place = np.flatnonzero(ids[0] == position)
    if not len(place):
        return []
    listed = features[0][ids[0] >= 0]  # (places, features)
    own, mean = features[0, place[0]], listed.mean(axis=0)
    recent = views(user_items.data, None if ages is None else ages.data)[1]
    found = []
    for kind, names in _GROUPS.items():
        columns = [FEATURES.index(name) for name in names]
        other = own.copy()
        other[columns] = mean[columns]
        both = judged.discriminator.judge(np.stack([own, other])[None])[0]
        column = columns[-1]
        true = own[column] < mean[column] if names[0] in _LOW else own[column] > mean[column]
        if both[0] - both[1] <= 0 or not (true or kind in ("seen with", "first stage")):
            continue
        item = _item(kind, judged.known, user_items.indices, recent, position)
        if item is not None or kind not in _OF_ITEMS:
            found.append(Reason(kind, float(both[0] - both[1]), item))
    return sorted(found, key=lambda reason: -reason.earned)


_OF_ITEMS: Final = ("seen with", "brand", "category", "like")


def _item(
    kind: Kind, known: Statistics, items: NDArray[np.int32], weights: NDArray[np.float32], position: int
) -> int | None:
    """Return the item of the history that a reason is about."""
    strengths: NDArray[np.floating[Any]] = np.zeros(len(weights))
    for strength in _strengths(kind, known, items, position):
        strengths = weights * strength
        if strengths.any():
            break
    return int(items[strengths.argmax()]) if strengths.max(initial=0) > 0 else None


def _strengths(
    kind: Kind, known: Statistics, items: NDArray[np.int32], position: int
) -> Iterator[NDArray[np.float32]]:
    """Yield how much each item of the history has to do with an item; the next where that is 0 for all."""
    if kind == "seen with":
        column = [position]
        yield (known.together[items][:, column] + known.follows[items][:, column]).toarray().ravel()
        yield np.maximum(known.factors[items] @ known.factors[position], 0)
    elif kind == "like":
        yield (known.words[items] @ known.words[[position]].T).toarray().ravel()
    elif kind in ("brand", "category"):
        codes = known.brands if kind == "brand" else known.categories
        yield ((codes[items] == codes[position]) & (codes[position] >= 0)).astype(np.float32)
