"""Accounts that share products."""

import numpy as np
import pytest

from recgan.accounts.overlap import overlap
from tests.accounts.logs import log_of_sets


def others(rng, n, items, each):
    return [set(rng.choice(items, each, replace=False).tolist()) for _ in range(n)]


def test_equal_histories_stand_out_and_name_each_other():
    rng = np.random.default_rng(0)
    farm = set(range(300, 312))
    log = log_of_sets([*others(rng, 60, 300, 12), farm, farm, farm, farm])
    found = overlap(log)
    assert set(np.argsort(-found.figure)[:4]) == {60, 61, 62, 63}
    assert (found.shared[60:] == 12).all()
    assert set(found.partner[60:]) <= {60, 61, 62, 63}
    assert (found.partner[60:] != np.arange(60, 64)).all()
    # 12 of 12 products, each with 4 of 768 pairs: 12 * 12 * 4 / 768 are expected.
    expected = 12 * 12 * 4 / 768
    assert found.figure[60] == pytest.approx((12 * np.log(12 / expected) - (12 - expected)) / np.sqrt(12))


def test_three_alike_accounts_are_no_group_yet():
    farm = set(range(300, 312))
    found = overlap(log_of_sets([*others(np.random.default_rng(0), 60, 300, 12), farm, farm, farm]))
    assert found.figure[60:].max() < 3


def test_a_ring_finds_alike_histories_among_products_that_all_hold(monkeypatch):
    """Where no product is rare enough to be counted, MinHash is what is left."""
    monkeypatch.setattr("recgan.accounts.overlap._COUNTS", 0)
    rng = np.random.default_rng(0)
    farm = set(range(0, 30, 2))
    found = overlap(log_of_sets([*others(rng, 100, 30, 8), *[farm] * 20]))
    assert (found.shared[100:] == 15).all()
    assert found.figure[100:].min() > 0


def test_nobody_shares_in_a_log_without_common_products():
    found = overlap(log_of_sets([{0, 1}, {2, 3}, {4}]))
    assert (found.figure == 0).all()
    assert (found.partner == -1).all()
    assert (found.shared == 0).all()
    assert overlap(log_of_sets([])).figure.shape == (0,)
