"""A Prefect server for the flow runs of one process, which it never outlives.

Prefect starts such a server by itself. But `kill -9` of a flow leaves that one running for ever, open to
everybody on this machine. This one reads from a pipe that its starter holds open, and ends with it.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

from filelock import FileLock

from recgan.core.errors import RecganError

_REMEDIES = {
    "Can't locate revision": "was written by a newer Prefect than this one",
    "file is not a database": "is no SQLite database",
    "malformed": "is a damaged SQLite database",
    "readonly database": "cannot be written to",
    "unable to open database": "cannot be opened",
    "disk is full": "cannot be written to, since the disk is full",
    "No space left": "cannot be written to, since the disk is full",
}
"""What is said of the database, by what the server's log holds."""


@contextmanager
def temporary_server(home: Path, starts_within: float) -> Iterator[str]:
    """Run a server for the length of the block and yield the URL of its API.

    Args:
        home: PREFECT_HOME, where it keeps the records of flow runs.
        starts_within: seconds.

    Raises:
        RecganError: it does not start; the message says why.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener, tempfile.TemporaryFile() as said:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        # Two servers that both find no database would both make one.
        with FileLock(home / "starting.lock"):
            server = subprocess.Popen(
                [sys.executable, "-m", "flows.temporary_server", str(listener.fileno())],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=said,
                pass_fds=[listener.fileno()],
                # Ctrl-C is for the flow, which still has its end to report.
                start_new_session=True,
            )
            listener.close()  # the server's alone from here on: nobody connects to one that has ended
            try:
                deadline = time.monotonic() + starts_within
                while not _answers(url):
                    if server.poll() is not None or time.monotonic() > deadline:
                        said.seek(0)
                        raise RecganError(_what_is_wrong(home, said.read().decode(errors="replace")))
                    time.sleep(0.1)
            except BaseException:
                _stop(server)
                raise
        try:
            yield url
        finally:
            _stop(server)


def _answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=2) as response:
        return bool(response.status == 200)
    return False


def _stop(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()
    try:
        server.wait(timeout=10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    assert server.stdin is not None
    server.stdin.close()


def _what_is_wrong(home: Path, log: str) -> str:
    database = home / "prefect.db"
    for sign, trouble in _REMEDIES.items():
        if sign in log:
            return (
                f"Prefect's database {database} {trouble}; it holds nothing but the records of "
                "earlier flow runs: mend or move it, or set PREFECT_HOME to another folder"
            )
    lines = [line for line in log.splitlines() if line.strip()] or ["it says nothing"]
    return (
        f"Prefect's temporary server does not start: {lines[-1].strip()}; it keeps its records in {home}: "
        "set PREFECT_HOME to another folder, or PREFECT_API_URL to a server that runs"
    )


def _end_with_starter() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Serve on the socket whose number the command line gives."""
    Thread(target=_end_with_starter, daemon=True).start()
    import uvicorn
    from prefect.server.api.server import create_app

    listener = socket.socket(fileno=int(sys.argv[1]))
    config = uvicorn.Config(create_app(ephemeral=True, final=True), log_level="error", lifespan="on")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
