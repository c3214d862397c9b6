"""The page of the screen: what a group did, by hand; the lines to copy; where nothing is found."""

import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime

import ibis
import pyarrow as pa
import pytest
import yaml

from recgan.accounts.log import log_of
from recgan.accounts.page import page
from recgan.accounts.published import published
from recgan.accounts.screen import Screening
from recgan.accounts.tables import ACCOUNTS, GROUPS, Screened
from recgan.accounts.timeline import days_between, drawn, said_of
from recgan.accounts.words import SETTINGS
from recgan.accounts.worst import worst_groups
from recgan.data.events import ITEMS
from tests.accounts.conftest import START

FAKES = [f"<i>{number}</i>" for number in range(6)]
OTHERS = [f"shopper-{number}" for number in range(20)]
ROWS = [
    *((user, "pushed", 50 + number / 5) for number, user in enumerate(FAKES)),  # six within a day
    *((user, "pushed", 5.0 * number) for number, user in enumerate(OTHERS)),  # one in five days
    *((user, "also", 50.0) for user in FAKES[:2]),
    ("shopper-0", "other", 100.0),
]
ITEMS_TABLE = pa.Table.from_pylist(
    [{"item_id": "pushed", "title": 'A "bargain" <i>', "price": 1234.5}, {"item_id": "other"}], ITEMS
)
SUMMARY = {
    "accounts": 26,
    "times": True,
    "days": 100.0,
    "quarantined": 6,
    "quarantined_share": 6 / 26,
    "quarantined_by": {"lockstep": 6, "labels": 2, "condemned": 0},
    "quarantined_events": 8,
    "suspects": 0,
    "groups": 1,
}
NOBODY = SUMMARY | {
    "quarantined": 0, "quarantined_by": {"lockstep": 0}, "quarantined_events": 0, "groups": 0
}  # fmt: skip


@pytest.fixture
def log(events):
    return log_of(ibis.memtable(events(ROWS)))


def account(user, **more):
    return {"user_id": user, "score": 0.0, "quarantined": False, "suspect": False, "reasons": []} | more


def tables(*accounts, groups=True):
    fakes = [account(user, quarantined=True, reasons=["with 5 others"], group_id=7) for user in FAKES]
    group = {
        "group_id": 7,
        "accounts": 6,
        "first": datetime(2024, 2, 20, tzinfo=UTC),
        "last": datetime(2024, 2, 21, tzinfo=UTC),
        "items": ["pushed", "also"],
        "reason": "6 accounts within 1 day",
        "quarantined": True,
    }
    rows = [*(fakes if groups else []), *accounts, *(account(user) for user in OTHERS)]
    return Screened(
        pa.Table.from_pylist(rows, ACCOUNTS), pa.Table.from_pylist([group] if groups else [], GROUPS)
    )


def text(html):
    """The words of a page, which must be well-formed."""
    return " ".join("".join(ET.fromstring(html.split("\n", 1)[1]).itertext()).split())


def test_a_group_is_told_by_the_products_own_rate(log):
    (worst,) = worst_groups(tables(), log, ITEMS_TABLE, 5)
    assert worst.user_ids == FAKES
    pushed, also = worst.products
    # The group takes one day; of the log's 100 days since the first sale 99 are left, and 19 others came in
    # them (the one of day 50 came within).
    assert (pushed.accounts, pushed.expected) == (6, pytest.approx(19 / 99))
    assert pushed.ratio == pytest.approx(6 / (19 / 99))
    assert (pushed.name, pushed.price, also.name, also.price) == ('A "bargain" <i>', 1234.5, "also", None)
    # Nobody else ever came to it: half an account in the 49 other days since it was first sold.
    assert (also.accounts, also.expected) == (2, pytest.approx(0.5 / 49))


def test_a_timeline_counts_each_account_once_in_at_most_sixty_bars(log):
    (worst,) = worst_groups(tables(), log, ITEMS_TABLE, 5)
    line = worst.timeline
    assert (line.days, len(line.group), line.start) == (2, 51, START)
    assert {bar: count for bar, count in enumerate(line.group) if count} == {25: 6}
    assert line.others.sum() == 20
    assert line.others[25] == 1
    assert said_of(line) == (
        "6 accounts of the group came to it. Of all others 20 did in the whole log, 0.2 a day."
    )
    chart = ET.fromstring(drawn(line, "<x>"))
    bars = [bar for bar in chart.iter("{http://www.w3.org/2000/svg}rect") if bar.get("class") == "group"]
    assert [bar[0].text for bar in bars] == ["20–21 Feb 2024: 6 of the group, 1 others"]


def test_the_page_tells_who_why_and_what_to_do(log, params):
    section = params(cleared=["kept"], condemned=["<i>0</i>"])
    suspect = account("a|b", suspect=True, overlap=9.0, reasons=["a history like 12 others"])
    summary = SUMMARY | {
        "suspects": 1,
        "canaries": {"push": {"accounts": 8, "found": 6, "recall": 0.75, "genuine": 0}},
    }
    html = page(Screening(tables(suspect), summary), log, ITEMS_TABLE, section)
    told = text(html)
    assert told.startswith("Fake accounts: 6 of 26 accounts are left out")
    for words in (
        "6 accounts in lockstep",
        "2 of them for more than one reason.",
        "8 of 29 events (27.59%)",
        '6 accounts on A "bargain" <i> and 1 more',
        "Group 7, 20–21 Feb 2024: 6 accounts within 1 day",
        "price 1,234.50",
        "push accounts that come for one product and little else 75% 6 of 8",
        "A slow drip, or a crowd over months",
        "a history like 12 others",
        "least_accounts fewer accounts in a window are no crowd3",
    ):
        assert words in told
    assert "<i>" not in html
    lines = [
        yaml.safe_load(one) for one in re.findall(r"^  (?:cleared|condemned): .*", _unescaped(html), re.M)
    ]
    assert {"cleared": ["kept", *FAKES]} in lines
    assert {"cleared": ["kept"]} in lines
    assert {"condemned": ["<i>0</i>"]} in lines


def _unescaped(html):
    return "\n".join("".join(one.itertext()) for one in ET.fromstring(html.split("\n", 1)[1]).iter("pre"))


@pytest.mark.parametrize(
    ("summary", "changes", "says"),
    [
        ({}, {}, ["No account was left out", "No accounts came to the same products", "There is none"]),
        ({}, {"enabled": False}, ["No account was looked at", "screen.enabled is false"]),
        ({"times": False}, {}, ["The events have no times", "only listed"]),
    ],
)  # fmt: skip
def test_an_empty_page_says_so_in_words(log, params, summary, changes, says):
    screening = Screening(tables(groups=False), NOBODY | summary)
    told = text(page(screening, log, ITEMS_TABLE, params(**changes)))
    for words in (*says, "No account is listed as suspect", "No simulated campaign was tried"):
        assert words in told


def test_a_page_of_a_night_that_was_stopped_says_that_nothing_was_written(log, params):
    told = text(page(Screening(tables(), SUMMARY, "23 % act in lockstep"), log, ITEMS_TABLE, params()))
    assert "The screen stopped: 6 of 26 accounts would be left out" in told
    assert "23 % act in lockstep" in told


def test_every_setting_has_its_meaning(params):
    section = params().model_dump()
    names = {
        f"{name}.{below}" if isinstance(value, dict) else name
        for name, value in section.items()
        for below in (value if isinstance(value, dict) else [""])
    }
    assert names - {"cleared", "condemned"} == set(SETTINGS)


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        ("2024-02-20T01:00", "2024-02-20T23:00", "20 Feb 2024"),
        ("2024-02-20", "2024-02-21", "20–21 Feb 2024"),
        ("2024-02-20", "2024-03-01", "20 Feb – 1 Mar 2024"),
        ("2023-12-31", "2024-01-01", "31 Dec 2023 – 1 Jan 2024"),
    ],
)
def test_days_in_words(first, last, words):
    assert days_between(datetime.fromisoformat(first), datetime.fromisoformat(last)) == words


def test_what_is_published_is_who_is_left_out_with_titles():
    old = account("lonely", quarantined=True, reasons=["condemned by a person"], verdict="condemned")
    found = published(tables(old).accounts, tables().groups, ITEMS_TABLE, START)
    assert set(found.accounts) == {*FAKES, "lonely"}
    assert found.accounts["lonely"].group is None
    assert found.groups[7].user_ids == tuple(FAKES)
    assert [(one.item_id, one.title) for one in found.groups[7].products] == [
        ("pushed", 'A "bargain" <i>'), ("also", None)
    ]  # fmt: skip
