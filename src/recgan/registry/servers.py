"""MLflow's own servers, on loopback, with this project's settings."""

import os
import sys
from pathlib import Path
from typing import NoReturn

from recgan.core.errors import RecganError
from recgan.registry.reachable import check_registry


def ui(port: int) -> NoReturn:
    """Become MLflow's tracking server over the store that MLFLOW_TRACKING_URI names.

    Raises:
        RecganError: it names a tracking server, or a store that cannot be used.
    """
    uri = os.environ["MLFLOW_TRACKING_URI"]
    if uri.startswith(("http://", "https://")):
        raise RecganError(
            f"MLFLOW_TRACKING_URI is {uri}, a tracking server, which shows its pages itself: "
            "open that address in a browser"
        )
    check_registry()  # from here on MLflow speaks for itself, and shows whole addresses
    pages = f"http://127.0.0.1:{port}/#"
    sys.stdout.write(
        f"{pages}/models shows the versions with the gate's decisions\n"
        f"{pages}/experiments?workflowType=machine_learning shows the runs, whatever view was chosen before\n"
    )
    sys.stdout.flush()
    # Not on the command line, which every user of the machine can read.
    os.environ["MLFLOW_BACKEND_STORE_URI"] = uri
    _become("server", "--port", str(port))


def serve_model(name: str, port: int) -> NoReturn:
    """Become MLflow's scoring server for the champion of a registered model.

    Raises:
        RecganError: there is no champion.
    """
    from recgan.registry.outage import outside
    from recgan.registry.tracking import connect, current  # mlflow, which the process about to start brings
    from recgan.registry.versions import no_champion

    with outside():
        client = connect()
        if current(client, name) is None:
            raise RecganError(f"{no_champion(client, name)} (other data, other names: --name)")
    _become(
        "models",
        "serve",
        "--model-uri",
        f"models:/{name}@champion",
        "--env-manager",
        "local",
        "--port",
        str(port),
    )


def _become(*arguments: str) -> NoReturn:
    # MLflow starts its scoring server by the name `uvicorn`, which only an activated environment has on PATH.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    # `python -m`, so that the interpreter's own mlflow is found whatever PATH says.
    command = [sys.executable, "-m", "mlflow", *arguments, "--host", "127.0.0.1"]
    os.execve(sys.executable, command, os.environ | {"PATH": path})
