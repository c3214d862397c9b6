"""Addresses at which nobody listens are refused at once."""

import socket

import pytest

from recgan.core.addresses import check_listens
from recgan.core.errors import RecganError, Unavailable


@pytest.fixture
def free_port():
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = listener.getsockname()
    return found[1]


@pytest.mark.parametrize("form", ["tcp://127.0.0.1:{}", "127.0.0.1:{}", "sc://127.0.0.1:{}/;use_ssl=true"])
def test_whoever_listens_will_do(form):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        check_listens("ADDRESS", form.format(listener.getsockname()[1]), 1, "start it")


def test_the_port_is_the_usual_one_where_none_is_named(free_port):
    with pytest.raises(Unavailable, match=rf"^ADDRESS is sc://127.0.0.1, but .* at 127.0.0.1:{free_port} \("):
        check_listens("ADDRESS", "sc://127.0.0.1", free_port, "start it")


def test_where_nobody_listens_the_remedy_is_said(free_port):
    said = rf"^ADDRESS is tcp://.* nobody listens at 127.0.0.1:{free_port} \(Connection refused\); start it$"
    with pytest.raises(Unavailable, match=said):
        check_listens("ADDRESS", f"tcp://127.0.0.1:{free_port}", 1, "start it")


@pytest.mark.parametrize("uri", ["tcp://", "tcp://host:port", "://", "tcp://a..b:1"])
def test_what_is_no_address_is_refused(uri):
    with pytest.raises(RecganError, match=r"which names no host and port; start it$") as caught:
        check_listens("ADDRESS", uri, 1, "start it")
    assert not isinstance(caught.value, Unavailable)
