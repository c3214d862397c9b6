"""The laws by which shoppers go through a list."""

import math

import numpy as np
import pytest

from recgan.data.sources.shop_choice import _by_taste
from recgan.data.sources.shop_occasions import begin
from recgan.data.sources.shop_world import DAY
from recgan.live.shop import HISTORY_DAYS, REQUESTS_A_DAY, open_shop
from recgan.live.shoppers import OWN_CHOICES, Draws, Wants, act, best, chosen, draw, examined, expected, wants


@pytest.fixture(scope="module")
def shop():
    return open_shop(3, 2)


@pytest.fixture(scope="module")
def visits(shop):
    return shop.visits(0)


def test_places_are_read_less_the_lower_they_are():
    assert examined(3).tolist() == pytest.approx([1, 1 / math.log2(3), 0.5])


def test_one_choice_is_the_law_of_what_the_simulation_draws(shop):
    """The simulation proposes and accepts; here the same is added up."""
    user = np.flatnonzero((shop.world.shoppers.first_day == 0) & (shop.world.shoppers.last_day > 121))[:3]
    at = np.full(3, (HISTORY_DAYS + 1) * DAY)
    law = chosen(shop.world, user, at)
    assert law.sum(axis=1) == pytest.approx(1)
    rng, many = np.random.default_rng(0), 100_000
    for row, shopper in enumerate(user.tolist()):
        persona = begin(np.full(many, shopper), np.full(many, HISTORY_DAYS + 1), shop.world, rng).persona
        drawn = _by_taste(np.full(many, shopper), persona, np.full(many, at[0]), shop.world, rng)
        met = np.bincount(drawn, minlength=law.shape[1]) / many
        # Of a sample the distance is about half the sum of the standard deviations, 0.8 of them each.
        by_chance = 0.4 * np.sqrt(law[row] * (1 - law[row]) / many).sum()
        assert np.abs(met - law[row]).sum() / 2 < 1.3 * by_chance


def test_nobody_chooses_what_has_not_arrived(shop, visits):
    later = shop.world.catalogue.arrival[None, :] > visits.time[:, None]
    law = chosen(shop.world, visits.user, visits.time)
    assert later.any()
    assert (law[later] == 0).all()
    assert (law[~later] > 0).all()


def test_what_a_shopper_wants_by_hand(shop):
    """No discount, price, quality and taste of one shopper and one product, added up without arrays."""
    catalogue, shoppers = shop.world.catalogue, shop.world.shoppers
    user, at = 5, (HISTORY_DAYS * DAY) + DAY // 2
    item = next(one for one in range(20) if (at // (7 * DAY) + one * 5) % 9 and catalogue.arrival[one] < 0)
    found = wants(shop.world, np.array([user]), np.array([at]))
    dearer = max(catalogue.price_level[item] - shoppers.price_level[user], 0.0)
    wish = 0.7 * catalogue.quality[item] - shoppers.price_sensitivity[user] * dearer
    choice = chosen(shop.world, np.array([user]), np.array([at]))[0, item]
    assert found.opens[0, item] == pytest.approx(1 - (1 - choice) ** OWN_CHOICES)
    assert found.carts[0, item] == pytest.approx(1 / (1 + math.exp(0.9 - wish)))
    assert found.buys[0, item] == pytest.approx(1 / (1 + math.exp(-0.2 - wish)))


def test_expected_purchases_by_hand():
    worth = np.array([[0.2, 0.1, 0.4]])
    assert expected(worth, np.array([[1, 0, -1]])) == pytest.approx(0.1 + 0.2 / math.log2(3))
    assert expected(worth, best(worth, np.array([[False, False, True]]), 2)) == pytest.approx(
        0.2 + 0.1 / math.log2(3)
    )


def test_no_list_does_better_than_the_oracles(shop, visits):
    worth = wants(shop.world, visits.user, visits.time).worth
    left_out = np.random.default_rng(1).random(worth.shape) < 0.2
    ceiling = expected(worth, best(worth, left_out, 10))
    rng = np.random.default_rng(2)
    for _ in range(20):
        lists = np.array([rng.choice(np.flatnonzero(~row), 10, replace=False) for row in left_out])
        assert (expected(worth, lists) <= ceiling + 1e-12).all()


def test_what_shoppers_buy_comes_to_what_is_expected(shop):
    visits = shop.visits(1)
    few = slice(0, 20)
    found = wants(shop.world, visits.user[few], visits.time[few])
    lists = best(found.worth, np.zeros(found.worth.shape, dtype=bool), 10)
    rng, bought = np.random.default_rng(4), []
    for _ in range(400):
        came = act(found, draw(20, found.worth.shape[1], rng), lists)
        assert (came.carted <= came.opened).all()
        assert (came.bought <= came.carted).all()
        bought.append(came.bought.sum())
    total = expected(found.worth, lists).sum()
    assert np.mean(bought) == pytest.approx(total, abs=4 * np.std(bought) / 20)


def test_a_shopper_reads_down_to_a_place_and_does_the_same_with_any_list():
    sure = np.ones((2, 4))
    half = np.array([[0.55], [0.7]])  # of reading: to the second place, and to the first
    chance = Draws(half, np.zeros((2, 4)), np.zeros((2, 4)), np.zeros((2, 4)))
    came = act(Wants(sure, sure, sure), chance, np.array([[3, 0, 1], [3, 0, 1]]))
    assert came.opened.tolist() == [[True, True, False], [True, False, False]]
    one = act(Wants(sure, sure, sure), chance, np.array([[2, -1, -1]]), slice(1, 2))
    assert one.bought.tolist() == [[True, False, False]]


def test_the_same_seed_gives_the_same_visits(shop, visits):
    again = open_shop(3, 2).visits(0)
    assert np.array_equal(again.user, visits.user)
    assert np.array_equal(again.time, visits.time)
    assert not np.array_equal(shop.visits(1).user, visits.user)
    assert not np.array_equal(open_shop(4, 2).visits(0).time, visits.time)


def test_visits_are_of_their_day_and_of_shoppers_who_are_there(shop, visits):
    today = HISTORY_DAYS
    assert len(visits.user) == REQUESTS_A_DAY
    assert (visits.time // DAY == today).all()
    assert (np.diff(visits.time) >= 0).all()
    assert (shop.world.shoppers.first_day[visits.user] <= today).all()
    assert (shop.world.shoppers.last_day[visits.user] > today).all()


def test_nights_and_days_divide_the_log(shop):
    parts = [shop.own_log(-HISTORY_DAYS, 0), shop.own_log(0, 1), shop.own_log(1, 2)]
    assert all(len(part) for part in parts)
    assert sum(map(len, parts)) == len(shop.tables.events)
