"""What every request passes first: the host that it asks for, the limits of its body, the metrics."""

import asyncio
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recgan.serving.answers import refusal
from recgan.serving.metrics import Metrics
from recgan.serving.server import READ_TOKEN, is_allowed, may_ask

MAX_IN_FLIGHT = 64 * 1024 * 1024
"""Bytes of all bodies that are being read or answered; further ones are refused until some are done."""
BODY_SECONDS = 30.0
"""For the whole body; half a megabyte in that time is a slow connection."""

OPEN = {"/health", "/ready", "/metrics"}
"""What answers without a token, too: whoever watches over the server has none."""
_PATHS = {"/recommend", "/feedback", "/rules", "/similar", "/health", "/ready", "/metrics", "/openapi.json"}


NO_TOKEN = (
    "this server answers to its own callers alone: send the header Authorization: Bearer … with its "
    f"{READ_TOKEN}"
)

_Refused = tuple[int, str] | tuple[int, str, dict[str, str]]


class Gone(Exception):  # noqa: N818
    """The client has left before its body was there."""


class Intake:
    """Count and time every request, and refuse before anything reads it what is not to be answered."""

    def __init__(
        self, app: ASGIApp, metrics: Metrics, max_body: int, allowed_hosts: tuple[str, ...] | None = None
    ) -> None:
        """Wrap an app.

        Args:
            app: what answers.
            metrics: where requests are counted.
            max_body: bytes of a body.
            allowed_hosts: the hosts that may be asked for; None for any.
        """
        self.app = app
        self.metrics = metrics
        self.max_body = max_body
        self.allowed_hosts = allowed_hosts
        self.in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in _PATHS else "other"
        status, began = 500, time.perf_counter()
        headers = dict(scope["headers"])
        body = bytearray()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            refused = self._by_host(headers) or _by_token(scope["path"], headers)
            refused = refused or await self._read(headers, receive, body)
            if refused is not None:
                await refusal(*refused)(scope, receive, sending)
                return
            await self.app(scope, _replaying(bytes(body), receive), sending)
        except Gone:
            status = 499  # as nginx counts it; nobody is there to be told
        finally:
            self.in_flight -= len(body)
            self.metrics.answered(path, status, time.perf_counter() - began)

    def _by_host(self, headers: dict[bytes, bytes]) -> _Refused | None:
        host = headers.get(b"host", b"").decode("latin-1")
        if self.allowed_hosts is None or is_allowed(host, self.allowed_hosts):
            return None
        return 403, (
            "this server answers to localhost, 127.0.0.1 and what RECGAN_ALLOWED_HOSTS names, not to "
            f"{host!a}; set it to the name by which the server is asked, such as shop.example"
        )

    async def _read(self, headers: dict[bytes, bytes], receive: Receive, body: bytearray) -> _Refused | None:
        """Read the whole body, or say with which status and words it is refused."""
        length = headers.get(b"content-length", b"0")
        too_long = 413, f"the body is over {self.max_body} bytes; send less at once"
        if length.isdigit() and int(length[:20]) > self.max_body:
            return too_long
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Gone
                    part = message.get("body", b"")
                    body += part
                    self.in_flight += len(part)
                    if len(body) > self.max_body:
                        return too_long
                    if self.in_flight > MAX_IN_FLIGHT:
                        return (
                            503,
                            f"bodies of over {MAX_IN_FLIGHT} bytes are being read; ask again in a second",
                        )
                    if not message.get("more_body", False):
                        return None
        except TimeoutError:
            return 408, f"the body was not there within {BODY_SECONDS:g} seconds"


def _by_token(path: str, headers: dict[bytes, bytes]) -> _Refused | None:
    if path in OPEN or may_ask(headers.get(b"authorization", b"").decode("latin-1")):
        return None
    # A browser asks for a password only where it is told of Basic; a shop's back end is told of its own way.
    browser = path == "/" or path.startswith("/explorer")
    how = 'Basic realm="recgan: any name, and the token as password"' if browser else "Bearer"
    return 401, NO_TOKEN, {"WWW-Authenticate": how}


def _replaying(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
