"""The first look at a champion: shoppers, histories and lists in words."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.sparse import csr_array

from recgan.package import samples as module
from recgan.package.packaged import Catalogue, PackagedRecommender
from recgan.package.shoppers import Shoppers


class Next:
    """Recommends the item after the newest of a history, then the ones after that; the first to nobody."""

    def score(self, user_items, ages=None):
        scores = np.tile(-np.arange(8, dtype=np.float32), (user_items.shape[0], 1))
        for row in range(user_items.shape[0]):
            history = user_items[[row]]
            if history.nnz:
                start = history.indices[np.argmin(ages[[row]].data)]
                scores[row] = -np.mod(np.arange(8) - start - 1, 8)
        return scores


@pytest.fixture
def shown(monkeypatch, tmp_path):
    titles = ["Red mug", None, "Blue   mug", "x" * 60, "Tea", "Pot", "Tin", "Lid"]
    rows = np.zeros((4, 8), dtype=np.float32)
    rows[0, [0, 2, 3]] = 1, 3, 2
    rows[1, 0] = 1  # too little to be shown
    rows[2, [4, 5, 6]] = 1
    histories = csr_array(rows)
    ages = csr_array((np.arange(histories.nnz, dtype=np.float32), histories.indices, histories.indptr))
    packaged = PackagedRecommender(
        Next(),
        [f"i{item}" for item in range(8)],
        np.ones(8, dtype=np.float32),
        Catalogue(titles, [None] * 8, [None] * 8),
        shoppers=Shoppers({"ann": 0, "bob": 1, "cid": 2, "dee": 3}, histories, ages),
    )
    monkeypatch.setattr(module, "load_champion", lambda root, name: SimpleNamespace(packaged=packaged))
    return module.samples(tmp_path, "shop", True, shoppers=2, k=2)


def test_each_is_shown_with_titles_and_the_surest_of_the_history(shown):
    long = f"{'x' * 43}… (i3)"
    assert shown == [
        "What shop's champion recommends, for example:",
        "  shopper ann",
        f"    had:  Blue mug (i2), {long}, Red mug (i0)",
        "    1. i1",
        "    2. Tea (i4)",
        "  shopper cid",
        "    had:  Tea (i4), Pot (i5), Tin (i6)",
        "    1. Lid (i7)",
        "    2. Red mug (i0)",
        "  a new shopper",
        "    had nothing yet",
        "    1. Red mug (i0)",
        "    2. i1",
    ]
