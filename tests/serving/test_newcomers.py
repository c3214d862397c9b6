"""A product that came this morning, in this afternoon's answers."""

import threading
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from recgan.daily import newcomers as daily
from recgan.daily.newcomers import outcome, sentence, update_newcomers
from recgan.newcomers.file import read_newcomers, write_newcomers
from recgan.package import store
from recgan.package.packaged import Catalogue, PackagedRecommender, write_items
from recgan.recommenders.classical import save_classical
from recgan.recommenders.ease.recommender import EASE
from recgan.registry import versions
from recgan.registry.versions import VersionId
from recgan.serving.app import create_app
from recgan.serving.champion import ChampionWatch
from recgan.serving.explorer.challenger import Contender
from recgan.serving.explorer.lists import Standing, lists
from recgan.serving.explorer.schema import ListsRequest
from recgan.serving.explorer.why import why
from recgan.serving.model import ServedModel
from recgan.serving.schema import Event
from tests.newcomers.shop import TRAINED_UNTIL, write_kept
from tests.package.conftest import TASTES, USERS, named_so
from tests.serving.conftest import buying, catalogued_features, ids, until
from tests.serving.test_swaps import metric

NEW, TASTE, NAME = "added-this-morning", 2, "shop"
BUYERS = [f"user-{user}" for user in range(USERS - TASTES) if user % TASTES == TASTE][3:6]
BOUGHT = [(user, NEW, 1.5 + hour / 24) for hour, user in enumerate(BUYERS)]
OTHERS = [(f"user-{user}", f"item-{user % 48}", 1.0) for user in range(40, 60)]
"""What else was bought on the day: a log without other shoppers would take the buyers for everybody."""


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Two versions, without a registry."""
    features, found = catalogued_features(), {}
    for version, l2 in (("1", 10.0), ("2", 40.0)):
        folder = tmp_path_factory.mktemp("package")
        (folder / "recommender").mkdir()
        settings = {"l2": l2, "half_life_days": None}
        save_classical(folder / "recommender", "ease", EASE(l2).fit(features.train), settings, None)
        write_items(features.items, folder / "items.json")
        found[version] = PackagedRecommender.load(folder / "recommender", folder / "items.json")
    assert found["1"].md5 != found["2"].md5
    return found


@pytest.fixture
def promote(packages, monkeypatch):
    """Make a version the champion."""
    champion = ["1"]

    def load_champion(root, name):
        return store.Champion(VersionId(champion[0], f"run-{champion[0]}"), packages[champion[0]])

    monkeypatch.setattr(
        versions, "champion_version", lambda root, name: VersionId(champion[0], f"run-{champion[0]}")
    )
    monkeypatch.setattr(store, "load_champion", load_champion)
    monkeypatch.setattr(daily, "load_champion", load_champion)
    monkeypatch.setattr(daily, "connect", lambda root: None)
    monkeypatch.setattr(
        daily, "trained_under", lambda *_: {"kind": "time", "trained_until": TRAINED_UNTIL.isoformat()}
    )
    return lambda version: champion.__setitem__(0, version)


@pytest.fixture
def project(promote, params, tmp_path):
    """The project of the champion, a day after it was trained."""
    write_kept(tmp_path / "data" / "kept", [(NEW, TASTE)], BOUGHT + OTHERS)
    return tmp_path, named_so(params, NAME)


def test_a_new_product_is_recommended_the_same_day(project):
    root, params = project
    alike, other = buying(*range(TASTE, 30, TASTES)), buying(*range(1, 30, TASTES))
    with TestClient(create_app(NAME, root, poll_seconds=0.05, exposure="any")) as client:
        until(lambda: client.get("/ready").json()["ready"])
        before = client.post("/recommend", json={"history": alike}).json()
        assert NEW not in ids(before)
        assert not any(item["new"] for item in before["items"])
        assert client.get(f"/similar?item_id={NEW}").status_code == 404
        assert client.get("/ready").json()["new"] == {"products": 0, "until": None, "problem": None}
        updated = update_newcomers(root, params)
        assert outcome(updated) == "Updated"
        assert "holds 1 new products for" in sentence(updated)
        until(lambda: client.get("/ready").json()["new"]["products"] == 1)

        after = client.post("/recommend", json={"history": alike}).json()
        [item] = [item for item in after["items"] if item["new"]]
        assert item.items() >= {
            "item_id": NEW, "title": f"thing {NEW}", "category": f"taste-{TASTE}", "price": 49
        }.items()  # fmt: skip
        assert client.post("/recommend", json={"history": other, "k": 5}).json()["items"][0]["new"] is False
        # filters
        only = {"history": alike, "categories": [f"taste-{TASTE}"], "min_price": 49}
        assert ids(client.post("/recommend", json=only).json()) == [NEW]
        assert NEW not in ids(
            client.post("/recommend", json=only | {"max_price": 48.5, "min_price": 0}).json()
        )
        # a history of it, what is like it, and a shopper who has it
        had = client.post("/recommend", json={"history": [{"item_id": NEW}]}).json()
        assert had["unknown_items"] == []
        assert NEW not in ids(had)
        assert {item["category"] for item in had["items"][:3]} == {f"taste-{TASTE}"}
        similar = client.get(f"/similar?item_id={NEW}&k=3").json()
        assert {item["category"] for item in similar["items"]} == {f"taste-{TASTE}"}
        nobody, owner = (
            client.post("/recommend", json={"user_id": user, "k": 10}).json() for user in ("x", BUYERS[0])
        )
        assert (NEW in ids(nobody), NEW in ids(owner)) == (True, False)
        # the newest event of the log is a buyer's
        read = read_newcomers(updated.path).origin.until
        assert datetime.fromisoformat(client.get("/ready").json()["new"]["until"]) == read
        assert metric(client, "recgan_new_products") == 1
        assert metric(client, "recgan_new_products_until_timestamp_seconds") == pytest.approx(
            read.timestamp()
        )

        off = params.model_copy(update={"newcomers": params.newcomers.model_copy(update={"enabled": False})})
        assert outcome(update_newcomers(root, off)) == "Skipped"
        until(lambda: client.get("/ready").json()["new"]["products"] == 0)
        assert client.post("/recommend", json={"history": alike}).json() == before


def test_another_packages_file_is_ignored_and_told(project, promote):
    root, params = project
    path = update_newcomers(root, params).path
    watch = ChampionWatch(NAME, newcomers=path)
    watch.look()
    assert watch.new_products().products == 1
    promote("2")
    watch.look()
    assert (watch.serving.model.version, watch.serving.newcomers) == ("2", None)
    assert "was made for version 1 of" in watch.new_products().problem
    assert "run `recgan newcomers` for this version" in watch.new_products().problem
    update_newcomers(root, params)
    watch.look()
    assert (watch.new_products().products, watch.new_products().problem) == (1, None)
    # Whatever comes after it, what fits the package goes on being shown.
    fitting = watch.serving.newcomers
    for content in (b"half a file", path.read_bytes().replace(b'"version"', b'"versiox"')):
        path.write_bytes(content)
        watch.look()
        assert watch.serving.newcomers is fitting
        assert "no readable new products" in watch.new_products().problem


def test_the_swap_is_one_step_under_requests(project):
    """Every answer is wholly of one state: titles, ids and scores of either file, never a mix or an error."""
    root, params = project
    path = update_newcomers(root, params).path
    one = read_newcomers(path)
    renamed = Path(f"{path}.other")
    write_newcomers(type(one)(**(vars(one) | {"item_ids": ["renamed"], "lift": 9.0})), renamed)
    files = [path.read_bytes(), renamed.read_bytes()]
    body = {"history": buying(*range(TASTE, 30, TASTES))}
    with TestClient(create_app(NAME, root, poll_seconds=0.01)) as client:
        until(lambda: client.get("/ready").json()["new"]["products"] == 1)
        stop, seen = threading.Event(), []

        def swap():
            turn = 0
            while not stop.is_set():
                turn += 1
                renamed.write_bytes(files[turn % 2])
                renamed.replace(path)
                stop.wait(0.02)

        swapping = threading.Thread(target=swap)
        swapping.start()
        try:
            until(lambda: seen.append(_new(client.post("/recommend", json=body))) or len(set(seen)) == 2)
        finally:
            stop.set()
            swapping.join()
    states = {NEW: None, "renamed": None}
    for name, score in set(seen):
        assert states[name] is None
        states[name] = score
    assert states["renamed"] > states[NEW]


def _new(answer):
    assert answer.status_code == 200
    [found] = [item for item in answer.json()["items"] if item["new"]]
    return found["item_id"], found["score"]


def test_the_explorer_shows_new_products(project):
    root, params = project
    update_newcomers(root, params)
    app = create_app(NAME, root, poll_seconds=3600, exposure="any")
    with TestClient(app) as client:
        [found] = client.get("/explorer/api/items?q=this-morning").json()
        assert (found["item_id"], found["new"]) == (NEW, True)
        body = {"history": buying(*range(TASTE, 30, TASTES))}
        lists = client.post("/explorer/api/lists", json=body).json()
        assert [item["item_id"] for item in lists["champion"]["items"] if item["new"]] == [NEW]
        why = client.post("/explorer/api/why", json=body | {"item_id": NEW}).json()
        assert why["item"]["new"]
        assert why["rank"] >= 1
        assert len(why["influences"]) == 5


def test_the_explorer_ranks_a_flood_of_new_products_as_the_list_does(project, packages):
    """Ranks in Why?, and before an edit, are places in the list, whatever its length lets in of new ones."""
    root, params = project
    one = read_newcomers(update_newcomers(root, params).path)
    flood = replace(
        one,
        item_ids=[f"new-{number}" for number in range(30)],
        catalogue=Catalogue(
            ["New"] * 30, ["taste-2"] * 30, [1.0] * 30, ["https://shop.example/new.jpg"] * 30
        ),
        owners={},
        lift=9.0,
        max_share=0.2,
        **{
            name: getattr(one, name).repeat(30, axis=0)
            for name in ("vectors", "stand_ins", "stand_in_shares")
        },
    )
    served = ServedModel(NAME, "1", packages["1"], flood)
    events = [Event(item_id=f"item-{item}") for item in range(TASTE, 30, TASTES)]
    history = served.history(events)
    assert np.sum(served.with_new(served.score(history)[None])[0] > served.score(history).max()) == 30
    for k, new in ((10, 2), (5, 1), (4, 0)):
        ranked = served.rank(history, k).items
        assert sum(item.new for item in ranked) == new
        for place, item in enumerate(ranked, start=1):
            assert why(served, history, item.item_id, True, None, k).rank == place
        behind = served.rank(history, k, beyond=40).items
        assert behind[:k] == ranked
        assert why(served, history, behind[-1].item_id, True, None, k).rank == k + 40
        request = ListsRequest(history=events, removed=["nothing"], k=k)
        column = lists(request, Standing(served, served, None), Contender()).champion
        assert [item.item_id for item in column.items] == [item.item_id for item in ranked]
        assert [item.image_url for item in column.items if item.new] == ["https://shop.example/new.jpg"] * new
    # An edit that changes nothing moves nothing.
    request = ListsRequest(user_id="user-2", removed=["nothing"])
    column = lists(request, Standing(served, served, None), Contender()).champion
    assert [item.before for item in column.items] == list(range(1, 11))
    assert column.gone == []
