"""The project of its own in which `recgan live` runs nights: the user's is never touched."""

import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.files import read_json
from recgan.live.children import environment, run
from recgan.package.lineage import CANDIDATE
from recgan.registry.tracking import connect, current
from recgan.use import whole

FOLDER = Path("live")
NAME = "live"
"""Of the registered model, and of the example."""
_CODE = ("src", "flows", "dvc.yaml", str(layout.FORGOTTEN))
_MARK = Path(".recgan/live")
"""So that no folder is removed but one that was made here."""


def check_place(root: Path) -> None:
    """Refuse a folder that is no project, or whose folder live/ is somebody's own.

    Raises:
        RecganError: it is.
    """
    missing = [name for name in (*_CODE, "examples") if not (root / name).exists()]
    if missing:
        raise RecganError(f"no {missing[0]} in {root.resolve()}; run it from the root of the project")
    place = root / FOLDER
    if place.exists() and not (place / _MARK).exists():
        raise RecganError(f"{place.resolve()} was not made by `recgan live`; move it elsewhere first")


def make_project(root: Path) -> Path:
    """Make the project anew, with this project's code and examples/live.yaml; return its folder.

    Raises:
        RecganError: DVC cannot be set up there.
    """
    place = root / FOLDER
    if place.exists():
        shutil.rmtree(place)
    (place / _MARK).parent.mkdir(parents=True)
    (place / _MARK).touch()
    for name in _CODE:
        if (root / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(root / name, place / name, ignore=ignored)
        else:
            shutil.copy(root / name, place / name)
    text = whole(root / "examples" / f"{NAME}.yaml")[0]
    (place / layout.PARAMS).write_bytes(text)
    (place / "raw" / "events").mkdir(parents=True)
    command = [sys.executable, "-m", "dvc", "init", "--quiet", "--no-scm"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, env=environment(place))
    if done.returncode:
        raise RecganError(f"`dvc init` in {place} said: {done.stderr.strip()[-500:]}")
    return place


# --- what a night came to -------------------------------------------------------------------------------


def retrain(place: Path, day: int) -> dict[str, Any]:
    """Run a night, the flow of `make run`, and say what came of it.

    Raises:
        RecganError: the flow failed.
    """
    began = time.monotonic()
    before = champion(place)
    run(place, ["-m", "flows.retrain"], place / "nights.log")
    seconds, after = time.monotonic() - began, champion(place)
    if after is None:
        page = place / layout.VERDICT_PAGE
        raise RecganError(f"the first night has no champion, so nothing can be served; see {page}")
    summary = read_json(place / layout.EVALUATION / "summary.json")
    k = summary["primary_k"]
    return {
        "day": day,
        "champion": after["version"],
        "candidate": after["candidate"],
        "promoted": before is None or before["version"] != after["version"],
        "challenger": summary["challenger"],
        "validation": {one["name"]: one["validation_ndcg"] for one in summary["candidates"]},
        "test": {
            name: measured["metrics"][f"ndcg_at_{k}"] for name, measured in summary["recommenders"].items()
        },
        "events": int(read_json(place / layout.VALIDATION_METRICS)["raw"]),
        "seconds": seconds,
    }


def champion(place: Path) -> Mapping[str, str] | None:
    """Return version and candidate of the project's champion; None where there is none yet."""
    if not (place / "mlflow.db").exists():
        return None
    found = current(connect(place), NAME)
    return None if found is None else {"version": str(found.version), "candidate": found.tags[CANDIDATE]}
