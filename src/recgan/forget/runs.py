"""What a tracking store that lies elsewhere names of people in runs, logged models and the registry.

A store of the project's own is searched with its files. Any other, a server or a database, is asked through
MLflow's own client: so it does not matter where it keeps parameters, tags, versions and artifacts.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts, list_artifacts
from mlflow.entities import Experiment, LoggedModel, Run, ViewType
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.entities import PagedList

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.temporary import temporary_folder
from recgan.forget.packages import forget_in_model, packages
from recgan.forget.search import in_json, occurrences
from recgan.forget.wanted import Wanted
from recgan.package.shoppers import SHOPPERS
from recgan.registry.outage import outside
from recgan.registry.tracking import connect, database_file

T = TypeVar("T")

_REGISTRY = "registry and experiment of the tracking store"
_DESCRIPTION = "description"
_HISTORIES = f"artifacts/{SHOPPERS}"


@dataclass(frozen=True)
class Naming:
    """A part of a run, of a logged model, of the registry or of the experiment that names people."""

    owner: str
    """run ID, logged model ID, version NUMBER, registered model or experiment."""
    part: str
    found: int
    artifact_uri: str | None
    """Of the owner, whose artifact `part` is, and which is changed; None where it is only named."""
    remedy: str = ""
    """What removes a part that is only named."""
    model: str | None = None
    """ID of the logged model whose stored histories the part is."""

    @property
    def text(self) -> str:
        """Say what is done with it."""
        if self.artifact_uri is None:
            done = f"NOT removed: {self.remedy}"
        else:
            done = "removed whole" if self.model is None else "their stored history is taken out"
        return f"{self.owner}: {self.part}: {done}"


@dataclass(frozen=True)
class Searched:
    """What was searched of one kind, and what names people there."""

    title: str
    count: int
    found: tuple[Naming, ...]


@outside()
def runs_naming(root: Path, name: str, people: Wanted) -> tuple[Searched, ...]:
    """Search what MLflow keeps of a registered model: runs, deleted ones too, logged models and the registry.

    The stored histories of versions are not among it: `packages` has them. Deleted logged models are not
    either: MLflow's client does not return them.

    Args:
        root: the project.
        name: of the registered model, whose experiment it is too. In a shared store the same id may be
            somebody else's in another project's experiment.
        people: the people.

    Returns:
        Each kind. Of a store whose files are the project's, 0 and nothing.

    Raises:
        RecganError: an artifact is damaged.
        Unavailable: the store does not answer.
    """
    client, database = connect(root), database_file(root)
    inside = database is not None and database.resolve().is_relative_to(root.resolve())
    experiment = client.get_experiment_by_name(name)
    registered = Searched(_REGISTRY, 0, ()) if inside else _registered(client, name, experiment, people)
    if experiment is None:
        return (registered,)
    runs = models = 0
    in_runs, in_models = list[Naming](), list[Naming]()
    for run in _runs(client, experiment.experiment_id):
        here = _is_in(str(run.info.artifact_uri), root)
        runs += not (inside and here)
        in_runs += [] if inside else _said(run, people)
        in_runs += [] if here else _artifacts(run, people)
    served = {package.version.source for package in packages(root, name)}
    for model in _models(client, experiment.experiment_id):
        here = _is_in(model.artifact_location, root)
        models += not (inside and here)
        in_models += [] if inside else _told(model, people)
        in_models += [] if here else _files(model, f"models:/{model.model_id}" in served, people)
    return (
        Searched("runs of the tracking store", runs, tuple(in_runs)),
        Searched("logged models of the tracking store", models, tuple(in_models)),
        registered,
    )


@outside()
def forget_runs(root: Path, found: tuple[Naming, ...], people: Wanted) -> None:
    """Delete the artifacts of runs that name people, and take people out of histories that are no version's.

    Raises:
        Unavailable: the store does not answer, or does not delete.
    """
    for one in found:
        if one.artifact_uri is None:
            continue
        if one.model is not None:
            forget_in_model(root, one.model, one.artifact_uri, people)
        else:
            repository = get_artifact_repository(one.artifact_uri)
            repository.delete_artifacts(one.part)  # type: ignore[no-untyped-call]


def _runs(client: MlflowClient, experiment: str) -> Iterator[Run]:
    return _paged(
        lambda token: client.search_runs([experiment], run_view_type=ViewType.ALL, page_token=token)
    )


def _models(client: MlflowClient, experiment: str) -> Iterator[LoggedModel]:
    return _paged(lambda token: client.search_logged_models([experiment], page_token=token))


def _paged(search: Callable[[str | None], PagedList[T]]) -> Iterator[T]:
    token: str | None = None
    while True:
        page = search(token)
        yield from page
        token = page.token
        if not token:
            return


# --- parameters, tags and descriptions ------------------------------------------------------------------


def _registered(client: MlflowClient, name: str, experiment: Experiment | None, people: Wanted) -> Searched:
    found, count = list[Naming](), 0
    if experiment is not None:
        count, id_ = 1, experiment.experiment_id
        found += _in_texts(
            "experiment",
            _tags(None, experiment.tags),
            people,
            lambda part: _call("delete_experiment_tag", id_, part.removeprefix("tag ")),
        )
    for model in client.search_registered_models(f"name = '{name}'"):
        count += 1
        found += _in_texts(
            "registered model",
            _tags(model.description, model.tags),
            people,
            _said_no_more("update_registered_model", "delete_registered_model_tag", name),
        )
    for version in client.search_model_versions(f"name = '{name}'", max_results=10_000):
        count, number = count + 1, str(version.version)
        found += _in_texts(
            f"version {number}",
            _tags(version.description, version.tags),
            people,
            _said_no_more("update_model_version", "delete_model_version_tag", name, number),
        )
    return Searched(_REGISTRY, count, tuple(found))


def _said_no_more(update: str, delete: str, *whose: str) -> Callable[[str], str]:
    """Return what names the call that empties a description, or deletes a tag."""
    return lambda part: (
        _call(update, *whose, "")
        if part == _DESCRIPTION
        else _call(delete, *whose, part.removeprefix("tag "))
    )


def _said(run: Run, people: Wanted) -> list[Naming]:
    texts = {f"parameter {key}": text for key, text in run.data.params.items()}
    texts |= {f"tag {key}": text for key, text in run.data.tags.items()}
    remedy = f"mlflow runs delete --run-id {run.info.run_id}, then mlflow gc"
    return _in_texts(f"run {run.info.run_id}", texts, people, lambda _: remedy)


def _told(model: LoggedModel, people: Wanted) -> list[Naming]:
    texts = {f"parameter {key}": text for key, text in model.params.items()}
    texts |= {f"tag {key}": text for key, text in model.tags.items()}
    return _in_texts(
        f"logged model {model.model_id}",
        texts,
        people,
        lambda part: (
            _call("delete_logged_model_tag", model.model_id, part.removeprefix("tag "))
            if part.startswith("tag ")
            else _without(model)
        ),
    )


def _tags(description: str | None, tags: Mapping[str, str]) -> dict[str, str | None]:
    return {_DESCRIPTION: description, **{f"tag {key}": text for key, text in tags.items()}}


def _in_texts(
    owner: str, texts: Mapping[str, str | None], people: Wanted, remedy: Callable[[str], str]
) -> list[Naming]:
    """Search texts by the name of the part that each is; `remedy` returns what removes a part."""
    counts = {part: in_json({part.split(" ", 1)[-1]: text}, people) for part, text in texts.items()}
    return [Naming(owner, part, count, None, remedy(part)) for part, count in counts.items() if count]


def _call(method: str, *arguments: str) -> str:
    return f"MlflowClient().{method}({', '.join(map(repr, arguments))})"


def _without(model: LoggedModel) -> str:
    call = _call("delete_logged_model", model.model_id)
    return f"{call}, after any version of it, then mlflow gc"


# --- artifacts ------------------------------------------------------------------------------------------


def _artifacts(run: Run, people: Wanted) -> list[Naming]:
    uri, owner = str(run.info.artifact_uri), f"run {run.info.run_id}"
    found: dict[str, int] = {}
    for relative, count in _counts(uri, owner, people):
        # What a training begins from is worth nothing without one of its files.
        part = layout.WARM if relative.parts[0] == layout.WARM else relative.as_posix()
        found[part] = found.get(part, 0) + count
    return [Naming(owner, part, count, uri) for part, count in found.items()]


def _files(model: LoggedModel, of_version: bool, people: Wanted) -> list[Naming]:
    uri, owner = model.artifact_location, f"logged model {model.model_id}"
    found = []
    for relative, count in _counts(uri, owner, people):
        part = relative.as_posix()
        if part != _HISTORIES:
            found.append(Naming(owner, part, count, None, _without(model)))
        elif not of_version:
            found.append(Naming(owner, part, count, uri, model=model.model_id))
    return found


def _counts(uri: str, owner: str, people: Wanted) -> list[tuple[Path, int]]:
    """Fetch artifacts, and count how often each file names people, of those that do."""
    found = []
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
                    f"{relative} of {owner} cannot be read ({error}); mend it or delete the {owner}"
                ) from None
            if count:
                found.append((relative, count))
    return found


def _is_in(uri: str, root: Path) -> bool:
    local = _local(uri)
    return local is not None and local.is_relative_to(root.resolve())


def _local(uri: str) -> Path | None:
    parts = urlsplit(uri)
    return Path(unquote(parts.path)).resolve() if parts.scheme in ("", "file") else None
