"""A Spark Connect server in another zone and with other settings gives what DuckDB gives."""

import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from recgan.core.errors import RecganError
from recgan.data import spark
from recgan.data.engine import engine
from tests.test_engines import QUICK, kept, md5, on_duckdb  # noqa: F401  (fixtures)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a server that pyspark's own script starts, or the reason why there is none."""
    pytest.importorskip("pyspark", reason="without recgan[spark]")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SPARK_REMOTE", raising=False)
        try:
            spark.check()
        except RecganError as error:
            pytest.skip(str(error))
    import pyspark

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    folder = tmp_path_factory.mktemp("server")
    settings = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": port,
        "spark.sql.ansi.enabled": "false",
        "spark.ui.enabled": "false",
        "spark.driver.memory": "1g",
    }
    command = [Path(pyspark.__file__).parent / "sbin/start-connect-server.sh", "--wait"]
    command += [part for option in QUICK for part in option.split(maxsplit=1)]
    command += [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
    here = {"TZ": "America/New_York", "SPARK_LOG_DIR": str(folder), "SPARK_PID_DIR": str(folder)}
    environment = os.environ | here | {"PYSPARK_PYTHON": sys.executable}
    with (folder / "said").open("wb") as said:
        started = subprocess.Popen(
            ["bash", *command], cwd=folder, env=environment, stdout=said, stderr=said, start_new_session=True
        )
    try:
        while not _listens(port):
            assert started.poll() is None, (folder / "said").read_text()[-2000:]
            time.sleep(0.2)
        yield f"sc://127.0.0.1:{port}"
    finally:
        os.killpg(started.pid, 15)
        started.wait(60)


def _listens(port):
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def _by_connect(server):
    os.environ |= {"RECGAN_ENGINE": "spark", "SPARK_REMOTE": server}


@pytest.fixture(scope="module")
def client(server):
    """A process that asks the server: one that has asked by Connect can start no Spark of its own."""
    with ProcessPoolExecutor(1, get_context("spawn"), _by_connect, (server,)) as pool:
        yield pool


def test_the_same_log_has_the_same_features(client, on_duckdb, kept, params):  # noqa: F811
    one, parts = kept
    weights = {"view": 0.1, "cart": 2, "purchase": 0.7, "rating": 3}
    settings = params(half_life_days=0.7, weights=weights, min_rating=1.5)
    assert client.submit(md5, parts, settings).result() == on_duckdb(md5, one, settings)


def _asked():
    with engine() as tables:
        zone = tables.session.conf.get("spark.sql.session.timeZone")
        with pytest.raises(Exception, match="ARITHMETIC_OVERFLOW"):
            tables.session.sql("SELECT 2147483647 + 1").collect()
        return os.getpid(), zone, tables.each(lambda number: (number, os.getpid()), 3)


def test_what_results_depend_on_is_set_there_and_tasks_are_called_there(client):
    here, zone, made = client.submit(_asked).result()
    assert zone == "UTC"
    assert [number for number, _ in made] == [0, 1, 2]
    assert here not in {maker for _, maker in made}
