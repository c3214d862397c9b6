"""Settings of the process: no tool phones home, no folder is assumed, no log shows a password."""

import os

from recgan.core.redact import install

_SETTINGS = {
    "DO_NOT_TRACK": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
    # It says each connection.
    "DASK_LOGGING__DISTRIBUTED": "warning",
    # On a busy machine the temporary server takes longer than Prefect's 20 s; one that fails ends the wait.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "600",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # It prints the tracking server's address past every logger, with the password in it.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # Threads that wait sleep: spinning ones double the CPU time of training on a machine that is shared.
    "OMP_WAIT_POLICY": "PASSIVE",
    "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db",
    # What is packaged must load without pickle.
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
}


def configure() -> None:
    """Turn every tool's telemetry off and point MLflow at a local database, unless already set.

    What this process logs is cleaned of passwords from here on.
    """
    install()
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
