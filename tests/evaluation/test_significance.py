"""The bootstrap and Holm: hand cases, invariances, coverage, agreement with scipy."""

import numpy as np
import pytest
from scipy import stats

from recgan.core.errors import RecganError
from recgan.evaluation.significance import (
    compare,
    detectable_difference,
    detectable_words,
    holm,
    intervals,
    non_inferiority,
    p_greater,
    p_two_sided,
    resampled_means,
)

RNG = np.random.default_rng(0)
OURS = RNG.beta(1, 6, 400)
NEAR = np.clip(OURS + RNG.normal(0, 0.05, 400), 0, 1)
WORSE = OURS * 0.8


def only(challenger, other, **settings):
    default = {"samples": 2000, "confidence": 0.95, "seed": 0}
    return compare(challenger, {"other": other}, **(default | settings))[0]


def test_p_values_by_hand():
    differences = np.array([0.1, 0.2, -0.1, 0.0, 0.3])
    assert p_greater(differences) == pytest.approx((1 + 2) / 6)  # −0.1 and 0 speak against
    assert p_greater(-differences) == pytest.approx((1 + 4) / 6)
    assert p_two_sided(differences) == pytest.approx(1.0)
    assert p_two_sided(np.full(99, 0.5)) == pytest.approx(2 / 100)


def test_equal_recommenders_have_p_1():
    comparison = only(OURS, OURS.copy())
    assert comparison.p_value == comparison.p_holm == 1
    assert comparison.difference == comparison.low == comparison.high == 0


def test_the_better_one_is_found_and_p_is_never_0():
    comparison = only(OURS, WORSE)
    assert comparison.difference > 0
    assert comparison.p_value == pytest.approx(2 / 2001)
    assert comparison.low > 0


def test_swapping_the_two_mirrors_everything_but_p():
    one, other = only(OURS, NEAR), only(NEAR, OURS)
    assert one.p_value == other.p_value
    assert one.difference == pytest.approx(-other.difference)
    assert one.low == pytest.approx(-other.high)
    assert one.high == pytest.approx(-other.low)
    means = resampled_means((OURS - NEAR)[:, None], 999, 0)[:, 0]
    assert p_greater(means) + p_greater(-means) == pytest.approx(1 + 1 / 1000)


def test_the_order_of_the_others_and_their_company_change_nothing_but_holm():
    together = compare(OURS, {"near": NEAR, "worse": WORSE}, 2000, 0.95, 0)
    turned = compare(OURS, {"worse": WORSE, "near": NEAR}, 2000, 0.95, 0)
    assert {c.name: c.p_value for c in together} == {c.name: c.p_value for c in turned}
    assert together[0].p_value == only(OURS, NEAR).p_value
    assert [c.name for c in together] == ["near", "worse"]


def test_one_seed_one_result():
    assert only(OURS, NEAR) == only(OURS, NEAR)
    assert only(OURS, NEAR).low != only(OURS, NEAR, seed=1).low


def test_pairing_sees_a_small_difference_that_unpaired_means_hide():
    assert only(OURS, OURS - 0.001).p_value < 0.01
    assert stats.ttest_ind(OURS, OURS - 0.001).pvalue > 0.8


def test_a_blockwise_draw_is_as_good_as_any(monkeypatch):
    monkeypatch.setattr("recgan.evaluation.significance._BLOCK_CELLS", 1000)
    means = resampled_means(OURS[:, None], 777, 0)
    assert means.shape == (777, 1)
    assert means.mean() == pytest.approx(OURS.mean(), abs=5 * OURS.std() / np.sqrt(400 * 777))
    assert means.std() == pytest.approx(OURS.std() / np.sqrt(400), rel=0.15)


def test_intervals_agree_with_scipy():
    ours = intervals(OURS[:, None], 5000, 0.9, 0)[0]
    theirs = stats.bootstrap(
        (OURS,), np.mean, n_resamples=5000, confidence_level=0.9, method="percentile", rng=1
    ).confidence_interval
    assert ours.mean == pytest.approx(OURS.mean())
    assert ours.low == pytest.approx(theirs.low, abs=0.001)
    assert ours.high == pytest.approx(theirs.high, abs=0.001)


def test_an_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = 0
    for seed in range(300):
        interval = intervals(rng.exponential(1, (150, 1)), 400, 0.9, seed)[0]
        covered += interval.low <= 1 <= interval.high
    assert 0.84 <= covered / 300 <= 0.94


def test_without_a_difference_p_is_below_alpha_about_alpha_of_the_time():
    rng = np.random.default_rng(2)
    p_values = [only(rng.random(120), rng.random(120), samples=400, seed=seed).p_value for seed in range(300)]
    assert 0.02 <= np.mean(np.array(p_values) < 0.05) <= 0.09


def test_a_detectable_difference_by_hand():
    means = np.array([0.1, 0.3])  # a standard deviation of .1
    assert detectable_difference(means, 0.95) == pytest.approx(0.1 * (1.959964 + 0.841621), rel=1e-5)
    assert detectable_difference(means, 0.9) == pytest.approx(0.1 * (1.644854 + 0.841621), rel=1e-5)
    assert "1,234 users" in detectable_words(1234, 0.95)
    assert "2.80 bootstrap standard errors (two-sided at 0.05" in detectable_words(1234, 0.95)


def test_a_detectable_difference_is_detected_in_four_of_five_tests():
    rng = np.random.default_rng(5)
    noise = np.array([rng.normal(0, 0.1, 150) for _ in range(300)])
    size = np.mean([only(one, np.zeros(150), samples=300).detectable for one in noise[:20]])
    found = [only(one + size, np.zeros(150), samples=300).p_value < 0.05 for one in noise]
    assert np.mean(found) == pytest.approx(0.8, abs=0.06)


def test_holm_by_hand():
    # Sorted .01, .02, .03, .04 times 4, 3, 2, 1 = .04, .06, .06, .04 → made monotone.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


def test_holm_never_lowers_a_p_value_and_keeps_their_order():
    p_values = np.sort(np.random.default_rng(3).random(20) ** 3)
    adjusted = np.array(holm(list(p_values)))
    assert (adjusted >= p_values).all()
    assert (np.diff(adjusted) >= 0).all()
    assert (adjusted <= np.minimum(1, p_values * 20) + 1e-12).all()  # never stricter than Bonferroni


def test_nothing_to_compare_with_and_nobody_to_compare_on():
    assert compare(OURS, {}, 1000, 0.95, 0) == []
    with pytest.raises(RecganError, match="no user to resample"):
        compare(np.empty(0), {"other": np.empty(0)}, 1000, 0.95, 0)


def kept(challenger, other, max_loss=0.05, samples=2000):
    return non_inferiority(challenger, other, max_loss, samples, 0.95, 0, "other")


def test_a_margin_is_a_share_of_the_others_mean():
    found = kept(NEAR, OURS)
    assert found.comparison == only(NEAR, OURS)
    assert found.margin == pytest.approx(0.05 * OURS.mean())


def test_the_p_of_a_margin_by_hand():
    """One user: every sample is that user, who keeps .95 or more, or does not."""
    one = np.array([0.4])
    assert kept(one, one, samples=9).p_value == pytest.approx(1 / 10)
    assert kept(one * 0.951, one, samples=9).p_value == pytest.approx(1 / 10)
    assert kept(one * 0.949, one, samples=9).p_value == 1


def test_a_loss_below_the_margin_passes_and_one_above_does_not():
    assert kept(OURS * 0.99, OURS).p_value == pytest.approx(1 / 2001)
    assert kept(OURS * 0.94, OURS).p_value == 1
    assert kept(OURS * 0.94, OURS, max_loss=0.1).p_value == pytest.approx(1 / 2001)
    assert kept(OURS, WORSE).p_value == pytest.approx(1 / 2001)  # who is better loses nothing


def test_who_is_shown_to_be_better_is_shown_to_be_no_worse():
    rng = np.random.default_rng(6)
    for shift in np.linspace(0, 0.02, 20):
        found = kept(NEAR + shift + rng.normal(0, 0.02, 400), OURS, samples=400)
        assert found.comparison.difference < 0 or found.p_value <= found.comparison.p_value / 2


def test_a_margin_agrees_with_a_t_test_of_what_is_kept():
    poorer = NEAR - 0.01
    ours = kept(poorer, OURS, samples=20_000).p_value
    theirs = stats.ttest_1samp(poorer - 0.95 * OURS, 0, alternative="greater").pvalue
    assert 0.001 < theirs < 0.5
    assert ours == pytest.approx(theirs, rel=0.15)


def test_an_equal_one_passes_four_of_five_tests_at_the_detectable_margin():
    rng = np.random.default_rng(7)
    other = np.full(150, 0.3)
    noise = [rng.normal(0, 0.1, 150) for _ in range(300)]
    margin = np.mean([kept(other + one, other, samples=300).detectable_margin for one in noise[:20]])
    passed = [kept(other + one, other, margin / 0.3, samples=300).p_value < 0.05 for one in noise]
    assert np.mean(passed) == pytest.approx(0.8, abs=0.06)
