"""What passes is Unavailable and tried again; everything else stays what it is."""

import errno
import signal
from pathlib import Path

import pyarrow as pa
import pytest
import requests
import sqlalchemy
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2 as codes

from flows.outside import is_transient
from recgan.core.errors import RecganError, Unavailable
from recgan.daily.monitor import monitor
from recgan.daily.recommendations import recommend
from recgan.package import store
from recgan.package.asking import ANSWERS, QUESTIONS
from recgan.package.store import Recommenders
from recgan.registry import asking, versions
from recgan.registry.ask import passes
from recgan.registry.asking import NoAnswerError, ended
from recgan.registry.by_hand import promote_by_hand
from recgan.registry.domain import Decision
from recgan.registry.enrol import enrol
from recgan.registry.outage import outside
from recgan.registry.promotion import Judgement, judge, promote
from recgan.registry.rollback import rollback
from recgan.registry.tracking import connect
from tests.package.conftest import TASTES, make_project, named_so
from tests.registry.stub import Numbers


def answered(status):
    return ClientError({"Error": {"Code": "x"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetObject")


PASSING = [
    MlflowException("the API request failed", codes.INTERNAL_ERROR),
    MlflowException("database is locked", codes.TEMPORARILY_UNAVAILABLE),
    requests.ConnectionError("connection refused"),
    requests.Timeout("no answer"),
    sqlalchemy.exc.OperationalError("SELECT 1", {}, Exception("server closed the connection")),
    EndpointConnectionError(endpoint_url="http://minio"),
    answered(503),
    ConnectionResetError(errno.ECONNRESET, "reset by peer"),
    OSError(errno.ENOSPC, "No space left on device"),
    FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"),
    MemoryError(),
]
LASTING = [
    MlflowException("no such version", codes.RESOURCE_DOES_NOT_EXIST),
    MlflowException("not yours", codes.PERMISSION_DENIED),
    answered(403),
    NoCredentialsError(),
    FileNotFoundError(errno.ENOENT, "No such file", "params.yaml"),
    PermissionError(errno.EACCES, "Permission denied", "mlflow.db"),
    ZeroDivisionError("a defect"),
    RecganError("k is 0"),
]


def named(fault):
    return f"{type(fault).__name__}-{str(fault)[:20]}"


@pytest.mark.parametrize("fault", PASSING, ids=named)
def test_a_fault_that_passes_is_unavailable_also_as_the_cause_of_another(fault):
    with pytest.raises(Unavailable, match="run this again"), outside():
        raise fault
    with pytest.raises(Unavailable), outside():
        try:
            raise fault
        except Exception as cause:
            raise ValueError("the model could not be read") from cause


@pytest.mark.parametrize("fault", LASTING, ids=named)
def test_any_other_fault_stays_what_it_is(fault):
    with pytest.raises(type(fault)) as raised, outside():
        raise fault
    assert raised.value is fault


def test_a_full_disk_is_called_one_and_a_long_message_is_cut():
    with pytest.raises(Unavailable, match=r"no room is left on the disk: .*make room"), outside():
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/recgan-x")
    download = "The following failures occurred: weights: [Errno 28] No space left on device: '/tmp/x'"
    with pytest.raises(Unavailable, match="no room is left on the disk"), outside():
        raise MlflowException(download)
    with pytest.raises(Unavailable) as raised, outside():
        raise requests.ConnectionError("line\n" * 1000)
    assert len(str(raised.value)) < 500
    assert "\n" not in str(raised.value)


CALLS = {
    "get_model_version_by_alias": [
        lambda root, named: versions.champion_version(root, named.register_.name),
        lambda root, named: store.load_champion(root, named.register_.name),
        lambda root, named: versions.challenger(root, named.register_.name),
        lambda root, named: judge(Recommenders(root, named), "1"),
        lambda root, named: rollback(Numbers(named.register_.name, root), "why"),
        lambda root, named: promote_by_hand(Numbers(named.register_.name, root), "1", "why"),
        recommend,
        monitor,
    ],
    "set_model_version_tag": [
        lambda root, named: promote(
            Numbers("absent", root), "1", Judgement(None, Decision(False, ("✗ poor",)), None, None)
        )
    ],
    "search_model_versions": [lambda root, named: enrol(Recommenders(root, named))],
    "log_batch": [lambda root, named: enrol(Recommenders(root, named))],
}
ASKED = pa.record_batch([[["item-1"]], [[1.0]], [None]], QUESTIONS)
FAULTS = (
    MlflowException("API request to http://mlflow:5000 failed", codes.INTERNAL_ERROR),
    requests.ConnectionError("connection refused"),
)


def test_whatever_call_an_outage_hits_after_connecting_it_is_tried_again(
    store_env, params, tmp_path, monkeypatch
):
    named = named_so(params, "outage")
    root = make_project(tmp_path / "project", named, good_tastes=TASTES)
    connect().create_registered_model("absent")
    run = connect().create_run("0")
    connect().create_model_version("absent", "file:///nowhere", run.info.run_id)
    for method, calls in CALLS.items():
        for call, fault in [(call, fault) for call in calls for fault in FAULTS]:

            def gone(self, *arguments, fault=fault, **more):
                raise fault

            with monkeypatch.context() as patch, pytest.raises(Unavailable) as raised:
                patch.setattr(MlflowClient, method, gone)
                call(root, named)
            assert is_transient(None, None, Failed(raised.value)), method
            assert "run this again" in str(raised.value)


class Failed:
    """A state of Prefect, as far as is_transient looks."""

    def __init__(self, error):
        self.error = error

    def result(self, raise_on_failure):
        return self.error


def test_a_server_that_went_away_is_unavailable(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(
        versions, "connect", lambda root: MlflowClient("http://127.0.0.1:9", "http://127.0.0.1:9")
    )
    with pytest.raises(Unavailable, match="do not answer"):
        versions.champion_version(Path(), "shop")


# --- the process that answers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        (-signal.SIGKILL, Unavailable, "killed by SIGKILL"),
        (-signal.SIGTERM, Unavailable, "killed by SIGTERM"),
        (75, Unavailable, "ran out of memory, disk or files: MemoryError"),
        (1, NoAnswerError, "ended with 1: MemoryError"),
        (None, NoAnswerError, "no answers"),
    ],
)
def test_what_hindered_a_process_is_told_from_what_it_did(code, kind, says):
    fault = ended(code, "MemoryError")
    assert isinstance(fault, kind)
    assert says in str(fault)


@pytest.mark.parametrize(
    ("dies", "says"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was killed by SIGKILL"),
        ("import sys; print('[Errno 28] full', file=sys.stderr); sys.exit(75)", r"\[Errno 28\] full"),
    ],
)
def test_a_process_that_was_hindered_is_no_answer_of_the_model(tmp_path, monkeypatch, dies, says):
    (tmp_path / "ask.py").write_text(dies)
    monkeypatch.setattr(asking, "__file__", str(tmp_path / "asking.py"))
    with pytest.raises(Unavailable, match=says), asking.started(tmp_path, QUESTIONS, ANSWERS) as answer:
        answer(ASKED, {})


def test_one_that_takes_too_long_is_no_answer_of_the_model(tmp_path, monkeypatch):
    (tmp_path / "ask.py").write_text("import time; time.sleep(60)")
    monkeypatch.setattr(asking, "__file__", str(tmp_path / "asking.py"))
    monkeypatch.setattr(asking, "_TIMEOUT", 0.2)
    late = pytest.raises(Unavailable, match=r"longer than 0\.2 s")
    with late, asking.started(tmp_path, QUESTIONS, ANSWERS) as answer:
        answer(ASKED, {})


def test_a_folder_for_the_answers_that_cannot_be_made_is_unavailable(tmp_path, monkeypatch):
    def full(*arguments, **more):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(asking.tempfile, "mkdtemp", full)
    with pytest.raises(Unavailable, match="no room is left"), asking.fetched("models:/shop/1"):
        pass
    full = pytest.raises(Unavailable, match="no room is left")
    with full, asking.started(tmp_path, QUESTIONS, ANSWERS):
        pass


def test_the_process_itself_tells_what_passes():
    wrapped = ValueError("no readable recommender")
    wrapped.__context__ = OSError(errno.EMFILE, "Too many open files")
    passing = (
        MemoryError(),
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 GB"),
        wrapped,
    )
    assert all(map(passes, passing))
    lasting = (ValueError("wrong"), RuntimeError("shapes differ"), OSError(errno.ENOENT, "gone"), None)
    assert not any(map(passes, lasting))


def test_a_script_that_lacks_memory_ends_with_the_code_for_a_passing_fault(tmp_path, monkeypatch):
    script = Path(asking.__file__).with_name("ask.py").read_text()
    script = script.replace("import mlflow.pyfunc", "raise MemoryError('8 GB')")
    (tmp_path / "ask.py").write_text(script)
    monkeypatch.setattr(asking, "__file__", str(tmp_path / "asking.py"))
    says = pytest.raises(Unavailable, match="ran out of memory, disk or files: MemoryError: 8 GB")
    with says, asking.started(tmp_path, QUESTIONS, ANSWERS) as answer:
        answer(ASKED, {})
