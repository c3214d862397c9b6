"""Histograms of a handful of events, counted by hand."""

import numpy as np
import pandas as pd
import pytest

from recgan.evaluation.profile import (
    MAX_CATEGORIES,
    Bins,
    catalogue,
    event_histograms,
    fix_bins,
    item_histograms,
)

ITEMS = pd.DataFrame(
    {
        "item_id": ["a", "b", "c", "d"],
        "title": "",
        "category": ["tea", "tea", "cups", None],
        "brand": "",
        "price": [5.0, np.nan, 20.0, 8.0],
    }
)
VOCABULARY = ["c", "a", "b"]


@pytest.fixture
def known():
    return catalogue(ITEMS, VOCABULARY, [7, 9, 7])


def log(*rows):
    frame = pd.DataFrame(rows, columns=["item_id", "event", "hour", "price"])
    frame["timestamp"] = pd.to_datetime("2026-01-01", utc=True) + pd.to_timedelta(frame.pop("hour"), unit="h")
    return frame.assign(price=frame["price"].astype(float))


EVENTS = log(
    ("a", "view", 0, None),  # 5, the item's own price
    ("a", "purchase", 1, 6),
    ("b", "view", 25, None),  # no price at all
    ("c", "view", 23, 20),
    ("new", "view", 23, 1),  # in no table
    ("d", "cart", 23, 8),  # in the items table, not in the vocabulary
)


def positive(histogram):
    return {label: count for label, count in histogram.items() if count}


def test_every_event_is_in_one_bin_of_each_histogram(known):
    bins = Bins(("tea",), (5.0, 10.0))
    found = event_histograms(EVENTS, known, bins)
    totals = {name: sum(histogram.values()) for name, histogram in found.items()}
    assert totals == dict.fromkeys(found, 6) | {"popularity": 4}  # of items in the vocabulary
    assert positive(found["kind"]) == {"view": 4, "purchase": 1, "cart": 1}
    assert positive(found["hour"]) == {"0": 1, "1": 2, "23": 3}
    assert positive(found["category"]) == {"tea": 3, "(other)": 1, "(none)": 2}
    # By popularity: a (9), then c and b (7 each, by place); a third is the 1st, 4th and 7th tenth.
    assert positive(found["popularity"]) == {"1": 2, "4": 1, "7": 1}
    assert found["price"] == {"≤ 5": 2, "≤ 10": 2, "above": 1, "(none)": 1}


def test_recommended_items_are_counted_place_by_place(known):
    found = item_histograms(pd.Series(["a", "a", "c", "b", "gone"]), known, Bins(("tea", "cups"), (5.0,)))
    assert positive(found["category"]) == {"tea": 3, "cups": 1, "(none)": 1}
    assert positive(found["popularity"]) == {"1": 2, "4": 1, "7": 1}
    assert positive(found["price"]) == {"≤ 5": 2, "above": 1, "(none)": 2}


def test_the_bins_come_from_the_reference(known):
    bins = fix_bins(EVENTS, known)
    assert bins.categories == ("tea", "cups")
    assert bins.price_edges == tuple(np.unique(np.quantile([5, 6, 20, 1, 8], np.arange(1, 10) / 10)))
    assert fix_bins(EVENTS.assign(price=np.nan), catalogue(ITEMS.assign(price=np.nan), ["a"], [1])) == Bins(
        ("tea", "cups"), ()
    )


def test_rare_categories_go_together():
    items = pd.DataFrame(
        {
            "item_id": [f"i{item}" for item in range(80)],
            "category": [f"c{item}" for item in range(80)],
            "price": 1.0,
        }
    )
    events = log(*[(f"i{item}", "view", 0, None) for item in range(80) for _ in range(item + 1)])
    known = catalogue(items, items["item_id"].tolist(), [1] * 80)
    bins = fix_bins(events, known)
    assert bins.categories == tuple(f"c{item}" for item in range(79, 79 - MAX_CATEGORIES, -1))
    found = event_histograms(events, known, bins)["category"]
    assert found["(other)"] == sum(range(1, 31))
