"""PSI and Jensen-Shannon: by hand, by scipy, and what holds of both."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import jensenshannon

from recgan.daily.drift import jensen_shannon, psi

COUNTS = (
    st.integers(2, 12)
    .flatmap(lambda bins: st.tuples(*[arrays(np.int64, bins, elements=st.integers(0, 1000))] * 2))
    .filter(lambda pair: pair[0].sum() > 0 and pair[1].sum() > 0)
)


def test_psi_by_hand():
    # (10 + ½)/32, (20 + ½)/32, (0 + ½)/32 and 5½, 10½, 15½ of 31½.
    p, q = [10.5 / 31.5, 20.5 / 31.5, 0.5 / 31.5], [5.5 / 31.5, 10.5 / 31.5, 15.5 / 31.5]
    by_hand = sum((b - a) * np.log(b / a) for a, b in zip(p, q, strict=True))
    assert psi([10, 20, 0], [5, 10, 15]) == pytest.approx(by_hand)
    # Large counts make the smoothing vanish: (.6 - .5) ln(.6/.5) + (.4 - .5) ln(.4/.5) = .1 ln 1.5
    assert psi([5e8, 5e8], [6e8, 4e8]) == pytest.approx(0.1 * np.log(1.5), rel=1e-6)


def test_jensen_shannon_by_hand():
    assert jensen_shannon([3, 0], [0, 9]) == 1  # nothing in common
    # p = (1, 0), q = (½, ½), m = (¾, ¼): H(m) - H(q)/2 = .811278 - .5
    assert jensen_shannon([1, 0], [7, 7]) == pytest.approx(0.5579230452841438)


@given(COUNTS)
def test_jensen_shannon_agrees_with_scipy(pair):
    assert jensen_shannon(*pair) == pytest.approx(jensenshannon(*pair, base=2), abs=1e-6)


def test_histograms_that_hardly_differ_have_a_distance():
    """Not so scipy's own: the root of a number below 0 is not a number, which would count as drift."""
    assert jensen_shannon([321174, 643959], [321175, 643961]) == pytest.approx(0, abs=1e-7)


@given(COUNTS)
def test_both_are_symmetric_finite_and_zero_for_the_same(pair):
    for measure in (psi, jensen_shannon):
        there, back = measure(*pair), measure(*pair[::-1])
        assert 0 <= there < np.inf
        assert there == pytest.approx(back, abs=1e-9)
        assert measure(pair[0], pair[0]) == pytest.approx(0, abs=1e-7)


def test_a_larger_sample_of_the_same_shares_has_not_drifted():
    assert psi([300, 500, 200], [30_000, 50_000, 20_000]) < 1e-4
    assert jensen_shannon([3, 5, 2], [30, 50, 20]) == pytest.approx(0, abs=1e-7)


def test_sampling_noise_of_the_psi_is_as_said():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.full(10, 5))
    drawn = [psi(rng.multinomial(2000, shares), rng.multinomial(1000, shares)) for _ in range(500)]
    assert np.mean(drawn) == pytest.approx(9 * (1 / 2000 + 1 / 1000), rel=0.1)
