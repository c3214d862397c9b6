"""Simulated campaigns in a copy of the log."""

import ibis
import numpy as np
import pytest

from recgan.accounts.canaries import campaigns, canaries, known_log, last_days, with_accounts
from recgan.accounts.log import log_of
from recgan.accounts.screen import screen
from recgan.data.settings import EVENT_KINDS


@pytest.fixture(scope="module")
def rows():
    """150 shoppers of a quiet shop, 90 days."""
    rng = np.random.default_rng(2)
    shopper, item = np.repeat(np.arange(150), 14), np.minimum(rng.geometric(0.02, 2100), 120)
    kinds = rng.choice(["view", "purchase", "rating"], 2100)
    stars = rng.integers(1, 6, 2100)
    day = rng.uniform(0, 90, 2100)
    day -= day.min()
    return [
        (f"u{u}", f"i{i:03}", d, kind, float(s) if kind == "rating" else None)
        for u, i, d, kind, s in zip(shopper, item, day, kinds, stars, strict=True)
    ]


@pytest.fixture
def log(events, rows):
    return log_of(ibis.memtable(events(rows)))


def test_canaries_are_found_by_style_and_leave_the_night_as_it_is(log, params):
    settings = params()
    settings = params(canaries=settings.canaries.model_dump() | {"share": 0.1, "styles": ["push", "crowd"]}
                      | {"watched": [], "days": 2})  # fmt: skip
    labels = np.full(len(log.user_ids), -1, np.int8)
    before = screen(log, labels, settings)
    found = canaries(log, settings)
    assert set(found) == {"push", "crowd"}
    for one in found.values():
        assert one["accounts"] == 10 * 15
        assert one["recall"] == pytest.approx(one["found"] / 150, abs=1e-4)
    assert found["push"]["recall"] > 0.7  # fifteen on one product within days
    assert found["crowd"]["recall"] < 0.5  # each at a time of its own
    after = screen(log, labels, settings)
    assert after.tables.accounts.equals(before.tables.accounts)
    assert after.summary == before.summary
    assert canaries(log, settings) == found
    alone = params(canaries=settings.canaries.model_dump() | {"styles": ["crowd"]})
    assert canaries(log, alone) == {"crowd": found["crowd"]}  # no style disturbs another


def test_no_canaries_where_nobody_would_be_left_out(log, events, params):
    assert canaries(log, params(enabled=False)) == {}
    assert canaries(log_of(ibis.memtable(events([("a", "i", None), ("b", "i", None)]))), params()) == {}


@pytest.mark.parametrize("accounts", [1, 3])
def test_no_canaries_where_the_share_allows_no_crowd(events, params, accounts):
    rows = [(f"u{n}", f"i{day}", float(day)) for n in range(accounts) for day in range(5)]
    assert canaries(log_of(ibis.memtable(events(rows))), params()) == {}


def test_a_shopper_who_is_left_out_because_of_canaries_is_counted(events, params):
    """Two meet in time, too few to be left out; canaries at the same product make them a crowd."""
    rows = [(f"u{n % 101}", f"i{n * 7 % 31}", n / 5) for n in range(1000)]
    log = log_of(ibis.memtable(events(rows)))
    settings = params()
    settings = params(
        min_crowd=0.1,
        min_mean_crowd=0,
        canaries=settings.canaries.model_dump()
        | {"share": 0.9, "styles": ["segment"], "watched": [], "days": 5},
    )
    (found,) = canaries(log, settings).values()
    assert found["genuine"] > 0


def test_the_known_log_has_every_event_and_the_kinds_of_each_pair(log, rows):
    known = known_log(log)
    assert len(known.user) == len(rows)
    for user, item, kinds in list(zip(log.user, log.item, log.kinds, strict=True))[:200]:
        of_pair = (known.user == user) & (known.item == item)
        assert set(known.kind[of_pair]) == {kind for kind in range(len(EVENT_KINDS)) if kinds >> kind & 1}
    rated = known.kind == EVENT_KINDS.index("rating")
    assert known.value[rated].min() >= 1
    assert np.isfinite(known.value[rated]).all()


def test_accounts_are_added_as_if_their_events_had_been_in_the_log(log, events, rows):
    """Against the same events written down and summed up with the others."""
    made = campaigns("farm", known_log(log), 5, 5, 5.0, np.random.default_rng(1))
    added = with_accounts(log, made, 25)
    written = [
        (f"v{account:02}", log.item_ids[item], day, EVENT_KINDS[kind], None if np.isnan(value) else value)
        for account, item, kind, day, value in zip(
            made.account, made.item, made.kind, made.day, made.value, strict=True
        )
    ]
    expected = log_of(ibis.memtable(events([*rows, *written])))
    assert len(added.user_ids) == len(expected.user_ids) == 175
    assert list(added.user_ids) == sorted(added.user_ids)
    for name in ("user", "item", "kinds"):
        np.testing.assert_array_equal(getattr(added, name), getattr(expected, name))
    np.testing.assert_allclose(added.first, expected.first, atol=1e-6)
    np.testing.assert_allclose(added.stars, expected.stars, atol=1e-4)
    # Events on top of one of each kind are not told apart by kind, but counted.
    np.testing.assert_array_equal(added.events, expected.events)


def test_of_a_long_log_the_last_days_are_taken(log):
    late = last_days(log, 500)
    assert len(late.user) <= 500
    cut = log.end - late.end
    np.testing.assert_allclose(np.sort(late.first + cut), np.sort(log.first[log.first > cut]))
    assert late.user_ids is log.user_ids
    assert last_days(log, len(log.user)) is log
