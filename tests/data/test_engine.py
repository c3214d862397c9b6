"""Which engine it is, and what is said where it cannot run."""

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


def test_what_spark_lacks_is_said_before_it_starts(monkeypatch):
    monkeypatch.setenv("RECGAN_ENGINE", "spark")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(spark, "find_spec", lambda name: name)
    with pytest.raises(RecganError, match=r"no Java; .* openjdk-17-jre-headless"):
        chosen()
    monkeypatch.setenv("SPARK_REMOTE", "sc://cluster")
    assert chosen() == "spark"
    monkeypatch.setattr(spark, "find_spec", lambda name: None)
    with pytest.raises(RecganError, match=r"pyspark is not installed; pip install 'recgan\[spark\]'"):
        chosen()
