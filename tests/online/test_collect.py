"""What came of answers finds its way into the events, once, whenever it was told."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from recgan.core.errors import RecganError
from recgan.core.files import read_json
from recgan.data.collected import COLLECTED, SUMMARY, read_index
from recgan.data.events import EVENTS, FEEDBACK_PART, ITEMS, USERS, period_of, read_table
from recgan.data.impressions import FEEDBACK, SHOWN, scan_feedback, scan_shown
from recgan.data.settings import FeedbackParams
from recgan.data.sources.feedback import add_feedback
from recgan.online.collect import collect, sentence
from recgan.settings import load_params
from recgan.stages import feedback, ingest
from tests.conftest import SHOP

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
LATER = NOON + timedelta(days=5)
SETTINGS = {"late_days": 30, "same_seconds": 60}


@pytest.fixture
def project(tmp_path):
    content = yaml.safe_load(SHOP.read_text())
    content["ingest"] |= {"feedback": SETTINGS, "events": 1000}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    return tmp_path


def write(project, table, name, rows, day=NOON, finished=True):
    """Write rows as a server does, given as dictionaries that may lack columns."""
    schema = {"shown": SHOWN, "feedback": FEEDBACK}[table]
    folder = project / f"impressions/recgan/{table}/date={day:%Y-%m-%d}"
    folder.mkdir(parents=True, exist_ok=True)
    whole = pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in rows], schema)
    if finished:
        pq.write_table(whole, folder / f"{name}.parquet")
        (folder / f"{name}.arrows").unlink(missing_ok=True)
        return
    with (folder / f"{name}.arrows").open("wb") as file:
        stream = pa.ipc.new_stream(file, schema)
        for row in whole.to_batches(max_chunksize=1):
            stream.write_batch(row)
        file.write(b"\xff\xff\xff\xffhalf")  # a batch that is not whole yet


def shown(request, user="ann", items=("a", "b"), when=NOON):
    return {"request_id": request, "time": when, "user_id": user, "item_ids": list(items)}


def told(request, item="a", event="view", when=NOON, received=None, **more):
    times = {"time": when, "received": received or when + timedelta(seconds=5)}
    return {"request_id": request, "item_id": item, "event": event} | times | more


def collected(project):
    parts = sorted((project / "data/feedback/events").glob("*"))
    return pa.concat_tables([COLLECTED.empty_table(), *map(pq.read_table, parts)]).to_pylist()


def bring(project, now=LATER):
    return collect(project, load_params(project / "params.yaml"), now)


def test_feedback_meets_its_answer_and_the_rest_is_counted_by_its_reason(project):
    write(project, "shown", "x", [shown("r1"), shown("r2", user=None)])
    rows = [
        told("r1", "b", "purchase", value=3.0, price=9.5),
        told("r1", "b", "purchase", received=NOON + timedelta(hours=1), value=7.0),
        told("r1", "a", "cart", value=5.0),
        told("r1", "c"),
        told("r2", "a"),
        told("r3", "a"),
    ]
    write(project, "feedback", "x", rows)
    done = bring(project)
    found = {(row["item_id"], row["event"]): row for row in collected(project)}
    assert set(found) == {("b", "purchase"), ("a", "cart")}
    assert (found["b", "purchase"]["user_id"], found["b", "purchase"]["value"]) == ("ann", 3.0)
    assert found["b", "purchase"]["price"] == 9.5
    assert found["a", "cart"]["value"] is None  # of a cart it says nothing
    left = {"told_again": 1, "not_shown": 1, "no_user": 1, "unknown_request": 1}
    assert done.index.left_out == left
    assert (done.read, done.added, done.index.told) == (6, 2, 6)
    assert "6 rows of feedback are new, and 2 go on to ingest" in sentence(done)


def test_what_happened_before_its_answer_goes_on_and_is_counted(project):
    write(project, "shown", "x", [shown("r1", items="abc")])
    rows = [
        told("r1", "a", when=NOON - timedelta(minutes=4), received=NOON),  # clocks differ
        told("r1", "b", when=NOON - timedelta(minutes=6), received=NOON),
        told("r1", "z", when=NOON - timedelta(days=1), received=NOON),  # left out for not being shown
    ]
    write(project, "feedback", "x", rows)
    done = bring(project)
    assert (done.added, done.index.early) == (2, 1)
    assert "1 that went on happened before their answer" in sentence(done)
    assert bring(project).index.early == 1


def test_what_would_stop_every_night_is_left_out_and_may_be_told_again(project):
    write(project, "shown", "x", [shown("r1", items="abcdef")])
    rows = [
        told("r1", "a", when=datetime(1999, 1, 1, tzinfo=UTC), received=NOON),
        told("r1", "b", when=NOON + timedelta(days=1), received=NOON),
        told("r1", "c", "purchase", value=1e9),
        told("r1", "d", "purchase", price=-1.0),
        told("r1", "e", "view", value=1e9),
        told("r1", "f", when=NOON + timedelta(minutes=4), received=NOON),
        told("r1", "a", received=NOON + timedelta(hours=1)),
    ]
    write(project, "feedback", "x", rows)
    done = bring(project)
    assert {row["item_id"] for row in collected(project)} == {"a", "e", "f"}
    assert done.index.left_out == {"out_of_range": 4}


def test_a_night_reads_what_is_new_of_files_that_are_written_and_then_finished(project):
    write(project, "shown", "x", [shown("r1"), shown("r2")], finished=False)
    write(project, "feedback", "x", [told("r1")], finished=False)
    assert bring(project).read == 1
    write(project, "feedback", "x", [told("r1"), told("r2")], finished=False)
    assert bring(project).read == 1
    before = {path: path.stat().st_ino for path in (project / "data/feedback").rglob("*")}
    assert bring(project).read == 0
    assert {path: path.stat().st_ino for path in (project / "data/feedback").rglob("*")} == before
    write(project, "feedback", "x", [told("r1"), told("r2"), told("r2", "b")])
    assert bring(project).read == 1
    assert bring(project).read == 0
    assert [(row["request_id"], row["item_id"]) for row in collected(project)] == [
        ("r1", "a"),
        ("r2", "a"),
        ("r2", "b"),
    ]


def test_what_is_told_nights_later_lands_in_its_own_time_unless_it_is_too_late(project):
    write(project, "shown", "x", [shown("r1"), shown("r2")])
    write(project, "feedback", "x", [told("r1")])
    bring(project, NOON + timedelta(days=2))
    late = NOON + timedelta(days=29, hours=23)
    rows = [
        told("r2", when=NOON + timedelta(hours=1), received=late),
        told("r1", received=late),
        told("r1", "b", received=NOON + timedelta(days=30, seconds=1)),
    ]
    write(project, "feedback", "y", rows, day=late)
    done = bring(project, NOON + timedelta(days=40))
    assert [row["time"] for row in collected(project)] == [NOON, NOON + timedelta(hours=1)]
    assert done.index.left_out == {"told_again": 1, "unknown_request": 1}


def test_feedback_that_is_there_before_its_answer_waits_for_a_day(project):
    write(project, "feedback", "x", [told("r1"), told("r2")])
    done = bring(project, NOON + timedelta(hours=1))
    assert (done.added, done.index.waiting) == (0, 2)
    write(project, "shown", "x", [shown("r1")])
    done = bring(project, NOON + timedelta(days=2))
    assert (done.read, done.added, done.index.waiting) == (0, 1, 0)
    assert done.index.left_out == {"unknown_request": 1}
    assert [row["request_id"] for row in collected(project)] == ["r1"]


def test_nothing_is_collected_on_the_first_night_or_where_nobody_asks_for_it(project):
    feedback(project)
    assert read_index(project / "data/feedback").told == 0
    assert bring(project).index.told == 0
    ingest(project)
    assert (project / "data/ingested/events.parquet").is_file()
    params = (project / "params.yaml").read_text()
    content = yaml.safe_load(params)
    content["ingest"]["feedback"] = None
    (project / "params.yaml").write_text(yaml.safe_dump(content))
    assert bring(project) is None
    assert "nothing is collected" in sentence(None)


def test_a_damaged_file_is_one_error_and_leaves_what_was_collected(project):
    write(project, "shown", "x", [shown("r1")])
    write(project, "feedback", "x", [told("r1")])
    bring(project)
    broken = project / "impressions/recgan/feedback/date=2026-03-10/y.parquet"
    broken.write_bytes(b"no parquet")
    with pytest.raises(RecganError, match=r"y\.parquet is damaged"):
        bring(project)
    assert len(collected(project)) == 1
    broken.unlink()
    (project / "data/feedback/index.json").write_text("{")
    with pytest.raises(RecganError, match=r"index\.json is damaged .*`dvc checkout data/feedback"):
        bring(project)
    with pytest.raises(RecganError, match=r"index\.json is damaged"):
        ingest(project)


# --- into the events ------------------------------------------------------------------------------------


def event(user, item, kind, when, **more):
    row = {"user_id": user, "item_id": item, "event": kind, "timestamp": when}
    return dict.fromkeys(EVENTS.names) | row | more


@pytest.fixture
def ingested(project):
    """The tables of a source with one event: Ann has seen a at noon."""
    folder = project / "tables"
    folder.mkdir()
    rows = [event("ann", "a", "view", NOON, session_id="s")]
    pq.write_table(pa.Table.from_pylist(rows, EVENTS), folder / "events.parquet")
    items = [dict.fromkeys(ITEMS.names) | {"item_id": item} for item in "ab"]
    pq.write_table(pa.Table.from_pylist(items, ITEMS), folder / "items.parquet")
    pq.write_table(pa.Table.from_pylist([{"user_id": "ann", "fake": False}], USERS), folder / "users.parquet")
    return folder


def add(project, ingested, rows):
    answers = [shown("r1"), shown("r2"), shown("r3", user=" bob "), shown("r4", items=["gone"])]
    write(project, "shown", "x", answers)
    write(project, "feedback", "x", rows)
    bring(project)
    add_feedback(FeedbackParams(**SETTINGS), project / "data/feedback", ingested)
    return read_table(ingested / "events.parquet", EVENTS).to_pylist(), read_json(ingested / SUMMARY)


def test_an_event_is_added_unless_the_source_or_another_answer_has_it(project, ingested):
    minute = timedelta(minutes=1)
    rows = [
        told("r1", "a", when=NOON + minute),  # of the log
        told("r2", "a", when=NOON + 2 * minute + timedelta(seconds=1)),  # of itself
        told("r1", "b", "purchase", when=NOON),
        told("r2", "b", "purchase", when=NOON + minute),  # the same purchase
        told("r3", "a", when=NOON),
        told("r4", "gone"),
    ]
    events, summary = add(project, ingested, rows)
    assert events == [
        event("ann", "a", "view", NOON, session_id="s"),
        event("ann", "b", "purchase", NOON),
        event("bob", "a", "view", NOON),
        event("ann", "a", "view", NOON + 2 * minute + timedelta(seconds=1)),
    ]
    users = read_table(ingested / "users.parquet", USERS).to_pylist()
    assert users == [{"user_id": "ann", "fake": False}, {"user_id": "bob", "fake": None}]
    assert (summary["events"], summary["told"]) == (3, 6)
    assert {name: n for name, n in summary["left_out"].items() if n} == {
        "repeated": 1,
        "in_log": 1,
        "unknown_item": 1,
    }


def test_feedback_after_the_end_of_the_log_is_told_of(project, ingested, caplog):
    day = timedelta(days=1)
    add(project, ingested, [told("r1", "b", when=NOON + day)])
    assert "feedback goes on" not in caplog.text
    events = ingested / "events.parquet"
    assert (period_of(events)[1], period_of(events, feedback=False)[1]) == (NOON + day, NOON)
    (events / FEEDBACK_PART).unlink()
    write(project, "feedback", "y", [told("r1", "b", "cart", when=NOON + 3 * day)])
    bring(project)
    add_feedback(FeedbackParams(**SETTINGS), project / "data/feedback", ingested)
    assert "feedback goes on for 3.0 days after the last event of the source (2026-03-10)" in caplog.text


# --- readers --------------------------------------------------------------------------------------------


def test_answers_are_read_by_days_a_file_at_a_time(project):
    for number in range(4):
        day = NOON + timedelta(days=number)
        write(project, "shown", f"x{number}", [shown(f"r{number}", when=day)], day=day)
    midnight = datetime(2026, 3, 12, tzinfo=UTC)
    evening = shown("late", when=midnight - timedelta(seconds=1))
    write(project, "shown", "x9", [evening, shown("early", when=midnight)], day=midnight, finished=False)
    folder = project / "impressions/recgan"
    days = (NOON + timedelta(days=1)).date()
    found = scan_shown(folder, days, days, ["request_id"]).read_all()
    assert found.to_pydict() == {"request_id": ["r1", "late"]}
    assert scan_shown(folder, last=days).read_all()["request_id"].to_pylist() == ["r0", "r1", "late"]
    assert len(scan_shown(folder).read_all()) == 6
    assert scan_feedback(folder).read_all().schema == FEEDBACK
