"""The servers of a production set-up on one machine: PostgreSQL, Prefect, MLflow, a worker.

    python -m flows.servers up | down | status

Everything lies in .recgan/servers: the database cluster, logs, process ids. No Docker: PostgreSQL is the
machine's own (Debian: `apt install postgresql`), the rest comes with recgan. All of it listens on loopback
unless RECGAN_HOST says otherwise.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from recgan.core import layout
from recgan.core.environment import configure
from recgan.core.errors import RecganError
from recgan.core.stopped import one_line_for_ctrl_c

HOST = os.environ.get("RECGAN_HOST", "127.0.0.1")
PORTS = {
    "postgres": int(os.environ.get("RECGAN_POSTGRES_PORT", "5433")),
    "prefect": int(os.environ.get("RECGAN_PREFECT_PORT", "4200")),
    "mlflow": int(os.environ.get("RECGAN_MLFLOW_PORT", "5000")),
}
STARTS_WITHIN = 180.0  # seconds


@dataclass(frozen=True)
class Place:
    """The project, and where its servers keep what is theirs."""

    root: Path

    @property
    def folder(self) -> Path:
        """Database cluster, logs and process ids."""
        return self.root / layout.STATE / "servers"

    @property
    def cluster(self) -> Path:
        """The PostgreSQL cluster; where root runs this, in a folder that the user postgres may enter."""
        if os.getuid():
            return self.folder / "postgres"
        return Path("/var/lib/recgan") / self.root.resolve().as_posix().strip("/").replace("/", "-")

    def database(self, name: str, driver: str = "postgresql") -> str:
        """Return the URI of a database; its password lies in a file that only its owner reads."""
        password = (self.folder / "password").read_text(encoding="utf-8")
        return f"{driver}://recgan:{password}@127.0.0.1:{PORTS['postgres']}/{name}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to use the servers."""
        return {
            "PREFECT_API_URL": f"http://127.0.0.1:{PORTS['prefect']}/api",
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{PORTS['mlflow']}",
            "RECGAN_LOCK_DATABASE": self.database("mlflow", "postgresql+psycopg"),
            "RECGAN_ROOT": str(self.root.resolve()),
        }


def up(root: Path) -> None:
    """Start what does not run yet, apply the deployments, and say where to look.

    Raises:
        RecganError: PostgreSQL is not installed, a port is taken, or a server does not start.
    """
    place = Place(root)
    place.folder.mkdir(parents=True, exist_ok=True)
    start_postgres(place)
    prefect, mlflow = (f"http://127.0.0.1:{PORTS[name]}" for name in ("prefect", "mlflow"))
    start(
        place,
        "prefect",
        ["-m", "prefect", "server", "start", "--host", HOST, "--port", str(PORTS["prefect"])],
        {
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": place.database("prefect", "postgresql+asyncpg"),
            "PREFECT_API_URL": f"{prefect}/api",
        },
        f"{prefect}/api/health",
    )
    start(
        place,
        "mlflow",
        [
            *("-m", "mlflow", "server", "--host", HOST, "--port", str(PORTS["mlflow"])),
            *("--artifacts-destination", str(place.folder.resolve() / "artifacts")),
            *("--allowed-hosts", os.environ.get("RECGAN_ALLOWED_HOSTS", "localhost:*,127.0.0.1:*")),
        ],
        # Not on the command line, which every user of the machine can read.
        {"MLFLOW_BACKEND_STORE_URI": place.database("mlflow", "postgresql+psycopg")},
        f"{mlflow}/health",
    )
    command = [sys.executable, "-m", "prefect"]
    environment = os.environ | place.environment
    pool = ["work-pool", "create", "recgan", "--type", "process", "--overwrite"]
    for arguments in (pool, ["--no-prompt", "deploy", "--all"]):
        call = [*command, *arguments]
        done = subprocess.run(call, cwd=root, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stdout + done.stderr)[-2000:]
            raise RecganError(f"`prefect {' '.join(arguments)}` failed:\n{said}")
    subprocess.run([sys.executable, "-m", "flows.automations"], cwd=root, env=environment, check=True)
    start(place, "worker", ["-m", "prefect", "worker", "start", "--pool", "recgan"], place.environment, None)
    write_environment(place)
    sys.stdout.write(
        f"Prefect   {prefect}\nMLflow    {mlflow}\nlogs      {place.folder / 'logs'}\n\n"
        "Run it now:  set -a; . .recgan/servers/env; set +a; prefect deployment run retrain/nightly\n"
        "Stop all:    make down\n"
    )


def down(root: Path) -> None:
    """Stop the worker, with the flow runs it started, and all servers; what they store stays."""
    place = Place(root)
    for name in ("worker", "mlflow", "prefect"):
        stop(place, name)
    if (place.cluster / "postmaster.pid").exists():
        postgres(place, "pg_ctl", "stop", "-m", "fast", "-D", str(place.cluster))
    sys.stdout.write("everything is down\n")


def status(root: Path) -> None:
    """Say what runs."""
    place = Place(root)
    for name in ("prefect", "mlflow", "worker"):
        process = running(place, name)
        sys.stdout.write(f"{name:9} {'runs, process ' + str(process.pid) if process else 'does not run'}\n")


# --- PostgreSQL -----------------------------------------------------------------------------------------


def start_postgres(place: Place) -> None:
    """Make the cluster once, start it, and see to its two databases."""
    secret = place.folder / "password"
    if not secret.exists():
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_urlsafe(24), encoding="utf-8")
    if not (place.cluster / "PG_VERSION").exists():
        place.cluster.mkdir(parents=True, exist_ok=True)
        if not os.getuid():
            shutil.chown(place.cluster, "postgres")
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as given:  # only its owner reads it
            given.write(secret.read_text(encoding="utf-8"))
            given.flush()
            if not os.getuid():
                shutil.chown(given.name, "postgres")
            postgres(
                place,
                *("initdb", "-D", str(place.cluster), "-U", "recgan", "-E", "UTF8"),
                *("--auth=scram-sha-256", f"--pwfile={given.name}"),
            )
    alive = postgres(place, "pg_ctl", "status", "-D", str(place.cluster), may_fail=True)
    if alive:
        options = f"-p {PORTS['postgres']} -c listen_addresses=127.0.0.1 -k {place.cluster}"
        log = place.cluster / "server.log"
        postgres(place, "pg_ctl", "start", "-w", "-D", str(place.cluster), "-l", str(log), "-o", options)
    import psycopg

    with psycopg.connect(place.database("postgres"), autocommit=True) as connection:
        there = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
        for name in {"prefect", "mlflow"} - there:
            connection.execute(f"CREATE DATABASE {name}")


def postgres(place: Place, tool: str, *arguments: str, may_fail: bool = False) -> int:
    """Run one of PostgreSQL's tools, as the user postgres where this is root, which it refuses to be."""
    command = [str(find(tool)), *arguments]
    is_root = not os.getuid()
    # Into a file: a server that inherits a pipe would keep its reader waiting for ever.
    log = place.folder / "postgres.log"
    with log.open("w") as output:
        done = subprocess.run(
            command,
            stdout=output,
            stderr=output,
            cwd="/",
            check=False,
            user="postgres" if is_root else None,
            group="postgres" if is_root else None,
            extra_groups=[] if is_root else None,
        )
    if done.returncode and not may_fail:
        raise RecganError(f"{tool} ended with code {done.returncode}: {log.read_text()[-800:].strip()}")
    return done.returncode


def find(tool: str) -> Path:
    """Find one of PostgreSQL's tools; Debian keeps them off PATH."""
    if path := shutil.which(tool):
        return Path(path)
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{tool}"), key=lambda path: int(path.parts[4]))
    if not found:
        raise RecganError(
            f"PostgreSQL is not installed ({tool} is nowhere); on Debian and Ubuntu: apt install postgresql"
        )
    return found[-1]


# --- processes ------------------------------------------------------------------------------------------


def start(
    place: Place, name: str, arguments: list[str], environment: dict[str, str], health: str | None
) -> None:
    """Start a server in a session of its own and wait until it answers."""
    if running(place, name):
        return
    (place.folder / "logs").mkdir(exist_ok=True)
    log = place.folder / "logs" / f"{name}.log"
    with log.open("a") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=place.root,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    created = psutil.Process(process.pid).create_time()
    (place.folder / f"{name}.pid").write_text(f"{process.pid} {created}", encoding="utf-8")
    deadline = time.monotonic() + STARTS_WITHIN
    while health is not None and not answers(health):
        if process.poll() is not None or time.monotonic() > deadline:
            stop(place, name)
            said = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
            raise RecganError(f"{name} did not start; the end of {log}:\n{said}")
        time.sleep(0.5)


def running(place: Place, name: str) -> psutil.Process | None:
    """Return the process that was started, if it still runs and the id is not another one's by now."""
    with suppress(OSError, ValueError, psutil.NoSuchProcess):
        pid, created = (place.folder / f"{name}.pid").read_text(encoding="utf-8").split()
        process = psutil.Process(int(pid))
        if process.create_time() == float(created) and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def stop(place: Place, name: str) -> None:
    """Ask a process to end, wait, and kill its whole group."""
    process = running(place, name)
    if process is not None:
        process.terminate()
        with suppress(psutil.TimeoutExpired):
            process.wait(timeout=40)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    (place.folder / f"{name}.pid").unlink(missing_ok=True)


def answers(url: str) -> bool:
    """Tell whether a URL answers with 200."""
    with suppress(OSError), urllib.request.urlopen(url, timeout=5) as response:
        return bool(response.status == 200)
    return False


def write_environment(place: Place) -> None:
    """Write the variables that point a shell at the servers."""
    lines = [f"{name}={value}" for name, value in place.environment.items()]
    (place.folder / "env").touch(mode=0o600)  # it holds the database's password
    (place.folder / "env").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> int:
    """Do what the command line says."""
    one_line_for_ctrl_c()
    configure()
    # The user's own Prefect settings may be of any version and content.
    os.environ.setdefault("PREFECT_HOME", str(Path(".recgan/prefect").resolve()))
    doing = {"up": up, "down": down, "status": status}
    if len(sys.argv) != 2 or sys.argv[1] not in doing:
        sys.stderr.write(__doc__ or "")
        return 2
    try:
        doing[sys.argv[1]](Path())
    except RecganError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
