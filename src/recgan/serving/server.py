"""Start the server: one process, or several workers that share a port."""

import base64
import binascii
import fnmatch
import hmac
import ipaddress
import os
import re
import tempfile
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import Literal

import uvicorn

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.data.impressions import DATABASE
from recgan.evaluation.exploration_settings import ExploreParams
from recgan.online.rules_file import is_there, read_rules, rules_path
from recgan.serving.connection import BoundedConnection
from recgan.serving.exploration import VARIABLE as EXPLORE

Exposure = Literal["none", "local", "any"]
"""Who may see histories: nobody; this machine, asking by address or localhost; whoever reaches the server."""

TOKEN = "RECGAN_SERVE_TOKEN"
"""Names the variable of the token that opens histories, feedback and rules."""
READ_TOKEN = "RECGAN_SERVE_READ_TOKEN"
"""Names the variable of the token that asking takes, where it is set."""
LEAST_TOKEN = 16
"""Characters."""
_TOKEN_BY = "`openssl rand -hex 24` gives it"

SHUTDOWN_SECONDS = 30
"""For requests that have begun when the server is told to end."""


def host() -> str:
    """Return the address to listen on."""
    return os.environ.get("RECGAN_HOST") or "127.0.0.1"


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine's own address; of names only localhost is."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def exposure(explorer: bool | None) -> Exposure:
    """Return to whom the explorer is shown.

    Args:
        explorer: asked for or not; None shows it to this machine alone, and not at all beyond loopback.
    """
    if explorer is None:
        return "local" if is_loopback(host()) else "none"
    return "any" if explorer else "none"


def allowed_hosts() -> tuple[str, ...] | None:
    """Return by which hosts the server may be asked, beside this machine's own; None for any.

    RECGAN_ALLOWED_HOSTS as MLflow's server has it: names with * and with or without a port, which is not
    looked at. On loopback the check is on even where the variable is not set. Otherwise any page in this
    machine's browser could lend its own name to 127.0.0.1 (DNS rebinding) and ask.
    """
    named = [one.strip() for one in os.environ.get("RECGAN_ALLOWED_HOSTS", "").split(",") if one.strip()]
    if not named and not is_loopback(host()):
        return None
    return tuple(_name(one) for one in named)


@lru_cache(maxsize=64)
def is_allowed(host: str, allowed: tuple[str, ...]) -> bool:
    """Tell whether a Host header is one of the allowed or this machine itself; HTTP/1.0 may send none."""
    name = _name(host)
    return is_loopback(name) or not name or any(fnmatch.fnmatchcase(name, one) for one in allowed)


def may_see_histories(exposure: Exposure, host: str, authorization: str = "") -> bool:
    """Tell whether whoever sends these headers may see histories.

    Args:
        exposure: to whom they are shown.
        host: the header Host.
        authorization: the header Authorization; `Bearer` and RECGAN_SERVE_TOKEN, where that is set, may.
    """
    if _has(TOKEN, authorization):
        return True
    return exposure == "any" or (exposure == "local" and is_loopback(_name(host)))


def may_write(authorization: str) -> bool:
    """Tell whether whoever sends this header may send feedback, or change the rules of the shop.

    Where RECGAN_SERVE_TOKEN is set, those who send it may. Where no token is set, anybody may who reaches a
    server that listens on loopback, and nobody elsewhere.
    """
    if os.environ.get(TOKEN) or os.environ.get(READ_TOKEN):
        return _has(TOKEN, authorization)
    return is_loopback(host())


def may_ask(authorization: str) -> bool:
    """Tell whether whoever sends this header may ask anything but how the server is.

    Where RECGAN_SERVE_READ_TOKEN is set, those may who send it or RECGAN_SERVE_TOKEN: after `Bearer`, or as
    the password of `Basic`, since a browser can send nothing else of itself.
    """
    return not os.environ.get(READ_TOKEN) or any(
        _has(token, authorization) or _has_as_password(token, authorization) for token in (READ_TOKEN, TOKEN)
    )


def may_read_rules(exposure: Exposure, host: str, authorization: str) -> bool:
    """Tell whether whoever sends these headers may read the rules of the shop."""
    if os.environ.get(READ_TOKEN):
        return may_ask(authorization)
    return may_write(authorization) or may_see_histories(exposure, host, authorization)


def check_tokens() -> None:
    """Refuse tokens that protect nothing.

    Raises:
        RecganError: one is short, cannot stand in a header, or is both.
    """
    given = {name: token for name in (TOKEN, READ_TOKEN) if (token := os.environ.get(name))}
    for name, token in given.items():
        if not re.fullmatch(r"[!-~]+", token):
            raise RecganError(f"{name} has characters that no header may hold; {_TOKEN_BY}")
        if len(token) < LEAST_TOKEN:
            raise RecganError(
                f"{name} has {len(token)} characters, which can be guessed; take {LEAST_TOKEN} or more: "
                f"{_TOKEN_BY}"
            )
    if len(given) == 2 and len(set(given.values())) == 1:
        raise RecganError(
            f"{READ_TOKEN} is the same as {TOKEN}, so who reads could write; give them two values, "
            f"each its own: {_TOKEN_BY}"
        )


def _has(variable: str, authorization: str) -> bool:
    token = os.environ.get(variable)
    return bool(token) and hmac.compare_digest(authorization.encode("latin-1"), f"Bearer {token}".encode())


def _has_as_password(variable: str, authorization: str) -> bool:
    token = os.environ.get(variable)
    kind, _, encoded = authorization.partition(" ")
    if not token or kind.lower() != "basic":
        return False
    try:
        password = base64.b64decode(encoded.encode("latin-1"), validate=True).partition(b":")[2]
    except binascii.Error:
        return False
    return hmac.compare_digest(password, token.encode())


def _name(host: str) -> str:
    return re.sub(r":(\d+|\*)$", "", host.lower()).strip("[]")


def serve(
    name: str,
    port: int,
    workers: int = 1,
    poll_seconds: float = 5.0,
    exposure: Exposure = "none",
    impressions: bool = True,
    explore: ExploreParams | None = None,
) -> None:
    """Serve until stopped, on loopback unless RECGAN_HOST says otherwise.

    Args:
        name: the registered model.
        port: to listen on.
        workers: processes; each holds a model of its own and looks at the alias by itself.
        poll_seconds: between two looks at the alias.
        exposure: of the explorer.
        impressions: whether answers and feedback are logged.
        explore: when lists are drawn by chance; None for never.

    Raises:
        RecganError: a token protects nothing, the rules of the shop cannot be read, or the database that is
            logged to has no address.
    """
    check_tokens()
    if impressions and os.environ.get(DATABASE):
        from recgan.data.impressions_database import database

        database()
    if is_there(rules := rules_path(Path(), name)):
        read_rules(rules)
    os.environ |= {
        "RECGAN_SERVE_NAME": name,
        "RECGAN_SERVE_POLL_SECONDS": str(poll_seconds),
        "RECGAN_SERVE_EXPLORER": exposure,
        "RECGAN_SERVE_IMPRESSIONS": str(layout.IMPRESSIONS / name) if impressions else "",
        EXPLORE: "" if explore is None else explore.model_dump_json(),
        "RECGAN_SERVE_RULES": str(rules),
    }
    # A single history is too little work to share among threads.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with ExitStack() as stack:
        if workers > 1:  # before any worker imports prometheus_client, which reads it once
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="recgan-metrics-"))
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        uvicorn.run(
            "recgan.serving.app:app",
            factory=True,
            host=host(),
            port=port,
            workers=workers,
            http=BoundedConnection,
            ws="none",
            access_log=False,
            server_header=False,
            log_level="error",  # a warning for each bad request would fill the log; they are counted
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
