"""Offline metrics of rankings, in vectorised NumPy: of each user, and of a recommender as a whole."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.recommenders.ranking import held_out_sizes, hits, ndcg, once

USER_METRICS = ("hr", "ndcg", "recall", "precision", "mrr", "map")


def user_metrics(
    ranking: NDArray[np.int32], held_out: csr_array, k: Iterable[int]
) -> dict[str, NDArray[np.float64]]:
    """Measure each user's ranking at each k.

    Relevance is binary. Places missing up to k are misses, and so is every repeat of an item. A user with
    nothing held out gets 0 throughout; the caller leaves such users out. With hit_i = 1 where place i holds a
    held-out item:

    - hr: 1 if any of the first k is a hit (also called hit rate, success).
    - ndcg: Σ hit_i / log2(i + 1), over that of min(k, held out) hits at the top (Järvelin & Kekäläinen 2002).
    - recall: hits among the first k / held out.
    - precision: hits among the first k / k.
    - mrr: 1 / place of the first hit among the first k, 0 without one (Voorhees 1999).
    - map: Σ hit_i · precision@i / held out (average precision as trec_eval cuts it; Buckley & Voorhees 2000).

    Args:
        ranking: (users, places) item positions, best first; -1 where there is none.
        held_out: (users, items), nonzero where an item is held out.
        k: numbers of places to measure at.

    Returns:
        `ndcg_at_10` and so on → (users,).
    """
    hit = hits(ranking, held_out)  # (users, places)
    n_held_out = np.maximum(held_out_sizes(held_out), 1)
    places = np.arange(1, hit.shape[1] + 1)
    n_hits = np.cumsum(hit, axis=1)  # (users, places)
    precisions = np.cumsum(hit * n_hits / places, axis=1)
    first = hit.argmax(axis=1)  # 0 also without any hit: read only where something was found
    metrics: dict[str, NDArray[np.float64]] = {}
    for cut in k:
        last = min(cut, hit.shape[1]) - 1
        found = n_hits[:, last]
        metrics |= {
            f"hr_at_{cut}": (found > 0).astype(np.float64),
            f"ndcg_at_{cut}": ndcg(ranking, held_out, cut),
            f"recall_at_{cut}": found / n_held_out,
            f"precision_at_{cut}": found / cut,
            f"mrr_at_{cut}": np.where(found > 0, 1 / (first + 1), 0.0),
            f"map_at_{cut}": precisions[:, last] / n_held_out,
        }
    return metrics


def next_item_metrics(
    ranking: NDArray[np.int32], next_items: csr_array, k: Iterable[int]
) -> dict[str, NDArray[np.float64]]:
    """Measure HR and NDCG of the next item alone, what the literature calls successive evaluation.

    Args:
        ranking: (users, places) item positions, best first; -1 where there is none.
        next_items: (users, items) as `HeldOut.next_items` has them.
        k: numbers of places to measure at.

    Returns:
        `next_hr_at_10` and so on → (users,).
    """
    found = user_metrics(ranking, next_items, cuts := list(k))
    return {f"next_{name}_at_{cut}": found[f"{name}_at_{cut}"] for cut in cuts for name in ("hr", "ndcg")}


def system_metrics(
    ranking: NDArray[np.int32],
    history: csr_array,
    popularity: NDArray[np.int64],
    n_users: int,
    k: Iterable[int],
) -> dict[str, float]:
    """Measure what a recommender shows to all users together, at each k; repeats in a list count once.

    - coverage: distinct items shown / items (Herlocker et al. 2004).
    - gini: of the times each item is shown: Σ (2i − n − 1)·x_i / (n Σ x) over ascending x. It is 0 when all
      are shown equally often, near 1 when few get everything (Gini 1912).
    - novelty: mean over all places of −log2(popularity / users), in bits (Zhou et al. 2010); an item without
      users counts as one with a single user.
    - popularity_lift: mean popularity of what a user is shown over that of the user's history, minus 1, both
      averaged over the users with a history (Abdollahpouri et al. 2019); 0 is "as popular as what they take".

    Args:
        ranking: (users, places) item positions, best first; -1 where there is none.
        history: (users, items), nonzero where an item is in the user's history.
        popularity: (items,) number of users who have the item in what the recommender was fitted on.
        n_users: number of those users.
        k: numbers of places to measure at.

    Returns:
        `coverage_at_10` and so on → value; a metric that is not defined here (popularity_lift without any
        history, all where nothing is shown) is missing.
    """
    ranking, n_items = once(ranking), popularity.size
    surprise = -np.log2(np.clip(popularity, 1, None) / max(n_users, 1))  # (items,)
    own = _row_means(history, popularity)  # (users,), NaN without a history
    metrics: dict[str, float] = {}
    for cut in k:
        top = ranking[:, :cut]
        shown = top[top >= 0]
        times = np.sort(np.bincount(shown, minlength=n_items))  # (items,)
        if shown.size == 0:
            continue
        weights = 2 * np.arange(1, n_items + 1) - n_items - 1
        metrics |= {
            f"coverage_at_{cut}": np.count_nonzero(times) / n_items,
            f"gini_at_{cut}": float(weights @ times / (n_items * shown.size)),
            f"novelty_at_{cut}": float(surprise[shown].mean()),
        }
        filled = (top >= 0).sum(axis=1)
        offered = np.where(top >= 0, popularity[top], 0).sum(axis=1) / np.maximum(filled, 1)  # (users,)
        comparable = ~np.isnan(own) & (filled > 0)
        if comparable.any() and own[comparable].mean() > 0:
            lift = offered[comparable].mean() / own[comparable].mean() - 1
            metrics[f"popularity_lift_at_{cut}"] = float(lift)
    return metrics


def item_popularity(user_items: csr_array) -> NDArray[np.int64]:
    """Count the users of each item, (items,)."""
    return np.bincount(user_items.indices[user_items.data != 0], minlength=user_items.shape[1])


def popularity_shares(times: NDArray[np.int64], popularity: NDArray[np.int64], parts: int) -> list[float]:
    """Return the share of times that falls to the most popular 1/parts, 2/parts … of the items.

    Ties in popularity go to the lower position, as in the segments.

    Args:
        times: (items,) how often each was shown or bought.
        popularity: (items,) what orders the items, the largest first.
        parts: of the catalogue; each ends at the nearest whole item.

    Returns:
        `parts` shares, rising to 1; zeros where nothing was shown.
    """
    falling = np.cumsum(times[np.argsort(-popularity, kind="stable")])
    ends = np.round(np.arange(1, parts + 1) * popularity.size / parts).astype(int)
    total = max(int(times.sum()), 1)
    return [float(falling[end - 1] / total) if end else 0.0 for end in ends]


def _row_means(history: csr_array, popularity: NDArray[np.int64]) -> NDArray[np.float64]:
    """Average the popularity of each row's items; NaN for an empty row."""
    seen = history.data != 0
    rows = np.repeat(np.arange(history.shape[0]), np.diff(history.indptr))[seen]
    sizes = np.bincount(rows, minlength=history.shape[0])
    sums = np.bincount(rows, weights=popularity[history.indices[seen]], minlength=history.shape[0])
    return np.where(sizes > 0, sums / np.maximum(sizes, 1), np.nan)
