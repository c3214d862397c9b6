"""Runs of a tracking store that lies elsewhere: what they name of people, through MLflow's own client.

A store of the project's own is searched with its files. Any other, a server or a database, is asked: so it
does not matter where it keeps parameters, tags, versions and artifacts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts, list_artifacts
from mlflow.entities import Run, ViewType
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.temporary import temporary_folder
from recgan.forget.search import in_json, occurrences
from recgan.forget.wanted import Wanted
from recgan.registry.outage import outside
from recgan.registry.tracking import connect, database_file


@dataclass(frozen=True)
class Naming:
    """A part of a run, or of a version, that names people."""

    owner: str
    """run ID, or version NUMBER."""
    part: str
    found: int
    artifact_uri: str | None
    """Of the run, whose artifact `part` is; None for a parameter, a tag or a description."""

    @property
    def text(self) -> str:
        """Say what is done with it."""
        if self.artifact_uri is None:
            return f"{self.owner}: {self.part}: NOT removed: delete it (mlflow runs delete, then mlflow gc)"
        return f"{self.owner}: {self.part}: removed whole"


@outside()
def runs_naming(root: Path, name: str, people: Wanted) -> tuple[int, tuple[Naming, ...]]:
    """Search the runs of a registered model, deleted ones too, and what its versions say of themselves.

    Args:
        root: the project.
        name: of the registered model, whose experiment it is too. In a shared store the same id may be
            somebody else's in another project's experiment.
        people: the people.

    Returns:
        How many runs were searched; and what names people. Of a store whose files are the project's, 0 and
        nothing.

    Raises:
        RecganError: an artifact is damaged.
        Unavailable: the store does not answer.
    """
    client, database = connect(root), database_file(root)
    inside = database is not None and database.resolve().is_relative_to(root.resolve())
    experiment = client.get_experiment_by_name(name)
    searched, found = 0, list[Naming]()
    if experiment is not None:
        for run in _runs(client, experiment.experiment_id):
            local = _local(str(run.info.artifact_uri))
            here = local is not None and local.is_relative_to(root.resolve())
            searched += not (inside and here)
            found += [] if inside else _said(run, people)
            found += [] if here else _artifacts(run, people)
    if not inside:
        for version in client.search_model_versions(f"name = '{name}'", max_results=10_000):
            told = {"description": version.description, **version.tags}
            found += _in_texts(f"version {version.version}", "tag", told, people)
    return searched, tuple(found)


@outside()
def forget_runs(found: tuple[Naming, ...]) -> None:
    """Delete the artifacts that name people.

    Raises:
        Unavailable: the store does not answer, or does not delete.
    """
    for one in found:
        if one.artifact_uri is not None:
            repository = get_artifact_repository(one.artifact_uri)
            repository.delete_artifacts(one.part)  # type: ignore[no-untyped-call]


def _runs(client: MlflowClient, experiment: str) -> Iterator[Run]:
    token: str | None = None
    while True:
        page = client.search_runs([experiment], run_view_type=ViewType.ALL, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _said(run: Run, people: Wanted) -> list[Naming]:
    owner = f"run {run.info.run_id}"
    params = _in_texts(owner, "parameter", run.data.params, people)
    return params + _in_texts(owner, "tag", run.data.tags, people)


def _in_texts(owner: str, kind: str, texts: Mapping[str, str | None], people: Wanted) -> list[Naming]:
    counts = {name: in_json({name: text}, people) for name, text in texts.items()}
    return [Naming(owner, f"{kind} {name}", count, None) for name, count in counts.items() if count]


def _artifacts(run: Run, people: Wanted) -> list[Naming]:
    uri = str(run.info.artifact_uri)
    found: dict[str, int] = {}
    with temporary_folder() as folder:
        if not list_artifacts(artifact_uri=uri):
            return []
        top = Path(download_artifacts(artifact_uri=uri, dst_path=str(folder)))
        for path in sorted(one for one in top.rglob("*") if one.is_file()):
            relative = path.relative_to(top)
            try:
                count = occurrences(path, people)
            except (OSError, ValueError, EOFError, pa.ArrowException) as error:
                raise RecganError(
                    f"{relative} of run {run.info.run_id} cannot be read ({error}); mend it or delete the run"
                ) from None
            if count:
                # What a training begins from is worth nothing without one of its files.
                part = layout.WARM if relative.parts[0] == layout.WARM else relative.as_posix()
                found[part] = found.get(part, 0) + count
    return [Naming(f"run {run.info.run_id}", part, count, uri) for part, count in found.items()]


def _local(uri: str) -> Path | None:
    parts = urlsplit(uri)
    return Path(unquote(parts.path)).resolve() if parts.scheme in ("", "file") else None
