"""Registered versions without a person: stored histories, checksums, and the servers that have them."""

import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from recgan.core.files import link_or_copy, read_json, replacing, write_json
from recgan.core.temporary import temporary_folder
from recgan.forget.wanted import Wanted
from recgan.package.shoppers import SHOPPERS
from recgan.registry.manifest import MANIFEST, checksum, md5_of
from recgan.registry.outage import outside
from recgan.registry.tracking import connect, database_file
from recgan.registry.versions import EDITED

log = logging.getLogger(__name__)

_BEGUN = "begun"


@dataclass(frozen=True)
class Package:
    """A version's package whose histories are stored."""

    version: ModelVersion
    artifacts: Path | None
    """The folder on this machine; None in a store elsewhere."""

    @property
    def title(self) -> str:
        """Name the version."""
        return f"{self.version.name} version {self.version.version}"

    @property
    def uri(self) -> str:
        """Return the version's URI, as MLflow resolves it."""
        return f"models:/{self.version.name}/{self.version.version}"


@outside()
def packages(root: Path, name: str) -> tuple[Package, ...]:
    """Return every registered version, older ones too.

    Args:
        root: the project. In a registry of its own all models are its; in a shared one the same id may be
            somebody else's in another project's.
        name: of its registered model.

    Raises:
        Unavailable: the registry does not answer.
    """
    client, database = connect(root), database_file(root)
    own = database is not None and database.resolve().is_relative_to(root.resolve())
    return tuple(_packages(client, None if own else f"name = '{name}'"))


def _packages(client: MlflowClient, which: str | None) -> Iterator[Package]:
    token: str | None = None
    while True:
        page = client.search_model_versions(which, max_results=1000, page_token=token)
        for version in page:
            yield Package(version, _local(client, version))
        token = page.token
        if not token:
            return


def _local(client: MlflowClient, version: ModelVersion) -> Path | None:
    uri = client.get_model_version_download_uri(version.name, version.version)
    if uri.startswith("models:/"):
        uri = client.get_logged_model(uri.removeprefix("models:/")).artifact_location
    return _folder(uri)


def _folder(uri: str) -> Path | None:
    parts = urlsplit(uri)
    if parts.scheme in ("", "file"):
        return Path(unquote(parts.path)) / "artifacts"
    return None


@outside()
def count_in(package: Package, wanted: Wanted) -> int:
    """Count the people whose histories a package stores.

    Raises:
        Unavailable: the store does not answer.
    """
    with temporary_folder() as folder:
        artifacts = package.artifacts or _fetched(package.uri, folder)
        path = artifacts / SHOPPERS
        if not path.exists():
            return 0
        return sum(wanted.is_id(one) for one in _ids(path))


@outside()
def forget_in(root: Path, package: Package, wanted: Wanted) -> dict[str, str]:
    """Take people out of a package's stored histories, and tell servers by a tag of the version.

    The tag is set before and after: a kill between the two is found by the next run.

    Returns:
        The package's md5 before → after.

    Raises:
        Unavailable: the store does not answer.
    """
    client, version = connect(root), package.version
    client.set_model_version_tag(version.name, version.version, EDITED, _BEGUN)
    md5s = _forget_at(client, _model_id(version), package.uri, package.artifacts, wanted)
    client.set_model_version_tag(
        version.name, version.version, EDITED, datetime.now(UTC).isoformat(timespec="microseconds")
    )
    return md5s


@outside()
def forget_in_model(root: Path, model: str, location: str, wanted: Wanted) -> None:
    """Take people out of the stored histories of a logged model that is no version's: nobody serves it.

    Args:
        root: the project.
        model: its ID.
        location: the URI of its artifacts.
        wanted: the people.

    Raises:
        Unavailable: the store does not answer.
    """
    _forget_at(connect(root), model, location, _folder(location), wanted)


def _forget_at(
    client: MlflowClient, model: str, uri: str, there: Path | None, wanted: Wanted
) -> dict[str, str]:
    """Take people out of the histories below a URI, whose folder is `there` if on this machine."""
    with temporary_folder() as folder:
        artifacts = there or _fetched(uri, folder)
        before = md5_of(artifacts)
        if there is not None:
            renew(artifacts, wanted)
        else:
            _rewrite(artifacts, artifacts, wanted)
            (folder / "up").mkdir()
            shutil.move(artifacts, folder / "up/artifacts")
            artifacts = folder / "up/artifacts"
            client.log_model_artifacts(model, str(folder / "up"))
        return {before: md5_of(artifacts)}


def is_begun(package: Package) -> bool:
    """Tell whether a run was killed while it rewrote the package."""
    return bool(package.version.tags.get(EDITED) == _BEGUN)


def renew(artifacts: Path, wanted: Wanted) -> None:
    """Exchange a package's folder in one step for one without the people, and with the same other files."""
    with replacing(artifacts) as new:
        for path in artifacts.rglob("*"):
            here = new / path.relative_to(artifacts)
            if path.is_dir():
                here.mkdir(parents=True, exist_ok=True)
            elif path.name not in (SHOPPERS, MANIFEST):
                here.parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(path, here)
        new.mkdir(parents=True, exist_ok=True)
        _rewrite(artifacts, new, wanted)


def _rewrite(old: Path, new: Path, wanted: Wanted) -> None:
    """Write the histories of the others, and their checksum into the manifest."""
    with np.load(old / SHOPPERS, allow_pickle=False) as content:
        arrays: dict[str, Any] = dict(content)
    kept = np.array([not wanted.is_id(one) for one in arrays["user_ids"].tolist()], dtype=bool)
    lengths = np.diff(arrays["indptr"])
    entries = np.repeat(kept, lengths)
    for name in ("data", "indices", "ages"):
        if name in arrays:
            arrays[name] = arrays[name][entries]
    arrays["indptr"] = np.concatenate([[0], np.cumsum(lengths[kept])]).astype(arrays["indptr"].dtype)
    arrays["user_ids"] = arrays["user_ids"][kept]
    with (new / f"{SHOPPERS}.new").open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    (new / f"{SHOPPERS}.new").replace(new / SHOPPERS)
    if (old / MANIFEST).exists():
        manifest = read_json(old / MANIFEST)
        manifest["artifacts"][SHOPPERS] = checksum(new / SHOPPERS)
        write_json(new / MANIFEST, manifest)


def _fetched(uri: str, folder: Path) -> Path:
    """Fetch the histories and the manifest of a package that lies elsewhere."""
    artifacts = folder / "artifacts"
    artifacts.mkdir()
    there = {one.path for one in mlflow.artifacts.list_artifacts(f"{uri}/artifacts") or []}
    for name in (SHOPPERS, MANIFEST):
        if any(path.endswith(name) for path in there):
            mlflow.artifacts.download_artifacts(f"{uri}/artifacts/{name}", dst_path=str(artifacts))
    return artifacts


def _model_id(version: ModelVersion) -> str:
    return str(version.source).removeprefix("models:/")


def _ids(path: Path) -> list[str]:
    with np.load(path, allow_pickle=False) as content:
        ids: list[str] = content["user_ids"].tolist()
    return ids
