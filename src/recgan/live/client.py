"""The project's server, and who asks it."""

import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from recgan.core.errors import RecganError
from recgan.live.children import guarded
from recgan.live.project import NAME

_POLL_SECONDS = 0.5
_STARTS_WITHIN = 120.0
_SWAPS_WITHIN = 60.0
_HOST = "127.0.0.1"


def free_port(asked: int | None) -> int:
    """Return the port that was asked for, or a free one.

    Raises:
        RecganError: it is taken.
    """
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((_HOST, asked or 0))
        except OSError as error:
            raise RecganError(
                f"port {asked} cannot be listened on ({error.strerror}); name another, or leave --port out"
            ) from None
        return int(trial.getsockname()[1])


class Client:
    """Asks one server, over one connection that is kept open."""

    def __init__(self, port: int) -> None:
        """Name the server."""
        self._connection = HTTPConnection(_HOST, port, timeout=30)

    def ask(self, path: str, body: object = None) -> dict[str, Any]:
        """Return the answer to a question.

        Raises:
            RecganError: the server refuses, or does not answer.
        """
        sent = None if body is None else json.dumps(body)
        headers = {} if sent is None else {"Content-Type": "application/json"}
        for attempt in (1, 2):
            try:
                self._connection.request("GET" if sent is None else "POST", path, sent, headers)
                answer = self._connection.getresponse()
                content = answer.read()
                break
            except (OSError, HTTPException) as error:  # the server closes a connection that rests
                self._connection.close()
                if attempt == 2:
                    told = f"the server does not answer {path}: {error}; see live/server.log"
                    raise RecganError(told) from None
        if answer.status >= 300:
            raise RecganError(f"the server answers {path} with {answer.status}: {content.decode()[:500]}")
        return dict(json.loads(content))

    def recommend(self, user_id: str, history: Sequence[Mapping[str, Any]], k: int) -> dict[str, Any]:
        """Ask for a list."""
        return self.ask("/recommend", {"user_id": user_id, "history": list(history), "k": k})

    def feedback(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Tell what came of lists."""
        for first in range(0, len(events), 500):
            self.ask("/feedback", {"events": list(events[first : first + 500])})

    def wait_for(self, version: str, within: float = _SWAPS_WITHIN) -> float:
        """Wait until a version is the champion that answers, and return the seconds that it took.

        Raises:
            RecganError: it does not.
        """
        return self._wait(f"version {version} does not answer", lambda model, _: model == version, within)

    def wait_until_tried(self, version: str | None) -> None:
        """Wait until the server tries a version beside the champion, or None.

        Raises:
            RecganError: it does not.
        """
        what = "goes on trying a version" if version is None else f"does not try version {version}"
        self._wait(f"the server {what}", lambda _, trying: trying == version, _SWAPS_WITHIN)

    def _wait(self, failing: str, holds: Callable[[str, str | None], bool], within: float) -> float:
        began, problem = time.monotonic(), None
        while time.monotonic() - began < within:
            try:
                ready = self.ask("/ready")
                trying = None if ready["trying"] is None else ready["trying"]["version"]
                if holds(ready["model"]["version"], trying):
                    return time.monotonic() - began
                problem = ready["problem"]
            except RecganError as error:
                problem = str(error)
            time.sleep(0.1)
        raise RecganError(f"{failing} after {within:.0f} s: {problem}; see live/server.log")


@contextmanager
def server(place: Path, port: int, version: str) -> Iterator[Client]:
    """Serve the project's champion for the length of the block.

    Raises:
        RecganError: it does not start.
    """
    arguments = ["-m", "recgan", "serve", "--name", NAME, "--port", str(port)]
    arguments += ["--poll-seconds", str(_POLL_SECONDS)]
    with (place / "server.log").open("ab") as said, guarded(place, arguments, said):
        client = Client(port)
        client.wait_for(version, _STARTS_WITHIN)
        yield client
