"""Start the server: one process, or several workers that share a port."""

import ipaddress
import os
import tempfile
from contextlib import ExitStack
from typing import Literal

import uvicorn

Exposure = Literal["none", "local", "any"]
"""Who is shown the explorer: nobody; this machine, asking by address or localhost; whoever reaches it."""


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


def serve(
    name: str, port: int, workers: int = 1, poll_seconds: float = 5.0, exposure: Exposure = "none"
) -> None:
    """Serve until stopped, on loopback unless RECGAN_HOST says otherwise.

    Args:
        name: the registered model.
        port: to listen on.
        workers: processes; each holds a model of its own and looks at the alias by itself.
        poll_seconds: between two looks at the alias.
        exposure: of the explorer.
    """
    os.environ |= {
        "RECGAN_SERVE_NAME": name,
        "RECGAN_SERVE_POLL_SECONDS": str(poll_seconds),
        "RECGAN_SERVE_EXPLORER": exposure,
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
            access_log=False,
            server_header=False,
            log_level="warning",
        )
