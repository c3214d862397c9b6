"""The command `serve`. Imports stay lazy, as in every command."""

from pathlib import Path
from typing import Annotated

import typer

from recgan.core.options import Name


def serve(
    name: Name = "recgan",
    port: int = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes; each holds the model.")] = 1,
    poll_seconds: Annotated[
        float, typer.Option(min=0.1, help="Between two looks whether the champion has changed.")
    ] = 5.0,
    explorer: Annotated[
        bool | None,
        typer.Option(
            "--explorer/--no-explorer",
            help="The page /explorer; by default to this machine alone. It shows histories without a log-in.",
        ),
    ] = None,
    impressions: Annotated[
        bool, typer.Option(help="Log answers and feedback: in impressions/NAME, or in PostgreSQL.")
    ] = True,
) -> None:
    """Recommend over HTTP with the champion; a new champion is swapped in while it runs."""
    from recgan.serving.exploration import explored
    from recgan.serving.server import exposure, host
    from recgan.serving.server import serve as start

    explore = explored(Path())
    shown = exposure(explorer)
    address = f"http://[{host()}]:{port}" if ":" in host() else f"http://{host()}:{port}"
    print(f"{address}/openapi.json says what to ask", flush=True)
    if shown != "none":
        print(f"{address}/explorer shows what shoppers are shown", flush=True)
    start(name, port, workers, poll_seconds, shown, impressions, explore)
