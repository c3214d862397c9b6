"""The rules of the shop in the answers of one version, and by HTTP."""

import json
import os

import numpy as np
import pytest
from fastapi.testclient import TestClient

from recgan.evaluation.exploration_settings import ExploreParams
from recgan.online.rules_file import parse_rules
from recgan.package.packaged import Catalogue, PackagedRecommender
from recgan.serving import shown_before
from recgan.serving.app import create_app
from recgan.serving.exploration import Exploration
from recgan.serving.model import ServedModel
from recgan.serving.rules import RulesWatch, settled
from recgan.serving.shown_before import ShownBefore
from tests.package.conftest import ITEMS
from tests.serving.conftest import buying, ids, promote, until
from tests.serving.test_swaps import metric

N = 12


class Falling:
    """Scores item 0 highest, whatever the history, on any scale."""

    def __init__(self, scale=1.0, shift=0.0):
        self.values = scale * np.linspace(1, 0, N) ** 2 + shift

    def score(self, user_items, ages=None):
        return np.tile(self.values, (user_items.shape[0], 1)).astype(np.float32)


def served(recommender=None):
    catalogue = Catalogue(
        titles=[None] * N,
        categories=["even" if item % 2 == 0 else "odd" for item in range(N)],
        prices=[None] * N,
        brands=["own" if item == N - 1 else None for item in range(N)],
    )
    packaged = PackagedRecommender(
        recommender or Falling(), [f"i{item}" for item in range(N)], np.arange(N, dtype=np.float32), catalogue
    )
    return ServedModel("shop", "1", packaged)


def under(*rules):
    """Return a watch with these rules."""
    watch = RulesWatch()
    watch._now = type(watch._now)(
        found := parse_rules(json.dumps({"rules": rules}).encode(), "-"), found.rules
    )
    return watch


def listed(model, watch, k=4, seen=(), **asked):
    history = (
        model.history([{"item_id": one} for one in seen] and buying()) if not seen else model.history(None)
    )
    left_out = np.array(sorted(int(one[1:]) for one in seen), dtype=np.int32)
    allowed = None
    ranking = model.rank(
        type(history)(**(vars(history) | {"seen": left_out})), k, True, allowed, 0, watch.on(model, **asked)
    )
    return [item.item_id for item in ranking.items], ranking


STOCK = {"name": "sold out", "kind": "out_of_stock", "items": ["i0", "i2", "tomorrow"]}


def test_what_is_out_of_stock_or_blacklisted_is_never_shown_and_the_list_is_filled():
    model, odd = served(), {"name": "no odd ones", "kind": "blacklist", "categories": ["odd"]}
    found, ranking = listed(model, under(STOCK))
    assert (found, ranking.rules, ranking.reordered) == (["i1", "i3", "i4", "i5"], ["sold out"], False)
    found, ranking = listed(model, under(STOCK, odd), k=N)
    assert found == ["i4", "i6", "i8", "i10"]
    assert ranking.rules == ["no odd ones", "sold out"]
    last = {"name": "last", "kind": "blacklist", "items": [f"i{N - 1}"]}
    assert listed(model, under(last))[1].rules is None  # it would not have been listed
    assert under(STOCK).in_force(model).unknown_items == 1


def test_the_blacklist_wins_over_a_pin():
    pin = {"name": "advent", "kind": "pin", "item": "i2", "place": 1}
    assert "i2" not in listed(served(), under(STOCK, pin))[0]


@pytest.mark.parametrize("plain", [False, True])
def test_a_pin_stands_for_everybody_also_for_who_has_it(plain):
    pin = {"name": "advent", "kind": "pin", "item": "i9", "place": 2}
    for seen in ((), ("i9",)):
        found, ranking = listed(served(), under(pin), seen=seen, plain=plain)
        assert found == ["i0", "i9", "i1", "i2"]
        assert ([item.rule for item in ranking.items], ranking.reordered) == (
            [None, "advent", None, None],
            True,
        )
        assert all(np.isfinite(item.score) for item in ranking.items)
    of_shoes = pin | {"categories": ["shoes"]}
    assert listed(served(), under(of_shoes), plain=plain)[0][1] == "i1"
    assert listed(served(), under(of_shoes), plain=plain, categories=["shoes"])[0][1] == "i9"


@pytest.mark.parametrize("scale", [1e-3, 1.0, 500.0])
@pytest.mark.parametrize("shift", [0.0, -700.0])
def test_a_boost_means_the_same_on_every_scale_of_scores(scale, shift):
    boost = {"name": "own brand", "kind": "boost", "brands": ["own"], "deviations": 2.0}
    found, ranking = listed(served(Falling(scale, shift)), under(boost))
    # i11 has 0, the deviation is 0.3228: 0.6457 stands between 0.6694 of i2 and 0.5289 of i3
    assert found == ["i0", "i1", "i2", "i11"]
    assert [item.rule for item in ranking.items] == [None, None, None, "own brand"]
    assert (ranking.rules, ranking.reordered) == (["own brand"], False)


def test_where_all_scores_are_equal_a_boost_still_counts():
    flat = Falling(0.0)
    boost = {"name": "down", "kind": "boost", "items": ["i0"], "deviations": -1}
    assert listed(served(flat), under(boost))[0] == ["i1", "i2", "i3", "i4"]


def test_caps_and_variety_by_category():
    cap = {"name": "mixed", "kind": "cap", "per": "category", "at_most": 1, "only": ["even"]}
    found, ranking = listed(served(), under(cap))
    assert (found, ranking.rules, ranking.reordered) == (["i0", "i1", "i3", "i5"], ["mixed"], True)
    variety = {"name": "unlike", "kind": "variety", "relevance": 0.9}
    found, ranking = listed(served(), under(variety, cap))
    assert found == ["i0", "i1", "i3", "i5"]


REST = {"name": "enough", "kind": "not_again", "impressions": 2, "hours": 1}


def test_what_was_shown_often_rests_until_something_comes_of_it(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(shown_before.time, "monotonic", lambda: now[0])
    model, watch = served(), under(REST)

    def answer(user="u", k=2, request_id="r", plain=False):
        rules = watch.on(model, user, plain=plain)
        ranking = model.rank(model.history([]), k, rules=rules)
        watch.answered(user, request_id, ranking)
        return [item.item_id for item in ranking.items]

    assert answer() == answer() == ["i0", "i1"]
    assert [
        item.item_id
        for item in model.rank(model.history([]), 2, rules=watch.on(model, "u", plain=True) or None).items
    ] == ["i0", "i1"]
    watch.came("r", "i0")
    assert answer() == ["i0", "i2"]
    assert answer("another") == ["i0", "i1"]
    now[0] += 3601
    assert answer() == ["i0", "i1"]
    # Where fewer than k would be left, the best of what rests fill the list.
    for _ in range(2):
        answer("much", N)
    assert answer("much", 3) == ["i0", "i1", "i2"]


def test_a_drawn_list_is_ordered_after_the_draw_and_then_its_chances_are_not_known():
    model, exploration = (
        served(),
        Exploration(ExploreParams(share=1, temperature=1, candidates=8), np.random.default_rng(0)),
    )
    pin = {"name": "advent", "kind": "pin", "item": "i9", "place": 1}
    odd = {"name": "mixed", "kind": "cap", "per": "category", "at_most": 2}
    for rules, moves in (((STOCK,), False), ((STOCK, pin), True), ((STOCK, pin, odd), True)):
        applied = under(*rules).on(model)
        best = model.rank(model.history([]), 8, rules=applied.unordered())
        assert [item.item_id for item in best.items] == ["i1", "i3", "i4", "i5", "i6", "i7", "i8", "i9"]
        drawn = exploration.draw(best, 4, 0.0)
        found = settled(model, applied, best, drawn, 4)
        assert found.reordered is moves
        assert (found.drawn.propensities is None) is moves
        assert found.rules == sorted(
            {"sold out"} | ({"advent"} if moves else set()) | set(found.rules) & {"mixed"}
        )
        order = [item.item_id for item in drawn.items]
        if not moves:
            assert [item.item_id for item in found.items] == order
        elif len(rules) == 2:
            rest = [one for one in order if one != "i9"][:3]
            assert [(item.item_id, item.rule) for item in found.items] == [
                ("i9", "advent"),
                *((one, None) for one in rest),
            ]
        else:
            assert sorted(int(item.item_id[1:]) % 2 for item in found.items) == [0, 0, 1, 1]


def test_a_drawn_list_beyond_the_catalogue_has_all_of_it_and_an_item_pinned_twice_its_first_place():
    model, exploration = (
        served(),
        Exploration(ExploreParams(share=1, temperature=1, candidates=8), np.random.default_rng(0)),
    )
    late = {"name": "late", "kind": "pin", "item": "i9", "place": 4}
    early = {"name": "early", "kind": "pin", "item": "i9", "place": 3}
    odd = {"name": "mixed", "kind": "cap", "per": "category", "at_most": 2}
    applied = under(late, early, odd).on(model)
    asked = model.history([])
    for k in (5, 10, 11, 100):
        best = model.rank(asked, max(k, 8), rules=applied.unordered())
        found = settled(model, applied, best, exploration.draw(best, k, 0.0), k)
        plain = model.rank(asked, k, rules=applied)
        assert len(found.items) == len(plain.items) == min(k, len(model.item_ids))
        assert len({item.item_id for item in found.items}) == len(found.items)
        for ranking in (found, plain):
            assert (ranking.items[2].item_id, ranking.items[2].rule) == ("i9", "early")


def test_what_is_counted_is_bounded(monkeypatch):
    monkeypatch.setattr(shown_before, "MAX_PAIRS", 10)
    monkeypatch.setattr(shown_before, "MAX_ANSWERS", 3)
    counts = ShownBefore()
    for user in range(50):
        for _ in range(2):
            counts.shown(f"u{user}", f"r{user}", ["a", "b", "c"], 2, 1.0)
    assert list(counts._shoppers) == ["u47", "u48", "u49"]
    assert counts._pairs == sum(one.pairs for one in counts._shoppers.values()) <= 10
    assert list(counts._answers) == ["r47", "r48", "r49"]
    for item in ("a", "b", "c", "d"):
        counts.came("r49", item)
    assert list(counts._shoppers) == ["u47", "u48"]
    assert counts._pairs == sum(one.pairs for one in counts._shoppers.values())


# --- by HTTP ---------------------------------------------------------------------------------------------


@pytest.fixture
def opened(shop, tmp_path):
    promote(shop, "1")

    def opened(**more):
        return TestClient(
            create_app(shop, **({"poll_seconds": 0.05, "rules": tmp_path / "rules.json"} | more)),
            raise_server_exceptions=False,
        )

    return opened


JSON = {"Content-Type": "application/json"}


def put(client, *rules, **more):
    return client.put("/rules", json={"rules": list(rules)}, **more)


def test_rules_put_are_obeyed_by_every_server_that_looks_at_the_file(opened, tmp_path):
    asked = {"history": buying(1, 7), "k": 5}
    stock = {"name": "sold out", "kind": "out_of_stock", "items": []}
    with opened(impressions=tmp_path / "log") as first, opened() as second:
        before = first.post("/recommend", json=asked).json()
        assert before["rules"] is None
        gone, pinned = ids(before)[0], f"item-{ITEMS - 1}"
        rules = [
            stock | {"items": [gone, "tomorrow"]},
            {"name": "advent", "kind": "pin", "item": pinned, "place": 1},
            {"name": "never", "kind": "pin", "item": gone, "place": 3},
        ]
        told = put(first, *rules)
        assert told.status_code == 200
        assert [one["items"] for one in told.json()["rules"]] == [1, 1, 1]
        assert [one["unknown_items"] for one in told.json()["rules"]] == [1, 0, 0]
        assert [one["rule"]["name"] for one in told.json()["rules"]] == ["sold out", "advent", "never"]
        [said] = told.json()["contradictions"]
        assert said == f"'never' pins {gone}, which 'sold out' (out_of_stock) leaves out: 'sold out' wins"
        assert first.get("/rules").json() == told.json()
        for client in (first, second):
            until(
                lambda client=client: (
                    client.get("/ready").json()["rules"] == {"rules": 3, "unknown_items": 1, "problem": None}
                )
            )
            after = client.post("/recommend", json=asked).json()
            assert ids(after) == [pinned, *ids(before)[1:]]
            assert after["rules"] == ["advent", "sold out"]
            assert [item["rule"] for item in after["items"]] == ["advent", None, None, None, None]
            assert gone not in ids(client.get("/similar", params={"item_id": "item-1", "k": ITEMS}).json())
        assert metric(second, "recgan_rules") == 3

        faulty = put(first, rules[0], rules[1] | {"place": 0})
        assert faulty.status_code == 422
        assert (
            faulty.json()["detail"][0]["msg"]
            == "rule 'advent': place is 0: Input should be greater than or equal to 1"
        )
        twice = first.put("/rules", content=b'{"rules": [], "rules": []}', headers=JSON)
        assert (twice.status_code, twice.json()["detail"]) == (
            400,
            "the body: the key 'rules' stands twice in one object; keep one of them",
        )
        assert put(first, 3).json()["detail"][0]["msg"].startswith("rule 1 is 3, no object; write one such")
        assert first.get("/rules").json() == told.json()
        (tmp_path / "rules.json").write_text("{")
        until(lambda: second.get("/ready").json()["rules"]["problem"])
        assert second.get("/ready").json()["rules"]["problem"].endswith("the rules before it go on")
        assert metric(second, "recgan_rules_unread") == 1
        assert ids(second.post("/recommend", json=asked).json())[0] == pinned
        (tmp_path / "rules.json").unlink()
        until(
            lambda: second.get("/ready").json()["rules"] == {"rules": 0, "unknown_items": 0, "problem": None}
        )
        assert second.post("/recommend", json=asked).json() == before | {"request_id": None}


def test_the_explorer_shows_which_rule_did_what(opened):
    asked = {"history": buying(1, 7), "k": 5}
    with opened(exposure="any") as client:

        def lists(**more):
            return client.post("/explorer/api/lists", json=asked | more).json()

        assert (lists()["rules"], lists()["champion"]["ruled"]) == ([], [])
        first, second = ids(lists()["champion"])[:2]
        put(
            client,
            {"name": "recall", "kind": "blacklist", "items": [first, "tomorrow"]},
            {"name": "advent", "kind": "pin", "item": "item-7", "place": 2},  # it is in the history
            {
                "name": "later",
                "kind": "boost",
                "items": [second],
                "deviations": 1,
                "from": "2099-01-01T00:00:00Z",
            },
        )
        found = lists()
        assert [(one["name"], one["does"], one["holds"], one["unknown_items"]) for one in found["rules"]] == [
            ("recall", "never shows 1 item", True, 1),
            ("advent", "puts Item 7 at place 2", True, 0),
            ("later", "lifts 1 item by 1 standard deviations of the scores", False, 0),
        ]
        column = found["champion"]
        assert ids(column)[1] == "item-7"
        assert [item["rule"] for item in column["items"]] == [None, "advent", None, None, None]
        assert (column["rules"], column["ruled"][0]["item_id"]) == (["advent", "recall"], first)
        assert (column["ruled"][0]["before"], column["ruled"][0]["rule"]) == (1, "recall")
        assert ids(column) == ids(client.post("/recommend", json=asked).json())
        assert first not in ids(lists(k=ITEMS)["popularity"])
        search = client.get("/explorer/api/items", params={"q": first}).json()
        assert {one["item_id"]: one["left_out"] for one in search}[first] == "recall"
        why = client.post("/explorer/api/why", json=asked | {"item_id": first}).json()
        assert why["rank"] is None


def test_an_app_that_runs_is_not_begun_again_and_one_that_ended_is(shop, opened, tmp_path):
    promote(shop, "1")
    with opened(impressions=tmp_path / "log") as first:
        with pytest.raises(RuntimeError, match="is being written already"), TestClient(first.app):
            pass
        until(lambda: put(first, {"name": "b", "kind": "blacklist", "items": ["item-1"]}).status_code == 200)
        (tmp_path / "rules.json").write_text('{"rules": []}')
        until(lambda: first.get("/ready").json()["rules"]["rules"] == 0)  # still looked at
    with TestClient(first.app) as again:
        (tmp_path / "rules.json").write_text(
            json.dumps({"rules": [{"name": "b", "kind": "blacklist", "items": ["item-1"]}]})
        )
        until(lambda: again.get("/ready").json()["rules"]["rules"] == 1)
        promote(shop, "2")
        until(lambda: again.get("/ready").json()["model"]["version"] == "2")
    promote(shop, "1")


def test_a_server_does_not_begin_without_the_rules_that_it_cannot_read(opened, tmp_path):
    (tmp_path / "rules.json").write_text('{"rules": 1}')
    with pytest.raises(Exception, match=r"rules: Input should be a valid array$"), opened():
        pass


def test_a_link_to_nothing_is_no_lack_of_rules(opened, tmp_path):
    rules = tmp_path / "rules.json"
    with opened() as client:
        put(client, STOCK)
        rules.rename(tmp_path / "there.json")
        rules.symlink_to(tmp_path / "gone.json")
        until(lambda: client.get("/ready").json()["rules"]["problem"])
        told = client.get("/ready").json()["rules"]
        assert (told["rules"], "leads to no file" in told["problem"]) == (1, True)
    with pytest.raises(Exception, match="leads to no file"), opened():
        pass


def test_rules_that_cannot_be_written_change_nothing(opened, tmp_path):
    if os.geteuid() == 0:
        (tmp_path / "file").write_text("")
        place = tmp_path / "file" / "rules.json"  # below a file nobody can write
    else:
        place = tmp_path / "rules.json"
        tmp_path.chmod(0o500)
    with opened(rules=place) as client:
        refused = put(client, STOCK)
        assert refused.status_code == 500
        assert "nothing has changed" in refused.json()["detail"]
        assert client.get("/rules").json()["rules"] == []
