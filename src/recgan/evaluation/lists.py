"""What the candidates show: to five shoppers, to all, and to somebody of whom nothing is known."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.features.matrices import Features

SHOPPERS = 5
HAD = 4
"""Products of a shopper's history that are named."""
MISSED = 3
"""Of those that a list lacks, named likewise."""
MOST_SHOWN = 10
FIELDS = ("title", "brand", "category", "price", "image_url")
"""What is told of a product, where the items table has it."""


def shown_lists(
    rankings: Mapping[str, NDArray[np.int32]],
    first_lists: Mapping[str, NDArray[np.int32]],
    features: Features,
    rows: NDArray[np.intp],
    k: int,
    seed: int,
) -> dict[str, Any]:
    """Return what the page shows of lists, by item ids and without any shopper's id.

    Args:
        rankings: name → (rows, places) positions, best first; -1 where there is none.
        first_lists: name → (places,) the list of an empty history.
        features: matrices.
        rows: the test rows that are ranked, all with something held out.
        k: length of a list.
        seed: of the shuffle among histories of one length.

    Returns:
        k; `shoppers`, each with `had` (the latest first), `had_in_all`, `took` (the first first) and
        `lists`; `most_shown`, each with the shares of shoppers whom it is `shown` and who `took` it;
        `first_list`; and `items`, what is known of each of these products. Lists are by name.
    """
    came, times = features.test.came(), features.test.came_times()
    outside = features.test.outside
    ids = [*features.items["item_id"].astype(str), *([] if outside is None else outside.item_ids.astype(str))]
    tops = {name: ranking[:, :k] for name, ranking in rankings.items()}
    shoppers = [
        {
            "had": [ids[item] for item in _latest(features, int(rows[row]))[:HAD]],
            "had_in_all": int(np.diff(features.test.history.indptr)[rows[row]]),
            "took": [ids[item] for item in _in_order(came, times, int(rows[row]))],
            "lists": {name: _named(top[row], ids) for name, top in tops.items()},
        }
        for row in spread(np.diff(features.test.history.indptr)[rows], seed)
    ]
    taken = np.bincount(came.indices, minlength=len(ids)) / max(len(rows), 1)  # nobody else took anything
    content = {
        "k": k,
        "shoppers": shoppers,
        "most_shown": {name: _most_shown(top, ids, taken) for name, top in tops.items()},
        "first_list": {name: _named(one[:k], ids) for name, one in first_lists.items()},
    }
    return content | {"items": _known(features, _mentioned(content, k))}


def spread(lengths: NDArray[np.int32], seed: int) -> list[int]:
    """Choose rows with a history: the middle one of each of five parts of equal size, by its length.

    Args:
        lengths: (rows,) of the histories; rows of 0 are not chosen.
        seed: of the shuffle among those of one length, so that the order of rows does not decide.
    """
    order = np.random.default_rng(seed).permutation(len(lengths))
    order = order[np.argsort(lengths[order], kind="stable")]
    order = order[lengths[order] > 0]
    n = min(SHOPPERS, len(order))
    return [int(order[(2 * part + 1) * len(order) // (2 * n)]) for part in range(n)]


def _latest(features: Features, row: int) -> list[int]:
    """Return a history's positions, the latest first; without times the largest confidence first."""
    history, ages = features.test.history, features.test.ages
    return _in_order(history, -history.data if ages is None else ages.data, row)


def _in_order(matrix: csr_array, keys: NDArray[Any] | None, row: int) -> list[int]:
    """Return the positions of a row by ascending keys (one an entry), or as they stand without keys."""
    own = slice(*matrix.indptr[row : row + 2])
    items = matrix.indices[own]
    return [int(item) for item in (items if keys is None else items[np.argsort(keys[own], kind="stable")])]


def _named(places: NDArray[np.int32], ids: list[str]) -> list[str]:
    return [ids[item] for item in places if item >= 0]


def _most_shown(top: NDArray[np.int32], ids: list[str], taken: NDArray[np.float64]) -> list[dict[str, Any]]:
    shown = np.bincount(top[top >= 0], minlength=len(ids)) / max(len(top), 1)
    order = np.argsort(-shown, kind="stable")[:MOST_SHOWN]
    return [
        {"item": ids[item], "shown": float(shown[item]), "took": float(taken[item])}
        for item in order
        if shown[item] > 0
    ]


def _mentioned(content: Mapping[str, Any], k: int) -> set[str]:
    """Return the items that the page can name: of those taken, the first that any list lacks."""
    found = {one["item"] for most in content["most_shown"].values() for one in most}
    found.update(*content["first_list"].values())
    for shopper in content["shoppers"]:
        found.update(shopper["had"], shopper["took"][: MISSED + k], *shopper["lists"].values())
    return found


def _known(features: Features, wanted: set[str]) -> dict[str, dict[str, Any]]:
    """Return what the items table says of some items, those that the window sells first too."""
    tables = [features.items, *([] if features.cold_test is None else [features.cold_test.items])]
    known: dict[str, dict[str, Any]] = {}
    for table in tables:
        some = table[table["item_id"].isin(list(wanted))]
        for row in some[["item_id", *(name for name in FIELDS if name in table)]].to_dict("records"):
            item = str(row.pop("item_id"))
            known.setdefault(item, {str(name): one for name, one in row.items() if pd.notna(one)})
    return dict(sorted(known.items()))
