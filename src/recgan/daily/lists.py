"""Lists of known and new products for many shoppers at once."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recgan.newcomers.weights import Newcomers, top_k_of_both
from recgan.package.asking import ANSWERS
from recgan.package.packaged import PackagedRecommender

_CELLS = 2**22
"""Scored and ranked at a time."""


def answers(
    packaged: PackagedRecommender,
    newcomers: Newcomers,
    user_ids: NDArray[np.object_],
    asked: pa.RecordBatch,
    k: int,
    exclude_seen: bool,
) -> pa.RecordBatch:
    """Answer shoppers as `recgan.package.asking` does, with new products among the known ones.

    Args:
        packaged: that `newcomers` fits.
        newcomers: the new products.
        user_ids: (rows,) of the shoppers: the products that the log says they have had are left out.
        asked: a batch of QUESTIONS.
        k: length of a list.
        exclude_seen: leave out what a shopper has had.

    Returns:
        A batch of ANSWERS.
    """
    columns = asked.to_pydict()
    ages = None if any(one is None for one in columns["age_days"]) else columns["age_days"]
    user_items, since = packaged.matrices(columns["history"], columns["confidence"], ages)
    names = np.concatenate([packaged.item_ids, np.array(newcomers.item_ids, dtype=object)])
    ids: list[list[str]] = []
    scores: list[list[float]] = []
    block = max(1, _CELLS // max(len(names), 1))
    for start in range(0, len(user_ids), block):
        rows = user_items[start : start + block]
        known = packaged.recommender.score(rows, None if since is None else since[start : start + block])
        new = newcomers.score(known)
        if exclude_seen:
            known = np.array(known, dtype=np.float32)  # our own copy
            known[np.repeat(np.arange(len(known)), np.diff(rows.indptr)), rows.indices] = -np.inf
            for row, user_id in enumerate(user_ids[start : start + block]):
                new[row, newcomers.had_by(str(user_id))] = -np.inf
        places, values = top_k_of_both(known, new, k, newcomers.max_share)
        ids += [names[best[best >= 0]].tolist() for best in places]
        scores += [line[best >= 0].tolist() for best, line in zip(places, values, strict=True)]
    return pa.record_batch(
        [pa.array(ids, ANSWERS[0].type), pa.array(scores, ANSWERS[1].type)], schema=ANSWERS
    )
