"""Parts of the lists made by Spark: every one once, by as many makers as there are partitions."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recgan.core.errors import RecganError
from recgan.daily import on_spark
from recgan.daily.on_spark import make_on_spark
from recgan.daily.parts import WORKERS, Job
from recgan.daily.publish import joined, opened
from recgan.data import spark
from recgan.data.engine import engine

SCHEMA = pa.schema({"row": pa.int64(), "maker": pa.int64(), "call": pa.int64()})


@pytest.fixture(scope="module")
def session():
    """One Spark for all tests here, or the reason why there is none."""
    try:
        spark.check()
    except RecganError as error:
        pytest.skip(str(error))
    with pytest.MonkeyPatch.context() as patch:
        quick = "--driver-java-options -XX:TieredStopAtLevel=1"
        patch.setenv("PYSPARK_SUBMIT_ARGS", f"--master local[2] {quick} pyspark-shell")
        patch.setenv("RECGAN_ENGINE", "spark")
        with engine() as tables:
            yield tables.session


@pytest.mark.usefixtures("session")
def test_every_part_is_made_once_and_a_partition_loads_the_package_once(tmp_path, monkeypatch):
    monkeypatch.setenv(WORKERS, "3")
    target, schema = tmp_path / "shop.parquet", SCHEMA  # its workers cannot import the tests
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
