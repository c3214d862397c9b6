"""Plant a password in every setting and look for it in all that comes out: python benchmarks/passwords.py.

A small project runs its flows, servers and tools: with everything well, with nothing outside that answers,
and with addresses as people mistype them. What they print and answer, every file they leave, the registry and
the command lines of all processes are searched for each password, as it is and in base64. Ends with 1 where
one is found. The halves of a password are letters and digits with signs between them that an address must
write %40 and so on: however it is encoded, cut or written small, the halves are seen.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

from flow_kills import ROOT, make_project
from hunt import ASKED, FLOWS, RECGAN, Hunt, free_port, stop

from flows.servers import Place, find, postgres
from recgan.core.errors import RecganError


@contextmanager
def http_store() -> Iterator[int]:
    """Yield the port of a server that keeps what is put or posted: a DVC remote."""
    kept: dict[str, bytes] = {}

    class Store(BaseHTTPRequestHandler):
        def answer(self, status: int, body: bytes = b"") -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def give(self) -> None:
            self.answer(200 if self.path in kept else 404, kept.get(self.path, b""))

        def take(self) -> None:
            body = b""
            if self.headers.get("Transfer-Encoding") == "chunked":
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kept[self.path] = body
            self.answer(200)

        do_GET = do_HEAD = give  # noqa: N815
        do_PUT = do_POST = take  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def server(hunt: Hunt, name: str, arguments: list[str], health: str, own: dict[str, str]) -> Iterator[None]:
    """Run a server that stands for one on another machine: without the planted settings."""
    environment = {key: hunt.environment[key] for key in ("PATH", "PYTHONPATH", "TMPDIR")} | own
    with (hunt.folder / f"{name}.log").open("a") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=hunt.folder,
            env=environment | {"HOME": str(hunt.folder)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        ends = time.monotonic() + 180
        while True:
            with suppress(OSError), urllib.request.urlopen(health, timeout=5):
                break
            if child.poll() is not None or time.monotonic() > ends:
                sys.exit(f"{name} does not start: {(hunt.folder / f'{name}.log').read_text()[-2000:]}")
            time.sleep(0.3)
        yield
    finally:
        stop(child)


def by_servers(hunt: Hunt) -> None:
    """Tracking server, Prefect server and DVC remote with passwords in their addresses; then all away."""
    mlflow, prefect = free_port(), free_port()
    for name, port, path in (("MLFLOW_TRACKING_URI", mlflow, ""), ("PREFECT_API_URL", prefect, "/api")):
        written = quote(hunt.password(name), safe="")
        hunt.environment[name] = f"http://bob:{written}@127.0.0.1:{port}{path}"
    token = hunt.password("git remote", "")
    origin = f"https://{token}@git.example/shop.git"
    # By hand: on git's command line it would be found.
    git = hunt.root / ".git/config"
    git.write_text(git.read_text().replace(str(ROOT), origin))
    with ExitStack() as stack:
        hunt.dvc_remote(stack.enter_context(http_store()))
        stack.enter_context(
            server(
                hunt,
                "mlflow",
                [
                    *("mlflow", "server", "--port", str(mlflow), "--backend-store-uri"),
                    *(
                        f"sqlite:///{hunt.folder}/theirs.db",
                        "--artifacts-destination",
                        f"{hunt.folder}/theirs",
                    ),
                ],
                f"http://127.0.0.1:{mlflow}/health",
                {},
            )
        )
        stack.enter_context(
            server(
                hunt,
                "prefect",
                ["prefect", "server", "start", "--port", str(prefect)],
                f"http://127.0.0.1:{prefect}/api/health",
                {"PREFECT_HOME": str(hunt.folder / "their-prefect")},
            )
        )
        hunt.everything("servers")
        hunt.run("servers", "automations", [sys.executable, "-m", "flows.automations"])
    hunt.everything("servers away")
    # Prefect's own server again: the flow gets as far as the registry.
    kept = hunt.environment.pop("PREFECT_API_URL")
    for name in ("retrain", "recommend"):
        hunt.run("tracking server away", name, FLOWS[name])
    with http_store() as none:  # it answers, but not as a tracking server does
        written = quote(hunt.password("MLFLOW_TRACKING_URI of another server"), safe="")
        hunt.environment["MLFLOW_TRACKING_URI"] = f"http://bob:{written}@127.0.0.1:{none}"
        for name in ("retrain", "rollback"):  # they try again for minutes
            hunt.run("another server", name, FLOWS[name], 120)
        for name in ("serve", "serve-model"):
            port = free_port()
            hunt.serve("another server", name, [*RECGAN, name, "--port", str(port)], port)
    hunt.environment["PREFECT_API_URL"] = kept
    hunt.run("servers away", "automations", [sys.executable, "-m", "flows.automations"])
    hunt.search_files()
    del hunt.environment["PREFECT_API_URL"]
    for line in ("PREFECT_API_URL", "PREFECT_API_KEY"):
        value = f"http://bob:{hunt.password(f'{line} of .env', '@/')}@127.0.0.1:9/api"
        (hunt.root / ".env").write_text(f"{line}={value}\n")
        hunt.planted.add(hunt.root / ".env")
        hunt.run(f"{line} in .env", "recommend", FLOWS["recommend"])
    (hunt.root / ".env").unlink()


def by_postgres(hunt: Hunt) -> None:
    """PostgreSQL as registry and as lock, with an S3 remote that is away; then PostgreSQL away too."""
    try:
        find("initdb")
    except RecganError as error:
        print(f"without PostgreSQL: {error}")
        return
    place = Place(hunt.folder / "lent" / "postgres")
    place.folder.mkdir(parents=True)
    password, port = hunt.password("a PostgreSQL password"), free_port()
    secret = place.folder / "secret"
    secret.write_text(password)
    if not os.getuid():
        for path in (hunt.folder, hunt.folder / "lent", place.root, place.root / ".recgan", place.folder):
            path.chmod(0o755)
        place.cluster.mkdir(parents=True)
        shutil.chown(place.cluster, "postgres")
        shutil.chown(secret, "postgres")
    data = str(place.cluster)
    try:
        postgres(
            place,
            *("initdb", "-D", data, "-U", "recgan", "-E", "UTF8"),
            *("--auth=scram-sha-256", f"--pwfile={secret}"),
        )
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {data}"
        postgres(place, "pg_ctl", "start", "-w", "-D", data, "-l", f"{data}/log", "-o", options)
        import psycopg

        with psycopg.connect(
            host="127.0.0.1", port=port, user="recgan", password=password, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute("CREATE DATABASE mlflow")
        uri = f"postgresql+psycopg://recgan:{quote(password, safe='')}@127.0.0.1:{port}/mlflow"
        hunt.environment |= {
            "MLFLOW_TRACKING_URI": uri,
            "RECGAN_LOCK_DATABASE": uri,
            "MLFLOW_DEFAULT_ARTIFACT_ROOT": str(hunt.folder / "artifacts"),
        }
        (hunt.root / ".dvc/config.local").write_text(
            "[core]\n    remote = storage\n['remote \"storage\"']\n    url = s3://bucket/dvc\n"
            f"    endpointurl = {hunt.environment['AWS_ENDPOINT_URL']}\n"
            f"    secret_access_key = {hunt.password('DVC remote of S3', '/+')}\n    access_key_id = bob\n"
        )
        hunt.everything("PostgreSQL")
        dump = subprocess.run(
            [find("pg_dump"), "-h", "127.0.0.1", "-p", str(port), "-U", "recgan", "mlflow"],
            env=os.environ | {"PGPASSWORD": password},
            capture_output=True,
            check=True,
        )
        hunt.search("PostgreSQL: the registry", dump.stdout)
    finally:
        postgres(place, "pg_ctl", "stop", "-m", "fast", "-D", data, may_fail=True)
        if not os.getuid():
            shutil.rmtree(place.cluster, ignore_errors=True)
    hunt.everything("PostgreSQL away")


def by_mistakes(hunt: Hunt) -> None:
    """Addresses as people mistype them."""
    hunt.environment.pop("RECGAN_LOCK_DATABASE", None)
    hunt.environment.pop("PREFECT_API_URL", None)
    for form in (
        "postgresql+psycopg://bob:{}@127.0.0.1:9/mlflow",
        "postgresql://bob:{}@127.0.0.1:9/mlflow",
        "http://bob:{}@127.0.0.1:9",
        "bob:{}@127.0.0.1:9/mlflow",
        "postgres//bob:{}@127.0.0.1/mlflow",
        "file://bob:{}@127.0.0.1/mlflow",
        "http://127.0.0.1:9/?token={}",
        "redis://bob:{}@127.0.0.1:9",
    ):
        hunt.environment["MLFLOW_TRACKING_URI"] = form.format(hunt.password(form.format("…"), "@/"))
        scene = f"mistyped {form.format('…').replace('/', '|')}"
        hunt.run(scene, "recommend", FLOWS["recommend"])
        hunt.run(scene, "recgan rollback", [*RECGAN, "rollback", "--reason", "x"])
        for name in ASKED:
            port = free_port()
            hunt.serve(scene, name, [*RECGAN, name, "--port", str(port)], port)
    hunt.search_files()


SCENES = {"servers": by_servers, "postgres": by_postgres, "mistakes": by_mistakes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # else its servers would stay
    with tempfile.TemporaryDirectory() as folder:
        hunt = Hunt(Path(folder).resolve())
        for path in (hunt.tmp, hunt.folder / "lent"):
            path.mkdir()
        make_project(hunt.root)
        hunt.plant()
        with hunt.processes_watched():
            for scene in options.scenes:
                SCENES[scene](hunt)
    settings = sorted(set(hunt.halves.values()))
    print("\n| setting | found in |\n|---|---|")
    for setting in settings:
        print(f"| {setting} | {'; '.join(sorted(hunt.found[setting])) or 'nothing'} |")
    found = sum(bool(places) for places in hunt.found.values())
    print(f"{datetime.now(UTC):%Y-%m-%d}: {len(settings)} passwords, {found} found; {dict(hunt.counts)}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
