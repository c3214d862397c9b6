"""The explorer's page in headless Chromium: what a merchandiser clicks through."""

import re
import shutil
import socket
import threading
from contextlib import contextmanager

import pytest
import uvicorn
from playwright.sync_api import expect, sync_playwright

from recgan.serving.app import create_app
from tests.serving.conftest import LIMIT, PICTURE, promote, until

SIZES = {"phone": {"width": 375, "height": 812}, "desk": {"width": 1280, "height": 900}}
HEADS = {"champion": "Live now", "challenger": "Candidate", "popularity": "Best sellers"}
HOSTILE = '<img src="x" onerror="document.title=1"><script>document.title=1</script>'
MILLISECONDS = 1000 * LIMIT


@contextmanager
def serving(app, port=0):
    """Serve on a port of 127.0.0.1, a free one where none is given; yield the address."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none", access_log=False))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            until(lambda: server.started)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(LIMIT)


@pytest.fixture(scope="module")
def address(shop):
    promote(shop, "1")
    app = create_app(shop, poll_seconds=3600, exposure="local")
    with serving(app) as address:
        app.state.watch.serving.packaged.catalogue.titles[1] = HOSTILE
        yield address


@pytest.fixture(scope="module")
def chromium():
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip(f"none of {', '.join(names)} is installed; sudo apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    """A page, and what it asked for and complained about."""

    def __init__(self, page):
        self.page = page
        self.requests, self.complaints = [], []
        page.add_init_script(
            "window.shift = 0; new PerformanceObserver((list) => list.getEntries().forEach((entry) => "
            "{ shift += entry.value; })).observe({ type: 'layout-shift', buffered: true });"
        )
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console",
            lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None,
        )

    def check(self):
        assert self.requests
        assert [url for url in self.requests if not url.startswith("http://127.0.0.1:")] == []
        assert self.complaints == []
        sizes = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert sizes[0] <= sizes[1]


@pytest.fixture(params=SIZES)
def watched(request, chromium):
    context = chromium.new_context(viewport=SIZES[request.param])
    context.set_default_timeout(MILLISECONDS)
    watched = Watched(context.new_page())
    watched.size = request.param
    yield watched
    context.close()


expect.set_options(timeout=MILLISECONDS)


def rows(page, column):
    return page.locator(f"#{column} .items > li:not(.skeleton)")


def show(watched, column):
    """On a phone one list is shown at a time."""
    tab = watched.page.get_by_role("button", name=HEADS[column], exact=True)
    assert tab.is_visible() == (watched.size == "phone")
    if watched.size == "phone":
        tab.click()
    expect(rows(watched.page, column).first).to_be_visible()


def test_from_a_search_to_what_an_edit_changes(address, watched):
    page = watched.page
    page.goto(f"{address}/explorer")
    expect(rows(page, "champion")).to_have_count(10)  # somebody at random
    assert re.search(r"#user=user-\d+$", page.url)
    assert page.evaluate("shift") < 0.1  # what web vitals call good

    page.get_by_label("Find a shopper by id").fill("USER-7")
    found = page.locator("#shoppers button")
    expect(found).to_have_count(10)
    page.keyboard.press("ArrowDown")
    expect(found.first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="History of shopper user-7", exact=True)).to_be_visible()
    expect(page.locator("#stored > li")).to_have_count(5 if watched.size == "phone" else 8)
    for column in ("champion", "challenger", "popularity"):
        expect(rows(page, column)).to_have_count(10)
        show(watched, column)
        expect(page.locator(f"#{column} h3")).to_contain_text(HEADS[column])
        expect(page.locator(f"#{column} h3")).to_contain_text("version")
    show(watched, "champion")
    assert not page.locator("#champion .move").count()

    why = page.locator("#champion").get_by_role("button", name=re.compile("^Why ")).first
    why.click()
    expect(page.locator("#champion .why tbody tr").first).to_be_visible()
    expect(why).to_have_attribute("aria-expanded", "true")
    watched.check()

    row = page.locator("#stored > li").first
    title = row.locator(".title").text_content()
    row.get_by_role("button").click()
    expect(page.locator("#stored > li.removed .title")).to_have_text(title)
    expect(row.get_by_role("button", name=f"Put back {title}")).to_be_focused()
    expect(page.locator("#champion .move").first).to_be_visible()

    page.get_by_label("Add an item").fill("item 0")
    page.locator("#items button").first.click()
    expect(page.locator("#added > li")).to_have_count(1)
    expect(page.locator("#added .title")).to_have_text("Item 0")
    page.get_by_label("as kind of event").select_option("rating")
    page.get_by_label("with stars").fill("1")
    page.get_by_label("Add an item").fill("taste-1")
    page.locator("#items button").nth(1).click()
    expect(page.locator("#added > li").nth(1)).to_contain_text("1 star · does not count, but is seen")

    edited, shown = page.url, rows(page, "champion").all_text_contents()
    page.reload()
    expect(page.locator("#added > li")).to_have_count(2)
    expect(rows(page, "champion")).to_have_count(10)
    assert (page.url, rows(page, "champion").all_text_contents()) == (edited, shown)
    watched.check()

    page.get_by_role("button", name="Back to the stored history").click()
    expect(page.locator("#added > li, #stored > .removed")).to_have_count(0)
    expect(page.locator("#champion .move")).to_have_count(0)
    assert page.url.endswith("#user=user-7")
    page.go_back()
    expect(page.locator("#added > li")).to_have_count(2)
    watched.check()


def test_a_picture_is_shown_where_an_item_has_one(address, watched):
    page = watched.page
    page.goto(f"{address}/explorer#user=user-7")
    expect(rows(page, "champion")).to_have_count(10)
    pictured = 0
    for row in rows(page, "champion").all():
        picture = row.locator(".picture")
        if (
            int(row.get_attribute("data-item").split("-")[1]) % 5 == 4
        ):  # an empty square, so that titles align
            expect(picture).to_have_attribute("aria-hidden", "true")
        else:
            pictured += 1
            assert picture.evaluate("(one) => [one.alt, one.loading, one.referrerPolicy, one.src]") == [
                "", "lazy", "no-referrer", PICTURE
            ]  # fmt: skip
    assert 0 < pictured < 10
    watched.check()


def test_lists_come_first_and_say_what_is_loading(address, watched):
    page = watched.page
    page.route("**/api/lists", lambda route: None)  # never answered
    page.goto(f"{address}/explorer#user=user-7")
    expect(page.locator("#status")).to_have_text("Loading user-7’s lists …")
    page.unroute_all()
    page.reload()
    expect(page.locator("#status")).to_have_text("10 items for user-7.")
    top = {name: page.locator(name).first.bounding_box()["y"] for name in ("main", "aside", "#champion li")}
    assert top["main"] <= top["aside"]
    assert top["#champion li"] < 450
    if watched.size == "phone":
        assert top["#champion li"] < top["aside"]
    order = {column: [row.get_attribute("data-item") for row in rows(page, column).all()] for column in HEADS}
    for column, beside in (
        ("champion", "challenger"),
        ("challenger", "champion"),
        ("popularity", "champion"),
    ):
        said = page.locator(f"#{column} .elsewhere").all_text_contents()
        missing = [item not in order[beside] for item in order[column]]
        for place, item in enumerate(order[column]):
            there = order[beside].index(item) if item in order[beside] else None
            alone = "not live now" if column == "challenger" and sum(missing) <= 5 else ""
            differs = alone if there is None else f"{HEADS[beside]} {there + 1}" if there != place else ""
            assert said[place] == differs


def test_a_list_that_is_not_there_leaves_no_empty_column(shop, watched, monkeypatch):
    monkeypatch.setattr("recgan.registry.versions.challenger", lambda root, name: None)
    page = watched.page
    with serving(create_app(shop, poll_seconds=3600, exposure="local")) as address:
        page.goto(f"{address}/explorer#user=user-7")
        expect(rows(page, "champion")).to_have_count(10)
        expect(page.locator("#notes li")).to_have_text(["No other version is waiting to go live."])
        expect(page.locator("#challenger")).to_be_hidden()
        expect(page.locator("[data-show=challenger]")).to_be_hidden()
        watched.check()


def test_nothing_is_called_live_where_nothing_is(address, watched):
    def unpromoted(route):
        answer = route.fetch().json()
        answer["champion"] |= {"version": None, "state": "none", "message": "the gate refused version 2"}
        route.fulfill(json=answer)

    page = watched.page
    page.route("**/explorer/api/lists", unpromoted)
    page.goto(f"{address}/explorer#user=user-7")
    expect(rows(page, "challenger")).to_have_count(10)
    expect(page.locator("#notes li")).to_have_text(["Nothing is live yet: the gate refused version 2"])
    expect(page.locator("h1")).to_have_text("What shoppers would be shown")
    page.get_by_text("How to read this page").click()
    shown = page.locator(".reading").inner_text()
    assert "Candidate is the newest version that is not live" in shown
    assert "Live now" not in shown
    assert "not live now" not in shown


def test_everything_is_reached_by_keyboard(address, watched):
    page = watched.page
    page.goto(f"{address}/explorer#user=user-7")
    expect(rows(page, "champion")).to_have_count(10)
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Skip to the lists")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#lists-title")).to_be_focused()
    reached = []
    for _ in range(90):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "(() => { const one = document.activeElement, style = getComputedStyle(one);"
                "return [one.dataset.key ?? one.id, style.outlineStyle !== 'none']; })()"
            )
        )
    assert all(visible for name, visible in reached if name)
    names = {name for name, _ in reached}
    first = rows(page, "champion").first.get_attribute("data-item")
    assert {f"why champion {first}", f"add champion {first}", "item", "kind", "k", "seen"} <= names


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(address, watched, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install -e '.[dev]'")
    page = watched.page
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{address}/explorer#user=user-7")
    expect(rows(page, "champion")).to_have_count(10)
    page.locator("#stored button").first.click()
    expect(page.locator("#champion .move").first).to_be_visible()
    page.locator("#champion").get_by_role("button", name=re.compile("^Why ")).first.click()
    expect(page.locator("#champion .why tbody tr").first).to_be_visible()
    page.locator(".reading summary").click()
    found = axe.Axe().run(page).response
    assert len(found["passes"]) > 20
    assert [
        (fault["id"], [node["html"] for node in fault["nodes"]])
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
    ] == []


def test_a_new_shopper_by_clicking(address, watched):
    page = watched.page
    page.goto(f"{address}/explorer#user=user-7")
    page.get_by_role("button", name="New shopper").click()
    expect(page.get_by_role("heading", name="History of a new shopper")).to_be_visible()
    expect(page.locator("#stored > li")).to_have_count(0)
    show(watched, "popularity")
    first = rows(page, "popularity").first.locator(".title").text_content()
    rows(page, "popularity").first.get_by_role("button", name=f"Add {first} to the history").click()
    expect(page.locator("#added .title")).to_have_text(first)
    expect(page.locator("#popularity .gone")).to_contain_text(f"{first} (was 1, now in the history)")
    show(watched, "champion")
    expect(page.locator("#champion .move").first).to_be_visible()
    watched.check()


def test_filters_change_every_list_and_the_address(address, watched):
    page = watched.page
    page.goto(f"{address}/explorer#user=user-7")
    expect(rows(page, "champion")).to_have_count(10)
    page.get_by_label("Items in a list").fill("3")
    page.get_by_label("Items in a list").press("Enter")
    expect(rows(page, "challenger")).to_have_count(3)
    page.locator("#categories summary").click()
    page.get_by_label("taste-2").check()
    expect(page.locator("#categories summary")).to_have_text("taste-2")
    expect(rows(page, "champion").first).to_contain_text("taste-2")
    page.keyboard.press("Escape")
    page.get_by_label("to price").fill("20")
    page.get_by_label("to price").press("Enter")
    expect(rows(page, "popularity")).to_have_count(3)
    page.get_by_label("leave out what is in the history").uncheck()
    for part in ("k=3", "category=taste-2", "max=20", "seen=shown"):
        expect(page).to_have_url(re.compile(part))
    page.get_by_label("Price from").fill("30")
    page.get_by_label("Price from").press("Enter")
    watched.complaints.clear()
    expect(page.get_by_role("alert")).to_contain_text("min_price 30 is above max_price 20")
    # The browser itself logs every answer that is none.
    assert all("422" in said for said in watched.complaints)
    watched.complaints.clear()
    watched.check()


def test_a_title_that_looks_like_html_is_text(address, watched):
    page = watched.page
    page.goto(f"{address}/explorer#new=&plus=purchase::item-1")
    expect(page.locator("#added .title")).to_have_text(HOSTILE)
    page.get_by_label("Add an item").fill("item-1")
    expect(page.locator("#items button").first).to_contain_text(HOSTILE)
    page.goto(f"{address}/explorer#new=&plus=purchase::item-7")
    expect(page.locator("#champion .title", has_text=HOSTILE)).to_be_attached()
    assert page.locator("img[src='x'], main script").count() == 0
    expect(page).to_have_title(re.compile("^Explorer: "))
    watched.check()


def test_clear_words_for_an_unknown_shopper_and_a_server_that_is_gone(shop, watched):
    page = watched.page
    with serving(create_app(shop, poll_seconds=3600, exposure="local")) as address:
        page.goto(f"{address}/explorer#user=who")
        expect(page.locator("#history-note")).to_contain_text("knows no shopper who")
        expect(rows(page, "champion")).to_have_count(10)
        watched.check()
    page.get_by_role("button", name="New shopper").click()
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
    expect(page.locator("#status")).to_have_text("Could not load a new shopper’s lists.")
    watched.complaints.clear()
    port = int(address.rpartition(":")[2])
    with serving(create_app(shop, poll_seconds=3600, exposure="local"), port):
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("alert")).to_be_hidden()
        # The browser may tell of a refused request later than the page does.
        watched.complaints[:] = [said for said in watched.complaints if "CONNECTION_REFUSED" not in said]
        watched.check()


def test_without_a_champion_the_page_says_so(store_uri, monkeypatch, watched):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri)
    with serving(create_app("nobody", poll_seconds=3600, exposure="local")) as address:
        watched.page.goto(f"{address}/explorer")
        expect(watched.page.get_by_role("alert")).to_contain_text("nobody has no champion")
        expect(watched.page.locator("#champion")).to_contain_text("not loaded")
        assert watched.page.locator(".skeleton").count() == 0
