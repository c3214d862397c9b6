"""Bring what the champion's training left to where tonight's may begin from it."""

import logging
import shutil
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from recgan.core import layout
from recgan.core.files import read_json, replacing, write_json
from recgan.core.temporary import temporary_folder
from recgan.package.lineage import CANDIDATE
from recgan.recommenders.settings import WarmParams
from recgan.registry.lineage import output_md5
from recgan.registry.outage import outside
from recgan.registry.tracking import connect, current
from recgan.settings import Params

log = logging.getLogger(__name__)


def asks(params: Params) -> bool:
    """Tell whether any candidate may begin from the champion's weights."""
    return any(
        isinstance(one, WarmParams) and one.warm_start is not None for one in params.candidates.values()
    )


@outside()
def bring_start(root: Path, params: Params) -> None:
    """Fill data/start with what the champion left, or with why there is nothing; unchanged where it is there.

    A champion of tonight's very features is left aside: a second run of one night would train on from it.

    Args:
        root: the project, its features tonight's.
        params: of the project.

    Raises:
        Unavailable: the store does not answer.
    """
    client, name = connect(root), params.register_.name
    champion = current(client, name)
    if champion is not None and champion.tags.get("features.md5") == output_md5(
        root, "features", layout.FEATURES
    ):
        log.info("version %s is of tonight's features; nothing begins from it", champion.version)
        return
    reason = why_not(client, champion, params)
    if champion is None or reason is not None:
        _put(root, {"reason": reason})
        return
    with temporary_folder() as folder:
        uri = f"runs:/{champion.run_id}/{layout.WARM}"
        fetched = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))
        about = read_json(fetched / layout.BEGIN)
        about |= {"candidate": champion.tags[CANDIDATE], "version": str(champion.version)}
        _put(root, about, fetched)


def why_not(client: MlflowClient, champion: ModelVersion | None, params: Params) -> str | None:
    """Say why nothing begins from a champion tonight; None where its candidate does."""
    if champion is None:
        return "there is no champion"
    candidate = champion.tags.get(CANDIDATE)
    section = params.candidates.get(str(candidate))
    if not isinstance(section, WarmParams) or section.warm_start is None:
        return f"the champion is {candidate}, which begins anew"
    if not client.list_artifacts(str(champion.run_id), layout.WARM):
        return f"version {champion.version} left no weights: its warm_start was null"
    return None


def _put(root: Path, about: dict[str, object], weights: Path | None = None) -> None:
    """Put a note with the weights beside it into data/start, unless that is there."""
    note = root / layout.START / layout.BEGIN
    if note.exists() and read_json(note) == about:
        return
    with replacing(root / layout.START) as folder:
        if weights is None:
            folder.mkdir(parents=True)
        else:
            shutil.copytree(weights, folder)
        write_json(folder / layout.BEGIN, about)
