"""What is asked about: events and stored histories as confidences and ages, the way features has them."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from recgan.newcomers.weights import Newcomers
from recgan.package.packaged import Confidence, PackagedRecommender
from recgan.package.shoppers import days_between
from recgan.serving.schema import Event


@dataclass(frozen=True)
class History:
    """A history in positions."""

    positions: NDArray[np.int32]
    """Ascending."""
    confidences: NDArray[np.float32]
    seen: NDArray[np.int32]
    """Every item that the history names and the model knows, those with events that do not count too; a new
    product stands after all items of the vocabulary."""
    ages: NDArray[np.float64] | None = None
    """Days since the last event that counts with each item; None where that is not known of all."""
    unknown_items: tuple[str, ...] = ()
    events_left_out: int = 0
    user_known: bool | None = None


def history_of(
    packaged: PackagedRecommender,
    events: Sequence[Event] | None,
    user_id: str | None = None,
    now: datetime | None = None,
    removed: Collection[str] = (),
    newcomers: Newcomers | None = None,
) -> History:
    """Turn events, a known shopper's history, or both into confidences and ages, as features does.

    The confidence of an event is its kind's weight, halved for each half life that passed until `now`.
    (features counts until the end of a window instead.) A known shopper's stored confidences stay as they
    were at the end of theirs; the stored ages go on to `now`. An event without a timestamp is of now. So a
    history of plain ids is equally old, which weighs none of it less. Where the stored ages are missing, no
    age is known. A package without confidences takes every event as 1. For a new product the known ones that
    stand in for it count, each its share, and are not seen for that.

    Args:
        packaged: whose vocabulary, weights and shoppers count.
        events: of the request.
        user_id: whose stored history is added; one who is not known adds nothing.
        now: the instant to count ages back from.
        removed: items that are taken out of the stored history.
        newcomers: the new products of the package.
    """
    n_items = len(packaged.item_ids)
    settings, now = packaged.confidence, now or datetime.now(UTC)
    binary = settings is None or settings.binary
    confidences: dict[int, float] = {}
    ages: dict[int, float] | None = {}
    user_known: bool | None = None
    if user_id is not None:
        stored = None if packaged.shoppers is None else packaged.shoppers.history(user_id, now)
        user_known = stored is not None
        if stored is not None:
            confidences = dict(zip(stored.positions.tolist(), stored.confidences.tolist(), strict=True))
            ages = None if stored.ages is None else dict(zip(confidences, stored.ages.tolist(), strict=True))
            for item_id in removed:
                confidences.pop(packaged.positions.get(item_id, -1), None)
                if ages is not None:
                    ages.pop(packaged.positions.get(item_id, -1), None)
    seen = set(confidences)
    if newcomers is not None and user_id is not None:
        had = newcomers.had_by(user_id)
        seen |= {n_items + place for place in had if newcomers.item_ids[place] not in removed}
    unknown: dict[str, None] = {}
    left_out = 0
    for event in events or ():
        position = packaged.positions.get(event.item_id)
        place = None if newcomers is None else newcomers.places.get(event.item_id)
        if position is not None:
            seen.add(position)
            counted = [(position, 1.0)]
        elif newcomers is not None and place is not None:
            seen.add(n_items + place)
            counted = newcomers.stand_in(place)
        else:
            unknown[event.item_id] = None
            continue
        age = 0.0 if event.timestamp is None else days_between(event.timestamp, now)
        worth = _worth(event, age, settings)
        if worth <= 0:
            left_out += 1
            continue
        for item, share in counted:
            total = confidences.get(item, 0.0) + share * (1.0 if binary else worth)
            confidences[item] = min(total, 1.0) if binary else total
            if ages is not None:
                ages[item] = min(ages.get(item, age), age)
    positions = sorted(confidences)
    return History(
        np.array(positions, dtype=np.int32),
        np.array([confidences[position] for position in positions], dtype=np.float32),
        np.array(sorted(seen), dtype=np.int32),
        None if ages is None else np.array([ages[position] for position in positions], dtype=np.float64),
        tuple(unknown),
        left_out,
        user_known,
    )


def _worth(event: Event, age: float, settings: Confidence | None) -> float:
    if settings is None:
        return 1.0
    # As in features: a rating without stars is not known to be high enough.
    stars = -math.inf if event.value is None else event.value
    if event.event == "rating" and settings.min_rating is not None and stars < settings.min_rating:
        return 0.0
    weight = settings.weights.get(event.event, 0.0)
    if settings.binary or settings.half_life_days is None or weight <= 0:
        return weight
    # Ages that underflow still count a little, as in features.
    left = math.exp2(-age / settings.half_life_days)
    return max(weight * left, float(np.finfo(np.float32).tiny))
