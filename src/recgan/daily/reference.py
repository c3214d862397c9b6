"""What a champion was registered with, for the monitor to compare with."""

from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from recgan.core.errors import RecganError, Unavailable
from recgan.core.files import read_json
from recgan.core.temporary import temporary_folder
from recgan.package.reference import REFERENCE


def read_reference(client: MlflowClient, champion: ModelVersion) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fetch the champion's reference, and its vocabulary with the popularity of each item.

    Raises:
        RecganError: it was registered without a reference.
        Unavailable: its files are not in the store.
    """
    name, version, run_id = champion.name, champion.version, str(champion.run_id)
    if REFERENCE not in [file.path for file in client.list_artifacts(run_id, str(Path(REFERENCE).parent))]:
        if not client.list_artifacts(run_id):  # every run of a registered version has files
            raise Unavailable(
                f"the files of the champion (version {version} of {name}) are not in the artifact store; see "
                "that the store is there, then run this again"
            )
        raise RecganError(
            f"the champion (version {version} of {name}) was registered without a reference, so there is "
            "nothing to compare with; the next version that is promoted has one: make run"
        )
    with temporary_folder() as folder:
        reference, items = (
            mlflow.artifacts.download_artifacts(uri, dst_path=str(folder))
            for uri in (f"runs:/{run_id}/{REFERENCE}", f"models:/{name}/{version}/artifacts/items.json")
        )
        return read_json(Path(reference)), read_json(Path(items))
