"""Which engine it is, and what is said where it cannot run."""

import socket
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recgan.core.errors import RecganError
from recgan.data import spark
from recgan.data.engine import chosen, engine
from recgan.data.events import parts_of


def test_duckdb_unless_the_environment_names_another(monkeypatch):
    monkeypatch.delenv("RECGAN_ENGINE", raising=False)
    assert chosen() == "duckdb"
    with engine() as tables:
        assert tables.session is None
    monkeypatch.setenv("RECGAN_ENGINE", "polars")
    with pytest.raises(RecganError, match=r"RECGAN_ENGINE is polars, .* duckdb or spark"):
        chosen()


def test_what_is_hidden_is_no_part(tmp_path):
    for name in ("b.parquet", "a.parquet", "_c.parquet", ".d.parquet", "_SUCCESS"):
        (tmp_path / name).touch()
    assert parts_of(tmp_path) == [tmp_path / "a.parquet", tmp_path / "b.parquet"]


@pytest.mark.parametrize("name", ["a*b", "a?b", "a[x]b", "a[!y]b", "[]"])
def test_a_folder_whose_name_is_a_pattern_is_read_alone(tmp_path, monkeypatch, name):
    monkeypatch.delenv("RECGAN_ENGINE", raising=False)
    for folder, value in ((name, 1), ("axb", 2)):
        (tmp_path / folder).mkdir()
        pq.write_table(pa.table({"value": [value]}), tmp_path / folder / "part.parquet")
    with engine() as tables:
        assert tables.read(tmp_path / name).to_pyarrow()["value"].to_pylist() == [1]
        assert tables.numbered(tmp_path / name).to_pyarrow()["part"].to_pylist() == ["part.parquet"]


def test_an_empty_address_of_spark_is_none(monkeypatch):
    monkeypatch.setenv("RECGAN_ENGINE", "spark")
    monkeypatch.setattr(spark, "find_spec", lambda name: name)
    monkeypatch.setattr(spark.shutil, "which", lambda name: name)
    for fine in ("", "local", "local[2]", "local-cluster[2,1,1024]"):
        monkeypatch.setenv("SPARK_REMOTE", fine)
        assert chosen() == "spark"
    monkeypatch.setenv("SPARK_REMOTE", "localhost")
    with pytest.raises(RecganError, match=r"SPARK_REMOTE is localhost, .*; write sc://host:15002"):
        chosen()


def test_what_spark_lacks_is_said_before_it_starts(monkeypatch):
    monkeypatch.setenv("RECGAN_ENGINE", "spark")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(spark, "find_spec", lambda name: name)
    with pytest.raises(RecganError, match=r"no Java; .* openjdk-17-jre-headless"):
        chosen()
    monkeypatch.setenv("SPARK_REMOTE", "cluster:15002")
    with pytest.raises(RecganError, match=r"SPARK_REMOTE is cluster:15002, .*; write sc://host:15002"):
        chosen()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setenv("SPARK_REMOTE", f"sc://{address}/;user_id=shop")
        assert chosen() == "spark"
    with pytest.raises(RecganError, match=rf"nobody listens at {address} .*; start a Spark Connect server"):
        chosen()
    monkeypatch.setattr(spark, "find_spec", lambda name: None)
    with pytest.raises(RecganError, match=r"pyspark is not installed; pip install 'recgan\[spark\]'"):
        chosen()


def test_a_connect_server_of_another_version_is_refused_and_left(monkeypatch):
    pytest.importorskip("pyspark", reason="without recgan[spark]")
    left = []
    server = SimpleNamespace(version="4.2.1", stop=lambda: left.append(True))
    monkeypatch.setattr("pyspark.__version__", "4.3.0")
    with pytest.raises(RecganError, match=r"^SPARK_REMOTE is sc://far, .* 4\.2\.1 .* of Spark 4\.3 there$"):
        spark._check_version(server, "sc://far")
    assert left
    server.version = "4.3.7"
    spark._check_version(server, "sc://far")
