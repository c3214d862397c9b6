"""The log of answers in PostgreSQL is the one in files: nothing is lost, nothing is doubled."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import yaml

from recgan.core.errors import RecganError, Unavailable
from recgan.data import impressions_database as module
from recgan.data.impressions import DATABASE, SHOWN, logged, read_feedback, read_shown, scan_shown
from recgan.data.impressions_database import database, prepare
from recgan.forget.database import count_in_database, forget_in_database
from recgan.forget.wanted import wanted
from recgan.online.collect import collect
from recgan.serving import buffered
from recgan.serving.database_log import DatabaseLog
from recgan.serving.segments import Segments
from recgan.settings import load_params
from tests.conftest import SHOP
from tests.serving.conftest import until

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
BLANK = dict.fromkeys(SHOWN.names)
ANSWERS = [
    BLANK | {"request_id": "r1", "time": NOON, "user_id": "ann", "item_ids": ["a", "b"]},
    {
        "request_id": "r2",
        "time": NOON + timedelta(microseconds=1),
        "user_id": 'Zoë "☃"\\, {x}\t\n',
        "history": [],
        "k": 2**31 - 1,
        "exclude_seen": False,
        "categories": ["NULL", "", "a,b", "ünï"],
        "min_price": 0.1,
        "max_price": float("inf"),
        "item_ids": ["b", "\\N"],
        "scores": [0.1, -1e-30],
        "name": "recgan",
        "version": "7",
        "policy": "plackett_luce",
        "propensities": (1.0, 1e-300),
        "fallback": True,
        "candidates": ["b", "c"],
        "log_weights": [float("-inf"), 2.5],
        "experiment": "e",
        "arm": "interleaved",
        "teams": [None, "champion"],
        "milliseconds": 1.25,
    },
    BLANK | {"request_id": "r3", "time": NOON + timedelta(days=3), "user_id": "bob", "item_ids": []},
]
TOLD = [
    {"request_id": request, "item_id": "b", "event": "purchase", "time": NOON, "value": 2.0, "price": None}
    | {"received": NOON + timedelta(minutes=minute)}
    for minute, request in enumerate(["r1", "r2", "r1"])
]


@pytest.fixture
def url(postgres, monkeypatch):
    """The database of the test, with tables of nobody."""
    monkeypatch.setenv(DATABASE, postgres)
    monkeypatch.setattr(buffered, "EVERY_SECONDS", 0.01)
    found = database()
    with psycopg.connect(found, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS recgan_shown, recgan_feedback")
    return found


def rows(table, given):
    """Rows as the server adds them, of the model recgan."""
    schema, _ = module.TABLES[table]
    return [tuple((one | {"name": "recgan"})[name] for name in schema.names) for one in given]


def write(log, added):
    log.start()
    for row in added:
        log.add(row)
    log.close()


def write_both(url):
    for table, given in (("shown", ANSWERS), ("feedback", TOLD)):
        write(DatabaseLog(url, "recgan", table, pytest.fail), rows(table, given))


def ids(table):
    return table["request_id"].to_pylist()


def test_rows_come_back_as_files_would_have_them(url, tmp_path):
    write_both(url)
    write(DatabaseLog(url, "other", "feedback", pytest.fail), rows("feedback", TOLD))
    files = tmp_path / "files"
    for table, given in (("shown", ANSWERS), ("feedback", TOLD)):
        write(Segments(files / table, module.TABLES[table][0], pytest.fail), rows(table, given))
    found = logged(tmp_path, "recgan")
    assert read_shown(found).equals(read_shown(files))
    assert read_feedback(found).equals(read_feedback(files))
    day = (NOON + timedelta(days=3)).date()
    assert ids(scan_shown(found, day, day).read_all()) == ["r3"]
    assert ids(scan_shown(found, last=NOON.date()).read_all()) == ["r1", "r2"]


def test_a_pull_brings_what_is_new_once_whatever_ended_the_one_before(url, tmp_path, monkeypatch):
    log = DatabaseLog(url, "recgan", "feedback", pytest.fail)
    assert len(read_feedback(logged(tmp_path, "recgan"))) == 0  # nobody has made a table
    numbered = [TOLD[0] | {"request_id": str(number)} for number in range(5)]
    write(log, rows("feedback", numbered[:3]))
    monkeypatch.setattr(module, "FILE_ROWS", 2)
    original, calls = module._write, []

    def killed(*arguments):
        original(*arguments)
        calls.append(1)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        logged(tmp_path, "recgan")
    monkeypatch.setattr(module, "_write", original)
    write(log, rows("feedback", numbered[3:]))
    for _ in range(2):
        assert ids(read_feedback(logged(tmp_path, "recgan"))) == ["0", "1", "2", "3", "4"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE recgan_feedback RESTART IDENTITY")
    with pytest.raises(RecganError, match="another one, or an older state"):
        logged(tmp_path, "recgan")


def test_a_pull_waits_for_whoever_has_taken_numbers_and_not_committed(url, tmp_path, monkeypatch):
    write(DatabaseLog(url, "recgan", "feedback", pytest.fail), rows("feedback", TOLD[:1]))
    with psycopg.connect(url) as slow:
        slow.execute("INSERT INTO recgan_feedback (request_id, name) VALUES ('slow', 'recgan')")
        write(DatabaseLog(url, "recgan", "feedback", pytest.fail), rows("feedback", TOLD[1:]))
        connect = module.connect

        def hasty(address):
            connection = connect(address)
            connection.execute("SET lock_timeout = '100ms'")
            return connection

        monkeypatch.setattr(module, "connect", hasty)
        with pytest.raises(Unavailable, match="lock timeout"):
            logged(tmp_path, "recgan")
        slow.rollback()
    assert ids(read_feedback(logged(tmp_path, "recgan"))) == ["r1", "r2", "r1"]


def test_a_database_that_goes_away_costs_nothing_below_the_limit(url, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(buffered, "MAX_WAITING", 3)
    lost, log = [], DatabaseLog(url, "recgan", "feedback", pytest.fail)
    first, *more = [TOLD[0] | {"request_id": str(number)} for number in range(6)]
    log._lost = lost.append
    log.start()
    log.add(*rows("feedback", [first]))
    until(lambda: not log._waiting and log._doubt is None and log._connection is not None)
    with psycopg.connect(url, autocommit=True) as connection:
        mine = "application_name = 'recgan'"
        connection.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}")
        log._url = "postgresql://bob:hidden@127.0.0.1:9/shop"
        for row in rows("feedback", more):
            log.add(row)
        until(lambda: "cannot be written" in caplog.text)
    log._url = url
    log.close()
    assert caplog.text.count("cannot be written") == 1
    assert "hidden" not in caplog.text
    assert ids(read_feedback(logged(tmp_path, "recgan"))) == ["0", "1", "2", "3"]
    assert lost == [1, 1]


def test_a_commit_whose_answer_is_lost_is_not_written_again(url, tmp_path, monkeypatch):
    log = DatabaseLog(url, "recgan", "feedback", pytest.fail)
    batch = rows("feedback", TOLD)
    log._put(batch[:1])
    whole = psycopg.Connection.transaction

    @contextmanager
    def torn(self, *arguments, **named):
        with whole(self, *arguments, **named) as transaction:
            yield transaction
        raise psycopg.OperationalError("server closed the connection")

    monkeypatch.setattr(psycopg.Connection, "transaction", torn)
    waiting = batch[1:2]
    with pytest.raises(OSError, match="server closed"):
        log._put(waiting)
    assert waiting == batch[1:2]
    monkeypatch.setattr(psycopg.Connection, "transaction", whole)
    waiting += batch[2:]
    log._put(waiting)
    log._finish()
    assert waiting == []
    assert ids(read_feedback(logged(tmp_path, "recgan"))) == ["r1", "r2", "r1"]


def test_the_table_of_an_older_version_gets_its_columns(url, tmp_path):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE recgan_shown (serial bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
            "request_id text, time timestamptz, name text)"
        )
        connection.execute(
            "INSERT INTO recgan_shown (request_id, time, name) VALUES ('old', %s, 'recgan')", [NOON]
        )
        old = logged(tmp_path, "recgan")
        assert read_shown(old).to_pylist() == [BLANK | {"request_id": "old", "time": NOON, "name": "recgan"}]
        write(DatabaseLog(url, "recgan", "shown", pytest.fail), rows("shown", ANSWERS[:1]))
        assert ids(read_shown(logged(tmp_path, "recgan"))) == ["old", "r1"]
        prepare(connection, "shown")
        indexed = connection.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'recgan_shown'")
        assert {name for (name,) in indexed} == {
            *("recgan_shown_pkey", "recgan_shown_time", "recgan_shown_request_id")
        }


def test_a_character_that_postgresql_has_not_stops_no_row(url, tmp_path):
    asked = ANSWERS[0] | {"user_id": "a\0b", "categories": ["\0"]}
    write(DatabaseLog(url, "recgan", "shown", pytest.fail), rows("shown", [asked]))
    (found,) = read_shown(logged(tmp_path, "recgan")).to_pylist()
    assert (found["user_id"], found["categories"]) == ("a\ufffdb", ["\ufffd"])


def test_a_night_collects_the_same_as_from_files(url, tmp_path, monkeypatch):
    content = yaml.safe_load(SHOP.read_text())
    content["ingest"] |= {"feedback": {"late_days": 30, "same_seconds": 60}}
    write_both(url)
    found = []
    for name in ("database", "files"):
        root = tmp_path / name
        root.mkdir()
        (root / "params.yaml").write_text(yaml.safe_dump(content))
        params = load_params(root / "params.yaml")
        if name == "files":
            monkeypatch.delenv(DATABASE)
            for table, given in (("shown", ANSWERS), ("feedback", TOLD)):
                folder = root / "impressions/recgan" / table
                write(Segments(folder, module.TABLES[table][0], pytest.fail), rows(table, given))
        done = collect(root, params, NOON + timedelta(days=2))
        parts = sorted((root / "data/feedback/events").glob("*"))
        again = collect(root, params, NOON + timedelta(days=2))
        found.append(
            (done.read, done.added, done.index.left_out, [p.read_bytes() for p in parts], again.read)
        )
    assert found[0] == found[1]
    assert found[0][:2] == (3, 2)


def test_forgetting_leaves_nothing_there(url, tmp_path):
    write_both(url)
    people = wanted(["ann"])
    assert count_in_database(url, people) == 1
    forget_in_database(url, people)
    assert count_in_database(url, people) == 0
    assert ids(read_shown(logged(tmp_path, "recgan"))) == ["r2", "r3"]
    assert ids(read_feedback(logged(tmp_path, "recgan"))) == ["r2"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("mysql://bob:secret@db/shop", "begin with postgresql://"),
        ("postgresql://bob:secret@db/shop?nonsense=1", "nonsense"),
        ("postgresql://bob:se/cret@db/shop", "write @ as %40"),
    ],
)
def test_an_address_that_cannot_be_read_is_refused_without_its_password(given, says, monkeypatch):
    monkeypatch.setenv(DATABASE, given)
    with pytest.raises(RecganError, match=f"^{DATABASE} is ") as refused:
        database()
    assert says in str(refused.value)
    assert "secret" not in str(refused.value)
    assert "se/cret" not in str(refused.value)
