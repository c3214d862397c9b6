"""What is answered: the registry's own answers, filtered and explained."""

import numpy as np
import pytest

from recgan.package.packaged import write_items
from tests.package.conftest import ITEMS, shop_features
from tests.serving.conftest import buying, ids


def recommend(client, **request):
    answer = client.post("/recommend", json=request)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("history", [[1], [1, 7], [2, 9, 40], [5, 11, 17, 23, 29]])
@pytest.mark.parametrize("exclude_seen", [True, False])
def test_agrees_with_the_packaged_recommender(client, packaged, history, exclude_seen):
    answer = recommend(client, history=buying(*history), k=7, exclude_seen=exclude_seen)
    [expected] = packaged.recommend([[f"item-{item}" for item in history]], 7, exclude_seen)
    assert ids(answer) == expected.item_ids
    np.testing.assert_allclose([item["score"] for item in answer["items"]], expected.scores, rtol=1e-6)
    assert not answer["fallback"]


def test_the_model_answers_an_empty_history_and_unknown_items(client, packaged):
    [expected] = packaged.recommend([[]], 5)
    empty = recommend(client, history=[], k=5)
    assert (ids(empty), empty["fallback"]) == (expected.item_ids, False)
    unknown = recommend(client, history=[{"item_id": "gone"}, {"item_id": "gone"}, {"item_id": "é"}], k=5)
    assert ids(unknown) == ids(empty)
    assert unknown["unknown_items"] == ["gone", "é"]


def test_unknown_items_beside_known_ones_change_nothing(client):
    with_unknown = recommend(client, history=[*buying(1), {"item_id": "gone"}])
    assert with_unknown.pop("unknown_items") == ["gone"]
    without = recommend(client, history=buying(1))
    assert without.pop("unknown_items") == []
    assert with_unknown.pop("request_id") != without.pop("request_id")
    assert with_unknown == without


def test_answers_carry_what_the_shop_says_of_an_item(client):
    found = {item["item_id"]: item for item in recommend(client, history=buying(1), k=ITEMS)["items"]}
    assert len(found) == ITEMS - 1
    assert found["item-7"] == {
        "item_id": "item-7",
        "score": found["item-7"]["score"],
        "title": "Item 7",
        "category": "taste-1",
        "price": 7.0,
        "new": False,
        "rule": None,
    }
    assert found["item-13"]["price"] == 100  # the mean price paid, as none is listed
    assert found["item-19"]["title"] is None
    assert found["item-31"]["price"] is None


def test_the_version_is_in_body_and_header(client, shop):
    answer = client.post("/recommend", json={"history": buying(1)})
    assert answer.json()["model"] == {"name": shop, "version": "1"}
    assert answer.headers["x-recgan-model-version"] == "1"
    assert "x-recgan-fallback" not in answer.headers


def test_filters_keep_the_order_of_what_passes(client):
    everything = recommend(client, history=buying(1), k=ITEMS)["items"]
    for filters, passes in [
        ({"categories": ["taste-2", "taste-3"]}, lambda item: item["category"] in ("taste-2", "taste-3")),
        ({"min_price": 40}, lambda item: item["price"] is not None and item["price"] >= 40),
        ({"max_price": 7.0}, lambda item: item["price"] is not None and item["price"] <= 7),
        (
            {"categories": ["taste-1"], "min_price": 8, "max_price": 30},
            lambda item: item["category"] == "taste-1" and 8 <= (item["price"] or 0) <= 30,
        ),
    ]:
        filtered = recommend(client, history=buying(1), k=ITEMS, **filters)["items"]
        assert filtered == [item for item in everything if passes(item)]
        assert 0 < len(filtered) < ITEMS - 1


def test_the_answer_to_an_empty_history_is_filtered_too(client):
    found = recommend(client, history=[], categories=["taste-2"])["items"]
    assert {item["category"] for item in found} == {"taste-2"}
    scores = [item["score"] for item in found]
    assert scores == sorted(scores, reverse=True)


def test_a_category_that_no_item_has_is_said(client):
    answer = recommend(client, history=buying(1), categories=["taste-1", "hats", "hats"])
    assert answer["unknown_categories"] == ["hats"]
    assert {item["category"] for item in answer["items"]} == {"taste-1"}
    assert recommend(client, history=buying(1), categories=["hats"])["items"] == []


@pytest.fixture
def back_end(client, monkeypatch):
    """A caller who may see histories."""
    monkeypatch.setenv("RECGAN_SERVE_TOKEN", "of-the-shop")
    client.headers["Authorization"] = "Bearer of-the-shop"
    yield client
    del client.headers["Authorization"]


def test_a_known_shopper_is_their_history(back_end, packaged):
    client = back_end
    features = shop_features()
    row = 7
    known = (features.test.history + features.test.held_out)[[row]].indices
    answer = recommend(client, user_id=f"user-{row}", k=ITEMS)
    [expected] = packaged.recommend([[f"item-{item}" for item in known]], ITEMS)
    assert ids(answer) == expected.item_ids
    assert answer["user_known"] is True
    assert not {f"item-{item}" for item in known} & set(ids(answer))
    more = recommend(client, user_id=f"user-{row}", history=buying(0), k=ITEMS)
    [expected] = packaged.recommend([[f"item-{item}" for item in [*known, 0]]], ITEMS)
    assert ids(more) == expected.item_ids


def test_an_unknown_shopper_gets_what_nobody_or_the_history_gets(back_end):
    client = back_end
    answer = recommend(client, user_id="nobody")
    assert answer["user_known"] is False
    assert answer["items"] == recommend(client, history=[])["items"]
    with_history = recommend(client, user_id="nobody", history=buying(1))
    assert with_history["items"] == recommend(client, history=buying(1))["items"]


def test_a_low_rating_says_nothing_but_is_seen(client):
    """params.yaml asks for 4 stars; the item is not recommended to somebody who did not like it."""
    low = [{"item_id": "item-2", "event": "rating", "value": 1}, {"item_id": "item-3", "event": "rating"}]
    answer = recommend(client, history=[*buying(1), *low], k=ITEMS)
    assert answer["events_left_out"] == 2
    without = [
        one for one in ids(recommend(client, history=buying(1), k=ITEMS)) if one not in ("item-2", "item-3")
    ]
    assert ids(answer) == without
    high = recommend(client, history=[*buying(1), {"item_id": "item-2", "event": "rating", "value": 4}])
    assert ids(high) == ids(recommend(client, history=buying(1, 2)))


def test_similar_is_a_history_of_the_item_alone(client):
    by_post = client.post("/similar", json={"item_id": "item-1", "k": 3, "max_price": 30})
    by_get = client.get("/similar", params={"item_id": "item-1", "k": 3, "max_price": 30})
    assert by_post.status_code == by_get.status_code == 200
    assert by_post.json() == by_get.json()
    alone = recommend(client, history=buying(1), k=3, max_price=30)
    assert by_get.json()["items"] == alone["items"]
    assert "item-1" not in ids(by_get.json())
    assert {item["category"] for item in alone["items"]} <= {"taste-1", None}
    several = client.get("/similar?item_id=item-1&categories=taste-2&categories=taste-3").json()
    assert {item["category"] for item in several["items"]} == {"taste-2", "taste-3"}


def test_an_unknown_item_has_no_similar_ones(client):
    answer = client.get("/similar", params={"item_id": "gone"})
    assert answer.status_code == 404
    assert "knows no item 'gone'" in answer.json()["detail"]


def test_items_without_columns_are_packaged_as_not_said(tmp_path):
    from recgan.core.files import read_json

    write_items(shop_features().items, tmp_path / "items.json")
    content = read_json(tmp_path / "items.json")
    assert set(content["catalogue"]["prices"]) == set(content["catalogue"]["titles"]) == {None}
    assert "confidence" not in content
