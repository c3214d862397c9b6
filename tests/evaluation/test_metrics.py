"""Metrics against hand-computed tables, an independent library, and their laws."""

import time
from math import log2

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_array

from recgan.evaluation.metrics import (
    USER_METRICS,
    item_popularity,
    system_metrics,
    user_metrics,
)
from recgan.recommenders.ranking import ndcg, once


def held(items, n_items=8):
    dense = np.zeros((1, n_items), dtype=np.float32)
    dense[0, items] = 1
    return csr_array(dense)


# By hand at k = 4: a perfect one, a late hit, none, more held out than k, a short ranking, repeats, a gap.
HAND = [
    ([0, 1, 2, 3], [0, 1], {"hr": 1, "ndcg": 1, "recall": 1, "precision": 1 / 2, "mrr": 1, "map": 1}),
    (
        [0, 1, 2, 3],
        [3],
        {"hr": 1, "ndcg": 1 / log2(5), "recall": 1, "precision": 1 / 4, "mrr": 1 / 4, "map": 1 / 4},
    ),
    ([0, 1, 2, 3], [5, 6], {"hr": 0, "ndcg": 0, "recall": 0, "precision": 0, "mrr": 0, "map": 0}),
    (
        [0, 7, 1, 2],
        [0, 1, 2, 3, 4],
        {
            "hr": 1,
            "ndcg": (1 + 1 / 2 + 1 / log2(5)) / (1 + 1 / log2(3) + 1 / 2 + 1 / log2(5)),
            "recall": 3 / 5,
            "precision": 3 / 4,
            "mrr": 1,
            "map": (1 + 2 / 3 + 3 / 4) / 5,
        },
    ),
    (
        [6, 5, -1, -1],
        [5],
        {"hr": 1, "ndcg": 1 / log2(3), "recall": 1, "precision": 1 / 4, "mrr": 1 / 2, "map": 1 / 2},
    ),
    (
        [0, 0, 0, 0],  # one item four times is one hit and three misses
        [0, 2],
        {"hr": 1, "ndcg": 1 / (1 + 1 / log2(3)), "recall": 1 / 2, "precision": 1 / 4, "mrr": 1, "map": 1 / 2},
    ),
    (
        [5, 2, 2, 0],  # what comes after a repeat keeps its place
        [0, 2],
        {
            "hr": 1,
            "ndcg": (1 / log2(3) + 1 / log2(5)) / (1 + 1 / log2(3)),
            "recall": 1,
            "precision": 1 / 2,
            "mrr": 1 / 2,
            "map": (1 / 2 + 2 / 4) / 2,
        },
    ),
    (
        [4, 2, 6, 0],
        [0, 2],
        {
            "hr": 1,
            "ndcg": (1 / log2(3) + 1 / log2(5)) / (1 + 1 / log2(3)),
            "recall": 1,
            "precision": 1 / 2,
            "mrr": 1 / 2,
            "map": (1 / 2 + 2 / 4) / 2,
        },
    ),
]


@pytest.mark.parametrize("metric", USER_METRICS)
@pytest.mark.parametrize(("ranking", "items", "expected"), HAND)
def test_by_hand(ranking, items, expected, metric):
    measured = user_metrics(np.array([ranking], dtype=np.int32), held(items), [4])
    assert measured[f"{metric}_at_4"][0] == pytest.approx(expected[metric])


def test_all_hand_rows_at_once_are_the_rows_alone():
    ranking = np.array([row[0] for row in HAND], dtype=np.int32)
    held_out = csr_array(np.vstack([held(row[1]).toarray() for row in HAND]))
    measured = user_metrics(ranking, held_out, [4])
    for metric in USER_METRICS:
        np.testing.assert_allclose(measured[f"{metric}_at_4"], [row[2][metric] for row in HAND])


@pytest.fixture(scope="module")
def random_case():
    rng = np.random.default_rng(0)
    held_out = csr_array((rng.random((60, 50)) < 0.1).astype(np.float32))
    ranking = np.argsort(rng.random((60, 50)), axis=1)[:, :20].astype(np.int32)
    ranking[:5, 12:] = -1
    return ranking, held_out


def with_repeats(ranking):
    """Draw each place anew from the row's first five items, so that most are repeats."""
    places = np.random.default_rng(1).integers(0, 5, ranking.shape)
    return np.where(ranking < 0, ranking, np.take_along_axis(ranking, places, axis=1))


@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("k", [1, 5, 20])
def test_agreement_with_ir_measures(random_case, k, repeats):
    ranking, held_out = random_case
    ranking = with_repeats(ranking) if repeats else ranking
    oracle = {
        "hr": ir_measures.Success @ k,
        "ndcg": ir_measures.nDCG @ k,
        "recall": ir_measures.R @ k,
        "precision": ir_measures.P @ k,
        "mrr": ir_measures.RR @ k,
        "map": ir_measures.AP @ k,
    }
    rows, items = held_out.nonzero()
    qrels = [ir_measures.Qrel(str(row), str(item), 1) for row, item in zip(rows, items, strict=True)]
    run = [  # a repeated item is another document, which nobody wants
        ir_measures.ScoredDoc(
            str(row), f"{item} at {place}" if item in ranking[row, :place] else str(item), float(-place)
        )
        for row in range(60)
        for place, item in enumerate(ranking[row])
        if item >= 0
    ]
    measured = user_metrics(ranking, held_out, [k])
    expected = {(m.query_id, m.measure): m.value for m in ir_measures.iter_calc(oracle.values(), qrels, run)}
    for row in np.unique(rows):
        for metric, measure in oracle.items():
            assert measured[f"{metric}_at_{k}"][row] == pytest.approx(expected[str(row), measure]), metric


def test_repeats_add_nothing_to_what_all_users_are_shown():
    history = csr_array((2, 4))
    plain, repeated = (
        system_metrics(np.array(ranking, dtype=np.int32), history, np.array([8, 4, 2, 1]), n_users=16, k=[3])
        for ranking in ([[0, 1, -1], [2, -1, -1]], [[0, 1, 0], [2, 2, 2]])
    )
    assert repeated == plain


@given(arrays(np.int32, st.tuples(st.integers(0, 4), st.integers(0, 6)), elements=st.integers(-1, 3)))
def test_once_keeps_the_first_place_of_each_item(ranking):
    found = once(ranking)
    for row, kept in zip(ranking.tolist(), found.tolist(), strict=True):
        expected = [item if item not in row[:place] else -1 for place, item in enumerate(row)]
        assert kept == expected


def test_metrics_stay_in_0_to_1_and_grow_with_k_where_they_must(random_case):
    measured = user_metrics(*random_case, [5, 10, 20])
    for values in measured.values():
        assert ((values >= 0) & (values <= 1 + 1e-12)).all()
    for metric in ("hr", "recall", "mrr", "map"):
        assert (measured[f"{metric}_at_5"] <= measured[f"{metric}_at_10"]).all()
        assert (measured[f"{metric}_at_10"] <= measured[f"{metric}_at_20"]).all()


def test_precision_is_the_textbook_s_even_with_fewer_held_out_than_k():
    measured = user_metrics(np.array([[0, 1, 2, 3]], dtype=np.int32), held([0]), [4])
    assert measured["precision_at_4"][0] == 1 / 4


def test_k_above_the_ranking_counts_missing_places_as_misses():
    measured = user_metrics(np.array([[0, 1]], dtype=np.int32), held([0]), [10])
    assert measured["precision_at_10"][0] == 1 / 10
    assert measured["ndcg_at_10"][0] == 1


def test_a_stored_zero_is_not_held_out():
    held_out = held([0, 1])
    held_out.data[0] = 0
    measured = user_metrics(np.array([[0, 1]], dtype=np.int32), held_out, [2])
    assert measured["recall_at_2"][0] == 1
    assert measured["mrr_at_2"][0] == 1 / 2


def test_the_last_item_and_no_item_are_told_apart():
    # -1 must be neither the last item of its own row nor that of the row before.
    held_out = csr_array(np.array([[0, 0, 1], [0, 0, 1]], dtype=np.float32))
    ranking = np.array([[-1, -1], [-1, -1]], dtype=np.int32)
    assert not ndcg(ranking, held_out, 2).any()


def test_system_metrics_by_hand():
    ranking = np.array([[0, 1], [0, 2], [0, -1]], dtype=np.int32)
    history = csr_array(np.array([[0, 0, 1, 1], [0, 1, 0, 0], [0, 0, 0, 0]], dtype=np.float32))
    popularity = np.array([8, 4, 2, 1])
    measured = system_metrics(ranking, history, popularity, n_users=16, k=[1, 2])
    assert measured["coverage_at_1"] == 1 / 4
    assert measured["coverage_at_2"] == 3 / 4
    # Shown 0, 1, 1, 3 times: (−3·0 − 1·1 + 1·1 + 3·3) / (4 · 5).
    assert measured["gini_at_2"] == pytest.approx(9 / 20)
    assert measured["gini_at_1"] == pytest.approx(3 / 4)
    # −log2 of 1/2, 1/4, 1/8 is 1, 2, 3 bits.
    assert measured["novelty_at_2"] == pytest.approx((3 * 1 + 2 + 3) / 5)
    # Own: (2 + 1)/2 and 4; offered: (8 + 4)/2 and (8 + 2)/2; the third user has no history.
    assert measured["popularity_lift_at_2"] == pytest.approx((6 + 5) / (1.5 + 4) - 1)


def test_gini_is_0_when_all_items_are_shown_alike():
    ranking = np.array([[0, 1], [2, 3]], dtype=np.int32)
    measured = system_metrics(ranking, csr_array((2, 4)), np.array([1, 1, 1, 1]), n_users=4, k=[2])
    assert measured["gini_at_2"] == pytest.approx(0)
    assert measured["coverage_at_2"] == 1
    assert "popularity_lift_at_2" not in measured


def test_the_most_popular_items_are_the_least_novel():
    popularity = np.array([9, 5, 2, 0])
    history = csr_array(np.eye(1, 4, 1, dtype=np.float32))
    head, tail = (
        system_metrics(np.array([[item]], dtype=np.int32), history, popularity, n_users=10, k=[1])
        for item in (0, 3)
    )
    assert head["novelty_at_1"] < tail["novelty_at_1"] == pytest.approx(log2(10))
    assert head["popularity_lift_at_1"] > 0 > tail["popularity_lift_at_1"]


def test_nothing_shown_has_no_system_metrics():
    ranking = np.full((2, 3), -1, dtype=np.int32)
    assert system_metrics(ranking, csr_array((2, 4)), np.ones(4, dtype=np.int64), n_users=4, k=[3]) == {}


def test_popularity_counts_users():
    assert item_popularity(csr_array(np.array([[3, 0, 1], [2, 0, 0]]))).tolist() == [2, 0, 1]


def test_twenty_thousand_users_take_well_under_a_second():
    rng = np.random.default_rng(0)
    rows, items = np.repeat(np.arange(20_000), 10), rng.integers(0, 5000, 200_000)
    held_out = csr_array((np.ones(200_000, dtype=np.float32), (rows, items)), shape=(20_000, 5000))
    ranking = rng.integers(0, 5000, (20_000, 20)).astype(np.int32)
    start = time.process_time()
    user_metrics(ranking, held_out, [10])
    assert time.process_time() - start < 0.5
