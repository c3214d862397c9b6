"""What other recommenders would have answered to the very same requests."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.core import layout
from recgan.core.temporary import temporary_folder
from recgan.features.matrices import beside, read_features
from recgan.live.shop import Shop
from recgan.package.packaged import PackagedRecommender, write_items
from recgan.package.shoppers import SHOPPERS, write_shoppers
from recgan.recommenders.protocol import top_k
from recgan.recommenders.skipped import skipped
from recgan.serving.histories import history_of
from recgan.serving.schema import Event
from recgan.settings import Params


def tonights(root: Path, params: Params) -> dict[str, PackagedRecommender]:
    """Return each candidate of the last night as a package would hold it."""
    features = read_features(root / layout.FEATURES)
    with temporary_folder() as folder:
        write_items(features.items, folder / "items.json", params.features)
        write_shoppers(features, folder / SHOPPERS)
        return {
            name: PackagedRecommender.load(root / layout.MODELS / name, folder / "items.json")
            for name in params.candidates
            if skipped(root, name) is None
        }


def replayed(
    packaged: PackagedRecommender,
    asked: Sequence[tuple[str, Sequence[dict[str, Any]]]],
    shop: Shop,
    k: int,
    now: datetime,
) -> NDArray[np.int64]:
    """Return the lists that a recommender would answer with, as the server makes them.

    Args:
        packaged: the recommender.
        asked: user_id and events of each request.
        shop: whose numbers the lists have.
        k: places.
        now: of all requests.

    Returns:
        (requests, k) products of the shop, -1 where a list has no such place.
    """
    histories = [
        history_of(packaged, [Event(**event) for event in events], user_id, now) for user_id, events in asked
    ]
    lengths = [len(history.positions) for history in histories]
    rows = csr_array(
        (
            np.concatenate([history.confidences for history in histories]),
            np.concatenate([history.positions for history in histories]),
            np.concatenate([[0], np.cumsum(lengths)]),
        ),
        shape=(len(histories), len(packaged.item_ids)),
    )
    ages = None
    since = [history.ages for history in histories if history.ages is not None]
    if len(since) == len(histories):
        ages = beside(rows, np.concatenate(since))
    scores = packaged.recommender.score(rows, ages).copy()
    for row, history in enumerate(histories):
        scores[row, history.seen] = -np.inf
    found = top_k(scores, min(k, scores.shape[1]))[0]
    number = np.array([shop.position[item_id] for item_id in packaged.item_ids])
    return np.where(found >= 0, number[found], -1)
