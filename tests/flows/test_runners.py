"""How many make the parts of the nightly lists at once, and what an environment may say of them."""

import sys

import pytest

from flows import runners
from recgan.core import memory
from recgan.core.errors import RecganError
from recgan.daily import parts
from recgan.daily.parts import Job
from recgan.daily.publish import opened


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
        (runners.RUNNER, "dask", "prefect-dask is not installed; pip install prefect-dask"),
    ],
)
def test_a_wrong_environment_is_refused(job, monkeypatch, variable, value, says):
    runners.check_runner()
    monkeypatch.setitem(sys.modules, "prefect_dask", None)
    monkeypatch.setenv(variable, value)
    with pytest.raises(RecganError, match=says):
        runners.check_runner()
