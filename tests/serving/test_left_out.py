"""Accounts that are left out of training, in the explorer: found, marked, with their group."""

import re
from datetime import UTC, datetime

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from playwright.sync_api import expect
from scipy.sparse import csr_array

from recgan.accounts.published import Account, Group, Product, Published, target_path
from recgan.package.packaged import Catalogue, PackagedRecommender
from recgan.package.shoppers import Shoppers
from recgan.serving.app import create_app
from recgan.serving.explorer.left_out import LeftOutWatch
from recgan.serving.explorer.routes import explorer
from recgan.serving.model import ServedModel
from tests.serving.test_explorer import API, HOME
from tests.serving.test_explorer_page import chromium, serving, watched  # noqa: F401  (fixtures)
from tests.serving.test_model import Echo

WHY = "with 13 others on b within 3 days, 31 times its rate"
FARM = [f"farm-{number:02}" for number in range(14)]
OUT = Published(
    until=datetime(2025, 12, 31, tzinfo=UTC),
    accounts={
        **{one: Account(reasons=(WHY,), group=1) for one in FARM},
        "old": Account(reasons=("condemned by a person",), group=None),
    },
    groups={
        1: Group(
            reason="14 accounts on b within 3 days",
            first=datetime(2025, 12, 3, 23, 30, tzinfo=UTC),
            last=datetime(2025, 12, 5, 1, tzinfo=UTC),
            products=(Product(item_id="b"), Product(item_id="gone", title="No longer sold", price=9.5)),
            user_ids=tuple(FARM),
        )
    },
)  # fmt: skip


@pytest.fixture
def app(tmp_path, monkeypatch):
    """A package that knows `real` and `old`, and beside it who is left out."""
    monkeypatch.setattr("recgan.registry.versions.challenger", lambda root, name: None)
    packaged = PackagedRecommender(
        Echo(),
        list("abcd"),
        np.array([1, 5, 3, 3], dtype=np.float32),
        Catalogue(["Lamp", "Scarf", "Mug", "Pen"], [None] * 4, [1.0, 2.0, 3.0, 4.0]),
        None,
        Shoppers({"real": 0, "old": 1}, csr_array(np.array([[1, 0, 0, 0], [0, 0, 1, 1]], dtype=np.float32))),
    )
    path = target_path(tmp_path, "m")
    path.write_text(OUT.model_dump_json())
    app = FastAPI()
    app.include_router(explorer(lambda: ServedModel("m", "1", packaged), "m", accounts=path))
    app.state.path = path
    return app


@pytest.fixture
def client(app):
    with TestClient(app, HOME) as client:
        yield client


def get(client, path, **query):
    answer = client.get(f"{API}/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def found(client, **query):
    return [(one["user_id"], one["items"], one["left_out"]) for one in get(client, "shoppers", **query)]


def of(client, **request):
    answer = client.post(f"{API}/lists", json=request)
    assert answer.status_code == 200, answer.text
    return answer.json()["left_out"]


def test_who_is_left_out_is_found_whether_the_package_knows_them_or_not(client):
    assert get(client, "state")["left_out"] == 15
    assert found(client, q="") == [
        ("real", 1, False), ("old", 2, True), *((one, 0, True) for one in FARM[:8])
    ]  # fmt: skip
    assert found(client, q="real", left_out=True) == []
    assert found(client, q="OL", left_out=True) == [("old", 2, True)]
    assert found(client, q="m-13") == [("farm-13", 0, True)]


def test_a_shopper_is_told_with_its_group(client):
    assert of(client, user_id="real") is None
    assert of(client, history=[]) is None
    assert of(client, user_id="old") == {
        "reasons": ["condemned by a person"], "until": "2025-12-31T00:00:00Z", "group": None
    }  # fmt: skip
    answer = of(client, user_id="farm-03")
    group = answer["group"]
    assert answer["reasons"] == ["with 13 others on b within 3 days, 31 times its rate"]
    assert group["accounts"] == 14
    assert group["others"] == [one for one in FARM if one != "farm-03"]
    assert [(one["title"], one["price"]) for one in group["products"]] == [
        ("Scarf", 2.0), ("No longer sold", 9.5)
    ]  # fmt: skip


def test_the_file_is_read_when_it_changes_and_a_damaged_one_changes_nothing(client, app, caplog):
    assert get(client, "state")["left_out"] == 15
    app.state.path.write_text("{")
    assert get(client, "state")["left_out"] == 15
    assert get(client, "state")["left_out"] == 15
    assert caplog.text.count("does not say which accounts are left out") == 1
    app.state.path.write_text(Published(until=None, accounts={}, groups={}).model_dump_json())
    assert get(client, "state")["left_out"] == 0
    app.state.path.unlink()
    assert found(client, q="farm") == []
    assert of(client, user_id="farm-03") is None


def test_nobody_reads_the_file_without_an_explorer(tmp_path, monkeypatch):
    monkeypatch.setattr(LeftOutWatch, "__init__", lambda *_: pytest.fail("it was looked at"))
    app = create_app("m", tmp_path, exposure="none")
    assert not any("explorer" in getattr(route, "path", "") for route in app.routes)


def test_the_page_marks_an_account_and_leads_to_its_group(app, watched):  # noqa: F811
    page = watched.page
    with serving(app) as address:
        page.goto(f"{address}/explorer#user=real")
        expect(page.locator("#champion .items > li").first).to_be_visible()
        mark = page.get_by_role("region", name="left out of training")
        expect(mark).to_be_hidden()
        page.get_by_role("button", name="Left out (15)").click()
        expect(page.locator("#shoppers button")).to_have_count(10)
        expect(page.locator("#shoppers .badge")).to_have_count(10)
        page.get_by_label("Find a shopper by id").fill("farm-03")
        expect(page.locator("#shoppers button")).to_have_count(1)
        page.locator("#shoppers button").click()
        expect(mark).to_contain_text("with 13 others on b within 3 days, 31 times its rate")
        expect(mark.locator("summary")).to_have_text(re.compile(r"14 accounts, Dec 3\s–\s5, 2025$"))
        if watched.size == "phone":  # the lists shall not be far down
            mark.locator("summary").click()
        expect(mark).to_contain_text("was not trained on this account")
        expect(mark.locator(".shared li")).to_have_text(
            ["Scarf2.00\u00a0· id b", "No longer sold9.50\u00a0· id gone"]
        )
        expect(mark.locator(".members li:visible")).to_have_count(12)
        mark.get_by_role("button", name="All 13").click()
        expect(mark.get_by_role("button", name="farm-13")).to_be_focused()
        mark.get_by_role("button", name="farm-13").click()
        expect(page.get_by_role("heading", name="left out of training farm-13")).to_be_visible()
        watched.check()
        page.goto(f"{address}/explorer#user=old")
        expect(mark).to_contain_text("still holds this history")
        page.get_by_role("button", name="New shopper").click()
        expect(mark).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_about_a_marked_account(app, watched, scheme):  # noqa: F811
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install -e '.[dev]'")
    page = watched.page
    page.emulate_media(color_scheme=scheme)
    with serving(app) as address:
        page.goto(f"{address}/explorer#user=farm-03")
        page.get_by_role("button", name="Left out (15)").click()
        expect(page.locator("#shoppers .badge").first).to_be_visible()
        expect(page.get_by_role("region", name="left out of training")).to_be_visible()
        faults = axe.Axe().run(page).response["violations"]
    assert [
        (one["id"], [node["html"] for node in one["nodes"]])
        for one in faults
        if one["impact"] in ("serious", "critical")
    ] == []
