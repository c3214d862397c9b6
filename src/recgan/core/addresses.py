"""Addresses of databases and servers, before anybody connects to them."""

import re
import socket
from urllib.parse import urlsplit

from recgan.core.errors import RecganError, Unavailable

_SIGN_IN_PASSWORD = re.compile(
    # user:password up to a second @ of the same place, or up to the / ? # that would end the host, where an
    # @ follows; host:5432/… is none.
    r"[a-z][a-z0-9+.-]*://(?!/)[^/?#@:\[\]]*:(?:[^/?#@]*@[^?#]*@|(?!\d+[/?])[^/?#@]*[/?#].*@)",
    re.IGNORECASE,
)

_PATIENCE = 10.0  # seconds for a connection


def check_address(name: str, uri: str) -> None:
    """Refuse an address whose password holds a sign that ends it early: hosts that are none are tried long.

    Args:
        name: of the setting.
        uri: what it holds.

    Raises:
        RecganError: it has such a password.
    """
    if _SIGN_IN_PASSWORD.match(uri):
        raise RecganError(
            f"{name} is {uri}, whose password holds a sign that an address takes for its own; "
            "write @ as %40, / as %2F, # as %23, ? as %3F and % as %25"
        )


def check_listens(name: str, uri: str, port: int, remedy: str) -> None:
    """Refuse an address at which nobody listens: the clients of clusters try such a one for minutes.

    Args:
        name: of the setting.
        uri: what it holds, with a scheme or without.
        port: where the address names none.
        remedy: what to do where nobody listens.

    Raises:
        RecganError: it is no address.
        Unavailable: nobody accepts a connection there within ten seconds.
    """
    try:
        found = urlsplit(uri if "://" in uri else f"//{uri}")
        host, port = found.hostname, found.port or port
    except ValueError:
        host = None
    if host is None:
        raise RecganError(f"{name} is {uri!r}, which names no host and port; {remedy}")
    try:
        socket.create_connection((host, port), timeout=_PATIENCE).close()
    except UnicodeError:  # of a host with an empty part, or one beyond 63 letters
        raise RecganError(f"{name} is {uri!r}, which names no host and port; {remedy}") from None
    except OSError as error:
        nobody = f"nobody listens at {host}:{port} ({error.strerror or error})"
        raise Unavailable(f"{name} is {uri}, but {nobody}; {remedy}") from None
