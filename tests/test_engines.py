"""DuckDB and Spark give the same, whatever the zone and the files; one Spark serves all that ask for one."""

import os
import time
from dataclasses import fields
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recgan.accounts.log import read_log, read_taught
from recgan.core.errors import RecganError
from recgan.daily import on_spark
from recgan.daily.on_spark import make_on_spark
from recgan.daily.parts import WORKERS, Job
from recgan.daily.publish import joined, opened
from recgan.data import spark
from recgan.data.engine import engine, rows_of
from recgan.data.events import EVENTS, ITEMS, USERS
from recgan.data.facts import copies_of
from recgan.data.quarantine import QUARANTINE
from recgan.features.build import features_of
from recgan.stages import validate
from tests.data.test_chunks import in_parts, log, odd, results, whole  # noqa: F401  (fixtures)
from tests.data.test_validate import NOW
from tests.features.conftest import params  # noqa: F401  (a fixture)

START = datetime(2024, 1, 1, tzinfo=UTC)
QUICK = (
    "--master local[1]",
    "--driver-java-options -XX:TieredStopAtLevel=1",
    "--conf spark.sql.shuffle.partitions=2",
    "--conf spark.sql.codegen.wholeStage=false",
    "--conf spark.sql.adaptive.enabled=false",
)
"""A thousand rows are read before Java has compiled anything well."""
PARTS = pa.schema({"row": pa.int64(), "maker": pa.int64(), "call": pa.int64()})
NOWHERE = pa.array(["u3", "nobody"])


@pytest.fixture(scope="module")
def in_new_york():
    """Start a Spark and ask it in another zone than UTC, or say why there is none."""
    try:
        spark.check()
    except RecganError as error:
        pytest.skip(str(error))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_SUBMIT_ARGS", " ".join((*QUICK, "pyspark-shell")))
        patch.setenv("TZ", "America/New_York")
        patch.setenv("RECGAN_ENGINE", "spark")
        time.tzset()
        with engine():  # keeps it for all that ask for one meanwhile
            yield
    time.tzset()


@pytest.fixture
def on_duckdb(monkeypatch):
    """Compute in UTC with DuckDB, whatever the module's fixture says."""

    def run(make, *arguments):
        with monkeypatch.context() as patch:
            patch.setenv("RECGAN_ENGINE", "duckdb")
            patch.setenv("TZ", "UTC")
            time.tzset()
            found = make(*arguments)
        time.tzset()
        return found

    return run


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Kept tables with all that engines read differently, as files and as folders of parts."""
    rng = np.random.default_rng(0)
    n = 1_500
    kinds = rng.choice(["view", "cart", "purchase", "rating"], n)
    ids = [f"ü {number} " if number % 3 == 0 else f"u{number}" for number in range(50)]
    known = rng.random(n) > 0.1
    stars = np.where(rng.random(n) > 0.1, rng.integers(1, 6, n) / 2, np.nan)
    prices = np.where(rng.random(n) > 0.1, rng.uniform(0, 1e4, n), np.nan)
    microseconds = rng.integers(0, 12 * 86_400_000_000, n)
    columns = {
        "user_id": [ids[number] for number in rng.integers(50, size=n)],
        "item_id": [f"商品 {number}" for number in rng.geometric(0.15, n)],
        "event": kinds,
        "timestamp": [START + timedelta(microseconds=int(instant)) for instant in microseconds],
        "value": pa.array(stars, mask=~((kinds == "rating") & known)),
        "price": pa.array(prices, mask=~((kinds == "purchase") & known)),
        "session_id": [None] * n,
        "split": rng.choice(["train", "test"], n),
    }
    events = pa.table(columns).cast(EVENTS)
    out = events.slice(0, 40).append_column("reason", pa.array(["fake_account", "before_start"] * 20))
    folder = tmp_path_factory.mktemp("kept [a] {b} *")
    one, parts = folder / "one", folder / "parts"
    for place in (one, parts):
        place.mkdir()
        pq.write_table(ITEMS.empty_table(), place / "items.parquet")
        pq.write_table(pa.table({"user_id": ids, "fake": [False] * len(ids)}, USERS), place / "users.parquet")
    for name, table in (("events", events), ("quarantine", out.select(QUARANTINE.names).cast(QUARANTINE))):
        pq.write_table(table, one / f"{name}.parquet")
        (parts / f"{name}.parquet").mkdir()
        for part, start in enumerate(range(0, len(table), 600)):
            pq.write_table(table.slice(start, 600), parts / f"{name}.parquet" / f"part-{part}.parquet")
    return one, parts


@pytest.fixture(scope="module")
def undated(kept, tmp_path_factory):
    """The same without a time, a price or a value."""
    folder = tmp_path_factory.mktemp("undated")
    for name, schema in (("events", EVENTS), ("quarantine", QUARANTINE)):
        table = pq.read_table(kept[0] / f"{name}.parquet")
        for column in ("timestamp", "value", "price"):
            at = table.schema.get_field_index(column)
            table = table.set_column(at, column, pa.nulls(len(table), schema.field(column).type))
        pq.write_table(table.cast(schema), folder / f"{name}.parquet")
    pq.write_table(ITEMS.empty_table(), folder / "items.parquet")
    return folder


def md5(folder, settings):
    return features_of(folder, NOWHERE, settings).summary["md5"]


def test_the_same_log_has_the_same_features_on_both(in_new_york, on_duckdb, kept, params):  # noqa: F811
    one, parts = kept
    weights = {"view": 0.1, "cart": 2, "purchase": 0.7, "rating": 3}
    settings = params(half_life_days=0.7, weights=weights, min_rating=1.5)
    expected = on_duckdb(md5, one, settings)
    assert on_duckdb(md5, parts, settings) == expected
    assert md5(parts, settings) == expected


def test_a_log_without_times_and_values_too(in_new_york, on_duckdb, undated, params):  # noqa: F811
    settings = params(split={"kind": "published", "validation_share": 0.2, "seed": 1}, half_life_days=3)
    assert md5(undated, settings) == on_duckdb(md5, undated, settings)


def test_the_same_log_has_the_same_pairs_on_both(in_new_york, on_duckdb, kept):
    one, parts = kept
    here, there = on_duckdb(read_log, one), read_log(parts)
    for field in fields(here):
        np.testing.assert_array_equal(getattr(there, field.name), getattr(here, field.name), field.name)
    (taught, labels), (expected, as_labelled) = read_taught(parts), on_duckdb(read_taught, one)
    assert len(taught.user) >= len(there.user)
    assert (taught.events == expected.events).all()
    assert (labels == as_labelled).all()
    assert labels.sum() > 0


def test_instants_are_those_of_the_file(in_new_york, on_duckdb, tmp_path):
    times = [datetime(1850, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 500_000, UTC), None]
    table = pa.table({"time": pa.array(times, EVENTS.field("timestamp").type), "value": [np.nan, None, 1.0]})
    pq.write_table(table, tmp_path / "times.parquet")

    def read():
        with engine() as tables:
            return rows_of(tables.read(tmp_path / "times.parquet"))

    for found in (read(), on_duckdb(read)):
        assert found["time"].to_pylist() == times
        assert repr(found["value"].to_pylist()) == "[nan, None, 1.0]"


def test_validate_gives_the_same(in_new_york, log, whole, odd, tmp_path):  # noqa: F811
    root = tmp_path / "spark"
    root.mkdir()
    validate(in_parts(root, log, (33,)), NOW)
    assert results(root) == whole
    with engine() as one:
        first, second = copies_of(one, odd / "events.parquet")
    assert (first.tolist(), second.tolist()) == ([1, 3, 4], [1, 2, 4])


@pytest.mark.usefixtures("in_new_york")
def test_every_part_is_made_once_and_a_partition_loads_the_package_once(tmp_path, monkeypatch):
    monkeypatch.setenv(WORKERS, "3")
    target, schema = tmp_path / "shop.parquet", PARTS  # its workers cannot import the tests
    job = Job(opened(target, "key", 7), tmp_path / "package", "shop", "1", 5, True, None)

    def make(job, numbers):
        call = int.from_bytes(os.urandom(6), "big")
        for number in numbers:
            table = pa.table({"row": [number], "maker": [os.getpid()], "call": [call]}, schema)
            job.parts.write(number, table)

    monkeypatch.setattr(on_spark, "make", make)
    make_on_spark(job, range(7))
    found = pq.read_table(joined(job.parts, target, schema))
    assert found["row"].to_pylist() == list(range(7))
    assert len(set(found["call"].to_pylist())) == 3
    assert os.getpid() not in found["maker"].to_pylist()

    def broken(job, numbers):
        raise RecganError(f"version {job.version} does not answer")

    monkeypatch.setattr(on_spark, "make", broken)
    with pytest.raises(RecganError, match=r"^version 1 does not answer$"):
        make_on_spark(job, range(7))
