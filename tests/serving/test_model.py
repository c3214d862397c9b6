"""Histories as features has them, older packages, and what happens when the recommender fails."""

import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.features.matrices import beside
from recgan.package.packaged import Catalogue, Confidence, PackagedRecommender
from recgan.package.shoppers import Shoppers
from recgan.recommenders.protocol import top_k
from recgan.serving.model import ServedModel
from recgan.serving.schema import Event, Filters

NOW, DAY = datetime(2026, 1, 31, tzinfo=UTC), timedelta(days=1)
WEIGHTS = {"view": 1.0, "cart": 2.0, "purchase": 4.0, "rating": 0.0}


class Echo:
    """Scores an item by its confidence."""

    def fit(self, user_items):
        return self

    def score(self, user_items, ages=None):
        return user_items.toarray()


class Failing(Echo):
    def __init__(self, what):
        self.what = what

    def score(self, user_items, ages=None):
        if isinstance(self.what, Exception):
            raise self.what
        return np.full(user_items.shape, self.what, dtype=np.float32)


def model(recommender=None, confidence=None, **more):
    popularity = np.array([1, 5, 3, 3], dtype=np.float32)
    return ServedModel(
        "m",
        "1",
        PackagedRecommender(recommender or Echo(), list("abcd"), popularity, None, confidence, **more),
    )


def events(*rows):
    return [Event(item_id=item, event=kind, timestamp=when) for item, kind, when in rows]


def test_weights_add_up_and_halve_with_each_half_life():
    half_life = Confidence(WEIGHTS, False, None, 10.0)
    history = model(confidence=half_life).history(
        events(
            ("a", "view", NOW),
            ("a", "purchase", NOW - timedelta(days=10)),
            ("c", "cart", NOW - timedelta(days=20)),
            ("c", "cart", None),
            ("b", "view", NOW + timedelta(days=5)),
            ("d", "rating", NOW),
        ),
        now=NOW,
    )
    assert history.positions.tolist() == [0, 1, 2]
    assert history.confidences.tolist() == [1 + 4 / 2, 1, 2 / 4 + 2]
    assert (history.seen.tolist(), history.events_left_out) == ([0, 1, 2, 3], 1)


def test_without_half_life_times_do_not_count():
    history = model(confidence=Confidence(WEIGHTS, False, None, None)).history(
        events(("a", "view", NOW - timedelta(days=900)), ("a", "cart", None))
    )
    assert history.confidences.tolist() == [3]


def test_a_very_old_event_still_counts_a_little():
    history = model(confidence=Confidence(WEIGHTS, False, None, 0.001)).history(
        events(("a", "view", datetime(1970, 1, 1, tzinfo=UTC))), now=NOW
    )
    assert 0 < history.confidences[0] < 1e-30


@pytest.mark.parametrize("confidence", [None, Confidence(WEIGHTS, True, None, 10.0)])
def test_binary_and_older_packages_count_one(confidence):
    history = model(confidence=confidence).history(
        events(("a", "purchase", NOW - timedelta(days=99)), ("a", "view", NOW), ("b", "view", NOW)), now=NOW
    )
    assert history.confidences.tolist() == [1, 1]


def test_what_a_known_shopper_does_adds_to_what_is_stored():
    shoppers = Shoppers({"u": 1, "empty": 0}, csr_array(np.array([[0, 0, 0, 0], [0, 2.5, 0, 1]], np.float32)))
    served = model(confidence=Confidence(WEIGHTS, False, None, None), shoppers=shoppers)
    history = served.history(events(("b", "view", None), ("a", "cart", None)), "u")
    assert history.positions.tolist() == [0, 1, 3]
    assert history.confidences.tolist() == [2, 3.5, 1]
    assert served.history(None, "empty").user_known
    assert not len(served.history(None, "empty").positions)


def dated(ages, user_items=((0, 2.5, 0, 1), (0, 0, 0, 0))):
    """Shopper u has b and d, and of the shopper empty nothing is stored; the ages are of ten days ago."""
    matrix = csr_array(np.array(user_items, np.float32))
    return Shoppers(
        {"u": 0, "empty": 1},
        matrix,
        None if ages is None else beside(matrix, np.float32(ages)),
        NOW - 10 * DAY,
    )


def test_ages_count_back_from_now_and_stored_ones_go_on():
    served = model(confidence=Confidence(WEIGHTS, False, None, None), shoppers=dated([3, 0]))
    history = served.history(None, "u", NOW)
    assert history.ages.tolist() == [13, 10]
    typed = events(
        ("a", "view", NOW - 2 * DAY),
        ("a", "view", NOW - DAY / 2),  # the newest counts
        ("c", "view", None),  # of now
        ("b", "view", NOW - 90 * DAY),  # what is stored is newer
        ("d", "view", NOW + DAY),  # a clock that is ahead
        ("d", "rating", NOW),  # does not count
    )
    history = served.history(typed, "u", NOW)
    assert history.positions.tolist() == [0, 1, 2, 3]
    assert history.ages.tolist() == [0.5, 13, 0, 0]
    assert served.history(typed, now=NOW).ages.tolist() == [0.5, 90, 0, 0]
    assert served.history(typed[:1], "empty", NOW).ages.tolist() == [2]
    assert served.history(typed[3:4], "u", NOW, removed=["b"]).ages.tolist() == [90, 10]
    assert served.history(events(("a", "rating", NOW), ("a", "view", NOW - DAY)), now=NOW).ages.tolist() == [
        1
    ]
    assert served.history(None, "u", NOW - 99 * DAY).ages.tolist() == [3, 0]


def test_a_history_of_which_no_age_is_stored_has_none():
    served = model(shoppers=dated(None))
    assert served.history(events(("a", "view", NOW)), "u", NOW).ages is None
    assert served.history(events(("a", "view", NOW)), "empty", NOW).ages.tolist() == [0]


def test_the_recommender_is_asked_with_the_ages():
    asked = []

    class Asked(Echo):
        def score(self, user_items, ages=None):
            asked.append(None if ages is None else (ages.indices.tolist(), ages.data.tolist()))
            return super().score(user_items)

    served = model(Asked(), shoppers=dated([3, 0]))
    served.rank(served.history(events(("a", "view", NOW)), "u", NOW), 3)
    served.rank(served.history(events(("a", "view", None), ("c", "view", None)), now=NOW), 3)
    served.rank(served.item("a"), 3)
    assert asked == [([0, 1, 3], [0, 13, 10]), ([0, 2], [0, 0]), None]


@pytest.mark.parametrize("fault", [ValueError("broken"), np.nan, np.inf])
def test_popularity_stands_in_for_a_recommender_that_fails(fault, caplog):
    served = model(Failing(fault))
    ranking = served.rank(served.history(events(("b", "view", None))), 3)
    assert [item.item_id for item in ranking.items] == ["c", "d", "a"]
    assert ranking.fallback
    assert "popularity stands in" in caplog.text
    with pytest.raises((RecganError, ValueError)):
        served.check()


class Drawn(Echo):
    """Scores by chance."""

    def __init__(self, items):
        self.row = np.random.default_rng(0).permutation(items).astype(np.float32)
        self.scored = 0

    def score(self, user_items, ages=None):
        self.scored += 1
        return self.row[None].copy()


class Quick(Drawn):
    """Finds a few of the best without scoring all, and perhaps one number for the scores of all of them."""

    def __init__(self, items, few, number=None):
        super().__init__(items)
        self.few, self.number = few, number

    def best(self, user_items, ages, n):
        ids, scores = top_k(self.row[None], min(n, self.few))
        return ids[0], scores[0] if self.number is None else np.full_like(scores[0], self.number)


@pytest.mark.parametrize("exclude_seen", [True, False])
@pytest.mark.parametrize("beyond", [0, 3])
@pytest.mark.parametrize("few", [0, 5, 9, 40])
def test_whoever_finds_the_best_of_one_answers_as_if_it_had_scored_all(few, beyond, exclude_seen):
    quick = Quick(30, few)
    names = [str(item) for item in range(30)]
    both = [
        ServedModel("m", "1", PackagedRecommender(one, names, np.zeros(30, np.float32)))
        for one in (quick, Drawn(30))
    ]
    seen = [names[item] for item in np.argsort(-quick.row)[[0, 2]]]
    asked = [event for item in seen for event in events((item, "view", None))]
    found = [served.rank(served.history(asked), 4, exclude_seen, beyond=beyond) for served in both]
    assert found[0] == found[1]
    assert quick.scored == (few < 4 + beyond + 2 * exclude_seen)
    for served in both:
        served.check()


def test_the_best_of_one_are_numbers(caplog):
    served = ServedModel(
        "m", "1", PackagedRecommender(Quick(3, 3, np.nan), list("abc"), np.arange(3, dtype=np.float32))
    )
    assert served.rank(served.history([]), 2).fallback
    assert "not a number" in caplog.text


def test_a_check_passes_what_works_and_finds_what_does_not():
    model().check()
    served = model()
    served.packaged.item_ids[:] = "same"
    with pytest.raises(RecganError, match="answers"):
        served.check()


def test_an_older_package_says_that_it_cannot_filter():
    assert model().allowed(Filters()) == (None, [])
    with pytest.raises(RecganError, match="packaged without categories and prices"):
        model().allowed(Filters(max_price=3))


def test_a_range_of_prices_is_inclusive_and_leaves_out_what_has_none():
    packaged = model().packaged
    packaged.catalogue = Catalogue([None] * 4, ["x", None, "x", "y"], [1.0, 2.0, None, 3.0])
    served = ServedModel("m", "1", packaged)
    assert served.allowed(Filters(min_price=1, max_price=2))[0].tolist() == [True, True, False, False]
    assert served.allowed(Filters(categories=["x"]))[0].tolist() == [True, False, True, False]
    assert served.allowed(Filters(categories=["x", "y"], min_price=0))[0].tolist() == [
        True,
        False,
        False,
        True,
    ]
    assert not served.allowed(Filters(categories=[]))[0].any()


def test_the_check_takes_the_recommenders_time_by_the_length_of_a_history():
    class Slow(Echo):
        def score(self, user_items, ages=None):
            time.sleep(0.02 * user_items.nnz)
            return super().score(user_items, ages)

    slow, fast = model(Slow()), model()
    slow.check()
    fast.check()
    assert slow.takes(1) > 0.015
    assert slow.takes(50) > 0.75
    assert fast.takes(50) < 0.75
