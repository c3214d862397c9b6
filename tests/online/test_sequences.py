"""Confidence sequences: the boundary, standard errors over shoppers, and that looking often does no harm."""

import math

import numpy as np
import pytest

from recgan.online.sequences import Estimate, difference, interval, preference


def test_the_difference_of_rates_and_its_error_are_those_computed_by_hand():
    # Challenger: 2 of 4 answers, residuals 0, -1/2, 1/2, so variance 3/2 · 1/2 / 4² = 0.046875. Champion: 2
    # of 8, residuals 0, -1/2, 1/2: 3/2 · 1/2 / 8² = 0.01171875. As if both were equal it is less: 0.052083.
    found = difference(
        np.array([2.0, 1, 1, 4, 2, 2]), np.array([1.0, 0, 1, 1, 0, 1]), np.array([True] * 3 + [False] * 3)
    )
    assert found.value == pytest.approx(1 / 2 - 1 / 4)
    assert found.standard_error == pytest.approx(math.sqrt(0.046875 + 0.01171875))
    assert found.answers == pytest.approx(2 * (1 / 3) * (2 / 3) / 0.05859375)


def test_a_small_arm_without_an_event_is_not_taken_for_certain():
    requests, challenger = np.ones(1100), np.arange(1100) < 100
    events = ((np.arange(1100) >= 100) & (np.arange(1100) % 50 == 0)).astype(float)
    found = difference(requests, events, challenger)
    assert found.value == -0.02
    # Alone, the challenger's variance is 0; as if both were equal it is 100 answers of a rate of 20 in 1,100.
    rate = 20 / 1100
    assert found.standard_error == pytest.approx(
        math.sqrt(rate * (1 - rate) * (1 / 100 + 1 / 1000)), rel=1e-6
    )


def test_the_preference_of_interleaved_lists_is_that_computed_by_hand():
    # 2 wins net in 6 answers; from 0 the squares are 1 + 4 + 1, so variance 3/2 · 6 / 6² = 1/4, more than
    # around the mean. One answer alone varies by the 4 of 6 that are decided.
    found = preference(np.array([2.0, 3, 1]), np.array([1.0, 2, -1]), np.array([1.0, 2, 1]))
    assert found == Estimate(pytest.approx(1 / 3), pytest.approx(1 / 2), pytest.approx((4 / 6) / (1 / 4)))


@pytest.mark.parametrize("estimate", [difference, preference])
def test_a_shopper_who_comes_ten_times_alike_counts_as_one_who_comes_once(estimate):
    rng = np.random.default_rng(0)
    events = (rng.random(400) < 0.3).astype(float)
    last = rng.random(400) < 0.5 if estimate is difference else events
    once = estimate(np.ones(400), events, last)
    often = estimate(np.full(400, 10.0), 10 * events, last if estimate is difference else 10 * last)
    assert often == Estimate(*(pytest.approx(value) for value in vars(once).values()))


def test_the_boundary_is_equation_14_and_narrowest_where_it_was_asked_to_be():
    # Equation 14: |S| <= sqrt((v + rho) log((v + rho) / (rho alpha²))) for sums S with variance v. The mean
    # of 400 signs, S / 400, has a standard error of 1/20. By W(-alpha²/e), rho for 400 and 0.05 is 48.71.
    def width(answers):
        found = interval(Estimate(0.5, 1 / math.sqrt(answers), answers), 0.05, 400)
        return (found.high - 0.5) * math.sqrt(answers)

    rho = 48.709395
    by_hand = math.sqrt((400 + rho) * math.log((400 + rho) / (rho * 0.05**2))) / 400
    assert width(400) / 20 == pytest.approx(by_hand, rel=1e-5)
    assert width(400) < min(width(380), width(420))
    found = interval(Estimate(0.5, 1 / 20, 400), 0.05, 400)
    assert found.high - 0.5 == pytest.approx(0.5 - found.low)


def test_nothing_is_known_where_nothing_varied():
    assert interval(Estimate(0.0, 0.0, 0.0), 0.05, 100) is None
    nothing = np.zeros(0)
    assert interval(difference(nothing, nothing, np.zeros(0, bool)), 0.05, 100) is None
    assert interval(preference(nothing, nothing, nothing), 0.05, 100) is None
    same = difference(np.ones(6), np.zeros(6), np.arange(6) < 3)
    assert interval(same, 0.05, 100) is None


def test_a_fixed_interval_looked_at_daily_errs_often_and_a_sequence_seldom():
    rng = np.random.default_rng(1)
    signs = rng.choice([-1.0, 1.0], (400, 3000))
    sums = signs.cumsum(1)
    looks = np.arange(100, 3001, 20)
    fixed = np.abs(sums[:, looks - 1]) > 1.96 * np.sqrt(looks)
    radius = np.array([interval(Estimate(0, 1 / math.sqrt(n), n), 0.05, 1000).high * n for n in looks])
    sequence = np.abs(sums[:, looks - 1]) > radius
    assert fixed.any(1).mean() > 0.2
    assert sequence.any(1).mean() < 0.05
