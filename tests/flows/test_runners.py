"""Who makes the parts of the nightly lists, how many at once, and what an environment may say of them."""

import os
import socket
import sys
from concurrent.futures import BrokenExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prefect import flow

from flows import runners
from recgan.core import memory
from recgan.core.errors import RecganError, Unavailable
from recgan.daily import parts
from recgan.daily.parts import Job
from recgan.daily.publish import joined, opened

SCHEMA = pa.schema({"row": pa.int64(), "maker": pa.int64()})


@pytest.fixture
def job(tmp_path, monkeypatch):
    for variable in (runners.RUNNER, parts.WORKERS, runners.ADDRESS):
        monkeypatch.delenv(variable, raising=False)
    return Job(opened(tmp_path / "shop.parquet", "key", 7), tmp_path / "package", "shop", "1", 5, True, None)


def test_memory_and_cores_bound_the_makers(job, monkeypatch):
    weights = job.model / "artifacts/recommender/weights.safetensors"
    weights.parent.mkdir(parents=True)
    (job.model / "artifacts/items.json").write_bytes(b"{}")
    weights.write_bytes(bytes(10))
    small = job.worker_bytes
    weights.write_bytes(bytes(1010))
    assert job.worker_bytes == small + 4 * 1000
    monkeypatch.setattr(parts.os, "sched_getaffinity", lambda pid: range(8))
    for free, workers in ((3.5, 3), (100, 8), (0.5, 1)):
        monkeypatch.setattr(memory, "free", lambda free=free: int(free * job.worker_bytes))
        assert parts.workers_for(job) == workers
    monkeypatch.setenv(parts.WORKERS, "5")
    assert parts.workers_for(job) == 5


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        (runners.RUNNER, "spork", r"RECGAN_TASK_RUNNER is 'spork'; set it to one of threads, .*dask, ray"),
        (parts.WORKERS, "0", "RECGAN_WORKERS is '0'; set it to a number from 1 up"),
        (runners.RUNNER, "dask", r"prefect-dask is not installed; pip install 'recgan\[dask\]', or"),
        (runners.RUNNER, "ray", r"prefect-ray is not installed; pip install 'recgan\[ray\]', or"),
        (runners.ADDRESS, "tcp://far:8786", "but threads are of this machine; set .* to dask or ray, or"),
    ],
)
def test_a_wrong_environment_is_refused(job, monkeypatch, variable, value, says):
    runners.check_runner()
    monkeypatch.setitem(sys.modules, "prefect_dask", None)
    monkeypatch.setitem(sys.modules, "prefect_ray", None)
    monkeypatch.setenv(variable, value)
    with pytest.raises(RecganError, match=says):
        runners.check_runner()


def test_the_ray_of_this_machine_is_no_address_of_dask(job, monkeypatch):
    monkeypatch.setattr(runners, "_installed", lambda name: None)
    monkeypatch.setenv(runners.RUNNER, "dask")
    monkeypatch.setenv(runners.ADDRESS, "auto")
    with pytest.raises(
        RecganError, match=r"is auto, which finds a Ray, but .* is dask; write tcp://host:8786"
    ):
        runners.check_runner()


@pytest.mark.parametrize("name", ["dask", "ray"])
def test_an_address_at_which_nobody_listens_is_refused(job, monkeypatch, name):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setenv(runners.RUNNER, name)
        monkeypatch.setenv(runners.ADDRESS, address)
        monkeypatch.setattr(runners, "_installed", lambda name: None)
        runners.check_runner()
    with pytest.raises(RecganError, match=f"nobody listens at {address} .*; start {name} there, or leave"):
        runners.check_runner()


class Failing:
    """A runner that fails at its start, or gives a future that fails."""

    def __init__(self, at_start=None, at_the_end=None):
        self.at_start, self.at_the_end = at_start, at_the_end

    def __enter__(self):
        if self.at_start:
            raise self.at_start
        return self

    def __exit__(self, *_):
        pass

    def submit(self, task, parameters):
        return self

    def result(self):
        raise self.at_the_end


UNREADABLE = RuntimeError("Error during deserialization")
UNREADABLE.__cause__ = ModuleNotFoundError("No module named 'flows'", name="flows")


@pytest.mark.parametrize(
    ("runner", "kind", "says"),
    [
        (Failing(at_start=OSError("nobody there")), Unavailable, r"does not start \(OSError: nobody there\)"),
        (
            Failing(at_the_end=BrokenExecutor("killed")),
            Unavailable,
            r"lost a maker of parts.*killed\); run",
        ),
        (Failing(at_the_end=UNREADABLE), RecganError, r"makers have no module flows; start .* PYTHONPATH=/"),
        (Failing(at_the_end=RecganError("k is 0")), RecganError, r"^k is 0$"),
        (Failing(at_the_end=KeyError("a fault of ours")), KeyError, "a fault of ours"),
    ],
    ids=["start", "lost", "lacking", "told", "ours"],
)
def test_what_a_cluster_does_is_told_as_such_and_all_else_as_it_is(job, monkeypatch, runner, kind, says):
    monkeypatch.setattr(runners, "_runner", lambda workers: runner)
    with pytest.raises(kind, match=says) as caught:
        runners.side_by_side(job, range(7))
    assert type(caught.value) is kind
    assert job.parts.stopped


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("name", ["processes", "dask", "ray"])
def test_others_make_every_part_once_and_what_fails_is_raised_as_it_is(job, tmp_path, monkeypatch, name):
    if name != "processes":
        pytest.importorskip(f"prefect_{name}", reason=f"without recgan[{name}]")
    monkeypatch.setenv(runners.RUNNER, name)
    monkeypatch.setenv(parts.WORKERS, "2")

    def make(job, numbers):
        for number in numbers:
            job.parts.write(number, pa.table({"row": [number], "maker": [os.getpid()]}, SCHEMA))

    monkeypatch.setattr(runners, "make", make)
    nightly = flow(runners.side_by_side, validate_parameters=False)
    nightly(job, range(7))
    found = pq.read_table(joined(job.parts, tmp_path / "shop.parquet", SCHEMA))
    assert found["row"].to_pylist() == list(range(7))
    assert os.getpid() not in found["maker"].to_pylist()

    def broken(job, numbers):
        raise RecganError(f"version {job.version} does not answer")

    monkeypatch.setattr(runners, "make", broken)
    with pytest.raises(RecganError, match=r"^version 1 does not answer$"):
        nightly(job, range(7))
    assert job.parts.stopped
