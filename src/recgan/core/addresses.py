"""Addresses of databases and servers, before anybody connects to them."""

import re

from recgan.core.errors import RecganError

_SIGN_IN_PASSWORD = re.compile(
    # user:password up to a second @ of the same place, or up to the / ? # that would end the host, where an
    # @ follows; host:5432/… is none.
    r"[a-z][a-z0-9+.-]*://(?!/)[^/?#@:\[\]]*:(?:[^/?#@]*@[^?#]*@|(?!\d+[/?])[^/?#@]*[/?#].*@)",
    re.IGNORECASE,
)


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
