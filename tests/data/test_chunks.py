"""A log in parts and in small chunks: the same as in one piece."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recgan.data import chunks
from recgan.data.engine import engine
from recgan.data.events import EVENTS, parts_of, read_table
from recgan.data.facts import beside_of, copies_of, equal_rows
from recgan.data.passes import sort_parts
from recgan.data.quarantine import QUARANTINE, REASONS, beside
from recgan.data.settings import ValidateParams
from recgan.stages import validate
from tests.data.test_quarantine import GOOD, dirty_rows, tables
from tests.data.test_validate import NOW, SECTION, project

RULES = {"drop": list(REASONS), "max_quarantined_share": 1, "min_events": 1, "max_user_share": 1}


@pytest.fixture(scope="module")
def log():
    """Rows with every fault and copies of earlier ones, near and far."""
    rng = np.random.default_rng(3)
    faulty = [GOOD | {k: v for k, v in row.items() if rng.random() < 0.2} for row in dirty_rows(rng, 40)]
    sound = [GOOD | {"user_id": "ben", "item_id": "cup", "session_id": f"s{i}"} for i in range(20)]
    return tables([*sound, *faulty, GOOD, *sound[:3], *faulty[:5], GOOD])


def in_parts(root, log, sizes, **change):
    """Make a project whose events are a folder of parts; the last has what is left."""
    project(root, log, **(RULES | change))
    folder = root / "data" / "ingested" / "events.parquet"
    folder.unlink()
    folder.mkdir()
    start = 0
    for number, size in enumerate([*sizes, log.events.num_rows]):
        pq.write_table(log.events.slice(start, size), folder / f"part {number}.parquet")
        start += size
    return root


def results(root):
    kept = root / "data" / "kept"
    return {
        "events": read_table(kept / "events.parquet", EVENTS),
        "quarantine": read_table(kept / "quarantine.parquet", QUARANTINE),
        "users": pq.read_table(kept / "users.parquet"),
        "items": pq.read_table(kept / "items.parquet"),
        "metrics": (root / "metrics" / "validation.json").read_bytes(),
        "page": (root / "reports" / "validation.html").read_bytes(),
    }


@pytest.fixture(scope="module")
def whole(log, tmp_path_factory):
    root = project(tmp_path_factory.mktemp("whole"), log, **RULES)
    validate(root, NOW)
    return results(root)


def test_neither_the_size_of_a_chunk_nor_the_parts_change_a_result(log, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 27)
    root = in_parts(tmp_path, log, (0, 33))
    validate(root, NOW)
    assert results(root) == whole
    kept = root / "data" / "kept"
    for name in ("events", "quarantine"):
        assert [part.name for part in parts_of(kept / f"{name}.parquet")] == [
            f"part {number}.parquet" for number in range(3)
        ]


def test_small_parts_are_read_together_and_give_the_same(log, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "MOST_PARTS", 4)
    sizes = (0, 1, 2, 3, 0, 5, 8, 13, 4)
    root = in_parts(tmp_path, log, sizes)
    validate(root, NOW)
    assert results(root) == whole
    ingested, kept = root / "data" / "ingested", root / "data" / "kept"
    parts = parts_of(ingested / "events.parquet")
    assert chunks.groups_of(parts) == [range(4), range(4, 8), range(8, 10)]
    for name in ("events", "quarantine"):
        assert [part.name for part in parts_of(kept / f"{name}.parquet")] == [part.name for part in parts]


def test_parts_are_grouped_up_to_a_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 10)
    parts = []
    for number, rows in enumerate((4, 6, 1, 30, 0, 10, 3)):
        parts.append(tmp_path / f"{number}.parquet")
        pq.write_table(pa.table({"number": range(rows)}), parts[-1])
    groups = chunks.groups_of(parts)
    assert groups == [range(2), range(2, 3), range(3, 4), range(4, 6), range(6, 7)]
    found = [
        [(number, len(rows)) for number, rows in pieces]
        for group in groups
        for pieces in chunks.pieces_of(parts, group)
    ]
    assert found == [[(0, 4), (1, 6)], [(2, 1)], [(3, 10)], [(3, 10)], [(3, 10)], [(5, 10)], [(6, 3)]]


def test_a_part_that_stays_gives_the_same_bytes(log, tmp_path):
    written = []
    for name, sizes in (("before", (33,)), ("grown", (33, 20))):
        root = tmp_path / name
        root.mkdir()
        folder = in_parts(root, log, sizes) / "data" / "ingested"
        params = ValidateParams.model_validate(SECTION | RULES)
        with engine() as one:
            found = beside_of(one, folder, log.users)
        groups = [range(1), range(1, 2)]
        sort_parts(0, groups, folder / "events.parquet", root / "kept", found, params, NOW)
        written.append([path.read_bytes() for path in sorted((root / "kept").rglob("part *"))])
    assert len(written[0]) == 2
    assert written[0] == written[1]


def test_chunks_have_one_size_whatever_the_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 7)
    table = pa.table({"number": range(40)})
    for size in (2, 5, 40):
        pq.write_table(table, tmp_path / "table.parquet", row_group_size=size)
        found = list(chunks.chunks_of(tmp_path / "table.parquet"))
        assert [len(chunk) for chunk in found] == [7, 7, 7, 7, 7, 5]
        assert pa.concat_tables(found).equals(table)
    pq.write_table(table.slice(40), tmp_path / "table.parquet")
    assert list(chunks.chunks_of(tmp_path / "table.parquet")) == []


@pytest.fixture
def odd(tmp_path):
    """Rows that are equal to pandas in ways of which engines think otherwise, in two parts."""
    numbers = [0.0, -0.0, float("nan"), None, float("nan"), 1.0, None, 0.0]
    rows = [GOOD | {"value": value, "session_id": None} for value in numbers]
    rows += [dict.fromkeys(EVENTS.names)] * 2 + [GOOD | {"user_id": ""}, GOOD | {"user_id": None}]
    in_parts(tmp_path, tables(rows), (5,))
    return tmp_path / "data" / "ingested"


def test_the_engine_finds_the_copies_that_pandas_finds(odd):
    path = odd / "events.parquet"
    whole = pd.concat([pq.read_table(part).to_pandas() for part in parts_of(path)])
    expected = whole.duplicated().to_numpy()
    assert expected.sum() == 6
    with engine() as one:
        first, second = copies_of(one, path)
        assert [*first, *(second + 5)] == expected.nonzero()[0].tolist()
        assert len(equal_rows(one, path)) == whole.duplicated(keep=False).sum()


def test_the_engine_says_of_other_tables_what_memory_says(log, tmp_path):
    root = in_parts(tmp_path, log, (30, 11))
    with engine() as one:
        found = beside_of(one, root / "data" / "ingested", log.users)
    expected = beside(log)
    for name in ("unknown_items", "unknown_users", "fakes"):
        assert set(getattr(found, name).to_pylist()) == set(getattr(expected, name).to_pylist())
        assert len(getattr(found, name)) > 0
    starts = (0, 30, 41)
    assert [row + start for rows, start in zip(found.copies, starts, strict=True) for row in rows] == list(
        expected.copies[0]
    )
