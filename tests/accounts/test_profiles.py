"""What an account's products and ratings alone tell."""

import numpy as np
import pytest

from recgan.accounts.profiles import mean_popularity, pca_varselect, unusual
from tests.accounts.logs import log_of_sets


def test_mean_popularity_is_the_geometric_mean_of_the_accounts():
    found = mean_popularity(log_of_sets([{0, 1}, {0}, {0}, {0, 2}, set()]))
    np.testing.assert_allclose(found[:4], [np.sqrt(4 * 1), 4, 4, np.sqrt(4 * 1)])
    assert np.isnan(found[4])


def test_pca_varselect_against_the_eigenvectors_of_the_correlations():
    """Z-scores of accounts as variables: their covariance is the matrix of correlations."""
    rng = np.random.default_rng(0)
    histories = [set(rng.choice(40, rng.integers(3, 25), replace=False).tolist()) for _ in range(15)]
    histories[0] |= {39}
    stars = {
        (user, item): float(rng.integers(1, 6)) for user, items in enumerate(histories) for item in items
    }
    full = np.zeros((15, 40))
    for (user, item), value in stars.items():
        full[user, item] = value
    _, vectors = np.linalg.eigh(np.corrcoef(full))
    expected = (vectors[:, -3:] ** 2).sum(axis=1)
    np.testing.assert_allclose(pca_varselect(log_of_sets(histories, stars)), expected, rtol=1e-6)


def test_pca_varselect_finds_those_who_agree_with_nobody():
    """Three tastes of ten accounts each are the three components; the last account has as much of each."""
    tastes = [set(range(start, start + 8)) for start in (0, 10, 20) for _ in range(10)]
    found = pca_varselect(log_of_sets([*tastes, {0, 1, 10, 11, 20, 21, 8}]))
    np.testing.assert_allclose(found[:30], 0.1, atol=0.01)
    assert found[30] < 0.01


def test_a_log_too_small_for_components_has_no_figure():
    assert np.isnan(pca_varselect(log_of_sets([{0, 1}, {1, 2}]))).all()
    assert pca_varselect(log_of_sets([])).shape == (0,)


def test_unusual_is_the_modified_z_score_among_accounts_of_the_same_size():
    values = np.array([1.0, 2, 3, 4, 5, 100, np.nan, 7])
    sizes = np.array([10] * 7 + [4])
    found = unusual(values, sizes)
    # The median is 3.5, the deviations 2.5 1.5 .5 .5 1.5 96.5, their median 1.5.
    np.testing.assert_allclose(found[:6], 0.6745 * (values[:6] - 3.5) / 1.5)
    assert np.isnan(found[6:]).all()  # nothing is known, too few products
    two = unusual(np.array([1.0, 2, 3, 10, 20, 30]), np.array([5, 5, 5, 50, 50, 50]))
    np.testing.assert_allclose(two, [-0.6745, 0, 0.6745] * 2)


def test_unusual_takes_the_mean_deviation_where_most_are_equal():
    found = unusual(np.array([0.0, 0, 0, 0, 5]), np.full(5, 9))
    assert found[4] == pytest.approx(5 / (1.2533 * 1))
    assert (unusual(np.zeros(5), np.full(5, 9)) == 0).all()
