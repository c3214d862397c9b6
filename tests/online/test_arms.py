"""Who meets which version, and lists drawn from two rankings."""

from collections import Counter
from datetime import UTC, datetime
from itertools import cycle

import numpy as np
import pytest

from recgan.online.arms import CHALLENGER, CHAMPION, arm_of, place, team_draft
from recgan.registry.experiments import Experiment

EXPERIMENT = Experiment("abc", "1", "2", 0.1, "split", datetime(2026, 1, 1, tzinfo=UTC), "ada")


def test_the_arm_is_a_function_of_experiment_and_shopper():
    # By hand: blake2b("abc\0shopper-1", 7 bytes) over 2^56. Another release must not move anybody.
    assert place("abc", "shopper-1") == pytest.approx(0.893860277452, abs=1e-9)
    assert place("abc", "half a pair \ud800") < 1


def test_the_share_is_kept_and_two_experiments_share_no_one_by_design():
    shoppers = [f"shopper-{number}" for number in range(20_000)]
    first = np.array([arm_of(EXPERIMENT, shopper) == CHALLENGER for shopper in shoppers])
    assert abs(first.mean() - 0.1) < 4 * (0.1 * 0.9 / len(shoppers)) ** 0.5
    other = np.array([place("abd", shopper) < 0.1 for shopper in shoppers])
    assert abs((first & other).mean() - 0.01) < 4 * (0.01 / len(shoppers)) ** 0.5


def draft(one, other, k, coins):
    return team_draft(one, other, k, lambda item: item, iter(coins).__next__)


def test_a_list_is_drawn_as_two_captains_choose():
    # Round 1, champion first: a, then the challenger's b. Round 2, challenger first: its c, then the
    # champion's d, since b and c are taken.
    items, teams = draft("abcd", "bcea", 4, [True, False])
    assert "".join(items) == "abcd"
    assert teams == [CHAMPION, CHALLENGER, CHALLENGER, CHAMPION]


def test_the_list_ends_where_both_rankings_end_and_names_nothing_twice():
    assert draft("ab", "ab", 5, cycle([True])) == (["a", "b"], [CHAMPION, CHALLENGER])
    assert draft("a", "xyz", 3, cycle([False])) == (
        ["x", "a", "y"],
        [CHALLENGER, CHAMPION, CHALLENGER],
    )
    assert draft("", "", 3, cycle([False])) == ([], [])


def test_equal_rankings_give_either_team_each_place_equally_often():
    coins = np.random.default_rng(0).random(8_000) < 0.5
    heads = iter(coins.tolist())
    counts = Counter()
    for _ in range(2_000):
        _, teams = team_draft("abcd", "abcd", 3, lambda item: item, heads.__next__)
        counts.update(place for place, team in enumerate(teams) if team == CHALLENGER)
    assert all(abs(counts[place] - 1_000) < 4 * 500**0.5 for place in range(3))
