"""Plackett and Luce's model against all lists of a small catalogue."""

from itertools import permutations

import numpy as np
import pytest

from recgan.online import plackett_luce

WEIGHTS = np.array([4.0, 0.5, 2.0, 1.0, 2.5])


def chance(order, weights=WEIGHTS):
    """The probability of a list: each item's share of the weights that are left."""
    left, product = weights.sum(), 1.0
    for item in order:
        product *= weights[item] / left
        left -= weights[item]
    return product


def test_conditional_chances_multiply_to_the_chance_of_the_list_and_all_lists_to_one():
    total = 0.0
    for order in permutations(range(5)):
        found = plackett_luce.conditional(np.log(WEIGHTS), np.array(order))
        for k in range(1, 6):
            assert np.exp(found[:k].sum()) == pytest.approx(chance(order[:k]), rel=1e-12)
        total += np.exp(found.sum())
    assert total == pytest.approx(1, abs=1e-12)


def test_weights_that_no_float_holds_keep_their_chances():
    found = plackett_luce.conditional(np.array([0.0, -2000.0, -2001.0]), np.array([0, 1, 2]))
    assert found == pytest.approx([0.0, -np.log1p(np.exp(-1)), 0.0])


def test_lists_are_drawn_as_often_as_their_chances_say():
    rng, draws = np.random.default_rng(0), 40_000
    places, logs = plackett_luce.draw(np.tile(np.log(WEIGHTS), (draws, 1)), 2, rng)
    for order in permutations(range(5), 2):
        rows = (places == order).all(axis=1)
        expected = chance(order)
        assert rows.mean() == pytest.approx(expected, abs=4 * np.sqrt(expected / draws))
        assert np.exp(logs[rows].sum(axis=1)) == pytest.approx(expected)


def test_what_has_no_weight_is_never_drawn():
    places, _ = plackett_luce.draw(np.tile([0.0, -np.inf, 0.0], (200, 1)), 2, np.random.default_rng(0))
    assert 1 not in places


def test_log_weights_know_neither_scale_nor_origin_of_scores():
    scores = np.array([3.0, 1.0, -2.0, 0.5])
    found = plackett_luce.log_weights(scores, 0.5)
    assert found == pytest.approx((scores - 3) / (0.5 * scores.std()))
    assert plackett_luce.log_weights(1e-6 * scores + 7, 0.5) == pytest.approx(found)
    assert plackett_luce.log_weights(np.full(3, 2.0), 0.5).tolist() == [0, 0, 0]


@pytest.mark.parametrize("spread", [0.3, 3.0, 12.0])
def test_the_chance_of_an_item_at_a_place_is_that_of_all_lists_with_it_there(spread):
    weights = np.exp(np.random.default_rng(0).normal(0, spread, 5))
    logs = np.tile(np.append(np.log(weights), -np.inf), (5, 1))  # and a candidate fewer than others have
    for place in range(5):
        expected = np.zeros(5)
        for order in permutations(range(5)):
            expected[order[place]] += chance(order, weights)
        found = plackett_luce.at_place(logs, np.arange(5), place)
        assert found == pytest.approx(expected, rel=1e-5)


def test_the_chance_at_a_place_holds_for_weights_that_no_float_holds():
    found = plackett_luce.at_place(np.array([[0.0, -2000.0, -2001.0]] * 2), np.array([1, 2]), 1)
    assert found == pytest.approx([1 / (1 + np.exp(-1)), 1 / (1 + np.e)], rel=1e-5)
