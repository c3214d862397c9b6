"""The page of an experiment: who may begin and end one, what is shown of it, in headless Chromium too."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import expect

from recgan.online.last_look import keep, kept
from recgan.online.second_gate import Arm, Effect, decide
from recgan.online.sequences import Interval
from recgan.package.store import Recommenders
from recgan.registry.experiments import RUNNING, last, running
from recgan.registry.tracking import connect
from recgan.serving.app import create_app
from recgan.serving.explorer import experiment as page_module
from recgan.serving.explorer.experiment import bar
from recgan.settings import load_params
from tests.conftest import ROOT
from tests.online.test_second_gate import evidence
from tests.serving.conftest import promote
from tests.serving.test_explorer_page import Watched, chromium, serving  # noqa: F401  (a fixture)

HOME, API = "http://127.0.0.1:8000", "/explorer/api/experiment"
TOKEN = "a-token-of-24-characters"


@pytest.fixture
def root(shop, tmp_path, monkeypatch):
    """A project whose server serves the shop, without an experiment before and after."""
    monkeypatch.setattr(Recommenders, "trial", lambda self, uri: None)  # a process of its own takes seconds
    promote(shop, "1")
    connect().set_registered_model_alias(shop, "challenger", "2")
    text = (ROOT / "params.yaml").read_text().replace("\n  name: recgan\n", f"\n  name: {shop}\n")
    (tmp_path / "params.yaml").write_text(text)
    yield tmp_path
    if RUNNING in connect().get_registered_model(shop).tags:
        connect().delete_registered_model_tag(shop, RUNNING)


@pytest.fixture
def app(shop, root):
    return create_app(shop, root, poll_seconds=3600, exposure="local")


def looked(root, shop, **more):
    """Keep a look at the experiment that runs."""
    effects = (
        Effect("click", 0.021, Interval(0.004, 0.038)),
        Effect("cart", -0.002, Interval(-0.012, 0.008)),
        Effect("purchase", 0.0, None),
    )
    found = evidence(experiment=running(root, shop), effects=effects, **more)
    keep(root, found, decide(found, load_params(root / "params.yaml").experiment))
    return found


def test_a_look_that_was_kept_is_read_as_it_was(root, shop, app):
    with TestClient(app, HOME) as client:
        assert client.post(f"{API}/start", json={}).status_code == 200
    runs = running(root, shop)
    assert kept(root, runs) is None
    found = looked(root, shop)
    assert kept(root, runs)[0] == found
    assert kept(root, replace(runs, id="another")) is None
    (root / "reports" / "experiment.json").write_text("{}")
    assert kept(root, runs) is None


def test_who_has_the_token_begins_and_ends_one_and_nobody_else(root, shop, app, monkeypatch):
    monkeypatch.setenv("RECGAN_SERVE_TOKEN", TOKEN)
    may = {"Authorization": f"Bearer {TOKEN}"}
    with TestClient(app, HOME) as client:
        for path, body in (("start", {}), ("stop", {"reason": "so"}), ("look", {})):
            refused = client.post(f"{API}/{path}", json=body)
            assert (refused.status_code, "not everybody may" in refused.json()["detail"]) == (401, True)
        assert running(root, shop) is None
        begun = client.post(f"{API}/start", json={"share": 0.3, "design": "interleave"}, headers=may)
        assert (begun.status_code, running(root, shop).share) == (200, 0.3)
        again = client.post(f"{API}/start", json={}, headers=may)
        assert (again.status_code, "runs already" in again.json()["detail"][0]["msg"]) == (422, True)
        assert client.post(f"{API}/stop", json={"reason": "enough"}, headers=may).status_code == 200
    assert running(root, shop) is None
    assert last(root, shop).reasons[0].endswith(", explorer: enough")


def test_a_look_is_made_by_a_process_of_its_own(root, app, monkeypatch):
    asked = []

    def run(command, cwd, **more):
        asked.append((command[1:], cwd))
        return SimpleNamespace(returncode=1, stderr="error: the log is damaged\n")

    monkeypatch.setattr(page_module.subprocess, "run", run)
    with TestClient(app, HOME) as client:
        answer = client.post(f"{API}/look", json={})
    assert (answer.status_code, answer.json()["detail"]) == (503, "error: the log is damaged")
    assert asked == [(["-m", "recgan", "experiment", "status"], root)]


def test_a_folder_without_parameters_says_so(root, app):
    (root / "params.yaml").unlink()
    with TestClient(app, HOME) as client:
        assert client.get("/explorer/experiment").status_code == 200
        answer = client.post(f"{API}/start", json={})
    assert (answer.status_code, "has no params.yaml" in answer.json()["detail"]) == (503, True)


def test_a_bar_has_no_difference_in_the_middle_and_the_largest_end_at_the_edge():
    found = bar(Effect("click", 0.01, Interval(-0.01, 0.04)))
    assert (found.low, found.high, found.at) == pytest.approx((160 - 152 / 4, 160 + 152, 160 + 152 / 4))
    assert bar(Effect("click", 0.0, None)) is None


@pytest.mark.parametrize(("size", "scheme"), [((390, 844), "dark"), ((1280, 900), "light")])
def test_a_person_begins_looks_and_ends_it(root, shop, app, chromium, size, scheme):  # noqa: F811
    context = chromium.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    watched = Watched(context.new_page())
    page = watched.page

    with serving(app) as address:
        page.goto(f"{address}/explorer/experiment")
        expect(page.get_by_role("heading", name="None runs")).to_be_visible()
        page.get_by_label("Version").fill("1")
        page.get_by_role("button", name="Start").click()
        expect(page.get_by_role("alert")).to_contain_text("version 1 of")
        watched.complaints.clear()  # the refused request
        page.get_by_label("Version").fill("")
        page.get_by_label("Share").fill("0.25")
        page.get_by_role("button", name="Start").click()
        expect(page.get_by_role("heading", name="It runs")).to_be_visible()
        expect(page.get_by_text("Nobody has looked")).to_be_visible()
        assert running(root, shop).share == 0.25
        arm = Arm("champion", 5000, 4000, 900, {"click": 0.2, "cart": 0.1, "purchase": 0.0}, 1.5, 9.0, 0.0)
        looked(root, shop, champion=arm)
        page.reload()
        expect(page.get_by_role("img", name="click: from +0.0040 to +0.0380")).to_be_visible()
        expect(page.get_by_text("It goes on.")).to_be_visible()
        assert page.locator("svg rect.good").count() == 1
        watched.check()
        page.get_by_label("Reason").fill("<b>a holiday</b>")
        page.get_by_role("button", name="Stop it").click()
        expect(page.get_by_role("heading", name="None runs")).to_be_visible()
        expect(page.get_by_text("<b>a holiday</b>")).to_be_visible()
        watched.check()
        page.goto(f"{address}/explorer")
        page.get_by_role("link", name="Experiment").click()
        expect(page.get_by_role("heading", name="None runs")).to_be_visible()
    context.close()
