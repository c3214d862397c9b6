"""Candidates that failed: the reason in the place of their results."""

import logging
from pathlib import Path

from recgan.core import layout
from recgan.core.files import read_json, replacing, write_json, write_text
from recgan.recommenders.curves import curves_csv

log = logging.getLogger(__name__)


def skip(name: str, reason: str, root: Path = Path()) -> None:
    """Leave out a candidate that failed, with the reason in the place of its results."""
    log.warning("%s is left out: %s", name, reason)
    with replacing(root / layout.MODELS / name) as folder:
        folder.mkdir(parents=True)
        write_json(folder / layout.SKIPPED, {"reason": reason})
    write_text(root / layout.CANDIDATE_CURVES / f"{name}.csv", curves_csv([]))
    write_json(root / layout.CANDIDATE_METRICS / f"{name}.json", {"skipped": reason})


def skipped(root: Path, name: str) -> str | None:
    """Return why a candidate was left out, None where it was not."""
    path = root / layout.MODELS / name / layout.SKIPPED
    return str(read_json(path)["reason"]) if path.exists() else None
