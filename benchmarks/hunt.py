"""What benchmarks/passwords.py hunts with: passwords that are planted, commands that run, where is looked."""

import base64
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

SIGNS = "@/%#:"
RECGAN = [sys.executable, "-m", "recgan"]
PATIENCE = 420.0  # seconds for one command
SERVES_WITHIN = 120.0  # seconds
ASKED = {
    "serve": ("/ready", "/metrics", "/openapi.json", "/explorer", "/recommend", "/nowhere"),
    "ui": ("/", "/version", "/ajax-api/2.0/mlflow/experiments/search?max_results=5", "/nowhere"),
    "serve-model": ("/ping", "/version", "/invocations"),
}
FLOWS = {
    name: [sys.executable, "-m", f"flows.{name}"] for name in ("retrain", "recommend", "monitor", "rollback")
}
FLOWS["rollback"] += ["--reason", "a trial"]


class Hunt:
    """The passwords that are planted, what has been searched, and what was found where."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root, self.tmp = folder, folder / "project", folder / "tmp"
        self.halves: dict[bytes, str] = {}
        self.found: dict[str, set[str]] = defaultdict(set)
        self.counts: Counter[str] = Counter()
        self.planted: set[Path] = {self.root / ".dvc/config.local", self.root / ".git/config"}
        self.environment: dict[str, str] = {}
        self.lines: set[bytes] = set()

    def password(self, setting: str, signs: str = SIGNS) -> str:
        """Return the password of a setting."""
        halves = [
            "Q" + hashlib.sha256(f"{setting} {end}".encode()).hexdigest()[:11] + "x"
            for end in ("head", "tail")
        ]
        self.halves |= {half.lower().encode(): setting for half in halves}
        return signs.join(halves)

    def search(self, where: str, text: bytes) -> None:
        """Note each password in a text."""
        self.counts["texts searched"] += 1
        self.counts["bytes searched"] += len(text)
        small = text.lower()
        for half, setting in self.halves.items():
            written = half.decode().capitalize().encode()
            # What base64 makes of the half does not depend on its neighbours, but for the ends.
            coded = (base64.b64encode(b"_" * shift + written)[shift + 1 : -4] for shift in range(3))
            if half in small or any(form in text for form in coded):
                self.found[setting].add(where)
                at = max(small.find(half), 0)
                print(f"FOUND {setting} in {where}: …{text[max(0, at - 200) : at + 60]!r}…", flush=True)

    def search_files(self) -> None:
        """Search every file that lies in the folder by now, and each name."""
        for path in self.folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and path not in self.planted:
                if path.is_relative_to(self.folder / "lent"):  # what this benchmark keeps for itself
                    continue
                with suppress(OSError):
                    self.counts["files"] += 1
                    self.search(f"file {path.relative_to(self.folder)}", path.read_bytes())

    @contextmanager
    def processes_watched(self) -> Iterator[None]:
        """Search the command line of every process on the machine, many times a second."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.02):
                self.counts["looks at the process list"] += 1
                for entry in os.scandir("/proc"):
                    if entry.name.isdigit():
                        with suppress(OSError), Path(entry.path, "cmdline").open("rb") as file:
                            line = file.read()
                            if line not in self.lines:
                                self.lines.add(line)
                                self.counts["command lines"] += 1
                                self.search(f"process list: {line[:60]!r}", line)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()

    def run(self, scene: str, name: str, command: list[str], patience: float = PATIENCE) -> None:
        """Run a command to its end and search what it says."""
        began = time.monotonic()
        child = self.start(command, output := self.folder / "lent" / f"{scene} {name}.log")
        try:
            code = str(child.wait(patience))
        except subprocess.TimeoutExpired:
            code = f"stopped after {patience:g} s"
        stop(child)
        self.told(scene, name, output, f"{code}, {time.monotonic() - began:.0f} s")

    def serve(self, scene: str, name: str, command: list[str], port: int) -> None:
        """Start a server, ask it, stop it, and search its answers and what it says."""
        child = self.start(command, output := self.folder / "lent" / f"{scene} {name}.log")
        deadline = time.monotonic() + SERVES_WITHIN
        while child.poll() is None and time.monotonic() < deadline and not asked(port, "/nowhere")[0]:
            time.sleep(0.2)
        if name == "serve":  # it is up at once; the champion follows, or the reason why it does not
            deadline = time.monotonic() + 30
            while asked(port, "/ready")[0] not in (0, 200) and time.monotonic() < deadline:
                time.sleep(0.5)
        statuses = Counter[int]()
        for path in ASKED[name]:
            status, answer = asked(port, path)
            statuses[status] += 1
            self.counts["HTTP answers"] += status > 0
            self.search(f"{scene}: answer of {name} {path}", answer)
        stop(child)
        self.told(scene, name, output, f"answers {dict(statuses)}")

    def start(self, command: list[str], output: Path) -> "subprocess.Popen[bytes]":
        """Start a command in the project with the planted settings."""
        with output.open("w") as log:
            return subprocess.Popen(
                command, cwd=self.root, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def told(self, scene: str, name: str, output: Path, end: str) -> None:
        """Search what a command has said, and show its error or its last line."""
        self.counts["commands"] += 1
        self.search(f"{scene}: output of {name}", output.read_bytes())
        lines = output.read_text(errors="replace").strip().splitlines() or [""]
        said = next((line for line in lines if line.startswith("error")), lines[-1])
        print(f"{scene}: {name} ({end}): {said[:160]}", flush=True)

    def everything(self, scene: str) -> None:
        """Run every flow and every server, then search the files."""
        for name, command in FLOWS.items():
            self.run(scene, name, command)
        for name in ASKED:
            port = free_port()
            self.serve(scene, name, [*RECGAN, name, "--port", str(port)], port)
        self.search_files()

    def plant(self) -> None:
        """Fill the settings that every scene has."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PREFECT_", "MLFLOW_", "RECGAN_", "AWS_"))
        }
        closed = free_port()
        proxy = f"http://bob:{quote(self.password('HTTPS_PROXY'), safe='')}@127.0.0.1:{closed}"
        endpoint = quote(self.password("AWS_ENDPOINT_URL"), safe="")
        self.environment = inherited | {
            "TMPDIR": str(self.tmp),
            "PYTHONPATH": f"{self.root}{os.pathsep}{self.root / 'src'}",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "NO_PROXY": "127.0.0.1,localhost",
            "HTTP_PROXY": proxy,
            "HTTPS_PROXY": proxy,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
            "MLFLOW_TRACKING_USERNAME": "bob",
            "MLFLOW_TRACKING_PASSWORD": self.password("MLFLOW_TRACKING_PASSWORD"),
            "MLFLOW_TRACKING_TOKEN": self.password("MLFLOW_TRACKING_TOKEN", "-"),
            "PREFECT_API_KEY": self.password("PREFECT_API_KEY", "_"),
            "PREFECT_API_AUTH_STRING": f"bob:{self.password('PREFECT_API_AUTH_STRING')}",
            "RECGAN_ALERT_WEBHOOK": f"http://127.0.0.1:{closed}/{self.password('RECGAN_ALERT_WEBHOOK', '/')}",
            "AWS_ACCESS_KEY_ID": self.password("AWS_ACCESS_KEY_ID", ""),
            "AWS_SECRET_ACCESS_KEY": self.password("AWS_SECRET_ACCESS_KEY", "/+"),
            "AWS_SESSION_TOKEN": self.password("AWS_SESSION_TOKEN", "/+="),
            "AWS_ENDPOINT_URL": f"http://bob:{endpoint}@127.0.0.1:{closed}",
        }
        for name, parts in {"http_proxy": "HTTP_PROXY", "https_proxy": "HTTPS_PROXY"}.items():
            self.environment[name] = self.environment[parts]

    def dvc_remote(self, port: int) -> None:
        """Name a DVC remote that wants a password, twice."""
        url = quote(self.password("DVC remote's url"), safe="")
        (self.root / ".dvc/config.local").write_text(
            "[core]\n    remote = storage\n['remote \"storage\"']\n"
            f"    url = http://bob:{url}@127.0.0.1:{port}/dvc\n    auth = basic\n    user = bob\n"
            f"    password = {self.password('DVC remote', '@/:')}\n"
        )


def asked(port: int, path: str) -> tuple[int, bytes]:
    """Return the status and the whole text of an answer, headers too; 0 where there is none."""
    posts = {"/recommend": b'{"history": [], "k": 3}', "/invocations": b'{"inputs": [{"history": []}]}'}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", posts.get(path), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, bytes(answer.headers) + answer.read()
    except urllib.error.HTTPError as error:
        return error.code, bytes(error.headers) + error.read()
    except OSError:
        return 0, b""


def stop(child: "subprocess.Popen[bytes]") -> None:
    """End a child with all of its group, kindly first."""
    for order in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(child.pid, order)
            child.wait(20)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
