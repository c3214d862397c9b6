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

    def passed(since, until):
        """Mean days that go on between instants, by the share of all first events."""
        return sum(since <= one < until for one in log.first) / len(log.first) * log.end

    for item in range(len(log.item_ids)):
        of_item = [pair for pair in range(len(log.user)) if log.item[pair] == item]
        launched = min(log.first[pair] for pair in of_item)
        for width in WINDOWS:
            for head in of_item:
                start = log.first[head]
                inside = [pair for pair in of_item if start <= log.first[pair] < start + width - 1e-9]
                around = [pair for pair in of_item if start - 21 <= log.first[pair] < start + width + 21]
                n = len(inside)
                length = max(passed(start, start + width), width / 4)
                rates = (
                    (len(of_item) - n + 7 * ordinary)
                    / (max(passed(launched, math.inf) - length, 0) + 7),  # a week of an ordinary product
                    (len(around) - n + 7 * ordinary)
                    / (max(passed(max(start - 21, launched), start + width + 21) - length, 0) + 7),
                )
                fresh = launched > 7 and start - launched < 7
                least = max(rates) * length * (15 if fresh else 3)
                if n < LEAST or n <= least:
                    continue
                measure = (n * math.log(n / least) - (n - least)) / math.sqrt(n)
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
    rows += [(f"f{u}", "new", 30 + u / 10) for u in range(30)]
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
    (pair,) = np.flatnonzero((log.user == fake) & (log.item == list(log.item_ids).index("i3")))
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


@pytest.fixture
def steady(events):
    """Make the log of a shop with two hundred events a day on a thousand products, and more rows."""

    def make(rows, sales=()):
        rng = np.random.default_rng(1)
        many = [day for day in range(90) for _ in range(2000 if day in sales else 200)]
        plain = [(f"u{rng.integers(3000)}", f"i{rng.integers(1000)}", day + rng.random()) for day in many]
        return log_of(ibis.memtable(events(plain + rows)))

    return make


def largest(log, item):
    return lockstep(log, WINDOWS, LEAST).crowds[log.item == list(log.item_ids).index(item)].max()


def test_what_products_do_by_themselves_is_no_crowd_and_a_campaign_is(steady):
    pushed = [(f"f{n}", "i7", 50 + n / 10) for n in range(24)]
    assert largest(steady(pushed), "i7") > 4
    # A launch, whenever it is: nothing of the last one lies outside its window.
    for day in (40, 86.5):
        hit = [(f"u{n}", "hit", day + n / 8) for n in range(24)]
        hit += [(f"w{n}", "hit", later) for n, later in enumerate(np.arange(day + 4, 90, 2).tolist())]
        assert largest(steady(hit), "hit") < 4
    # The day of a sale, on which ten times as many come as on any other.
    assert lockstep(steady([], sales=(60,)), WINDOWS, LEAST).crowds.max() < 3
    # A season: one product has eight times its accounts in six weeks.
    season = [(f"s{n}", "i7", 20 + n * 0.6) for n in range(70)]
    assert largest(steady(season), "i7") < 1
