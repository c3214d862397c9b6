"""Lists of known and new products for many shoppers at once, by the rules of the shop."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recgan.newcomers.assortment import Assortment
from recgan.online.ordering import Applied
from recgan.package.asking import ANSWERS

_CELLS = 2**22
"""Scored and ranked at a time."""


def answers(
    assortment: Assortment,
    rules: Applied | None,
    user_ids: NDArray[np.object_],
    asked: pa.RecordBatch,
    k: int,
    exclude_seen: bool,
) -> pa.RecordBatch:
    """Answer shoppers as `recgan.package.asking` does, with new products among the known ones.

    Args:
        assortment: a package with its new products.
        rules: of the shop; None for none.
        user_ids: (rows,) of the shoppers: the new products that the log says they have had are left out.
        asked: a batch of QUESTIONS.
        k: length of a list.
        exclude_seen: leave out what a shopper has had.

    Returns:
        A batch of ANSWERS.
    """
    packaged, newcomers = assortment.packaged, assortment.newcomers
    columns = asked.to_pydict()
    ages = None if any(one is None for one in columns["age_days"]) else columns["age_days"]
    user_items, since = packaged.matrices(columns["history"], columns["confidence"], ages)
    names, n_known = assortment.item_ids, len(packaged.item_ids)
    k = min(k, len(names))
    ids: list[list[str]] = []
    scores: list[list[float]] = []
    block = max(1, _CELLS // max(len(names), 1))
    for start in range(0, len(user_ids), block):
        rows = user_items[start : start + block]
        known = packaged.recommender.score(rows, None if since is None else since[start : start + block])
        new = () if newcomers is None else (newcomers.score(known),)
        both = np.hstack([known, *new], dtype=np.float32)  # our own copy
        had = [np.empty(0, dtype=np.int32)] * rows.shape[0]
        for row, user_id in enumerate(user_ids[start : start + block] if exclude_seen else ()):
            seen = rows.indices[rows.indptr[row] : rows.indptr[row + 1]]
            theirs = [] if newcomers is None else newcomers.had_by(str(user_id))
            had[row] = np.append(seen, n_known + np.array(theirs, dtype=np.int32)).astype(np.int32)
        if rules is not None:
            for one, seen in zip(both, had, strict=True):
                found = rules.listed(one, k, seen, None, assortment.ranked)
                ids.append(names[found.positions].tolist())
                scores.append(found.scores)
            continue
        for one, seen in zip(both, had, strict=True):
            one[seen] = -np.inf
        places, values = assortment.ranked(both, k)
        ids += [names[best[best >= 0]].tolist() for best in places]
        scores += [line[best >= 0].tolist() for best, line in zip(places, values, strict=True)]
    return pa.record_batch(
        [pa.array(ids, ANSWERS[0].type), pa.array(scores, ANSWERS[1].type)], schema=ANSWERS
    )
