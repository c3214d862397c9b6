import numpy as np
import pytest

from recgan.data.campaigns import STYLES, campaign
from recgan.data.known_log import KnownLog
from recgan.data.settings import EVENT_KINDS

VIEW, CART, PURCHASE, RATING = range(len(EVENT_KINDS))
USERS, ITEMS, DAYS = 120, 60, 100.0
ACCOUNTS = 12


def shop(times=True, ratings_alone=False):
    """Two tastes, each with half of the products; lower numbers are more popular, the last arrive later."""
    rng = np.random.default_rng(3)
    user = np.repeat(np.arange(USERS), 12)
    item = 2 * (rng.geometric(0.08, len(user)) % (ITEMS // 2)) + user % 2
    day = rng.uniform(np.where(item >= ITEMS - 10, DAYS / 2, 0), DAYS)
    kind = np.full(len(user), RATING if ratings_alone else VIEW)
    value = np.where(kind == RATING, rng.choice([1.0, 2, 3, 4], len(user)), np.nan)
    if not ratings_alone:
        bought = rng.random(len(user)) < 0.3
        more = [(PURCHASE, 0.1, 1.0), (RATING, 1.0, 4.0)]
        user, item = (np.concatenate([each, *[each[bought]] * 2]) for each in (user, item))
        day = np.concatenate([day, *[np.minimum(day[bought] + gap, DAYS) for _, gap, _ in more]])
        kind = np.concatenate([kind, *[np.full(bought.sum(), each) for each, _, _ in more]])
        value = np.concatenate([value, *[np.full(bought.sum(), each) for _, _, each in more]])
    order = rng.permutation(len(user))
    day = day[order] if times else None
    return KnownLog(user[order], item[order], kind[order].astype(np.int8), day, value[order], ITEMS)


@pytest.fixture(scope="module")
def log():
    return shop()


def draw(style, log, days=None, seed=0, **settings):
    return campaign(style, log, ACCOUNTS, days, np.random.default_rng(seed), **({"targets": 2} | settings))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("times", "ratings_alone"), [(True, False), (False, False), (True, True)])
def test_every_account_pushes_an_unpopular_product_and_leaves_what_the_log_knows(style, times, ratings_alone):
    known = shop(times, ratings_alone)
    drawn = draw(style, known)
    events, pushed = drawn.events, np.isin(drawn.events.item, drawn.targets)
    assert set(events.account[pushed]) == set(range(ACCOUNTS))
    assert set(events.item[pushed]) == set(drawn.targets)
    there = known.first_seen <= max(drawn.start, known.length / 10)
    assert (known.buyers[drawn.targets] <= np.median(known.buyers[there])).all()
    assert set(events.kind) <= set(known.kind)
    assert np.isfinite(events.value[events.kind == RATING]).all()
    rated = events.value[pushed & (events.kind == RATING)]
    assert rated.max() == 4
    if not times:
        assert events.day is None
        assert drawn.start == drawn.end == 0
        return
    assert 0 <= events.day.min() <= events.day.max() <= known.length
    assert (events.day >= known.first_seen[events.item]).all()


@pytest.mark.parametrize("style", ["push", "bot", "average", "segment", "bandwagon", "drip"])
def test_accounts_made_for_a_campaign_live_in_its_days(style, log):
    drawn = draw(style, log, days=5, start=40)
    assert (drawn.start, drawn.end) == (40, 45)
    assert 40 <= drawn.events.day.min() <= drawn.events.day.max() <= 45


def test_a_campaign_is_no_longer_than_the_log_and_usual_lengths_differ(log):
    assert draw("segment", log, days=1000).end == log.length
    for style, low, high in (("push", 1, 3), ("segment", 3, 7), ("drip", 90, log.length)):
        drawn = draw(style, log)
        assert low <= drawn.end - drawn.start <= high


@pytest.mark.parametrize("style", STYLES)
def test_one_seed_draws_one_campaign(style, log):
    one, again, other = (draw(style, log, seed=seed).events for seed in (1, 1, 2))
    for name in ("account", "item", "kind", "day", "value"):
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
    assert not np.array_equal(one.item, other.item)


def test_push_does_nothing_else(log):
    drawn = draw("push", log)
    assert set(drawn.events.item) == set(drawn.targets)


def test_a_segment_is_what_goes_with_one_popular_product_and_is_liked(log):
    """Buyers of a product have products of its parity alone."""
    drawn = draw("segment", log, fillers=6)
    for number, target in enumerate(drawn.targets):
        of_target = (drawn.events.account % 2 == number) & (drawn.events.item != target)
        fillers = np.unique(drawn.events.item[of_target])
        assert len(fillers) <= 12
        assert len(set(fillers % 2)) == 1
        assert np.median(log.buyers[fillers]) > np.quantile(log.buyers, 0.7)
    rated = drawn.events.kind == RATING
    assert set(drawn.events.value[rated]) == {4.0}


def test_half_of_a_bandwagon_is_popular_and_bots_take_what_there_is(log):
    top = np.argsort(-log.buyers)[:6]
    share = {
        style: np.isin(draw(style, log, fillers=6, seed=4).events.item, top).mean()
        for style in ("bandwagon", "bot")
    }
    assert share["bandwagon"] > 0.25 > 0.2 > share["bot"]


def test_average_rates_as_others_do_and_a_random_bot_does_not():
    known = shop(ratings_alone=True)
    # Even products are loved and odd ones are not.
    known = KnownLog(known.user, known.item, known.kind, known.day, 4.0 - 3 * (known.item % 2), ITEMS)
    for style, follows in (("average", True), ("bot", False)):
        drawn = draw(style, known)
        filler = ~np.isin(drawn.events.item, drawn.targets)
        agrees = drawn.events.value[filler] == 4 - 3 * (drawn.events.item[filler] % 2)
        assert agrees.all() == follows


@pytest.mark.parametrize("style", ["farm", "crowd"])
def test_camouflage_is_of_two_shoppers_of_like_taste_and_no_copy_of_one(style, log):
    drawn = draw(style, log, days=4)
    histories = {user: set(log.item[log.user == user]) for user in range(USERS)}
    for account in range(ACCOUNTS):
        own = set(drawn.events.item[drawn.events.account == account]) - set(drawn.targets)
        assert len({item % 2 for item in own}) == 1
        assert len(own) >= 4
        assert all(own != history for history in histories.values())


def test_a_farm_comes_together_for_each_product_at_a_time_of_its_own(log):
    drawn = draw("farm", log, days=4, targets=3)
    firsts = []
    for target in drawn.targets:
        # Genuine dealings with a target are imitated too, by the few who met one who had it.
        days = np.sort(drawn.events.day[drawn.events.item == target])
        within = np.array([((days >= day) & (days <= day + 4.2)).mean() for day in days])
        assert within.max() > 0.8
        firsts.append(days[within.argmax()])
    assert np.ptp(firsts) > 4


def test_fillers_are_dealt_with_as_genuine_users_deal_with_products(log):
    def patterns(events, owner):
        order = np.lexsort((events.day, events.item, owner))
        pair = np.stack([owner, events.item])[:, order]
        begins = np.flatnonzero(np.any(np.diff(pair, prepend=-1) != 0, axis=0))
        return {tuple(kinds) for kinds in np.split(events.kind[order], begins[1:])}

    drawn = draw("bot", log, days=50)
    fillers = drawn.events.rows(~np.isin(drawn.events.item, drawn.targets))
    genuine = patterns(log, log.user)
    assert patterns(fillers, fillers.account) <= genuine | {kinds[:-1] for kinds in genuine}
