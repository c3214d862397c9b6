"""What labels tell of other accounts."""

import numpy as np
import pytest

from recgan.accounts.inputs import behaviour, figures
from recgan.accounts.learned import _threshold, held_out, learned
from recgan.accounts.propagation import from_positives, graph, signed
from recgan.accounts.trial import _precision, draw, measure, thinned
from recgan.core.errors import RecganError
from tests.accounts.logs import log_of_sets


@pytest.fixture(scope="module")
def shop():
    """120 shoppers of two tastes, and 30 fakes that hide in them but for one of three pushed products."""
    rng = np.random.default_rng(0)
    taste = rng.integers(2, size=150)
    histories = [set((rng.choice(60, 8, replace=False) + 60 * one).tolist()) for one in taste]
    for fake in range(120, 150):
        histories[fake].add(120 + fake % 3)
    labels = np.repeat([0, 1], [120, 30]).astype(np.int8)
    return log_of_sets(histories), labels


def test_signed_propagation_on_a_graph_of_five():
    """Accounts 0 and 1 share item 0, account 2 has item 1 alone.

    The fake mass of the pair solves F0 = (F0 + F1) / 4 + 1 / 2 and F1 = (F0 + F1) / 4: 3/4 and 1/4. The
    genuine mass of account 2 is 1. The median of the sums is 3/4.
    """
    labels = np.array([1, -1, 0], dtype=np.int8)
    found = signed(graph(log_of_sets([{0}, {0}, {1}])), labels)
    np.testing.assert_allclose(found, [0.75 / 1.5, 0.25 / 1, -1 / 1.75], atol=1e-3)
    chain = signed(graph(log_of_sets([{0}, {0, 1}, {1}])), labels)
    assert chain[1] == pytest.approx(0)  # as near to one as to the other
    assert chain[0] == pytest.approx(-chain[2])
    assert signed(graph(log_of_sets([{0}, {1}])), np.full(2, -1, dtype=np.int8)).tolist() == [0, 0]


def test_signed_propagation_converges_to_the_solution_of_its_equation():
    rng = np.random.default_rng(1)
    matrix = graph(log_of_sets([set(rng.choice(9, 4, replace=False).tolist()) for _ in range(12)]))
    labels = np.array([1, 1, 0, 0, 0] + [-1] * 7, dtype=np.int8)
    full = matrix.toarray()
    each = full / np.sqrt(full.sum(1, keepdims=True) * full.sum(0))
    start = np.stack([(labels == 1) / 2, (labels == 0) / 3], axis=1)
    fake, genuine = np.linalg.solve(np.eye(12) - 0.5 * each @ each.T, 0.5 * start).T
    expected = (fake - genuine) / (fake + genuine + np.median(fake + genuine))
    np.testing.assert_allclose(signed(matrix, labels), expected, atol=2e-3)


def test_stars_part_a_product():
    stars = {(0, 0): 5.0, (1, 0): 5.0, (2, 0): 1.0}
    matrix = graph(log_of_sets([{0}, {0}, {0}], stars))
    alike, apart = signed(matrix, np.array([1, -1, 0], dtype=np.int8))[[1, 2]]
    assert alike > 0 > apart


def test_fraud_propagates_from_fakes_alone():
    matrix = graph(log_of_sets([{0}, {0, 1}, {1}]))
    found = from_positives(matrix, np.array([1, -1, -1], dtype=np.int8))
    assert found[0] == 1
    assert found[0] > found[1] > found[2] > 0


def test_no_label_that_is_judged_reaches_an_input(shop):
    log, labels = shop
    given = np.arange(150) % 2 == 1
    own = behaviour(log, figures(log))
    turned = np.where(given, labels, 1 - labels)
    for graph_too in (False, True):
        scores = [
            held_out(log, np.where(given, one, -1).astype(np.int8), own, graph_too, seed=0)
            for one in (labels, turned)
        ]
        np.testing.assert_array_equal(*scores)


def test_labels_of_chance_are_not_learned(shop):
    """If a label reached its own inputs, labels without any sense would be foretold."""
    log, _ = shop
    labels = np.random.default_rng(3).permutation(np.repeat([0, 1], 75)).astype(np.int8)
    found = learned(log, labels, figures(log), 0.95).probability
    assert _precision(labels, found) < 0.65  # .5 is chance


def test_the_graph_finds_what_behaviour_does_not(shop):
    log, labels = shop
    found = learned(log, labels, figures(log), 0.95)
    assert _precision(labels, found.probability) > 0.95
    assert found.precision >= 0.95
    above = found.probability >= found.threshold
    assert labels[above].mean() == pytest.approx(found.precision)
    assert labels[above].sum() > 20


def test_the_threshold_is_the_lowest_that_is_precise_enough():
    probability = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.99])
    labels = np.array([1, 0, 1, 1, 0, -1], dtype=np.int8)
    assert _threshold(probability, labels, 0.75) == (0.6, 0.75)
    assert _threshold(probability, labels, 0.9) == (0.9, 1.0)
    assert _threshold(probability, 1 - np.abs(labels), 0.9)[0] == np.inf
    assert (
        _threshold(np.full(4, 0.5), np.array([1, 1, 0, 0], dtype=np.int8), 0.6)[0] == np.inf
    )  # judged alike


def test_learning_takes_two_labels_of_each_kind(shop):
    log, _ = shop
    labels = np.full(150, -1, dtype=np.int8)
    labels[[0, 1, 149]] = [0, 0, 1]
    with pytest.raises(ValueError, match="two of each kind"):
        learned(log, labels, figures(log), 0.95)


def test_average_precision_by_hand():
    """Fakes are first and third, or anywhere in one step."""
    assert _precision(np.array([1, 0, 1, 0]), np.array([4.0, 3, 2, 1])) == pytest.approx((1 + 2 / 3) / 2)
    assert _precision(np.array([1, 0, 1, 0]), np.array([0.0, 0, 0, -np.inf])) == pytest.approx(2 / 3)


def test_draws_and_thinning_keep_shares(shop):
    log, labels = shop
    rng = np.random.default_rng(0)
    given = draw(labels, 0.2, rng)
    assert [(given == kind).sum() for kind in (0, 1)] == [24, 6]
    assert (given[given >= 0] == labels[given >= 0]).all()
    thinner, its_labels = thinned(log, labels, 0.1, rng)
    assert (its_labels == 1).sum() == 13  # a ninth of 120
    assert set(thinner.user) == set(np.flatnonzero(its_labels >= 0))
    with pytest.raises(RecganError, match=r"between 0\.0323 and 0\.2"):
        thinned(log, labels, 0.5, rng)


def test_every_detector_is_measured_on_what_it_was_not_given(shop):
    log, labels = shop
    found = measure(log, labels, [0.5], repetitions=2, seed=0, thin=None)
    assert found["chance"][0].mean == pytest.approx(0.2)
    assert found["gradient boosting + graph"][0].mean > 0.9
    assert {"overlap", "popularity of the items", "PCA-VarSelect", "signed propagation"} < set(found)
    assert found["overlap"][0].half > 0
