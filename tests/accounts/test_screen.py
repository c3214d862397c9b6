"""The stage: who is left out, who is not, and what a person says of them."""

from datetime import timedelta

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from recgan.accounts.lockstep import lockstep
from recgan.accounts.log import log_of
from recgan.accounts.screen import in_lockstep
from recgan.accounts.screen import screen as screened
from recgan.accounts.tables import read_screened
from recgan.core.errors import RecganError
from recgan.core.files import read_json
from recgan.data.events import ITEMS, USERS, Tables, write_tables
from recgan.data.quarantine import QUARANTINE
from recgan.data.screened import read_quarantined
from recgan.stages import screen
from tests.accounts.conftest import START
from tests.conftest import SHOP


@pytest.fixture
def project(tmp_path, events):
    """400 shoppers over 90 days, 16 of whose accounts came to five products within a day each."""
    rng = np.random.default_rng(2)
    rows = [
        (f"u{u:03}", f"i{i}", d)
        for u, i, d in zip(
            rng.integers(400, size=6000), rng.integers(5, 300, 6000), rng.uniform(0, 90, 6000), strict=True
        )
    ]
    rows += [(f"f{u:02}", f"i{i}", 40 + i / 5 + u / 50) for u in range(16) for i in range(5)]
    kept = tmp_path / "data/kept"
    kept.mkdir(parents=True)
    write_tables(Tables(events(rows), ITEMS.empty_table(), USERS.empty_table()), kept)
    pq.write_table(QUARANTINE.empty_table(), kept / "quarantine.parquet")
    (tmp_path / "params.yaml").write_bytes(SHOP.read_bytes())
    return tmp_path


def change(root, **values):
    content = yaml.safe_load((root / "params.yaml").read_text())
    content["screen"] |= values
    (root / "params.yaml").write_text(yaml.safe_dump(content))


def quarantined(root):
    return read_quarantined(root / "data/screened").to_pylist()


FAKES = [f"f{n:02}" for n in range(16)]


def test_a_campaign_is_left_out_with_its_reason_and_nobody_else_is(project):
    screen(root=project)
    assert quarantined(project) == FAKES
    accounts = read_screened(project / "data/screened").accounts.to_pylist()
    assert len(accounts) == len({row["user_id"] for row in accounts}) == 416
    assert {row["user_id"] for row in accounts[:16]} == set(FAKES)
    assert all(row["reasons"][0].startswith("with 15 others on i") for row in accounts[:16])
    assert all(row["score"] > 0.5 for row in accounts[:16])
    assert all(row["score"] <= 0.5 for row in accounts[16:])
    summary = read_json(project / "metrics/screening.json")
    assert summary["quarantined"] == 16
    assert summary["quarantined_events"] == 80
    assert "times the usual rate" in (project / "reports/screening.html").read_text()


def test_a_persons_word_overrides_and_one_that_names_nobody_is_told(project, caplog):
    change(project, cleared=["f03", "nobody"], condemned=["u007"])
    screen(root=project)
    assert quarantined(project) == sorted({*FAKES, "u007"} - {"f03"})
    verdicts = {
        row["user_id"]: row["verdict"]
        for row in read_screened(project / "data/screened").accounts.to_pylist()
        if row["verdict"]
    }
    assert verdicts == {"f03": "cleared", "u007": "condemned"}
    assert "screen.cleared names 1 account(s) that no event has, such as nobody" in caplog.text


def test_too_many_stop_the_stage_and_nothing_is_replaced(project):
    screen(root=project)
    files = [project / "metrics/screening.json", *(project / "data/screened").iterdir()]
    before = [file.read_bytes() for file in files]
    change(project, max_quarantined_share=0.01)
    with pytest.raises(RecganError, match=r"16 of 416 accounts \(3.85 %\).*max_quarantined_share \(1 %\)"):
        screen(root=project)
    assert [file.read_bytes() for file in files] == before
    told = (project / "reports/screening.html").read_text()
    assert "more than screen.max_quarantined_share (1 %) lets be left out" in told
    assert all(name in told for name in FAKES)


def test_switched_off_or_without_times_a_persons_word_alone_counts(project):
    change(project, condemned=["u007"], enabled=False)
    screen(root=project)
    assert quarantined(project) == ["u007"]
    change(project, enabled=True)
    path = project / "data/kept/events.parquet"
    table = pq.read_table(path)
    undated = pa.nulls(len(table), table["timestamp"].type)
    pq.write_table(table.set_column(table.column_names.index("timestamp"), "timestamp", undated), path)
    screen(root=project)
    assert quarantined(project) == ["u007"]


def test_the_order_of_the_events_changes_nothing(project):
    screen(root=project)
    folder = project / "data/screened"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    path = project / "data/kept/events.parquet"
    table = pq.read_table(path)
    pq.write_table(table.take(np.random.default_rng(1).permutation(len(table))), path, row_group_size=500)
    screen(root=project)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_who_meets_a_campaigns_products_in_its_days_stays(events, params):
    rng = np.random.default_rng(3)
    rows = [
        # In the campaign's days the bystander alone meets its products.
        (f"u{n % 900:03}", f"i{rng.integers(31 if 30 < n / 200 < 55 else 0, 900)}", n / 200)
        for n in range(18_000)
    ]
    rows += [(f"f{u:02}", "i0", 40 + rng.uniform(0, 5)) for u in range(60)]
    rows += [(f"f{u:02}", f"i{i}", 40 + rng.uniform(0, 5)) for u in range(60) for i in rng.integers(1, 21, 8)]
    rows += [("bystander", f"i{i}", 42 + i / 10) for i in range(1, 4)]
    rows += [("bystander", f"i{i}", i / 10) for i in range(100, 110)]
    log, settings = log_of(ibis.memtable(events(rows))), params(min_crowd=3)
    place = log.user_ids.tolist().index("bystander")
    together = lockstep(log, settings.windows_days, settings.least_accounts)
    assert together.lock_max[place] > settings.min_crowd
    assert together.lock_mean[place] > settings.min_mean_crowd
    found, taken = in_lockstep(log, settings)
    assert log.user_ids[taken].tolist() == [f"f{u:02}" for u in range(60)]
    assert found.lock_max[place] < settings.min_crowd
    assert (found.lock_max[taken] == together.lock_max[taken]).all()


def test_groups_are_campaigns_and_tell_what_they_share(events, params):
    rng = np.random.default_rng(4)
    rows = [(f"u{n % 900:03}", f"i{rng.integers(10, 900)}", n * 90 / 18_000) for n in range(18_000)]
    rows += [(f"f{u:02}", f"i{i}", 40 + rng.uniform(0, 2)) for u in range(30) for i in (1, 2)]
    rows += [(f"g{u:02}", "i9", 70 + rng.uniform(0, 2)) for u in range(20)]
    log = log_of(ibis.memtable(events(rows)))
    found = screened(log, np.full(len(log.user_ids), -1, np.int8), params(max_quarantined_share=1))
    first, second = found.tables.groups.to_pylist()
    assert (first["group_id"], first["accounts"], set(first["items"])) == (1, 30, {"i1", "i2"})
    assert (second["group_id"], second["accounts"], second["items"]) == (2, 20, ["i9"])
    assert START + timedelta(days=70) <= second["first"] < second["last"] < START + timedelta(days=72)
    assert second["reason"].startswith("20 accounts came to i9 within ")
    groups = {row["user_id"][0]: row["group_id"] for row in found.tables.accounts.to_pylist()}
    assert groups == {"f": 1, "g": 2, "u": None}


def test_who_is_labelled_genuine_is_listed_at_most(project):
    people = pa.table({"user_id": FAKES[:3], "fake": [False] * 3}, USERS)
    pq.write_table(people, project / "data/kept/users.parquet")
    screen(root=project)
    assert quarantined(project) == FAKES[3:]
    accounts = read_screened(project / "data/screened").accounts.to_pylist()
    assert {row["user_id"] for row in accounts if row["suspect"]} >= set(FAKES[:3])


def test_a_log_of_one_day_has_no_day_to_compare_with(project, caplog):
    path = project / "data/kept/events.parquet"
    table = pq.read_table(path)
    day = pa.array([START + timedelta(minutes=n % 600) for n in range(len(table))], table["timestamp"].type)
    pq.write_table(table.set_column(table.column_names.index("timestamp"), "timestamp", day), path)
    screen(root=project)
    assert not quarantined(project)
    assert "the log spans 0.42 days, less than twice the shortest of screen.windows_days" in caplog.text
    assert "No other day is left to compare with" in (project / "reports/screening.html").read_text()


def test_a_screen_that_leaves_nobody_stops_the_night(project):
    users = pq.read_table(project / "data/kept/events.parquet")["user_id"].unique().to_pylist()
    change(project, condemned=users, enabled=False)
    with pytest.raises(RecganError, match=r"all 416 accounts are left out.*shorten screen\.condemned"):
        screen(root=project)
    assert not (project / "data/screened").exists()
