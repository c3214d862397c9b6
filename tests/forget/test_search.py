"""A person is found in every form of file, and a number is no person where it means something else."""

import gzip
import io
import json
import sqlite3
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save

from recgan.forget.search import occurrences
from recgan.forget.wanted import wanted


def table(one):
    return pa.table(
        {
            "user_id": [one, "bob-2"],
            "item_id": ["7", "7"],
            "note": [f"seen {one}.", f"{one}9"],
            "tags": [[one], ["7"]],
            "rank": [7, 7],
        }
    )


def stream(content):
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, content.schema) as writer:
        writer.write_table(content)
    return sink.getvalue() + b"\xff\xff\xff\xffhalf"


def parquet(content):
    sink = io.BytesIO()
    pq.write_table(content, sink)
    return sink.getvalue()


def arrays(**content):
    sink = io.BytesIO()
    np.savez_compressed(sink, **content)
    return sink.getvalue()


def packed(content):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as file:
        file.writestr("inside.json", content)
    return sink.getvalue()


def beside(content):
    about = np.frombuffer(json.dumps(content).encode(), np.uint8)
    return save({"weights": np.ones(3, np.float32), "about": about})


def forms(one):
    """Each form of content → how often the person stands in it."""
    owners = {"item_ids": ["7"], "owners": {one: [7]}, "score": 7}
    return {
        "parquet": (parquet(table(one)), 1),
        "arrow": (stream(table(one)), 1),
        "csv": (f"user_id,item_id\r\n{one},7\r\n x ,7\r\n".encode(), 1),
        "gzip": (gzip.compress(f"item;customer\n7;{one}\n".encode()), 1),
        "npz": (arrays(user_ids=np.array([one, "x"]), item_ids=np.array(["7"])), 1),
        "json": (json.dumps(owners).encode(), 1),
        "lists": (json.dumps({"users": [one, "x"], "ranks": ["7", 7]}).encode(), 1),
        "zip": (packed(json.dumps(owners)), 1),
        "safetensors": (beside(owners), 1),
    }


@pytest.mark.parametrize("form", forms("x"))
def test_a_number_is_a_person_in_a_shoppers_place_alone(tmp_path, form):
    content, count = forms("7")[form]
    (tmp_path / "file").write_bytes(content)
    assert occurrences(tmp_path / "file", wanted(["7"])) == count
    assert occurrences(tmp_path / "file", wanted(["70"])) == 0


@pytest.mark.parametrize("form", forms("x"))
def test_a_distinctive_id_is_found_wherever_it_stands_as_a_word(tmp_path, form):
    content, count = forms("ann-17")[form]
    (tmp_path / "file").write_bytes(content)
    more = 2 if form in ("parquet", "arrow") else 0  # the note and the tags
    assert occurrences(tmp_path / "file", wanted(["ann-17"])) == count + more
    assert occurrences(tmp_path / "file", wanted(["ann-1", "nn-17"])) == 0


def test_words_of_pages_databases_and_bytes_are_found_as_they_are_spelt(tmp_path):
    page, database, other = tmp_path / "page.html", tmp_path / "some.db", tmp_path / "other.bin"
    page.write_text("<td>o&#x27;hara&amp;co</td> u000123 u0001234")
    assert occurrences(page, wanted(["o'hara&co", "u000123"])) == 2
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE tags (key TEXT, value TEXT, user_id TEXT)")
        connection.execute("INSERT INTO tags VALUES ('why', 'as u000123 says', '7'), ('n', '7', NULL)")
    connection.close()
    assert occurrences(database, wanted(["u000123"])) == 1
    assert occurrences(database, wanted(["7"])) == 1
    other.write_bytes(b"\x00\xff u000123 \xfe\x80u0001234")
    assert occurrences(other, wanted(["u000123"])) == 1
    assert occurrences(tmp_path / "gone", wanted(["u000123"])) == 0


def file_format(content):
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, content.schema) as writer:
        writer.write_table(content)
    return sink.getvalue()


TYPES = {
    "view": pa.array(["ann-17", "x"], pa.string_view()),
    "bytes": pa.array([b"ann-17", b"x"]),
    "map": pa.array([[("user", "ann-17")], []], pa.map_(pa.string(), pa.string())),
    "struct": pa.array([{"user": "ann-17"}, None]),
    "dictionary": pa.array(["ann-17", "x"]).dictionary_encode(),
}


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("write", [parquet, file_format])
def test_every_type_of_a_column_is_searched(tmp_path, kind, write):
    (tmp_path / "file").write_bytes(write(pa.table({"user_id": TYPES[kind]})))
    assert occurrences(tmp_path / "file", wanted(["ann-17"])) == 1
    assert occurrences(tmp_path / "file", wanted(["ann-18"])) == 0


@pytest.mark.parametrize(
    ("content", "one"),
    [
        ("user_id;item;town\n12345;a;Köln\n".encode("latin-1"), "12345"),
        ("user_id;item\nMüller;a\n".encode("cp1252"), "Müller"),
        (gzip.compress("user_id;town\n12345;Köln\n".encode("latin-1")), "12345"),
        ("user_id;item\n12345;a\n".encode("utf-16"), "12345"),
        ("user_id;item\n12345;a\n".encode("utf-16-le"), "12345"),
        (b"user_id|a, b, c\n12345|x\n", "12345"),
        (b"user_id,item\n7,a\n", "7.0"),
        ("seen: Jose\u0301 x".encode(), "José"),
        (b'{"user_id": "12345"}\n{"user_id": "3"}\n', "12345"),
        (b'{"user_id": 12345, "users": 12345}', "12345"),
        (parquet(pa.table({"user_id": pa.array([12345, 3]).cast(pa.decimal128(20))})), "12345"),
    ],
    # Named here: packed bytes hold the time, which differs from worker to worker.
    ids=[
        *("latin-1", "cp1252", "gzip", "utf-16", "utf-16 without a mark", "bars", "fraction"),
        *("decomposed", "lines of JSON", "a number in JSON", "decimal"),
    ],
)
def test_a_shops_own_files_are_read_however_they_are_written(tmp_path, content, one):
    (tmp_path / "file").write_bytes(content)
    assert occurrences(tmp_path / "file", wanted([one])) == 1
    assert occurrences(tmp_path / "file", wanted(["99999", "nobody-1"])) == 0


def test_text_of_another_alphabet_takes_the_encoding_of_the_shop(tmp_path):
    (tmp_path / "file").write_bytes("заказ;user_id\n1;Анна-17\n".encode("cp1251"))
    assert occurrences(tmp_path / "file", wanted(["Анна-17"], encoding="cp1251")) == 1


@pytest.mark.parametrize("cell", ["7", " 7 ", "7\u200b", "7.0", "7.00", 7, 7.0])
def test_an_id_is_read_as_ingest_reads_it(cell):
    assert wanted([" 7"]).is_id(cell)
    assert not wanted(["70", "0"]).is_id(cell)
