"""A share of the lists is drawn by chance, with the chances that the log has of it."""

from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from recgan.core.errors import RecganError
from recgan.data.impressions import read_shown
from recgan.evaluation.exploration_settings import ExploreParams
from recgan.online import plackett_luce
from recgan.serving.app import create_app
from recgan.serving.exploration import VARIABLE, Exploration, explored
from recgan.serving.ranking import Ranking
from recgan.serving.schema import Item
from tests.serving.conftest import ITEMS, buying, ids

ROOT = Path(__file__).parents[2]
ALWAYS = ExploreParams(share=1, temperature=1, candidates=12)


def exploring(**changes):
    return Exploration(ALWAYS.model_copy(update=changes), np.random.default_rng(0))


def ranking(n, new=(), fallback=False):
    items = [
        Item(item_id=f"i{one}", score=-one, title=None, category=None, price=None, new=one in new)
        for one in range(n)
    ]
    return Ranking(items, fallback)


def test_as_many_requests_are_explored_as_the_share_says():
    explores = exploring(share=0.2)
    found = [explores.candidates(10, None) for _ in range(5_000)]
    assert set(found) == {None, 12}
    assert np.mean([one is not None for one in found]) == pytest.approx(0.2, abs=4 * 0.4 / np.sqrt(5_000))
    assert all(exploring(share=0).candidates(10, None) is None for _ in range(100))
    assert Exploration(None).candidates(10, None) is None


@pytest.mark.parametrize(("k", "most", "says"), [(5, None, 12), (30, None, 30), (5, 7, 7), (5, 99, 12)])
def test_a_list_is_drawn_from_so_many(k, most, says):
    assert exploring().candidates(k, most) == says


def test_a_drawn_list_has_the_chances_of_its_draw():
    found = exploring().draw(ranking(12), 4, 0.0)
    drawn = found.drawn
    assert drawn.candidates == tuple(f"i{one}" for one in range(12))
    assert drawn.log_weights == pytest.approx(plackett_luce.log_weights(-np.arange(12.0), 1.0))
    places = [drawn.candidates.index(item.item_id) for item in found.items]
    order = [*places, *(place for place in range(12) if place not in places)]
    logs = plackett_luce.conditional(np.array(drawn.log_weights), np.array(order))
    assert drawn.propensities == pytest.approx(np.exp(logs[:4]))


@pytest.mark.parametrize(("known", "new", "k", "most"), [(10, 10, 10, 2), (3, 10, 10, 7), (10, 1, 10, 1)])
def test_no_draw_has_more_new_products_than_a_list_may(known, new, k, most):
    explores = exploring()
    both = ranking(known + new, new=range(0, 2 * new, 2) if known >= new else range(new))
    found = [explores.draw(both, k, 0.2) for _ in range(50)]
    assert all(len(one.items) == min(k, known + most) for one in found)
    assert max(sum(item.new for item in one.items) for one in found) == most
    novel = {item.item_id for item in both.items if item.new}
    assert len(novel & set(found[0].drawn.candidates)) == most


def test_where_popularity_stands_in_nothing_is_drawn():
    found = exploring().draw(ranking(12, fallback=True), 4, 0.0)
    assert [item.item_id for item in found.items] == ["i0", "i1", "i2", "i3"]
    assert found.drawn is None
    assert exploring().draw(ranking(0), 4, 0.0).items == []


def test_drawn_answers_are_logged_with_what_they_were_drawn_from(shop, tmp_path):
    app = create_app(shop, poll_seconds=3600, impressions=tmp_path, exploration=exploring(share=0.5))
    request = {"history": buying(3, 8), "k": 4}
    with TestClient(app) as client:
        answers = [client.post("/recommend", json=request).json() for _ in range(30)]
        wide = client.post("/recommend", json={"history": [], "k": 100}).json()
    *rows, last = read_shown(tmp_path).to_pylist()
    assert {row["policy"] for row in rows} == {"champion", "plackett_luce"}
    best = next(row["item_ids"] for row in rows if row["policy"] == "champion")
    for row, answer in zip(rows, answers, strict=True):
        assert row["item_ids"] == ids(answer)
        if row["policy"] == "champion":
            assert (row["propensities"], row["candidates"], row["log_weights"]) == ([1.0] * 4, None, None)
            continue
        assert len(row["candidates"]) == len(row["log_weights"]) == 12
        assert row["candidates"][:4] == best
        assert set(row["item_ids"]) <= set(row["candidates"]) - {"item-3", "item-8"}
        assert all(0 < chance <= 1 for chance in row["propensities"])
    assert len(ids(wide)) == len(last["item_ids"]) == ITEMS


def test_whoever_may_not_see_histories_is_shown_no_more_items_by_asking_often(shop, tmp_path):
    """With all but the seen ones among the candidates, those that never come were seen."""
    app = create_app(
        shop,
        poll_seconds=3600,
        impressions=tmp_path,
        exploration=exploring(temperature=100, candidates=ITEMS),
    )
    with TestClient(app) as client:
        answers = [client.post("/recommend", json={"user_id": "7"}).json() for _ in range(40)]
    assert len({item for answer in answers for item in ids(answer)}) == ITEMS // 10


def test_the_command_reads_params_and_hands_them_to_its_workers(tmp_path, monkeypatch):
    assert explored(tmp_path) is None  # a machine that only serves
    (tmp_path / "params.yaml").write_bytes((ROOT / "examples/shop.yaml").read_bytes())
    params = explored(tmp_path)
    assert params.share == 0
    (tmp_path / "params.yaml").write_text("serve: {}")
    with pytest.raises(RecganError, match=r"params\.yaml has"):
        explored(tmp_path)
    monkeypatch.setenv(VARIABLE, ALWAYS.model_dump_json())
    assert Exploration.of_environment().candidates(1, None) == 12
    monkeypatch.setenv(VARIABLE, "")
    assert Exploration.of_environment().candidates(1, None) is None
