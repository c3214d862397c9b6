"""Raw bytes over a socket: limits of heads, bodies, connections and time; requests that mean two things."""

import json
import resource
import socket
import threading
import time
from contextlib import contextmanager

import pytest
import uvicorn
from fastapi import FastAPI, Request

from recgan.serving import connection, intake
from recgan.serving.connection import MAX_CONNECTIONS, MAX_HEAD, MAX_HEADERS, BoundedConnection
from recgan.serving.intake import Intake
from recgan.serving.metrics import Metrics
from recgan.serving.schema import MAX_BODY
from tests.serving.conftest import until

GET = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: a\r\n"


class Server:
    def __init__(self):
        self.metrics = Metrics()
        app = FastAPI()
        app.add_middleware(Intake, metrics=self.metrics, max_body=MAX_BODY)

        @app.get("/health")
        async def health():
            return "ok"

        @app.get("/long")
        async def long():
            return "x" * 1_000_000

        @app.post("/echo")
        async def echo(request: Request):
            return len(await request.body())

        config = uvicorn.Config(
            app,
            port=0,
            http=BoundedConnection,
            ws="none",
            log_level="error",
            access_log=False,
            lifespan="off",
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        until(lambda: self.server.started)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]

    @contextmanager
    def connected(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as one:
            yield one

    def ask(self, *parts):
        """Send and read until the server closes."""
        with self.connected() as one:
            for part in parts:
                one.sendall(part)
            return everything(one)

    @property
    def open(self):
        return len(self.server.server_state.connections)


def everything(one):
    found = b""
    try:
        while part := one.recv(65536):
            found += part
    except ConnectionResetError:  # it closed with bytes of ours unread
        pass
    return found


def statuses(answers):
    return [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]]


@pytest.fixture(scope="module")
def server():
    started = Server()
    yield started
    started.server.should_exit = True
    started.thread.join(30)
    assert not started.thread.is_alive()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(connection, "WRITE_SECONDS", 0.3)
    monkeypatch.setattr(intake, "BODY_SECONDS", 0.3)


CLOSE = b"Connection: close\r\n"


def test_ordinary_clients_notice_nothing(server):
    last = GET.replace(b"\r\n\r\n", b"\r\n" + CLOSE + b"\r\n")
    assert statuses(server.ask(GET * 20 + last)) == [200] * 21  # pipelined
    assert statuses(server.ask(GET, GET, last)) == [200] * 3  # kept open
    assert statuses(server.ask(b"GET /health HTTP/1.0\r\n\r\n")) == [200]  # no Host in 1.0
    chunked = POST + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n2;x=y\r\nef\r\n0\r\n\r\n"
    assert server.ask(*(chunked[at : at + 1] for at in range(len(chunked)))).endswith(b"6")
    body = b"x" * MAX_BODY
    found = server.ask(POST + CLOSE + b"Content-Length: %d\r\n\r\n" % len(body), body)
    assert found.endswith(b"%d" % MAX_BODY)
    expecting = POST + CLOSE + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    assert statuses(server.ask(expecting, b"ab")) == [100, 200]
    upgrading = (
        b"GET /health HTTP/1.1\r\nHost: [::1]:80\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n"
    )
    assert statuses(server.ask(upgrading)) == [200]
    padded = GET[:-2] + CLOSE + b"X: " + b"y" * (MAX_HEAD - 200) + b"\r\n\r\n"
    assert statuses(server.ask(padded)) == [200]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /health HTTP/1.1\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        (b"GET /health HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost: a/../b\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
        (POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
        (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Content-Length: -1\r\n\r\n", 400),
        (POST + b"Content-Length: +1\r\n\r\na", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
        (GET.replace(b"GET", b"G\x00T"), 400),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # TLS
        (b"GET /" + b"a" * (MAX_HEAD + 1) + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
        (GET[:-2] + b"X: " + b"a" * (MAX_HEAD + 1) + b"\r\n\r\n", 431),
        (GET[:-2] + b"".join(b"X%d: a\r\n" % i for i in range(MAX_HEADERS)) + b"\r\n", 431),
    ],
)
def test_what_is_unclear_or_too_long_is_refused_and_closed(server, head, status):
    answer = server.ask(head)
    assert statuses(answer) in ([status], [])  # nothing where the close overtook the answer
    assert answer == b"" or json.loads(answer.partition(b"\r\n\r\n")[2])["detail"]
    assert b"\r\nconnection: close\r\n" in answer or answer == b""
    if len(head) < 1000:
        assert statuses(answer) == [status]


@pytest.mark.parametrize(
    "endless",
    [
        GET[:-2] + b"X: ",  # a header
        b"GET /",  # an address
        POST + b"Transfer-Encoding: chunked\r\n\r\n5;x=",  # an extension of a chunk
        POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ",  # a trailer
        GET + b"\r\n" * 50_000,  # nothing
    ],
)
def test_nothing_is_taken_without_end(server, endless):
    with server.connected() as one:
        sent = 0
        with pytest.raises(OSError):
            one.sendall(endless)
            while sent < 64 * 1024 * 1024:
                one.sendall((b"\r\n" if endless.startswith(GET) else b"aa") * 8192)
                sent += 16384
        assert sent < 16 * 1024 * 1024  # the kernel's buffers; the server read a fraction


def test_a_head_that_does_not_come_to_an_end_is_not_waited_for(server, quick):
    with server.connected() as silent, server.connected() as half, server.connected() as again:
        half.sendall(GET[:-2])
        again.sendall(GET + GET[:20])
        assert everything(silent) == everything(half) == b""
        assert statuses(everything(again)) == [200]


def test_a_trickling_head_is_not_waited_for(server, quick):
    with server.connected() as one, pytest.raises(OSError):
        for letter in GET[:-2] + b"X: " + b"a" * 2000:
            one.sendall(bytes([letter]))
            time.sleep(0.005)


def test_a_body_that_does_not_come_is_answered_with_408(server, quick):
    whole = POST + b"Content-Length: 10\r\n\r\nabc"
    assert statuses(server.ask(whole)) == [408]
    chunked = POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
    assert statuses(server.ask(chunked)) == [408]
    counted = server.metrics.requests.labels("other", "408")._value.get()
    assert counted >= 2


def test_a_body_that_is_too_long_is_refused_however_it_comes(server, quick):
    told = POST + b"Content-Length: %d\r\n\r\n" % 10**12
    assert statuses(server.ask(told)) == [413]
    chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
    with server.connected() as one, pytest.raises(OSError):
        one.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        while True:
            one.sendall(chunk)  # on and on after the answer
            time.sleep(0.01)


def test_a_client_that_leaves_in_a_body_is_not_answered(server):
    before = server.metrics.requests.labels("other", "499")._value.get()
    with server.connected() as one:
        one.sendall(POST + b"Content-Length: 10\r\n\r\nabc")
        until(lambda: server.server.server_state.tasks)
    until(lambda: server.metrics.requests.labels("other", "499")._value.get() == before + 1)


def test_a_client_that_does_not_read_is_let_go(server, quick):
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", server.port))
        one.sendall(GET.replace(b"/health", b"/long") * 10)
        until(lambda: server.open >= 1)
        until(lambda: server.open == 0)
        until(lambda: not server.server.server_state.tasks)


def test_the_bodies_of_all_together_are_bounded(server, monkeypatch):
    monkeypatch.setattr(intake, "MAX_IN_FLIGHT", 250_000)
    part = POST + CLOSE + b"Content-Length: 100001\r\n\r\n" + b"a" * 100_000
    with server.connected() as first, server.connected() as second:
        for one in (first, second):
            one.sendall(part)
        until(lambda: len(server.server.server_state.tasks) == 2)
        until(lambda: statuses(server.ask(part)) == [503])
        for one in (first, second):
            one.sendall(b"a")
            assert statuses(everything(one)) == [200]
    assert statuses(server.ask(part, b"a")) == [200]


def test_connections_are_bounded(server, monkeypatch):
    monkeypatch.setattr(connection, "MAX_CONNECTIONS", 5)
    until(lambda: server.open == 0)
    held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(5)]
    until(lambda: server.open == 5)
    answer = server.ask()
    assert statuses(answer) == [503]
    assert b"retry-after" in answer
    held.pop().close()
    until(lambda: server.open == 4)
    assert statuses(server.ask(GET[:-2] + CLOSE + b"\r\n")) == [200]
    for one in held:
        one.close()


def test_the_limit_of_connections_is_below_that_of_files():
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert min(soft, 1024) > MAX_CONNECTIONS + 200


def test_a_pipeline_is_bounded(server):
    many = GET.replace(b"/health", b"/long") * 500
    with server.connected() as one:
        one.sendall(many)
        assert len(statuses(everything(one))) < 500


def test_a_stalled_client_does_not_keep_the_server_from_ending(quick):
    mine = Server()
    with mine.connected() as silent, mine.connected() as half, mine.connected() as body:
        half.sendall(GET[:-2])
        body.sendall(POST + b"Content-Length: 10\r\n\r\nabc")
        until(lambda: mine.open == 3)
        mine.server.should_exit = True
        mine.thread.join(30)
        assert not mine.thread.is_alive()
        assert everything(silent) == b""
