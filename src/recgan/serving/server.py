"""Start the server: one process, or several workers that share a port."""

import ipaddress
import os
import tempfile
from contextlib import ExitStack

import uvicorn


def host() -> str:
    """Return the address to listen on."""
    return os.environ.get("RECGAN_HOST") or "127.0.0.1"


def is_loopback(host: str) -> bool:
    """Tell whether an address is reached from this machine alone; a name other than localhost never counts."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def serve(
    name: str, port: int, workers: int = 1, poll_seconds: float = 5.0, with_explorer: bool = False
) -> None:
    """Serve until stopped, on loopback unless RECGAN_HOST says otherwise.

    Args:
        name: the registered model.
        port: to listen on.
        workers: processes; each holds a model of its own and looks at the alias by itself.
        poll_seconds: between two looks at the alias.
        with_explorer: serve the explorer too.
    """
    os.environ |= {
        "RECGAN_SERVE_NAME": name,
        "RECGAN_SERVE_POLL_SECONDS": str(poll_seconds),
        "RECGAN_SERVE_EXPLORER": str(int(with_explorer)),
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
