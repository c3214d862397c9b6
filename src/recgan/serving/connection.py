"""A connection to the server, with the limits that uvicorn and httptools leave out.

Whatever a client sends or leaves unsent, it holds a bounded part of memory for a bounded time. The body of a
request has its limits in `intake`.
"""

import asyncio
import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

MAX_CONNECTIONS = 512
"""Of a process; below the 1,024 files that a process may usually have open."""
MAX_HEAD = 64 * 1024
"""Bytes of request line and headers: the longest query of /similar fits. The same for trailers."""
MAX_HEADERS = 100
MAX_PIPELINED = 64
"""Requests on one connection that wait for the answer to another."""
HEAD_SECONDS = 10.0
"""From the opening of a connection, or the last answer, until the next head is there."""
WRITE_SECONDS = 30.0
"""For which a client may leave its answers unread."""

_SLICE = 16 * 1024
_HOST = re.compile(rb"[\w.\-~%!$&'()*+;=:\[\]]*", re.ASCII)


class BoundedConnection(HttpToolsProtocol):
    """Speak HTTP with one client, within the limits above."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._unparsed = 0
        """Bytes since the parser last came to the end of something: a head, a piece of a body, a request."""
        self._size = 0
        """Bytes of the head and the trailers of the request so far."""
        self._refusal = 400, "this is no HTTP request"
        self._head_limit: asyncio.TimerHandle | None = None
        self._write_limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or refuse it where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self._refuse(503, f"more than {MAX_CONNECTIONS} connections are open; ask again in a second")
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._no_head_limit()
        self._no_write_limit()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, in slices, so that no limit is passed by much."""
        for start in range(0, len(data), _SLICE):
            if self.transport.is_closing():
                return
            part = data[start : start + _SLICE] if len(data) > _SLICE else data
            self._unparsed += len(part)
            super().data_received(part)
            if self._unparsed > MAX_HEAD and not self.transport.is_closing():
                self._refuse(431, f"the head is over {MAX_HEAD} bytes")

    def send_400_response(self, msg: str) -> None:
        """Say what is wrong with what is no request, or with one beyond a limit; uvicorn says 400 alone."""
        if not self.transport.is_closing():
            self._refuse(*self._refusal)

    # What the parser finds. It ends at an exception, and uvicorn then calls send_400_response.

    def on_message_begin(self) -> None:
        """Begin to count."""
        super().on_message_begin()
        self._size = 0
        if len(self.pipeline) >= MAX_PIPELINED:
            self._refusal = 400, f"more than {MAX_PIPELINED} requests wait on this connection"
            raise ValueError

    def on_url(self, url: bytes) -> None:
        """Take a part of the address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header or a trailer."""
        self._count(len(name) + len(value))
        if len(self.headers) >= MAX_HEADERS:
            self._refusal = 431, f"there are more than {MAX_HEADERS} headers"
            raise ValueError
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Refuse a request whose host is not clear; else begin to answer it."""
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) > 1 or (not hosts and self.parser.get_http_version() != "1.0"):
            self._refusal = 400, f"a request has one Host header, not {len(hosts)}"
            raise ValueError
        if hosts and not _HOST.fullmatch(hosts[0]):
            self._refusal = 400, "the Host header is no host"
            raise ValueError
        self._unparsed = 0
        self._no_head_limit()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note the end of a request."""
        self._unparsed = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next head."""
        super().on_response_complete()
        if not self.pipeline and not self.transport.is_closing():
            self._await_head()

    # Time

    def pause_writing(self) -> None:
        """Give a client that does not read a limited time to begin."""
        super().pause_writing()
        self._no_write_limit()
        self._write_limit = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Lift that limit."""
        super().resume_writing()
        self._no_write_limit()

    def timeout_keep_alive_handler(self) -> None:
        """End an idle connection, with what its client leaves unread."""
        self._end()

    def _await_head(self) -> None:
        self._no_head_limit()
        self._head_limit = self.loop.call_later(HEAD_SECONDS, self._end)

    def _no_head_limit(self) -> None:
        if self._head_limit is not None:
            self._head_limit.cancel()
            self._head_limit = None

    def _no_write_limit(self) -> None:
        if self._write_limit is not None:
            self._write_limit.cancel()
            self._write_limit = None

    def _end(self) -> None:
        if self.transport.get_write_buffer_size():  # to close would wait until it is read
            self.transport.abort()
        elif not self.transport.is_closing():
            self.transport.close()

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > MAX_HEAD:
            self._refusal = 431, f"the head is over {MAX_HEAD} bytes"
            raise ValueError

    def _refuse(self, status: int, detail: str) -> None:
        """Answer without the app, and close."""
        if refused := self.app_state.get("refused"):
            refused(status)
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.abort()  # not into the middle of an answer
            return
        body = b'{"detail":"%s"}' % detail.encode()
        self.transport.write(
            STATUS_LINE[status]
            + b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body)
            + (b"retry-after: 1\r\n" if status == 503 else b"")
            + b"connection: close\r\n\r\n"
            + body
        )
        self.transport.close()
