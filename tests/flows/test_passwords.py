"""No password of a setting comes out of a flow or a server whose registry is away.

benchmarks/passwords.py does the same at length, with the registry there too.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from urllib.parse import quote

import pytest

from tests.conftest import ROOT

SETTINGS = {
    "MLFLOW_TRACKING_PASSWORD": "qpw1head@/%#:qpw1tail",
    "RECGAN_LOCK_DATABASE": f"postgresql://bob:{quote('qpw2head@/%#:qpw2tail', safe='')}@127.0.0.1:9/mlflow",
    "PREFECT_API_AUTH_STRING": "bob:qpw3head@/qpw3tail",
    "RECGAN_ALERT_WEBHOOK": "https://hooks.example/qpw4head/qpw4tail",
    "AWS_SECRET_ACCESS_KEY": "qpw5head/+qpw5tail",
    "HTTPS_PROXY": f"http://bob:{quote('qpw6head@/qpw6tail', safe='')}@127.0.0.1:9",
    "NO_PROXY": "127.0.0.1",
}


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    (root / ".dvc").mkdir(parents=True)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, root / name)
    (root / ".dvc/config").write_text("[core]\n    no_scm = true\n")
    remote = "['remote \"x\"']\n    url = s3://b\n    secret_access_key = qpw7head/+qpw7tail\n"
    (root / ".dvc/config.local").write_text(remote)
    return root


def leaks(*texts):
    return [text for text in texts if "qpw" in text.lower()]


def files_of(root):
    return [
        path.read_text(errors="replace")
        for path in root.rglob("*")
        if path.is_file() and path.name != "config.local"
    ]


def answer(address):
    try:
        with urllib.request.urlopen(address, timeout=10) as given:
            return given.status, str(given.headers) + given.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, str(error.headers) + error.read().decode()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("uri", "says"),
    [
        (f"http://bob:{quote('qpw8head@/qpw8tail', safe='')}@127.0.0.1:9", "nothing answers"),
        ("postgresql+psycopg://bob:qpw8head@/qpw8tail@127.0.0.1:9/mlflow", "write @ as %40"),
    ],
)
def test_no_password_comes_out(uri, says, project):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= SETTINGS | {"MLFLOW_TRACKING_URI": uri, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    flow = [sys.executable, "-m", "flows.retrain"]
    environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{ROOT / 'src'}"
    told = subprocess.run(flow, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert says in told.stderr
    assert leaks(told.stdout, told.stderr) == []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    serve = [sys.executable, "-m", "recgan", "serve", "--port", str(port)]
    with (project / "serve.log").open("w") as log:
        server = subprocess.Popen(serve, cwd=project, env=environment, stdout=log, stderr=log)
    try:
        ends, body = time.monotonic() + 60, ""
        while "cannot be read" not in body and time.monotonic() < ends:
            assert server.poll() is None
            time.sleep(0.1)
            with suppress(OSError):
                status, body = answer(f"http://127.0.0.1:{port}/ready")
        assert status == 503
        assert "cannot be read" in body
        assert (
            leaks(body, *(answer(f"http://127.0.0.1:{port}{path}")[1] for path in ("/metrics", "/x"))) == []
        )
    finally:
        server.terminate()
        server.wait()
    assert leaks(*files_of(project)) == []
