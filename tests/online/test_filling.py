"""Pins, caps and variety against lists worked out by hand, and MMR against its definition."""

import numpy as np
import pytest

from recgan.online.filling import Filling, Limit, Pinned, Variety
from recgan.recommenders.protocol import top_k

#              0    1    2    3    4    5    6    7
SCORES = [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0]
KINDS = [0, 0, 0, 0, 1, 1, 2, -1]


def listed(k, pins=(), limits=(), variety=None, scores=SCORES):
    filling = Filling(np.array(scores, dtype=np.float32), k, list(pins), list(limits), variety)
    return filling.chosen(lambda rows, k: top_k(rows, min(k, rows.shape[1]))), filling.why


def pin(position, place, name="pin"):
    return Pinned(f"{name} {position}", position, place - 1, None)


def cap(at_most, kinds=KINDS, name="cap"):
    return Limit(name, np.array(kinds, dtype=np.int32), at_most)


@pytest.mark.parametrize(
    ("k", "pins", "expected"),
    [
        (4, [pin(7, 1)], [7, 0, 1, 2]),
        (4, [pin(7, 3)], [0, 1, 7, 2]),
        (4, [pin(1, 4)], [0, 2, 3, 1]),  # taken out of its own place
        (3, [pin(6, 2), pin(7, 2)], [0, 6, 7]),  # the second one takes the next free place
        (2, [pin(6, 2), pin(7, 2)], [7, 6]),  # of which there is none: the nearest before
        (3, [pin(5, 3), pin(6, 3), pin(7, 3)], [7, 6, 5]),
        (1, [pin(6, 1), pin(7, 1)], [6]),  # a list of one
        (3, [pin(7, 1), pin(7, 3)], [7, 0, 1]),  # once
    ],
)
def test_a_pin_has_its_place(k, pins, expected):
    found, why = listed(k, pins)
    assert found == expected
    assert why == {one.name for one in pins if one.position in expected}


@pytest.mark.parametrize(
    ("k", "at_most", "expected"),
    [
        (3, 1, [0, 4, 6]),
        (4, 2, [0, 1, 4, 5]),
        (4, 1, [0, 4, 6, 7]),  # one without a category counts in none
        (6, 1, [0, 4, 6, 7, 1, 2]),  # too few are left: the list is filled with what was set aside
        (8, 4, [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_a_cap_holds_as_long_as_others_are_left(k, at_most, expected):
    found, why = listed(k, limits=[cap(at_most)])
    assert found == expected
    assert why == ({"cap"} if found != list(range(k)) else set())


def test_a_cap_reaches_below_the_first_candidates():
    scores, kinds = np.arange(1_000, 0, -1), [0] * 995 + [1, 2, 3, 4, 5]
    found, _ = listed(4, limits=[cap(1, kinds)], scores=scores)
    assert found == [0, 995, 996, 997]


def test_caps_count_what_is_pinned_and_never_move_it():
    found, why = listed(4, [pin(3, 1), pin(2, 2)], [cap(1)])
    assert found == [3, 2, 4, 6]
    assert why == {"pin 3", "pin 2", "cap"}


def test_two_caps_hold_together():
    brands = cap(1, [0, 1, 1, 2, 0, 3, 3, 4], "brands")
    found, why = listed(4, limits=[cap(2), brands])
    assert found == [0, 1, 5, 7]  # 2 and 4 share a brand with what is listed, 3 is the third of its category
    assert why == {"cap", "brands"}


def by_definition(scores, cosines, k, trade):
    """Carbonell & Goldstein (1998), one candidate at a time."""
    low, high = min(scores), max(scores)
    chosen = []
    while len(chosen) < k:
        worth = {
            one: trade * (scores[one] - low) / (high - low)
            - (1 - trade) * max([cosines[one][other] for other in chosen] + [0.0])
            for one in range(len(scores))
            if one not in chosen
        }
        chosen.append(max(worth, key=lambda one: (worth[one], -one)))
    return chosen


@pytest.mark.parametrize("trade", [0.0, 0.3, 0.7, 1.0])
def test_variety_is_maximal_marginal_relevance(trade):
    rng = np.random.default_rng(5)
    vectors, scores = rng.normal(size=(40, 6)).astype(np.float32), np.sort(rng.normal(size=40))[::-1]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = by_definition(scores.tolist(), (unit @ unit.T).tolist(), 12, trade)
    found, why = listed(12, variety=Variety("mmr", trade, vectors, None, []), scores=scores)
    assert found == expected
    assert why == (set() if trade == 1 else {"mmr"})


def test_variety_without_vectors_goes_by_category_and_brand():
    traits = [np.array(KINDS, dtype=np.int32), np.array([0, 1, 0, 2, 3, 3, -1, -1], dtype=np.int32)]
    likeness = Variety("mmr", 0.5, None, None, traits).to(np.arange(8, dtype=np.int32))
    assert likeness(0).tolist() == [1, 0.5, 1, 0.5, 0, 0, 0, 0]
    assert likeness(7).tolist() == [0] * 8  # nothing is known of it
    found, _ = listed(3, variety=Variety("mmr", 0.5, None, None, traits))
    # (score - 2) / 14 less half the likeness: 3/14 of item 4 is more than 6/14 - 1/4 of item 1
    assert found == [0, 4, 1]


def test_a_new_products_vector_is_that_of_what_stands_for_it():
    vectors = np.array([[1, 0], [0, 1], [1, 1]], dtype=np.float32)
    stand_ins = np.array([[0, 1]], dtype=np.int32), np.array([[0.5, 0.5]], dtype=np.float32)
    likeness = Variety("mmr", 0.5, vectors, stand_ins, []).to(np.array([2, 3], dtype=np.int32))
    np.testing.assert_allclose(likeness(2), [1, 1], atol=1e-6)


def test_variety_keeps_to_the_caps():
    vectors = np.eye(8, dtype=np.float32)
    found, _ = listed(4, limits=[cap(1)], variety=Variety("mmr", 0.8, vectors, None, []))
    assert found == [0, 4, 6, 7]
