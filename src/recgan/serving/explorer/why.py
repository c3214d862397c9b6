"""Why an item is recommended, in the model's own terms.

Two figures for each item of the history, both from the recommender's `score` alone, so that they mean the
same for every recommender:

- *alone*: the rank of the recommended item in what `/similar` answers for the item of the history. That is
  the answer to a history of that one item, now and with confidence 1, the item itself left out. The *nearest*
  items of a history are those with the best such rank.
- *without*: the rank of the recommended item for the history without that item (leave one out). That item may
  then return to the list itself, since it is no longer seen.

Neither is a cause. Two items of a history that say the same replace each other. Leaving out either changes
nothing, though both are near. No more than `MAX_TRIED` items are tried, those with the largest confidences,
in one batch: the history, each item alone, the history without each.

A recommender with a method `reasons` tells besides what speaks for the item in its own terms.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.features.matrices import beside
from recgan.newcomers.assortment import Mask
from recgan.serving.explorer.schema import MAX_TRIED, Influence, Reason, Why
from recgan.serving.explorer.search import known
from recgan.serving.histories import History
from recgan.serving.model import ServedModel


def why(
    served: ServedModel, history: History, item_id: str, exclude_seen: bool, allowed: Mask | None, k: int = 10
) -> Why:
    """Explain one item of the ranking for a history.

    Args:
        served: the version that ranks.
        history: of the shopper.
        item_id: a known item.
        exclude_seen: as in the ranking that is explained.
        allowed: as in that ranking; /similar is asked without filters.
        k: length of the list that is explained, in which the new products have their share.

    Raises:
        RecganError: a score is not a number; or whatever the recommender raises.
    """
    position = served.position(item_id)
    assert position is not None
    tried = np.argsort(-history.confidences, kind="stable")[:MAX_TRIED]
    n_items = len(served.item_ids)
    everything = np.ones(n_items, dtype=np.bool_) if allowed is None else allowed
    ages = np.zeros(len(history.positions)) if history.ages is None else history.ages
    scores = np.array(  # our own copy
        _scores(
            served,
            [
                (history.positions, history.confidences, ages),
                *((history.positions[[at]], np.ones(1, dtype=np.float32), np.zeros(1)) for at in tried),
                *(
                    tuple(np.delete(values, at) for values in (history.positions, history.confidences, ages))
                    for at in tried
                ),
            ],
            aged=history.ages is not None,
        )
    )
    eligible = everything.copy()
    if exclude_seen:
        eligible[history.seen] = False
    alone, without = scores[1 : len(tried) + 1], scores[len(tried) + 1 :]
    each, itself = np.arange(len(tried)), history.positions[tried]
    returning = np.where(everything[itself], without[each, itself], -np.inf)  # no longer seen
    without[:, ~eligible] = -np.inf
    without[each, itself] = returning
    alone[each, itself] = -np.inf
    scores[0, ~eligible] = -np.inf
    ranks = _ranks(served, scores, position, k)
    influences = [
        Influence(
            item=known(served, int(history.positions[at])),
            confidence=float(history.confidences[at]),
            alone=ranks[number],
            without=ranks[len(tried) + number],
        )
        for number, at in enumerate(tried.tolist(), start=1)
    ]
    influences.sort(key=lambda one: n_items if one.alone is None else one.alone)
    return Why(
        version=served.model.version,
        item=known(served, position),
        rank=ranks[0],
        ranked=int(eligible.sum()),
        influences=influences,
        reasons=_reasons(served, history, position),
        history=len(history.positions),
    )


def _reasons(served: ServedModel, history: History, position: int) -> list[Reason]:
    """Ask the recommender itself, where it can tell; it may know of a history what no rank shows."""
    ask = getattr(served.packaged.recommender, "reasons", None)
    if ask is None:
        return []
    row, ages = served.matrices(history)
    return [
        Reason(
            kind=one.kind,
            item=None if one.item is None else known(served, one.item),
            earned=one.earned,
        )
        for one in ask(row, ages, position)
    ]


def _ranks(served: ServedModel, scores: NDArray[np.float32], position: int, k: int) -> list[int | None]:
    """Return the place of a position in each row: in the list of k as it is shown, or behind it.

    Args:
        served: the version, which caps the share of new products.
        scores: (rows, items), -inf where an item is left out; then its rank is None.
        position: of the item.
        k: length of a list.
    """
    lists = served.ranked(scores, k)[0]
    found: list[int | None] = []
    for row, shown in zip(scores, lists, strict=True):
        if np.isneginf(row[position]):
            found.append(None)
        elif len(place := np.flatnonzero(shown == position)):
            found.append(1 + int(place[0]))
        else:
            better = row > row[position]
            better[:position] |= row[:position] == row[position]  # ties go to the lower position
            better[shown[shown >= 0]] = True
            found.append(1 + int(np.count_nonzero(better)))
    return found


def _scores(
    served: ServedModel, rows: list[tuple[NDArray[np.generic], ...]], aged: bool
) -> NDArray[np.float32]:
    """Score histories of positions, confidences and ages; the ages count only where they are known."""
    indptr = np.cumsum([0, *(len(positions) for positions, *_ in rows)]).astype(np.int32)
    positions, confidences, ages = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    shape = (len(rows), len(served.packaged.item_ids))
    user_items = csr_array((confidences, positions, indptr), shape=shape)
    return served.with_new(served.scores(user_items, beside(user_items, ages) if aged else None))
