"""Crowds, against the definition in plain loops."""

import math

import ibis
import numpy as np
import pytest

from recgan.accounts.lockstep import lockstep
from recgan.accounts.log import log_of

WINDOWS = (1.0, 3.0, 7.0)
LEAST = 3


def by_definition(log):
    """The largest crowd of each pair, by going through all windows of all items."""
    crowds = np.zeros(len(log.user))
    ordinary = len(log.user) / len(log.item_ids) / log.end
    for item in range(len(log.item_ids)):
        of_item = [pair for pair in range(len(log.user)) if log.item[pair] == item]
        launched = min(log.first[pair] for pair in of_item)
        for width in WINDOWS:
            for head in of_item:
                start = log.first[head]
                inside = [pair for pair in of_item if start <= log.first[pair] < start + width - 1e-9]
                n = len(inside)
                active = max(log.end - launched, 1)
                elsewhere, days = len(of_item) - n, max(active - width, 0)
                expected = (elsewhere + 7 * ordinary) / (days + 7) * width  # a week of an ordinary product
                if n < LEAST or n <= expected:
                    continue
                measure = (n * math.log(n / expected) - (n - expected)) / math.sqrt(n)
                for pair in inside:
                    crowds[pair] = max(crowds[pair], measure)
    return crowds


@pytest.fixture
def log(events):
    rng = np.random.default_rng(5)
    rows = [(f"u{u}", f"i{i}", d) for u, i, d in zip(
        rng.integers(40, size=300), rng.integers(9, size=300), rng.uniform(0, 60, 300), strict=True
    )]  # fmt: skip
    rows += [(f"f{u}", "i3", 20 + u / 10) for u in range(12)]
    return log_of(ibis.memtable(events(rows)))


def test_a_crowd_is_what_its_definition_says(log):
    found = lockstep(log, WINDOWS, LEAST)
    expected = by_definition(log)
    np.testing.assert_allclose(found.crowds, expected, rtol=1e-9)
    for user in range(len(log.user_ids)):
        own = expected[log.user == user]
        assert found.lock_max[user] == pytest.approx(own.max())
        assert found.lock_mean[user] == pytest.approx(own.mean())


def test_a_crowd_tells_its_window(log):
    found = lockstep(log, WINDOWS, LEAST)
    fake = int(np.flatnonzero(log.user_ids == "f4")[0])
    (pair,) = np.flatnonzero(log.user == fake)
    head, days = found.head[pair], found.days[pair]
    assert log.item_ids[log.item[head]] == "i3"
    assert log.first[head] <= log.first[pair] < log.first[head] + days
    inside = (log.item == log.item[pair]) & (log.first >= log.first[head])
    assert found.accounts[pair] == (inside & (log.first < log.first[head] + days - 1e-9)).sum()
    assert found.ratio[pair] > 5


def test_a_log_of_one_instant_has_no_crowds_to_tell(events):
    found = lockstep(log_of(ibis.memtable(events([("a", "i", 0), ("b", "i", 0)]))), WINDOWS, LEAST)
    assert not found.crowds.any()
    assert not found.days.any()


def test_a_launch_in_the_last_days_is_no_crowd_of_fakes(events):
    """Nothing of such a product lies outside the window, so it has no rate of its own."""
    rows = [(f"u{n % 60}", f"i{n % 37}", n * 90 / 2000) for n in range(2000)]
    rows += [(f"u{n}", "launch", 86.5 + n / 6) for n in range(18)]
    log = log_of(ibis.memtable(events(rows)))
    found = lockstep(log, WINDOWS, LEAST)
    assert 0 < found.crowds[log.item == list(log.item_ids).index("launch")].max() < 8
