"""Start the server: one process, or several workers that share a port."""

import fnmatch
import hmac
import ipaddress
import os
import re
import tempfile
from contextlib import ExitStack
from typing import Literal

import uvicorn

from recgan.core import layout
from recgan.evaluation.exploration_settings import ExploreParams
from recgan.serving.connection import BoundedConnection
from recgan.serving.exploration import VARIABLE as EXPLORE

Exposure = Literal["none", "local", "any"]
"""Who may see histories: nobody; this machine, asking by address or localhost; whoever reaches the server."""

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
    if _has_token(authorization):
        return True
    return exposure == "any" or (exposure == "local" and is_loopback(_name(host)))


def may_write(authorization: str) -> bool:
    """Tell whether whoever sends this header may send feedback.

    Where RECGAN_SERVE_TOKEN is set, those who send it may. Where it is not, anybody may who reaches a server
    that listens on loopback, and nobody elsewhere.
    """
    if os.environ.get("RECGAN_SERVE_TOKEN"):
        return _has_token(authorization)
    return is_loopback(host())


def _has_token(authorization: str) -> bool:
    token = os.environ.get("RECGAN_SERVE_TOKEN")
    return bool(token) and hmac.compare_digest(authorization.encode("latin-1"), f"Bearer {token}".encode())


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
    """
    os.environ |= {
        "RECGAN_SERVE_NAME": name,
        "RECGAN_SERVE_POLL_SECONDS": str(poll_seconds),
        "RECGAN_SERVE_EXPLORER": exposure,
        "RECGAN_SERVE_IMPRESSIONS": str(layout.IMPRESSIONS / name) if impressions else "",
        EXPLORE: "" if explore is None else explore.model_dump_json(),
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
