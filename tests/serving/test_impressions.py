"""Every answer is logged with what was shown, and what came of it finds its way beside it."""

import os
import signal
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from recgan.core.errors import RecganError, Unavailable
from recgan.data.impressions import DATABASE, FEEDBACK, SHOWN, logged, read_feedback, read_shown
from recgan.serving import buffered, segments
from recgan.serving.app import create_app
from recgan.serving.segments import Segments
from tests.serving.conftest import buying, ids, until

TOKEN = {"Authorization": "Bearer secret"}
ROWS = pa.schema({"number": pa.int32(), "words": pa.list_(pa.string())})


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "impressions"


@pytest.fixture
def client(shop, folder):
    with TestClient(create_app(shop, poll_seconds=3600, impressions=folder)) as client:
        yield client


def bought(answer, place=0, **more):
    return {
        "request_id": answer["request_id"],
        "item_id": ids(answer)[place],
        "event": "purchase",
    } | more


def test_an_answer_is_logged_as_it_was_given(shop, folder):
    with TestClient(create_app(shop, poll_seconds=3600, impressions=folder)) as client:
        request = {"history": buying(3, 8), "k": 4, "min_price": 2, "exclude_seen": False}
        answer = client.post("/recommend", json=request).json()
        plain = client.post("/recommend", json={"user_id": "nobody"}).json()
    first, second = read_shown(folder).to_pylist()
    assert first["request_id"] == answer["request_id"] != plain["request_id"]
    assert first["item_ids"] == ids(answer)
    assert first["scores"] == pytest.approx([item["score"] for item in answer["items"]])
    assert first["propensities"] == [1.0] * 4
    assert (first["name"], first["version"], first["policy"]) == (shop, "1", "champion")
    assert (first["user_id"], first["history"], first["k"]) == (None, ["item-3", "item-8"], 4)
    assert (first["min_price"], first["max_price"], first["exclude_seen"]) == (2.0, None, False)
    assert (second["user_id"], second["history"]) == ("nobody", [])
    assert second["time"] >= first["time"]


def test_all_that_came_is_kept_and_lies_in_finished_files_after_the_end(shop, folder):
    with TestClient(create_app(shop, poll_seconds=3600, impressions=folder)) as client:
        answer = client.post("/recommend", json={"history": []}).json()
        late = bought(answer, 1, event="cart", timestamp="2026-01-02T03:04:05Z")
        told = client.post("/feedback", json={"events": [bought(answer, value=2, price=9.5), late]})
        assert (told.status_code, told.json()) == (202, {"accepted": 2})
        metrics = client.get("/metrics").text
    assert "recgan_impressions_total 1.0" in metrics
    assert 'recgan_feedback_total{event="cart"} 1.0' in metrics
    one, other = read_feedback(folder).to_pylist()
    assert (one["item_id"], one["event"], one["value"], one["price"]) == (
        ids(answer)[0],
        "purchase",
        2.0,
        9.5,
    )
    assert one["time"] == one["received"]
    assert other["time"].isoformat() == "2026-01-02T03:04:05+00:00"
    assert {path.suffix for path in folder.rglob("date=*/*")} == {".parquet"}
    assert pq.read_schema(next(folder.rglob("shown/date=*/*.parquet"))).equals(SHOWN)


def test_without_a_folder_no_answer_has_an_id_and_no_feedback_is_taken(shop):
    with TestClient(create_app(shop, poll_seconds=3600)) as client:
        assert client.post("/recommend", json={"history": []}).json()["request_id"] is None
        assert client.post("/feedback", json={"events": []}).status_code == 404


def test_only_who_has_the_token_may_send_feedback(client, monkeypatch):
    events = {"events": [bought(client.post("/recommend", json={"history": []}).json())]}
    monkeypatch.setenv("RECGAN_HOST", "0.0.0.0")
    assert (
        client.post("/feedback", json=events).status_code == 401
    )  # anybody may reach it, and no token is set
    monkeypatch.setenv("RECGAN_SERVE_TOKEN", "secret")
    refused = client.post("/feedback", json=events, headers={"Authorization": "Bearer guess"})
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert "RECGAN_SERVE_TOKEN" in refused.json()["detail"]
    assert client.post("/feedback", json=events, headers=TOKEN).status_code == 202
    monkeypatch.delenv("RECGAN_HOST")
    assert client.post("/feedback", json=events).status_code == 401  # a token holds on loopback too


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ({"request_id": "7"}, "pattern"),
        ({"event": "steal"}, "'view', 'cart'"),
        ({"event": "rating"}, "'view', 'cart'"),
        ({"price": -1}, "greater than or equal to 0"),
        ({"timestamp": "yesterday"}, "ISO 8601"),
        ({"timestamp": "9999-12-31T23:59:59-14:00"}, "1970 to 2199"),
        ({"timestamp": "2150-01-01T00:00:00Z"}, "should not be after now"),
        ({"item_id": ""}, "at least 1 character"),
    ],
)
def test_feedback_that_says_nothing_is_refused_as_a_whole(client, folder, event, says):
    sound = {"request_id": "0" * 32, "item_id": "a", "event": "view"}
    answer = client.post("/feedback", json={"events": [sound, sound | event]})
    assert answer.status_code == 422
    assert any(says in fault["msg"] for fault in answer.json()["detail"])
    assert len(read_feedback(folder)) == 0


# The files.


def test_rows_come_back_in_their_order_over_several_files(folder, monkeypatch):
    monkeypatch.setattr(buffered, "EVERY_SECONDS", 0.01)
    monkeypatch.setattr(segments, "SEGMENT_ROWS", 3)
    written = Segments(folder / "shown", ROWS, lost=lambda n: None)
    written.start()
    for number in range(8):
        written.add((number, [str(number)]))
        until(lambda: not written._waiting)
    written.close()
    parts = [pq.read_table(path) for path in sorted((folder / "shown").rglob("*.parquet"))]
    assert sorted(n for part in parts for n in part["number"].to_pylist()) == list(range(8))
    assert len(parts) > 1


def test_a_log_that_is_being_written_is_not_begun_again(folder):
    written = Segments(folder / "shown", ROWS, lost=lambda n: None)
    for _ in range(2):
        written.start()
        with pytest.raises(RuntimeError, match="is being written already"):
            written.start()
        written.close()


KILLED = """
import sys, time
from pathlib import Path
import pyarrow as pa
from recgan.data.impressions import FEEDBACK
from recgan.serving import buffered, segments
buffered.EVERY_SECONDS = 0.05
log = segments.Segments(Path(sys.argv[1]), FEEDBACK, print)
log.start()
for number in range(1000):
    log.add((f"{number:032}", "a", "view", None, None, None, None))
while not any(path.stat().st_size for path in log.folder.rglob("*.arrows")):
    time.sleep(0.01)
buffered.EVERY_SECONDS = 3600
time.sleep(0.5)  # the wait that has begun ends
for number in range(1000, 1010):
    log.add((f"{number:032}", "a", "view", None, None, None, None))
print("added", flush=True)
time.sleep(60)
"""


def test_a_killed_process_loses_what_came_since_the_last_batch_alone(folder):
    table = folder / "feedback"
    with subprocess.Popen([sys.executable, "-c", KILLED, str(table)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"added\n"
        (open_file,) = table.rglob("*.arrows")
        segments.finish_left(table)
        assert open_file.exists()  # its writer lives
        process.send_signal(signal.SIGKILL)
    assert len(read_feedback(folder)) == 1000
    with open_file.open("ab") as file:
        file.write(b"\xff\xff\xff\xff\x10")  # what a kill amid a batch leaves
    assert len(read_feedback(folder)) == 1000
    segments.finish_left(table)
    assert not open_file.exists()
    assert read_feedback(folder)["request_id"].to_pylist() == [f"{number:032}" for number in range(1000)]


def test_a_disk_that_takes_nothing_is_said_once_and_loses_what_waits_too_long(folder, monkeypatch, caplog):
    monkeypatch.setattr(buffered, "EVERY_SECONDS", 0.01)
    monkeypatch.setattr(buffered, "MAX_WAITING", 5)
    lost = []
    written = Segments(folder / "shown", ROWS, lost.append)
    folder.mkdir()
    (folder / "shown").write_text("no folder")
    written.start()
    for number in range(8):
        written.add((number, []))
    until(lambda: "cannot be written" in caplog.text)
    time.sleep(0.05)
    assert caplog.text.count("cannot be written") == 1
    (folder / "shown").unlink()
    until(lambda: not written._waiting)
    written.close()
    (part,) = (folder / "shown").rglob("*.parquet")
    assert pq.read_table(part)["number"].to_pylist() == list(range(5))
    assert lost == [1, 1, 1]


def test_a_damaged_file_is_named(folder):
    day = folder / "feedback" / "date=2026-01-01"
    day.mkdir(parents=True)
    (day / "000000-a.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(RecganError, match=r"000000-a\.parquet is damaged"):
        read_feedback(folder)


def test_a_disk_that_takes_half_of_a_batch_tears_no_later_one(folder, monkeypatch):
    taken = []

    def half(descriptor, data):
        taken.append(len(data))
        return original(descriptor, data[: max(1, len(data) // 2)] if len(taken) == 4 else data)

    original = os.write
    monkeypatch.setattr(segments.os, "write", half)
    monkeypatch.setattr(buffered, "EVERY_SECONDS", 0.01)
    written = Segments(folder / "shown", ROWS, lost=lambda n: None)
    written.start()
    for number in range(400):
        written.add((number, ["words"] * 50))
    written.close()
    (part,) = (folder / "shown").rglob("*.parquet")
    assert pq.read_table(part)["number"].to_pylist() == list(range(400))
    assert len(taken) > 4


def test_a_file_that_is_finished_while_it_is_read_is_read_once(folder, monkeypatch):
    day = folder / "feedback" / "date=2026-01-01"
    day.mkdir(parents=True)
    batch = pa.record_batch(
        [
            pa.array(["a"] * 7, field.type) if field.type == pa.string() else pa.nulls(7, field.type)
            for field in FEEDBACK
        ],
        schema=FEEDBACK,
    )
    with pa.ipc.new_stream(day / "120000-b.arrows", FEEDBACK) as stream:
        stream.write_batch(batch)
    pq.write_table(pa.table(batch), day / "110000-a.parquet")
    read = pq.ParquetFile

    def finishing(path):
        if path.name.startswith("11") and (day / "120000-b.arrows").exists():
            segments.finish_file(day / "120000-b.arrows")
        return read(path)

    monkeypatch.setattr("recgan.data.impressions.pq.ParquetFile", finishing)
    assert len(read_feedback(folder)) == 14


def test_a_server_starts_where_its_log_cannot_be_written(shop, folder, caplog):
    folder.write_text("no folder")
    with TestClient(create_app(shop, poll_seconds=3600, impressions=folder)) as client:
        assert client.post("/recommend", json={"history": []}).status_code == 200
        until(lambda: "cannot be written" in caplog.text)


def test_a_file_of_another_version_is_read_and_finished(folder):
    day = folder / "feedback" / "date=2026-01-01"
    day.mkdir(parents=True)
    older = pa.schema([FEEDBACK.field("request_id"), pa.field("gone", pa.int32())])
    with pa.ipc.new_stream(day / "120000-b.arrows", older) as stream:
        stream.write_batch(pa.record_batch([pa.array(["a"]), pa.array([1], pa.int32())], schema=older))
    assert read_feedback(folder).to_pylist() == [dict.fromkeys(FEEDBACK.names) | {"request_id": "a"}]
    segments.finish_left(folder / "feedback")
    assert read_feedback(folder)["request_id"].to_pylist() == ["a"]


# In PostgreSQL (test_database_log.py has the rest).


def test_a_server_logs_to_a_database_and_its_end_loses_nothing(shop, postgres, tmp_path, monkeypatch):
    monkeypatch.setenv(DATABASE, postgres)
    monkeypatch.setattr(buffered, "EVERY_SECONDS", 3600)
    with TestClient(create_app(shop, poll_seconds=3600, impressions=tmp_path / shop)) as client:
        answer = client.post("/recommend", json={"history": buying(3, 8)}).json()
        assert client.post("/feedback", json={"events": [bought(answer)]}).status_code == 202
    assert not (tmp_path / shop).exists()
    found = logged(tmp_path, shop)
    (shown,) = read_shown(found).to_pylist()
    assert (shown["request_id"], shown["item_ids"]) == (answer["request_id"], ids(answer))
    assert shown["propensities"] == [1.0] * len(ids(answer))
    assert read_feedback(found)["request_id"].to_pylist() == [answer["request_id"]]


def test_a_database_that_does_not_answer_ends_readers_and_no_server(shop, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv(DATABASE, "postgresql://bob:hidden@127.0.0.1:9/shop")
    monkeypatch.setattr(buffered, "EVERY_SECONDS", 0.01)
    with pytest.raises(Unavailable, match=f"that {DATABASE} names does not answer"):
        logged(tmp_path, shop)
    with TestClient(create_app(shop, poll_seconds=3600, impressions=tmp_path / shop)) as client:
        assert client.post("/recommend", json={"history": []}).status_code == 200
        until(lambda: "cannot be written" in caplog.text)
    assert "the last 1 rows are lost" in caplog.text
    assert "hidden" not in caplog.text
