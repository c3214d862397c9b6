"""Publishing: whatever is killed and whenever, readers see one whole file of one version."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recgan.core.errors import RecganError
from recgan.daily.publish import METADATA, about, joined, opened, publishing, put_in_place
from tests.conftest import ROOT

PARTS, ROWS, KILLS = 12, 50, 8

# What a run does, without a champion: 12 parts of 10 ms, one version a run.
RUN = """
import sys, time
from pathlib import Path
import pyarrow as pa
sys.path.insert(0, {source!r})
from recgan.daily.publish import METADATA, joined, opened, publishing, put_in_place

target, version = Path(sys.argv[1]), sys.argv[2]
schema = pa.schema({{"row": pa.int64(), "version": pa.string()}})

def compute(part):
    time.sleep(0.01)
    rows = range(part * {rows}, (part + 1) * {rows})
    return pa.table([pa.array(rows, pa.int64()), pa.repeat(version, {rows})], schema=schema)

print("ready", flush=True)
with publishing(target):
    content = ('{{"version": "%s"}}' % version).encode()
    parts = opened(target, version, {parts})
    for part in parts.missing():
        parts.write(part, compute(part))
    put_in_place(joined(parts, target, schema.with_metadata({{METADATA: content}})), target)
"""


@pytest.fixture
def target(tmp_path):
    return tmp_path / "recommendations" / "shop.parquet"


def table(part, version="1"):
    rows = pa.array(range(part * ROWS, (part + 1) * ROWS), pa.int64())
    return pa.table([rows, pa.repeat(version, ROWS)], names=["row", "version"])


def schema(version="1"):
    return table(0).schema.with_metadata({METADATA: f'{{"version": "{version}"}}'.encode()})


def build(target, key, number, compute, schema):
    parts = opened(target, key, number)
    for part in parts.missing():
        parts.write(part, compute(part))
    return joined(parts, target, schema)


def check(path):
    """A whole file of one version, which its metadata name; its rows in order."""
    with path.open("rb") as opened:  # one file, however often another takes its place
        found = pq.read_table(opened)
    [version] = set(found["version"].to_pylist())
    assert f'"{version}"'.encode() in found.schema.metadata[METADATA]
    assert found["row"].to_pylist() == list(range(PARTS * ROWS))
    return version


def test_killed_at_any_moment_readers_see_one_whole_file_of_one_version(target):
    script = textwrap.dedent(RUN).format(source=str(ROOT / "src"), rows=ROWS, parts=PARTS)
    rng = np.random.default_rng(5)
    seen, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            if target.exists():
                seen.append(check(target))
            time.sleep(0.002)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for kill in range(KILLS):
            run = subprocess.Popen(
                [sys.executable, "-c", script, str(target), str(1 + 2 * kill // KILLS)],
                stdout=subprocess.PIPE,
            )
            assert run.stdout.readline() == b"ready\n"
            time.sleep(rng.uniform(0, 0.3))
            run.send_signal(signal.SIGKILL)
            run.communicate()
        for version in ("2", "3"):  # whatever was left, the next run is right
            subprocess.run([sys.executable, "-c", script, str(target), version], check=True, stdout=-3)
            assert check(target) == version
    finally:
        stop.set()
        reader.join()
    assert seen
    assert seen == sorted(seen)
    assert sorted(os.listdir(target.parent)) == [".shop.parquet.lock", "shop.parquet"]


def test_a_run_goes_on_after_the_last_finished_part(target):
    computed = []

    def compute(part):
        computed.append(part)
        return table(part)

    def interrupted(part):
        if part == 3:
            raise KeyboardInterrupt
        return compute(part)

    with publishing(target):
        with pytest.raises(KeyboardInterrupt):
            build(target, "key", PARTS, interrupted, schema())
        assert not target.exists()
        put_in_place(build(target, "key", PARTS, compute, schema()), target)
    assert computed == list(range(PARTS))
    assert check(target) == "1"
    assert pq.ParquetFile(target).num_row_groups == PARTS


def test_a_part_without_its_bytes_is_computed_again_and_another_keys_parts_are_dropped(target):
    computed = []

    def compute(part):
        computed.append(part)
        return table(part, "2")

    build(target, "other", 2, lambda part: table(part, "1"), schema("1"))
    build(target, "key", 2, lambda part: table(part, "2"), schema("2"))
    work = target.parent / ".shop.parquet.parts"
    assert [folder.name for folder in work.iterdir()] == ["key"]
    (work / "key" / "part-00001.parquet").write_bytes(b"")
    put_in_place(build(target, "key", PARTS, compute, schema("2")), target)
    assert computed == list(range(1, PARTS))
    assert check(target) == "2"


def test_a_second_run_waits_for_the_first_and_not_for_ever(target):
    too_long = pytest.raises(RecganError, match=r"has been writing .* for over 0\.1 s")
    with publishing(target), too_long, publishing(target, 0.1):
        pass
    with publishing(target, 0.1):
        pass


def test_what_a_file_says_of_itself(target):
    assert about(target) is None
    with publishing(target):
        put_in_place(build(target, "key", 1, table, schema("7")), target)
    assert about(target) == {"version": "7"}
    pq.write_table(table(0), target)
    with pytest.raises(RecganError, match="no file of recommendations"):
        about(target)
