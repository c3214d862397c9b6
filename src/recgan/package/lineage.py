"""Where a recommender comes from: the origin of any training, and its features, split and validation."""

import json
from pathlib import Path
from typing import Any

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.files import read_json
from recgan.registry.lineage import TRAIN_KEY, check_locked, origin, output_md5

SPLIT = "features.split"
"""JSON: the identity of the split that a version was trained under."""
SETTINGS = "settings.sha256"
"""`settings_key` of a version; versions from before it was a tag have none."""
CANDIDATE = "candidate"
"""Which candidate of params.yaml a version was."""
LINEAGE = (
    TRAIN_KEY,
    CANDIDATE,
    SPLIT,
    SETTINGS,
    "git.sha",
    "git.dirty",
    "dvc.lock.sha256",
    "features.md5",
    "prefect.flow_run_id",
    "validation.passed",
)
"""Tags of every run and version."""


def lineage(root: Path, candidate: str, settings: str, flow_run_id: str | None = None) -> dict[str, str]:
    """Return the tags that every run and version carries.

    Args:
        root: the project.
        candidate: its name.
        settings: the key of what was trained (recgan.package.same).
        flow_run_id: of the Prefect flow run; None for a run by hand.

    Raises:
        RecganError: dvc.lock is missing or does not have the candidate's stage, or the features do not name
            their split.
    """
    return origin(root, root, flow_run_id, stage_of(candidate)) | {
        CANDIDATE: candidate,
        SPLIT: json.dumps(split_identity(root), sort_keys=True),
        SETTINGS: settings,
        "features.md5": output_md5(root, "features", layout.FEATURES),
        "validation.passed": str(validation_passed(root)).lower(),
    }


def check_outputs(root: Path, candidate: str) -> None:
    """Refuse features, candidate, kept events or a screening that are not those of dvc.lock.

    Raises:
        RecganError: a folder is missing, or was written by something else than dvc repro.
    """
    outputs = [("features", layout.FEATURES), (stage_of(candidate), layout.MODELS / candidate)]
    if (root / layout.KEPT).is_dir():  # a model alone can come from the cache
        outputs += [("validate", layout.KEPT), ("screen", layout.SCREENED)]
    check_locked(root, root, outputs)


def stage_of(candidate: str) -> str:
    """Return the DVC stage that trains a candidate."""
    return f"train@{candidate}"


def split_identity(root: Path = Path()) -> dict[str, Any]:
    """Return what tells the split of the features from others.

    Raises:
        RecganError: there is no readable data/features/summary.json, or one of an earlier version.
    """
    path = root / layout.FEATURES / "summary.json"
    try:
        return dict(read_json(path)["split_identity"])
    except (OSError, ValueError, KeyError) as error:
        raise RecganError(
            f"{path} does not say what the split holds out ({error!r}); run dvc repro"
        ) from None


def validation_passed(root: Path = Path()) -> bool:
    """Tell whether the expectations passed when the events were last validated.

    Raises:
        RecganError: there is no readable metrics/validation.json.
    """
    path = root / layout.VALIDATION_METRICS
    try:
        return bool(read_json(path)["success"])
    except (OSError, ValueError, KeyError) as error:
        raise RecganError(
            f"{path} does not say whether the expectations passed ({error}); run dvc repro"
        ) from None
