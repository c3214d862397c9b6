"""Where a version comes from: code, data, parameters and the run that made it."""

import hashlib
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.yaml12 import read_yaml

TRAIN_KEY = "train_key"

_WRITTEN = [f":(exclude,glob)**/{name}" for name in ("dvc.lock", "metrics/**")]
"""What the stages write changes with every run, committed or not."""


def train_key(root: Path = Path(), stage: str = "train") -> str:
    """Return the sha256 of a training's entry in dvc.lock: equal key, equal model.

    Raises:
        RecganError: there is no such entry.
    """
    entry = _stages(root).get(stage)
    if entry is None:
        raise RecganError(f"{root / 'dvc.lock'} has no stage `{stage}`; run dvc repro")
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()


def origin(root: Path, locked: Path, flow_run_id: str | None = None, stage: str = "train") -> dict[str, str]:
    """Return the tags of whatever a chain of stages has trained.

    Args:
        root: the project.
        locked: the folder of the chain's dvc.lock.
        flow_run_id: of the Prefect flow run; None for a run by hand.
        stage: that trained it.

    Raises:
        RecganError: dvc.lock is missing or does not have that stage.
    """
    return {
        TRAIN_KEY: train_key(locked, stage),
        "git.sha": _git(root, "rev-parse", "HEAD") or "none",
        "git.dirty": "unknown"
        if (status := _git(root, "status", "--porcelain", "--", ".", *_WRITTEN)) is None
        else str(bool(status)).lower(),
        "dvc.lock.sha256": hashlib.sha256((locked / layout.LOCK).read_bytes()).hexdigest(),
        "prefect.flow_run_id": flow_run_id or "none",
    }


def check_locked(root: Path, locked: Path, outputs: Sequence[tuple[str, Path]]) -> None:
    """Refuse outputs that are not those of dvc.lock, whose lineage they get.

    Args:
        root: the project.
        locked: the folder of dvc.lock.
        outputs: stages, each with one of its folders.

    Raises:
        RecganError: a folder is missing, or was written by something else than dvc repro.
    """
    for stage, path in outputs:
        if not (root / path).is_dir():
            raise RecganError(f"no {root / path}: the stage {stage} has not run yet; run dvc repro")
        found, wanted = folder_md5(root / path), output_md5(locked, stage, path)
        if found != wanted:
            raise RecganError(
                f"{root / path} is not what dvc.lock names (md5 {found}, locked {wanted}), so "
                "nothing would tell where it came from; run dvc repro, or dvc checkout for the locked one"
            )


def folder_md5(folder: Path) -> str:
    """Return DVC's md5 of a folder: that of the list of its files with their md5."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    entries = [
        {"md5": hashlib.md5(files[name].read_bytes(), usedforsecurity=False).hexdigest(), "relpath": name}
        for name in sorted(files)
    ]
    return f"{hashlib.md5(json.dumps(entries).encode(), usedforsecurity=False).hexdigest()}.dir"


def _stages(root: Path) -> dict[str, Any]:
    path = root / layout.LOCK
    try:
        return dict(read_yaml(path)["stages"])
    except FileNotFoundError:
        raise RecganError(f"no {path}: nothing was trained yet; run dvc repro") from None
    except (RecganError, TypeError, KeyError, ValueError):
        raise RecganError(f"{path} is no lock file of DVC; restore it with `git checkout dvc.lock`") from None


def output_md5(root: Path, stage: str, path: Path) -> str:
    """Return the md5 that dvc.lock names for a stage's output, or `none`.

    Args:
        root: the folder of dvc.lock.
        stage: that writes it.
        path: of the output, as dvc.lock has it.
    """
    outputs = _stages(root).get(stage, {}).get("outs", [])
    return next((str(output["md5"]) for output in outputs if output["path"] == path.as_posix()), "none")


def _git(root: Path, *arguments: str) -> str | None:
    """Return git's answer, or None where the project is no repository or git is absent."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
