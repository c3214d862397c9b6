"""A person is taken out of every store, whatever ends the command, and nobody else is."""

import gzip
import json
import subprocess
from datetime import UTC, datetime

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from recgan.core.files import read_json
from recgan.data.events import EVENTS
from recgan.data.forgotten import Forgotten, read_forgotten
from recgan.data.impressions import DATABASE, FEEDBACK, SHOWN, read_feedback, read_shown
from recgan.data.impressions_database import TABLES, database
from recgan.data.sources.csv_format import PLAIN
from recgan.forget import forget as module
from recgan.forget.forget import forget
from recgan.forget.found import search, whom
from recgan.forget.rewrite import Orders, find_orders, without_rows
from recgan.forget.told import as_text
from recgan.forget.wanted import wanted
from recgan.online.collect import collect
from recgan.serving.database_log import DatabaseLog
from recgan.settings import load_params
from recgan.stages import ingest
from tests.conftest import example

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
LOG = "customer,sku,action,at\n" + "".join(
    f"{user},i{item},view,2026-03-0{item + 1}T10:00:00Z\n" for item in range(4) for user in ("7", "8", "9")
)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A shop whose log has two parts, with a log of answers that a killed server left."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    content = example("own-files")
    content["ingest"] |= {
        "events": "log-*.csv",
        "columns": {"user_id": "customer", "item_id": "sku", "event": "action", "timestamp": "at"},
        "feedback": {"late_days": 30, "same_seconds": 60},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/log-1.csv").write_text(LOG)
    (tmp_path / "raw/log-2.csv").write_text(LOG.replace("7,", "70,").replace("03-0", "02-0"))
    answers = [
        {"request_id": f"r{user}", "time": NOON, "user_id": user, "item_ids": ["i0", "7"], "history": ["7"]}
        for user in ("7", "8")
    ]
    told = [
        {"request_id": f"r{user}", "item_id": "i0", "event": "cart", "time": NOON, "received": NOON}
        for user in ("7", "8")
    ]
    for name, schema, rows in (("shown", SHOWN, answers), ("feedback", FEEDBACK, told)):
        folder = tmp_path / f"impressions/recgan/{name}/date=2026-03-10"
        folder.mkdir(parents=True)
        table = pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in rows], schema)
        with pa.ipc.new_stream(folder / "120000-x.arrows", schema) as stream:
            stream.write_table(table)
    collect(tmp_path, load_params(tmp_path / "params.yaml"), NOON)
    ingest(tmp_path)
    derived = {
        "data/features/users.parquet": parquet({"user_id": ["7", "8"]}),
        "data/features/matrix.npz": b"rows",
        "models/als/ids.json": b'{"user_ids": ["7"]}',
        "models/ease/ids.json": b'{"user_ids": ["8"]}',
        ".dvc/cache/files/md5/0a/bc": parquet({"user_id": ["7"]}),
        ".dvc/cache/files/md5/0a/bd": parquet({"user_id": ["8"], "item_id": ["7"]}),
        "recommendations/recgan.accounts.json": b'{"accounts": {"7": {}, "8": {}}, "groups": {"1": '
        b'{"user_ids": ["7", "8"], "products": [{"item_id": "7"}]}}}',
    }
    for name, content in derived.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


def parquet(columns):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


@pytest.fixture(autouse=True)
def no_registry(monkeypatch, request):
    """Of the registry tests/forget/test_packages.py speaks."""
    if "project" in request.fixturenames:
        monkeypatch.setattr("recgan.forget.found.packages", lambda root, name: ())


def people_of(project, *ids):
    return whom(load_params(project / "params.yaml"), ids)


def users_in(project):
    events = pa.concat_tables(
        map(pq.read_table, sorted((project / "data/ingested/events.parquet").glob("*")))
    )
    return events.schema.equals(EVENTS) and sorted(set(events["user_id"].to_pylist()))


def test_a_person_is_found_nowhere_after_it_and_nobody_else_is_touched(project):
    params, people = load_params(project / "params.yaml"), people_of(project, "7")
    planned = as_text(search(project, params, people), project, planned=True)
    assert "raw/log-1.csv: their rows are taken out" in planned
    assert "raw/log-2.csv" not in planned
    before, after = forget(project, params, people)
    assert before.found
    assert after.found == 0
    assert (project / "raw/log-1.csv").read_text() == "".join(
        line for line in LOG.splitlines(keepends=True) if not line.startswith("7,")
    )
    assert users_in(project) == ["70", "8", "9"]
    assert read_shown(project / "impressions/recgan")["user_id"].to_pylist() == ["8"]
    assert read_shown(project / "impressions/recgan")["history"].to_pylist() == [["7"]]  # an item
    assert read_feedback(project / "impressions/recgan")["request_id"].to_pylist() == ["r8"]
    left = {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()}
    assert not any(name.startswith(("data/features", "models/als")) for name in left)
    assert {"models/ease/ids.json", ".dvc/cache/files/md5/0a/bd"} <= left
    assert ".dvc/cache/files/md5/0a/bc" not in left
    accounts = read_json(project / "recommendations/recgan.accounts.json")
    assert accounts == {
        "accounts": {"8": {}},
        "groups": {"1": {"user_ids": ["8"], "products": [{"item_id": "7"}]}},
    }
    assert "7" not in json.loads((project / "forgotten.json").read_text())["people"]


def test_a_person_is_found_no_more_in_the_database_that_servers_log_to(project, postgres, monkeypatch):
    params, people = load_params(project / "params.yaml"), people_of(project, "7")
    name = params.register_.name
    monkeypatch.setenv(DATABASE, "postgresql://bob:hidden@127.0.0.1:9/shop")
    assert search(project, params, people).unsearched
    monkeypatch.setenv(DATABASE, postgres)
    with psycopg.connect(database(), autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS recgan_shown, recgan_feedback")
    for table, given in (
        ("shown", [{"request_id": "d7", "time": NOON, "user_id": " 7"}, {"request_id": "d8", "time": NOON}]),
        ("feedback", [{"request_id": one, "received": NOON} for one in ("d7", "d8")]),
    ):
        schema, _ = TABLES[table]
        log = DatabaseLog(database(), name, table, pytest.fail)
        log.start()
        for row in given:
            log.add(tuple((dict.fromkeys(schema.names) | row | {"name": name})[one] for one in schema.names))
        log.close()
    before, after = forget(project, params, people)
    (store,) = (store for store in before.stores if "PostgreSQL" in store.name)
    assert store.found == 1
    assert after.found == 0
    assert [store.problem for store in after.stores if store.problem] == []
    with psycopg.connect(database()) as connection:
        for table in TABLES:
            assert connection.execute(f"SELECT request_id FROM recgan_{table}").fetchall() == [("d8",)]
    assert read_shown(project / "impressions" / name)["request_id"].to_pylist() == ["d8"]


def test_the_next_export_brings_nobody_back_and_what_was_collected_is_not_lost(project, caplog):
    params = load_params(project / "params.yaml")
    forget(project, params, people_of(project, "7"))
    (project / "raw/log-1.csv").write_text(LOG)
    assert collect(project, params, NOON).read == 0
    with caplog.at_level("INFO"):
        ingest(project)
    assert "4 events of people whom forgotten.json names are left out" in caplog.text
    assert users_in(project) == ["70", "8", "9"]
    assert search(project, params, people_of(project, "7")).found == 4  # the export itself
    ids = pq.read_table(project / "data/ingested/users.parquet")["user_id"].to_pylist()
    assert sorted(ids) == ["70", "8", "9"]


@pytest.mark.parametrize("step", ["_feedback_of", "_rows", "_packages"])
def test_a_second_run_finishes_what_a_killed_one_began(project, monkeypatch, step):
    params, people = load_params(project / "params.yaml"), people_of(project, "7")
    given = getattr(module, step)

    def killed(*arguments):
        given(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, step, killed)
    with pytest.raises(KeyboardInterrupt):
        forget(project, params, people)
    monkeypatch.setattr(module, step, given)
    half = project / "data/kept/.users.parquet.dx147e9g.tmp/users.parquet"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"PAR1 half")
    assert forget(project, params, people)[1].found == 0
    assert not half.parent.exists()
    assert len(read_forgotten(project / "forgotten.json").people) == 1


def test_a_cache_elsewhere_and_what_it_is_linked_from_are_searched(project, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    (project / ".dvc/config.local").write_text(
        f"[cache]\n    dir = {cache}\n['remote \"s\"']\n    url = s3://ann-17\n"
    )
    for name, content in (("events", {"user_id": ["ann-17", "8"]}), ("model", {"user_id": ["ann-17"]})):
        (cache / name).write_bytes(parquet(content))
    (project / "data/kept").mkdir()
    (project / "data/kept/events.parquet").symlink_to(cache / "events")
    params, people = load_params(project / "params.yaml"), people_of(project, "ann-17")
    after = forget(project, params, people)[1]
    assert {store.name: store.found for store in after.stores if store.found} == {"other files": 1}
    assert (project / ".dvc/config.local").exists()  # the name of a remote is named, not removed
    assert pq.read_table(project / "data/kept/events.parquet")["user_id"].to_pylist() == ["8"]
    assert not list(cache.iterdir())


def test_commits_that_brought_a_person_are_counted(project):
    for command in (["init", "-q"], ["add", "-f", "raw", "params.yaml"], ["commit", "-qm", "one"]):
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *who, *command], cwd=project, check=True)
    (project / "raw/log-1.csv").write_text("customer,sku\nann-17,i1\n")
    subprocess.run(["git", *who, "commit", "-qam", "two"], cwd=project, check=True)
    people = people_of(project, "ann-17")
    found = {
        store.name: store.found
        for store in search(project, load_params(project / "params.yaml"), people).stores
    }
    assert (found["git's history"], found["raw files"]) == (1, 1)


# --- files ----------------------------------------------------------------------------------------------


def test_records_of_others_stay_byte_for_byte(tmp_path):
    path = tmp_path / "log.csv.gz"
    kept = '\ufeffuser_id,note\r\n"8","two\nlines, ""7"""\r\n 9 ,\r\n'
    with gzip.open(path, "wb") as file:
        file.write((kept + '"7","a\r\nb"\r\n7.0,\r\n').encode() + b"10,\xff\n")
    assert without_rows(path, wanted(["7"]), PLAIN)
    with gzip.open(path, "rb") as file:
        assert file.read() == kept.encode() + b"10,\xff\n"


def test_further_rows_of_an_order_go_with_its_first(tmp_path):
    path, people, orders = tmp_path / "orders.csv", wanted(["a@x.org"], ["Email"]), Orders("Name")
    path.write_text("Name,Email,Item\n#1,a@x.org,i1\n#1,,i2\n#2,b@x.org,i1\n#2,,i3\n")
    find_orders(path, people, PLAIN, orders)
    without_rows(path, people, PLAIN, orders)
    assert path.read_text() == "Name,Email,Item\n#2,b@x.org,i1\n#2,,i3\n"


def test_a_table_keeps_its_schema_its_words_and_its_row_groups(tmp_path):
    path = tmp_path / "lists.parquet"
    table = pa.table({"user_id": ["7", "7", "8", "9"], "rank": pa.array([1, 2, 1, 1], pa.int32())})
    pq.write_table(table.replace_schema_metadata({"recgan": "words"}), path, row_group_size=2)
    without_rows(path, wanted(["8"]), PLAIN)
    file = pq.ParquetFile(path)
    assert file.num_row_groups == 2
    assert file.schema_arrow.metadata == {b"recgan": b"words"}
    assert file.read().to_pydict() == {"user_id": ["7", "7", "9"], "rank": [1, 2, 1]}


def test_the_list_of_the_forgotten_holds_no_id_and_grows():
    first = Forgotten().with_people(["ann", "7"])
    more = first.with_people(["bob", "7"])
    assert (len(first.people), len(more.people), first.salt) == (2, 3, more.salt)
    assert not {"ann", "bob", "7"} & set(more.model_dump_json().split('"'))
    ids = pa.chunked_array([["bob", None, "70", "7"]])
    assert more.holds(ids).to_pylist() == [True, False, False, True]
    assert Forgotten().holds(ids).to_pylist() == [False] * 4
    assert np.all(
        [one not in first.people for one in Forgotten().with_people(["ann"]).people]
    )  # its own salt
