"""The sha256 of every file of a package: written when it is made, checked before it is used."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from recgan.core.errors import RecganError
from recgan.core.files import read_json, write_json

MANIFEST = "manifest.json"
"""Among the artifacts of a package; one that was made before has none and is taken as it is."""


class DamagedPackageError(RecganError):
    """A file of a package is not the one that was packaged."""

    model_uri: str | None = None
    """Where it was fetched from."""


def write_manifest(path: Path, artifacts: Iterable[Path], code: Path) -> None:
    """Write the sha256 of each file that will be packaged.

    Args:
        path: the file to write.
        artifacts: files and folders, which MLflow packages under their own names.
        code: the folder of the packaged code.
    """
    content = {
        "artifacts": {name: value for part in artifacts for name, value in _sums(part).items()},
        "code": _sums(code),
    }
    write_json(path, content)


def check_artifacts(artifacts: Path) -> None:
    """Check the artifacts of a package, where it has a manifest.

    Raises:
        DamagedPackageError: a file is missing or has other bytes.
    """
    _check(artifacts, "artifacts", artifacts)


def check_package(model: Path) -> None:
    """Check artifacts and code of a package, where it has a manifest.

    Raises:
        DamagedPackageError: a file is missing or has other bytes.
    """
    check_artifacts(model / "artifacts")
    _check(model / "artifacts", "code", model / "code")


def md5_of(artifacts: Path) -> str:
    """Name the artifacts of a package by the names and bytes of its files, those of the code left out."""
    manifest = artifacts / MANIFEST
    if manifest.exists():
        sums = dict(read_json(manifest)["artifacts"])
    else:
        sums = {
            file.relative_to(artifacts).as_posix(): checksum(file)
            for file in artifacts.rglob("*")
            if file.is_file() and "__pycache__" not in file.parts
        }
    return hashlib.md5(json.dumps(sorted(sums.items())).encode(), usedforsecurity=False).hexdigest()


def _check(artifacts: Path, part: str, folder: Path) -> None:
    if not (artifacts / MANIFEST).exists():
        return
    try:
        expected = dict(read_json(artifacts / MANIFEST)[part])
    except (ValueError, KeyError, TypeError):
        raise _damaged(f"{MANIFEST} cannot be read") from None
    for name, value in expected.items():
        file = folder / name
        if not file.is_file():
            raise _damaged(f"{part}/{name} is missing")
        if (found := checksum(file)) != value:
            raise _damaged(f"{part}/{name} has the sha256 {found}, and {value} was packaged")


def _damaged(what: str) -> DamagedPackageError:
    return DamagedPackageError(
        f"the package is damaged: {what}; put that file back into the artifact store from a backup, or "
        "delete the version (make ui) and register it anew (make run)"
    )


def _sums(part: Path) -> dict[str, str]:
    """Map the name of each file, from the name of `part` on, to its sha256."""
    files = [part] if part.is_file() else sorted(path for path in part.rglob("*") if path.is_file())
    return {
        file.relative_to(part.parent).as_posix(): checksum(file)
        for file in files
        if "__pycache__" not in file.parts  # MLflow leaves it out
    }


def checksum(file: Path) -> str:
    """Return the sha256 of a file."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
