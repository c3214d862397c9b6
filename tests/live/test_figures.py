"""The figures of a month, against hand-computed ones; and the page of them."""

import re

import pandas as pd
import pytest

from recgan.live.figures import alike, correlation, figures, lift, lift_interval, per_100
from recgan.live.page import page
from recgan.live.trial import Trial


def requests(days=3, trial_day=1):
    """Two shoppers ask once a day each; from a day on the second one meets another version."""
    rows = []
    for day in range(days):
        for user_id, worth in (("u1", 0.10), ("u2", 0.20)):
            tried = day >= trial_day and user_id == "u2"
            rows.append(
                {
                    "day": day,
                    "user_id": user_id,
                    "version": "2" if tried else "1",
                    "request_id": f"{day}{user_id}",
                    "opened": 1,
                    "carted": 1,
                    "bought": day % 2,
                    "arm": "challenger" if tried else "champion",
                    "expected_served": worth / 4 if tried else worth,
                    "expected_oracle": 0.4,
                    "expected_apart": 0.05,
                    "expected_popularity": 0.05,
                    "expected_ease": 0.12,
                    "expected_champion": worth,
                    "expected_broken": worth / 4,
                    "same_champion": not tried,
                }
            )
    return pd.DataFrame(rows)


NIGHTS = [
    {
        "day": 0,
        "champion": "1",
        "candidate": "ease",
        "promoted": True,
        "challenger": "ease",
        "validation": {"popularity": 0.1, "ease": 0.2},
        "test": {"popularity": 0.08, "ease": 0.16},
        "events": 1000,
        "seconds": 61.2,
    },
    {
        "day": 2,
        "champion": "1",
        "candidate": "ease",
        "promoted": False,
        "challenger": "ials",
        "validation": {"popularity": 0.3, "ease": 0.2},
        "test": {"popularity": 0.08, "ease": 0.16},
        "events": 1200,
        "seconds": 60.0,
        "swap_seconds": 0.4,
    },
]


def trial(**changes):
    one = Trial(1, 3, version="2", **changes)
    return one.story(requests())


def test_the_lift_is_of_sums():
    table = pd.DataFrame({"user_id": ["a", "a", "b"], "x": [1.0, 2.0, 3.0], "y": [1.0, 1.0, 2.0]})
    assert lift(table, "x", "y") == pytest.approx(6 / 4 - 1)
    low, high = lift_interval(table, "x", "y")
    assert low == high == pytest.approx(0.5)  # both shoppers have the same lift


def test_a_shoppers_requests_count_together():
    """Ten equal requests of one shopper say no more than one of them: the spread is of shoppers."""
    few = pd.DataFrame({"user_id": ["a", "b"], "x": [0.1, 0.3]})
    many = pd.concat([few] * 10)
    assert per_100(few, "x") == pytest.approx(per_100(many, "x"))
    # Deviations -0.1 and 0.1 of the mean 0.2: sqrt(0.02) / 2 a request.
    assert per_100(few, "x")["high"] == pytest.approx(20 + 100 * 1.96 * 0.02**0.5 / 2)


def test_pairs_in_the_same_order():
    assert alike({"a": 1, "b": 2, "c": 3}, {"a": 10, "b": 30, "c": 20}) == (2, 3)
    assert alike({"a": 1}, {"a": 10, "b": 30}) == (0, 0)
    assert correlation([1, 2, 3], [10, 30, 20]) == pytest.approx(0.5)
    assert correlation([1, 1], [1, 2]) is None


def test_all_figures_of_three_days():
    found = figures(requests(), NIGHTS, trial(stopped=1, outcome="rolled back", reasons=("✗ less",)), 3)
    # The champion's: u1 on three days, u2 on one.
    assert found["per_100"]["champion"]["mean"] == pytest.approx(100 * (3 * 0.1 + 0.2) / 4)
    assert found["lift"]["mean"] == pytest.approx(0.5 / 0.2 - 1)
    assert [night["lift"]["mean"] for night in found["nights"]] == pytest.approx([0.4 / 0.15 - 1, 1.0])
    assert found["of_oracle"] == pytest.approx(0.5 / 1.6)
    assert found["drawn"]["bought"] == 1
    assert found["same"] == 1
    assert [one["day"] for one in found["daily"]] == [0, 1, 2]
    assert [night["requests"] for night in found["nights"]] == [4, 2]
    assert found["nights"][0]["sold"] == pytest.approx({"popularity": 5, "ease": 12})
    assert found["order"]["test_pairs"] == [2, 2]
    assert found["order"]["validation_pairs"] == [1, 2]
    assert found["order"]["mean_correlation"] == pytest.approx(1)
    story = found["trial"]
    assert (story["exposed"], story["exposed_shoppers"]) == (2, 1)
    assert story["lost"] == pytest.approx(2 * 0.75 * 0.2)
    assert story["by_hand"]["lost"] == pytest.approx(2 * 0.75 * 0.3)


@pytest.mark.parametrize(
    ("days", "planned"), [(3, None), (4, (0, 4)), (14, (0, 5)), (15, (5, 10)), (30, (10, 15))]
)
def test_the_trial_begins_after_a_night_and_leaves_days_before_the_next(days, planned):
    one = Trial.planned(days, 5)
    assert (None if one is None else (one.day, one.until)) == planned


# --- the page -------------------------------------------------------------------------------------------


def said(text):
    return " ".join(re.sub(r"<style.*?</style>|<[^>]+>", " ", text, flags=re.S).split())


def test_the_page_says_what_came_of_it():
    story = trial(stopped=2, outcome="rolled back", reasons=("✗ fewer <purchases>",))
    text = page(figures(requests(), NIGHTS, story, 3))
    words = said(text)
    assert "In 3 days the champion sold 150% more than popularity would have" in words
    assert "on the evening of day 3 (rolled back), after 2 days" in words
    assert "Until the second night it is +167% (+100% to +300%), after the last one +100%" in words
    assert "2 requests of 1 shoppers met it." in words
    assert "Of 2 pairs 2 stand in the same order" in words
    assert "&lt;purchases&gt;" in text
    assert text.count("<polygon") == 3 + 2
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert text == page(figures(requests(), NIGHTS, story, 3))


def test_a_page_on_the_way_says_so():
    words = said(page(figures(requests(), NIGHTS, trial(), 30)))
    assert "30 days were asked for, so this is the page so far" in words
    assert "The second gate has not stopped it so far." in words


def test_without_a_trial_the_page_says_that_days_were_too_few():
    assert "too few for an experiment" in said(page(figures(requests(), NIGHTS, None, 3)))
