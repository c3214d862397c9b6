"""What the explorer's page is answered: the same lists as the shop's, explained by an independent count."""

import json
import re
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from recgan.__main__ import serve
from recgan.package import store
from recgan.package.packaged import Catalogue, Confidence, PackagedRecommender
from recgan.package.shoppers import SHOPPERS, Shoppers, read_shoppers, write_shoppers
from recgan.recommenders.ease.recommender import EASE
from recgan.recommenders.two_stage.reasons import Reason
from recgan.registry import versions
from recgan.registry.tracking import connect
from recgan.serving import server
from recgan.serving.app import create_app
from recgan.serving.explorer import challenger as challenger_module
from recgan.serving.explorer import why as why_module
from recgan.serving.explorer.challenger import ChallengerWatch
from recgan.serving.explorer.routes import explorer
from recgan.serving.explorer.search import Lines
from recgan.serving.explorer.why import why
from recgan.serving.model import ServedModel
from recgan.serving.schema import MAX_HISTORY, Event, Filters
from tests.package.conftest import ITEMS, USERS, dated_features, shop_features
from tests.serving.conftest import buying, ids, promote, register, until
from tests.serving.test_model import WEIGHTS, Echo

HOME = "http://127.0.0.1:8000"
API = "/explorer/api"


def looking(name):
    """An app with the explorer, asked as this machine is."""
    return TestClient(
        create_app(name, poll_seconds=3600, exposure="local"), HOME, raise_server_exceptions=False
    )


@pytest.fixture(scope="module")
def client(shop):
    """Champion and challenger are loaded; nothing is asked of the registry again."""
    promote(shop, "1")
    with looking(shop) as client:
        until(lambda: lists(client, history=[])["challenger"]["state"] == "ready")
        yield client


def ask(client, path, **request):
    answer = client.post(path, json=request)
    assert answer.status_code == 200, answer.text
    return answer.json()


def lists(client, **request):
    return ask(client, f"{API}/lists", **request)


def stored(answer):
    return [item["item_id"] for item in answer["stored"]]


REQUESTS = [
    {"user_id": "user-7", "k": 5},
    {"user_id": "user-8", "k": 48, "exclude_seen": False},
    {"user_id": "user-9", "history": buying(0, 3), "categories": ["taste-1", "taste-3"], "max_price": 40},
    {"history": buying(4, 10, 16), "k": 7, "min_price": 3},
    {"history": []},
    {"user_id": "nobody"},
]


@pytest.mark.parametrize("request_", REQUESTS)
def test_the_champions_list_is_what_the_shop_is_answered(client, request_):
    answer, expected = lists(client, **request_), ask(client, "/recommend", **request_)
    assert ids(answer["champion"]) == ids(expected)
    assert [item["score"] for item in answer["champion"]["items"]] == [
        item["score"] for item in expected["items"]
    ]
    assert answer["champion"]["version"] == "1"
    assert answer["user_known"] == expected["user_known"]


def test_the_challengers_list_is_what_the_shop_will_be_answered(client, shop):
    promote(shop, "2")
    with TestClient(create_app(shop, poll_seconds=3600, exposure="any")) as later:
        expected = [ask(later, "/recommend", **request) for request in REQUESTS]
    promote(shop, "1")
    for request, answered in zip(REQUESTS, expected, strict=True):
        answer = lists(client, **request)
        assert answer["challenger"]["version"] == answered["model"]["version"] == "2"
        assert ids(answer["challenger"]) == ids(answered)
    answer = lists(client, history=buying(4))
    assert ids(answer["challenger"]) != ids(answer["champion"])


DATED = [
    {"user_id": "user-7", "exclude_seen": False},
    {"user_id": "user-7", "history": buying(4, 10), "exclude_seen": False},
    {"user_id": "user-8", "history": [{"item_id": "item-4", "timestamp": "2026-01-08T12:00:00"}]},
    {"history": [{"item_id": "item-4", "timestamp": 1.7e9}, {"item_id": "item-9", "timestamp": 1.7001e9}]},
]


@pytest.mark.parametrize("request_", DATED)
def test_the_page_weighs_by_age_as_the_shop_is_answered(store_env, tmp_path, request_):
    """A recommender that halves what is two days older, and shoppers whose histories have ages."""
    features = dated_features()
    write_shoppers(features, tmp_path / SHOPPERS)
    shoppers = read_shoppers(tmp_path / SHOPPERS, ITEMS)
    item_ids, popularity = (
        features.items["item_id"].tolist(),
        features.items["popularity"].to_numpy(np.float32),
    )
    weights = Confidence(dict.fromkeys(WEIGHTS, 1.0), True, None, None)

    def served(half_life_days):
        ease = EASE(5, half_life_days).fit(features.train)
        return ServedModel("m", "1", PackagedRecommender(ease, item_ids, popularity, None, weights, shoppers))

    app, request_ = create_app("nobody", poll_seconds=3600, exposure="any"), request_ | {"k": ITEMS}
    with TestClient(app, HOME) as client:
        app.state.watch.serving = served(2.0)
        answer, expected = lists(client, **request_), ask(client, "/recommend", **request_)
        assert ids(answer["champion"]) == ids(expected)
        scores = [[item["score"] for item in one["items"]] for one in (answer["champion"], expected)]
        assert scores[0] == pytest.approx(scores[1], rel=1e-5, abs=1e-7)
        best = ids(expected)[2]
        found = ask(client, f"{API}/why", **request_, item_id=best)
        assert found["rank"] == 3
        for one in found["influences"]:
            other = one["item"]["item_id"]
            similar = ids(client.get(f"/similar?item_id={other}&k=47").json())
            assert one["alone"] == (similar.index(best) + 1 if best in similar else None)
            left = [event for event in request_.get("history", []) if event["item_id"] != other]
            without = lists(client, **(request_ | {"history": left}), removed=[other])
            assert ids(without["champion"]).index(best) + 1 == one["without"]
        app.state.watch.serving = served(None)
        unweighed = [item["score"] for item in ask(client, "/recommend", **request_)["items"]]
        assert unweighed != pytest.approx(scores[1], rel=0.01)


@pytest.mark.parametrize("request_", REQUESTS)
def test_popularity_leaves_out_what_is_seen_as_the_models_do(client, request_):
    features = shop_features()
    answer = lists(client, **request_)
    events = {event["item_id"] for event in request_.get("history", [])}
    seen = events | set(stored(answer)) if request_.get("exclude_seen", True) else set()
    everything = {item["item_id"]: item for item in lists(client, history=[], k=ITEMS)["popularity"]["items"]}
    order = np.argsort(-features.items["popularity"].to_numpy(), kind="stable")
    expected = []
    for item_id in features.items["item_id"].to_numpy()[order]:
        price, category = everything[item_id]["price"], everything[item_id]["category"]
        if request_.get("categories") and category not in request_["categories"]:
            continue
        if "min_price" in request_ and (price is None or price < request_["min_price"]):
            continue
        if "max_price" in request_ and (price is None or price > request_["max_price"]):
            continue
        if item_id not in seen:
            expected.append(item_id)
    assert ids(answer["popularity"]) == expected[: request_.get("k", 10)]


def test_a_stored_history_is_listed_with_what_is_known_of_it(client):
    features = shop_features()
    known = (features.test.history + features.test.held_out)[[7]].indices
    answer = lists(client, user_id="user-7")
    assert set(stored(answer)) == {f"item-{item}" for item in known}
    assert all(item["confidence"] == 1 and not item["removed"] for item in answer["stored"])
    titles = {None if item == 19 else f"Item {item}" for item in known}
    assert {item["title"] for item in answer["stored"]} == titles
    assert not answer["edited"]
    assert all(item["before"] is None for item in answer["champion"]["items"])


def test_taking_items_out_is_a_history_without_them(client):
    everything = stored(lists(client, user_id="user-7"))
    out, rest = everything[:3], everything[3:]
    answer = lists(client, user_id="user-7", removed=[*out, "no such item"], k=48)
    explicit = ask(client, "/recommend", history=[{"item_id": item} for item in rest], k=48)
    assert ids(answer["champion"]) == ids(explicit)
    assert set(out) <= set(ids(answer["popularity"]))
    assert [item["item_id"] for item in answer["stored"] if item["removed"]] == out
    back = lists(client, user_id="user-7", removed=out, history=[{"item_id": item} for item in out])
    assert ids(back["champion"]) == ids(lists(client, user_id="user-7")["champion"])


@pytest.mark.parametrize("column", ["champion", "challenger", "popularity"])
def test_movements_are_against_the_unedited_list(client, column):
    originally = ids(lists(client, user_id="user-7", k=48)[column])
    k, taken = 8, stored(lists(client, user_id="user-7"))[:2]
    edit = {"history": buying(0, 6), "removed": taken}
    answer = lists(client, user_id="user-7", k=k, **edit)
    assert answer["edited"]
    for item in answer[column]["items"]:
        place = originally.index(item["item_id"]) + 1 if item["item_id"] in originally else None
        assert item["before"] == place
    gone = {item["item_id"]: item for item in answer[column]["gone"]}
    assert set(gone) == set(originally[:k]) - set(ids(answer[column]))
    for item_id, item in gone.items():
        assert item["before"] == originally.index(item_id) + 1
        assert item["seen"] == (item_id in ("item-0", "item-6"))


def test_added_events_say_whether_they_count(client):
    events = [
        {"item_id": "item-1", "event": "rating", "value": 1},
        {"item_id": "item-2", "event": "rating", "value": 5},
        {"item_id": "gone"},
    ]
    answer = lists(client, history=events)
    assert [added["worth"] for added in answer["added"]] == [0, 1, 0]
    assert [added["item"] and added["item"]["title"] for added in answer["added"]] == [
        "Item 1",
        "Item 2",
        None,
    ]
    assert answer["champion"]["unknown_items"] == ["gone"]


# --- why ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["champion", "challenger"])
@pytest.mark.parametrize(
    "request_",
    [
        {"user_id": "user-7"},
        {"user_id": "user-10", "history": buying(0, 5), "removed": ["item-4"], "exclude_seen": False},
        {"history": buying(9), "max_price": 30},
    ],
)
def test_why_is_ranks_in_similar_lists_and_in_lists_without(client, shop, column, request_):
    """Counted in /similar's and /recommend's whole lists of that version."""
    answer = lists(client, **request_, k=ITEMS)
    version = answer[column]["version"]
    shown = ids(answer[column])
    packaged = store.load_version(shop, version)
    served = ServedModel(shop, version, packaged)
    filters = {name: request_[name] for name in ("max_price",) if name in request_}
    history = [
        *(item for item in stored(answer) if item not in request_.get("removed", [])),
        *(event["item_id"] for event in request_.get("history", [])),
    ]
    for item_id in (shown[0], shown[5]):
        found = ask(client, f"{API}/why", **request_, item_id=item_id, column=column)
        assert (found["rank"], found["version"]) == (shown.index(item_id) + 1, version)
        assert found["ranked"] == len(shown)
        assert sorted(one["item"]["item_id"] for one in found["influences"]) == sorted(set(history))
        for one in found["influences"]:
            other = one["item"]["item_id"]
            similar = [item.item_id for item in served.rank(served.item(other), ITEMS).items]
            assert one["alone"] == (similar.index(item_id) + 1 if item_id in similar else None)
            rest = [Event(item_id=item) for item in history if item != other]
            mask, _ = served.allowed(Filters(**filters))
            without = served.rank(served.history(rest), ITEMS, request_.get("exclude_seen", True), mask)
            assert one["without"] == [item.item_id for item in without.items].index(item_id) + 1
        alone = [one["alone"] for one in found["influences"] if one["alone"] is not None]
        assert alone == sorted(alone)


def test_nearest_items_agree_with_similar(client):
    answer = lists(client, user_id="user-7")
    best = ids(answer["champion"])[0]
    found = ask(client, f"{API}/why", user_id="user-7", item_id=best)
    for one in found["influences"]:
        similar = ids(client.get(f"/similar?item_id={one['item']['item_id']}&k=47").json())
        assert similar.index(best) + 1 == one["alone"]


def test_only_the_largest_confidences_are_tried(monkeypatch):
    served = ServedModel("m", "1", PackagedRecommender(Echo(), list("abcde"), np.arange(5, dtype=np.float32)))
    confidences = {"a": 1, "b": 3, "c": 2, "d": 4}
    served.packaged.confidence = Confidence(WEIGHTS | {"view": 1.0}, False, None, None)
    history = served.history([Event(item_id=item, event="view") for item in "abbbccdddd"])
    assert dict(zip("abcd", history.confidences.tolist(), strict=True)) == confidences
    monkeypatch.setattr(why_module, "MAX_TRIED", 2)
    found = why(served, history, "e", True, None)
    assert {one.item.item_id for one in found.influences} == {"b", "d"}
    assert (found.history, found.rank) == (4, 1)


class Tells(Echo):
    """A recommender that says itself what speaks for an item."""

    def reasons(self, user_items, ages, position):
        assert ages.shape == user_items.shape
        return [Reason("brand", 0.5, int(user_items.indices[0])), Reason("rising", 0.25, None)]


def test_a_recommender_that_can_tells_what_speaks_for_an_item():
    served = ServedModel(
        "m", "1", PackagedRecommender(Tells(), list("abcde"), np.arange(5, dtype=np.float32))
    )
    found = why(served, served.history([Event(item_id="b")]), "e", True, None)
    assert [(one.kind, one.item and one.item.item_id, one.earned) for one in found.reasons] == [
        ("brand", "b", 0.5),
        ("rising", None, 0.25),
    ]


def test_a_history_without_anything_explains_nothing(client):
    best = ids(lists(client, history=[])["champion"])[0]
    found = ask(client, f"{API}/why", history=[], item_id=best)
    assert (found["influences"], found["history"], found["rank"]) == ([], 0, 1)


def test_what_is_not_in_the_list_has_no_rank(client):
    found = ask(client, f"{API}/why", history=buying(1), item_id="item-1")
    assert found["rank"] is None
    unknown = client.post(f"{API}/why", json={"history": [], "item_id": "gone"})
    assert unknown.status_code == 404
    assert "knows no item 'gone'" in unknown.json()["detail"]


# --- searching ------------------------------------------------------------------------------------------


def get(client, path, **query):
    answer = client.get(f"{API}/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_shoppers_are_found_by_a_part_of_their_id(client):
    found = [one["user_id"] for one in get(client, "shoppers", q="USER-14", limit=20)]
    assert found == ["user-14", *(f"user-14{digit}" for digit in range(10))]
    assert [one["user_id"] for one in get(client, "shoppers", q="r-149")] == ["user-149"]
    assert get(client, "shoppers", q="user-1499") == []
    assert len(get(client, "shoppers", limit=3)) == 3
    assert get(client, "shoppers", q="user-7")[0]["items"] == len(stored(lists(client, user_id="user-7")))


def test_somebody_at_random_has_a_history(client):
    found = Counter(get(client, "shoppers/random")["user_id"] for _ in range(40))
    assert len(found) > 5
    assert f"user-{USERS - 1}" not in found or lists(client, user_id=f"user-{USERS - 1}")["stored"]


def test_items_are_found_by_id_title_and_category_the_popular_first(client):
    assert get(client, "items", q="item-17")[0]["item_id"] == "item-17"
    by_title = {one["title"] for one in get(client, "items", q="  ITEM   4 ", limit=20)}
    assert by_title == {"Item 4", *(f"Item {number}" for number in range(40, 48))}
    features = shop_features()
    popular = dict(zip(features.items["item_id"], features.items["popularity"], strict=True))
    found = get(client, "items", q="taste-2", limit=20)
    assert {one["category"] for one in found} == {"taste-2"}
    counts = [popular[one["item_id"]] for one in found]
    assert counts == sorted(counts, reverse=True)


TEXTS = st.text("aAbß\t\n Σς", max_size=6)


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXTS, max_size=8), TEXTS)
def test_a_search_finds_every_line_with_the_words_and_no_other(texts, q):
    words = " ".join(q.casefold().split())
    folded = [text.casefold().replace("\n", " ") for text in texts]
    found = Lines(texts).find(q, 20)
    assert sorted(found) == [line for line, text in enumerate(folded) if words in text]
    assert len(Lines(texts).find(q, 2)) == min(2, len(found))
    exact = [line for line, text in enumerate(folded) if text == words]
    if words:
        assert found[: len(exact)] == exact


def test_the_state_says_what_can_be_asked(client, shop):
    state = get(client, "state")
    assert state["model"] == {"name": shop, "version": "1"}
    assert (state["shoppers"], state["items"], state["prices"]) == (USERS, ITEMS, True)
    assert state["categories"] == [f"taste-{taste}" for taste in range(6)]
    assert {kind["event"] for kind in state["kinds"]} == {"view", "cart", "purchase", "rating"}


# --- limits and failures --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "request_", "says"),
    [
        ("lists", {}, "give a history"),
        ("lists", {"history": [], "k": 101}, "less than or equal to 100"),
        ("lists", {"history": buying(*range(MAX_HISTORY + 1))}, "at most"),
        ("lists", {"user_id": "u", "removed": ["x"] * (MAX_HISTORY + 1)}, "at most"),
        ("lists", {"history": [], "min_price": 2, "max_price": 1}, "above max_price"),
        ("lists", {"history": [], "colour": "red"}, "not permitted"),
        ("why", {"history": []}, "required"),
        ("why", {"history": [], "item_id": "a", "column": "popularity"}, "'champion' or 'challenger'"),
    ],
)
def test_a_422_says_what_is_wrong(client, path, request_, says):
    answer = client.post(f"{API}/{path}", json=request_)
    assert answer.status_code == 422
    assert any(says in fault["msg"] for fault in answer.json()["detail"])


@pytest.mark.parametrize(
    "query", ["shoppers?limit=0", "shoppers?limit=21", "items?hue=red", f"items?q={'x' * 257}"]
)
def test_a_search_has_limits(client, query):
    assert client.get(f"{API}/{query}").status_code == 422


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
SOME = st.fixed_dictionaries(
    {},
    optional={
        "history": st.lists(st.fixed_dictionaries({"item_id": st.text(max_size=8)}), max_size=3),
        "user_id": st.sampled_from(["user-1", "nobody"]) | st.text(max_size=8),
        "item_id": st.sampled_from(["item-1", "item-9"]) | st.text(max_size=8),
        "removed": st.lists(st.sampled_from(["item-1", "item-7"]) | st.text(max_size=8), max_size=3),
        "column": st.sampled_from(["champion", "challenger", "popularity"]),
        "exclude_seen": st.booleans(),
        "categories": st.lists(st.text(max_size=8), max_size=3),
    },
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["lists", "why"]), SOME | ANYTHING)
def test_no_request_is_a_5xx(client, path, request):
    answer = client.post(
        f"{API}/{path}", content=json.dumps(request), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in (200, 404, 422), answer.text


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(["shoppers", "items"]), st.binary(max_size=12))
def test_no_search_is_a_5xx(client, path, raw):
    query = "".join(f"%{byte:02x}" for byte in raw)
    assert client.get(f"{API}/{path}?q={query}").status_code in (200, 422)


def test_hostile_titles_come_through_as_text(store_env):
    titles = ["<script>alert(1)</script>", "</textarea><img src=x onerror=alert(1)>", "\u202ereversed", None]
    packaged = PackagedRecommender(
        Echo(),
        ["a", "b", "<b>c</b>", "d"],
        np.arange(4, dtype=np.float32),
        Catalogue(titles, ["<i>", None, "\0", "x\ty"], [1.0, None, 2.0, 3.0]),
        None,
        Shoppers({"<u>": 0}, csr_array(np.array([[1, 0, 0, 0]], dtype=np.float32))),
    )
    app = FastAPI()
    app.include_router(explorer(lambda: ServedModel("m", "1", packaged), "nobody"))
    with TestClient(app, HOME) as client:
        answer = client.post(f"{API}/lists", json={"user_id": "<u>"})
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["stored"][0]["title"] == titles[0]
        assert {item["title"] for item in answer.json()["popularity"]["items"]} == set(titles[1:])
        assert get(client, "items", q="<script>")[0]["title"] == titles[0]
        assert get(client, "items", q="x y")[0]["item_id"] == "d"


def test_pages_and_answers_carry_no_permission_to_run_anything_else(client):
    for file, kind in [
        ("", "html"),
        ("/explorer.js", "javascript"),
        ("/view.js", "javascript"),
        ("/explorer.css", "css"),
    ]:
        answer = client.get(f"/explorer{file}")
        assert answer.status_code == 200
        assert kind in answer.headers["content-type"]
        assert "default-src 'self'; img-src 'self' data: https:;" in answer.headers["content-security-policy"]
        assert "http://" not in answer.text.replace("http://www.w3.org/", "")
        assert "https://" not in answer.text
        assert "innerHTML" not in answer.text
    assert client.get(f"{API}/state").headers["cache-control"] == "no-store"
    for path in ("/explorer/routes.py", "/explorer/..%2fschema.py", "/explorer/api/none"):
        assert client.get(path).status_code == 404


def test_without_a_champion_the_challenger_is_shown_beside_why_there_is_none(params, store_env, tmp_path):
    """The first version that the gate refuses is what people want to look at."""
    assert register(tmp_path, params, "refused") == "1"
    with looking("refused") as client:
        state = client.get(f"{API}/state").json()
        assert state["model"] == {"name": "refused", "version": "1"}
        assert client.get(f"{API}/shoppers?q=user-7").json()[0]["user_id"] == "user-7"
        answer = lists(client, user_id="user-7", k=5)
        assert answer["model"]["version"] == answer["challenger"]["version"] == "1"
        assert (answer["champion"]["state"], answer["champion"]["items"]) == ("none", [])
        assert "refused has no champion" in answer["champion"]["message"]
        assert len(answer["popularity"]["items"]) == 5
        assert client.post("/recommend", json={"user_id": "user-7"}).status_code == 503
        promote("refused", "1")
        client.app.state.watch.look()
        now = lists(client, user_id="user-7", k=5)
        assert ids(now["champion"]) == ids(answer["challenger"])
        why = ask(client, f"{API}/why", history=buying(1), item_id="item-7")
        assert why["version"] == "1"


def test_without_any_version_the_page_is_there_and_its_questions_say_why(store_env):
    with looking("nobody") as client:
        assert client.get("/explorer").status_code == 200
        for answer in (
            client.get(f"{API}/state"),
            client.get(f"{API}/shoppers?q=1"),
            client.get(f"{API}/shoppers/random"),
            client.post(f"{API}/lists", json={"history": []}),
            client.post(f"{API}/why", json={"history": [], "item_id": "a"}),
        ):
            assert answer.status_code == 503
            assert "has no champion" in answer.json()["detail"]


def test_a_package_without_shoppers_or_catalogue_is_explored_too(store_env):
    packaged = PackagedRecommender(Echo(), list("abcd"), np.array([1, 5, 3, 3], dtype=np.float32))
    app = FastAPI()
    app.include_router(explorer(lambda: ServedModel("m", "1", packaged), "nobody"))
    with TestClient(app, HOME) as client:
        state = get(client, "state")
        assert (state["shoppers"], state["categories"], state["prices"]) == (None, [], False)
        assert len(state["kinds"]) == 4
        assert client.get(f"{API}/shoppers/random").status_code == 404
        assert get(client, "shoppers", q="a") == []
        answer = client.post(f"{API}/lists", json={"history": [{"item_id": "c"}], "k": 2}).json()
        assert ids(answer["popularity"]) == ["b", "d"]
        assert answer["challenger"]["state"] == "none"


# --- the challenger -------------------------------------------------------------------------------------


def test_the_challenger_is_loaded_once_however_many_look(shop, monkeypatch):
    good, calls, go = store.load_version, [], threading.Event()

    def slow(name, version):
        calls.append(version)
        assert go.wait(60)
        return good(name, version)

    monkeypatch.setattr(store, "load_version", slow)
    watch = ChallengerWatch(shop, poll_seconds=0)
    lookers = [threading.Thread(target=watch.look) for _ in range(8)]
    for looker in lookers:
        looker.start()
    for looker in lookers:
        looker.join(60)
    assert watch.look().served is None
    go.set()
    until(lambda: watch.look().served is not None)
    assert calls == ["2"]
    assert watch.look().registered.version == "2"


def test_a_challenger_that_does_not_work_leaves_the_other_lists(shop, monkeypatch):
    promote(shop, "1")
    calls = []

    def broken(name, version):
        calls.append(version)
        if version == "2":
            raise OSError("half a file")
        return good(name, version)

    good = store.load_version
    monkeypatch.setattr(store, "load_version", broken)
    with TestClient(create_app(shop, poll_seconds=0.1, exposure="local"), HOME) as client:
        until(lambda: lists(client, history=[])["challenger"]["state"] == "failed")
        for _ in range(3):
            answer = lists(client, history=buying(1))
        assert "half a file" in answer["challenger"]["message"]
        assert ids(answer["champion"]) == ids(ask(client, "/recommend", history=buying(1)))
        assert ids(answer["popularity"])
        assert calls.count("2") == 1
        why_not = client.post(f"{API}/why", json={"history": [], "item_id": "item-1", "column": "challenger"})
        assert why_not.status_code == 503
        monkeypatch.setattr(store, "load_version", good)
        monkeypatch.setattr(challenger_module.time, "monotonic", lambda: 1e12)
        until(lambda: lists(client, history=[])["challenger"]["state"] == "ready")


def test_the_challenger_is_the_last_registered_that_is_not_the_champion(shop, monkeypatch):
    client = connect()
    promote(shop, "1")
    assert versions.challenger(Path(), shop).version == "2"
    assert versions.challenger(Path(), shop).decision is None
    client.set_model_version_tag(shop, "2", "gate.decision", "refuse")
    client.set_model_version_tag(shop, "2", "gate.reasons", "✓ One.\n✗ Another.")
    identity = versions.VersionId("2", client.get_model_version(shop, "2").run_id)
    assert versions.challenger(Path(), shop) == versions.Challenger(
        identity, "refuse", ("✓ One.", "✗ Another.")
    )
    with looking(shop) as looker:
        assert lists(looker, history=[])["verdict"] == {
            "decision": "refuse",
            "reasons": ["✓ One.", "✗ Another."],
        }
        until(lambda: lists(looker, history=[])["challenger"]["state"] == "ready")
    promote(shop, "2")
    assert versions.challenger(Path(), shop) is None
    promote(shop, "1")
    assert versions.challenger(Path(), "nobody") is None


def test_a_registry_that_does_not_answer_leaves_what_is_loaded(shop, monkeypatch):
    watch = ChallengerWatch(shop, poll_seconds=0)
    until(lambda: watch.look().served is not None)

    def gone(root, name):
        raise OSError("the database is gone")

    monkeypatch.setattr(versions, "challenger", gone)
    assert watch.look().served is not None
    assert "the database is gone" in ChallengerWatch(shop).look().problem


# --- who may look ---------------------------------------------------------------------------------------


def test_the_explorer_is_not_there_unless_asked_for(shop):
    with TestClient(create_app(shop, poll_seconds=3600), HOME) as client:
        assert client.get("/explorer").status_code == 404
        assert client.get(f"{API}/shoppers").status_code == 404


def test_the_root_leads_to_the_explorer_or_to_what_there_is(client, shop):
    answer = client.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "explorer")
    assert "What shoppers are shown" in client.get("/").text
    with TestClient(create_app(shop, poll_seconds=3600), HOME) as bare:
        for asked in (bare.get("/"), client.get("/", headers={"Host": "evil.example"})):
            assert asked.status_code == 200
            assert f"<h1>{shop}</h1>" in asked.text
            assert "recgan serve --explorer" in asked.text
            for path in re.findall(r'href="([^"]+)"', asked.text):
                assert bare.get(f"/{path}").status_code in (200, 503)
    assert "/" not in client.get("/openapi.json").json()["paths"]


def test_it_is_no_part_of_the_shops_interface(client):
    assert not any("explorer" in path for path in client.get("/openapi.json").json()["paths"])


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8000", "192.168.1.5", "[", ""])
def test_another_name_for_this_machine_is_refused(client, host):
    for path in ("/explorer", f"{API}/shoppers"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == 403
        assert "recgan serve --explorer" in answer.json()["detail"]


@pytest.mark.parametrize("host", ["localhost:8000", "LOCALHOST", "[::1]:8000", "127.0.0.2:1"])
def test_this_machines_own_names_are_served(client, host):
    assert client.get("/explorer", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("host", "asked", "exposure"),
    [
        (None, None, "local"),
        ("", None, "local"),
        ("127.0.0.1", None, "local"),
        ("::1", None, "local"),
        ("localhost", None, "local"),
        ("0.0.0.0", None, "none"),
        ("::", None, "none"),
        ("192.168.1.5", None, "none"),
        ("shop.example", None, "none"),
        ("0.0.0.0", True, "any"),
        (None, True, "any"),
        (None, False, "none"),
    ],
)
def test_beyond_loopback_it_must_be_asked_for(monkeypatch, capsys, host, asked, exposure):
    if host is None:
        monkeypatch.delenv("RECGAN_HOST", raising=False)
    else:
        monkeypatch.setenv("RECGAN_HOST", host)
    monkeypatch.setattr(server, "serve", lambda *arguments: started.append(arguments))
    started = []
    serve(name="m", port=8000, workers=1, poll_seconds=5.0, explorer=asked, impressions=True)
    assert [one[:6] for one in started] == [("m", 8000, 1, 5.0, exposure, True)]
    assert ("/explorer" in capsys.readouterr().out) == (exposure != "none")


def test_whoever_asks_by_name_is_served_where_that_was_asked_for(shop):
    with TestClient(create_app(shop, poll_seconds=3600, exposure="any"), "http://shop.example") as client:
        assert client.get("/explorer").status_code == 200
