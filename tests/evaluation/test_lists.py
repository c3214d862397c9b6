"""What candidates show, by hand: five shoppers, the most shown products, and the page that names them."""

import copy
import json

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from recgan.evaluation.lists import shown_lists, spread
from recgan.evaluation.page import render
from recgan.evaluation.showcase import product_of, showcase
from recgan.features.matrices import ColdStart, Features, HeldOut, Outside
from tests.evaluation.test_report import summary, tree, verdict, words

NAMES = ("rcgan", "popularity", "ease")


@pytest.fixture
def features():
    """Two shoppers, four products, and one more that only the test window sells."""
    history = csr_array(np.array([[1, 1, 0, 0], [0, 0, 2, 0]], dtype=np.float32))
    ages = csr_array((np.array([3, 1, 2], np.float32), history.indices, history.indptr), shape=(2, 4))
    held_out = csr_array(np.array([[0, 0, 1, 1], [1, 0, 0, 0]], dtype=np.float32))
    new = csr_array(np.array([[1], [0]], dtype=np.float32))
    table = pd.DataFrame(
        {
            "item_id": ["a", "b", "c", "d"],
            "title": ["Red shoes", "<b>Blue</b> bag", None, "Green hat"],
            "brand": ["Red", "Bravo", "Cee", None],
            "price": [1234.5, np.nan, 3.0, 4.0],
            "image_url": [
                "data:image/png;base64,AA",
                "javascript:alert(1)",
                None,
                "https://shop.example/d.png",
            ],
        }
    )
    cold = pd.DataFrame({"item_id": ["z"], "title": ["New lamp"], "first_sold": [True]})
    window = HeldOut(
        user_ids=np.array(["anna@shop.example", "bob"], dtype=object),
        history=history,
        held_out=held_out,
        ages=ages,
        held_out_times=np.array([9.0, 8.0, 7.0]),
        outside=Outside(np.array(["z"], dtype=object), new, np.array([8.5])),
    )
    return Features(
        train=history,
        train_validation=history,
        user_ids=window.user_ids,
        items=table,
        validation=None,
        test=window,
        summary={},
        cold_test=ColdStart(cold, window.user_ids, history, new),
    )


@pytest.fixture
def lists(features):
    ranking = np.array([[2, 0, -1], [0, 1, 3]], dtype=np.int32)
    return shown_lists(
        dict.fromkeys(NAMES, ranking),
        dict.fromkeys(NAMES, np.array([3, 0, 1], dtype=np.int32)),
        features,
        np.array([0, 1]),
        2,
        0,
    )


def test_histories_lists_and_what_was_taken_by_hand(lists):
    first, second = sorted(lists["shoppers"], key=lambda one: one["had"])
    assert first["had"] == ["b", "a"]  # b a day ago, a three
    assert first["took"] == ["d", "z", "c"]  # on days 8, 8.5 and 9
    assert first["lists"]["ease"] == ["c", "a"]
    of_all = {name: ["a", "b"] for name in NAMES}
    assert second == {"had": ["c"], "had_in_all": 1, "took": ["a"], "lists": of_all}
    assert lists["first_list"]["ease"] == ["d", "a"]


def test_what_is_shown_most_and_who_takes_it_by_hand(lists):
    assert lists["most_shown"]["ease"] == [
        {"item": "a", "shown": 1.0, "took": 0.5},
        {"item": "b", "shown": 0.5, "took": 0.0},
        {"item": "c", "shown": 0.5, "took": 0.5},
    ]


def test_products_are_known_by_what_the_items_table_has(lists):
    assert set(lists["items"]) == {"a", "b", "c", "d", "z"}
    assert lists["items"]["z"] == {"title": "New lamp"}
    assert lists["items"]["c"] == {"brand": "Cee", "price": 3.0}
    assert "shop.example/" in json.dumps(lists)
    assert "anna" not in json.dumps(lists)


def test_a_product_in_words():
    shown = product_of("a", {"title": "Red shoes", "brand": "red", "category": "Shoes", "price": 1234.5})
    assert (shown.name, shown.about, shown.picture) == ("Red shoes", "1,234.50", None)
    assert product_of("b", {"title": "Bag", "brand": "Bravo", "category": "bags"}).about == "Bravo · bags"
    assert product_of("anna@shop.example", {}).name == "a…@…"
    for address in ("javascript:alert(1)", "data:text/html,x", "http://shop.example/a.png", "/a.png", None):
        assert product_of("a", {"image_url": address}).picture is None
    assert product_of("a", {"image_url": "data:image/png,x"}).picture == "data:image/png,x"


def test_hits_are_marked_and_counted(lists):
    one, other = sorted(showcase(lists, "ease").shoppers, key=lambda one: one.took, reverse=True)
    assert [(product.name, hit) for product, hit in one.offered] == [("c", True), ("Red shoes", False)]
    assert (one.hits, one.took, [missed.name for missed in one.missed], one.missed_more) == (
        *(1, 3, ["Green hat", "New lamp"], 0),
    )
    assert (other.hits, other.missed) == (1, [])


def test_shoppers_are_spread_over_the_lengths_of_histories_and_drawn_by_the_seed():
    lengths = np.repeat([0, 1, 2, 3, 4, 5], 20)
    chosen = spread(lengths, 0)
    assert [int(lengths[row]) for row in chosen] == [1, 2, 3, 4, 5]
    assert chosen == spread(lengths, 0)
    assert chosen != spread(lengths, 1)
    assert sorted(spread(np.array([0, 7, 0, 2]), 0)) == [1, 3]
    assert spread(np.array([0, 0]), 0) == []


def test_the_page_shows_them_and_runs_nothing_of_a_title(lists):
    html = render(summary(), lists=lists)
    assert "<b>Blue" not in html
    assert "&lt;b&gt;Blue&lt;/b&gt; bag" in html
    assert "javascript:" not in html
    found = tree(html)
    pictures = {one.get("src") for one in found.iter("img")}
    assert pictures == {"data:image/png;base64,AA", "https://shop.example/d.png"}
    for one in found.iter("img"):
        assert (one.get("loading"), one.get("alt")) == ("lazy", "")
    cards = found.findall(".//article[@class='card']")
    assert [words(card.find("h3")) for card in cards][-1] == "Somebody new"
    marked = [words(one) for one in found.iter("li") if one.get("class") == "hit"]
    assert sorted(marked) == ["Red shoes 1,234.50✓ chosen", "c Cee · 3.00✓ chosen"]
    rows = [[words(cell) for cell in row] for row in found.findall(".//section[@id='shown']//tbody/tr")]
    assert rows[0] == ["Red shoes 1,234.50", "100.0%", "50.0%"]


def test_the_lists_are_those_of_the_candidate_that_was_judged(lists):
    other = copy.deepcopy(lists)
    other["first_list"]["ease"] = ["z"]
    html = render(summary(), lists=other, verdict=verdict("ease", promoted=True, live="3"))
    new = next(one for one in tree(html).iter("article") if one.get("id") == "first-list")
    assert [words(one) for one in new.iter("li")] == ["New lamp"]
