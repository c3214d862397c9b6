"""What the screen tells the monitor: whom it leaves out, and which campaigns it would find."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from recgan.core import layout
from recgan.core.files import read_json
from recgan.settings import MonitorParams

_FEW = 0.001
"""A smaller share than this at registration counts as this: one account more is no jump."""


@dataclass(frozen=True)
class Screened:
    """Figures of the newest screening, beside those of the champion's."""

    quarantined_share: float
    """Accounts that are left out, of all."""
    at_registration: float | None
    """The same share when the champion was registered; None where its run does not tell."""
    recall: dict[str, float]
    """Of the canaries of each watched style."""


def look(
    root: Path, client: MlflowClient, champion: ModelVersion, watched: tuple[str, ...]
) -> tuple[Screened | None, tuple[str, ...]]:
    """Read the newest screening and that of the champion.

    Args:
        root: the project.
        client: of the registry.
        champion: whose run tells of its screening.
        watched: styles of campaigns.

    Returns:
        The figures, None before the first screening; what could not be looked at, and why.
    """
    path = root / layout.SCREENING_METRICS
    if not path.exists():
        return None, (
            f"there is no {layout.SCREENING_METRICS}, so nothing is known of fake accounts: make run",
        )
    now, then = read_json(path), _of_champion(client, champion)
    notes = []
    if then is None:
        notes.append(
            "the champion was registered before accounts were screened, so nothing tells whether more of "
            "them are left out now; the next version that is promoted tells it"
        )
    canaries = now.get("canaries", {})
    if lacking := [style for style in watched if style not in canaries]:
        notes.append(
            f"no canaries of {', '.join(lacking)} were screened: the log has no times or too "
            "few accounts, or no screen runs"
        )
    share = None if then is None else float(then["quarantined_share"])
    recall = {style: float(canaries[style]["recall"]) for style in watched if style in canaries}
    return Screened(float(now["quarantined_share"]), share, recall), tuple(notes)


def _of_champion(client: MlflowClient, champion: ModelVersion) -> dict[str, Any] | None:
    run_id, path = str(champion.run_id), layout.SCREENING_METRICS.as_posix()
    if path not in [file.path for file in client.list_artifacts(run_id, str(layout.METRICS))]:
        return None
    return dict(mlflow.artifacts.load_dict(f"runs:/{run_id}/{path}"))


def warnings(screened: Screened | None, limits: MonitorParams) -> tuple[str, ...]:
    """Return what a person should look at; no retraining mends it."""
    if screened is None:
        return ()
    found = [
        f"{_recall_of(style)}: {value:.1%} is below {limits.min_recall:.1%}"
        for style, value in screened.recall.items()
        if not value >= limits.min_recall
    ]
    share, before = screened.quarantined_share, screened.at_registration
    if before is not None and share >= limits.max_quarantined_growth * max(before, _FEW):
        found.append(
            f"{_LEFT_OUT}: {share:.2%}, at least {limits.max_quarantined_growth:g} times the {before:.2%} of "
            "the night in which the champion was registered; see reports/screening.html"
        )
    return tuple(found)


def figures(screened: Screened | None, limits: MonitorParams) -> dict[str, str]:
    """Return each figure in words, with its limit."""
    if screened is None:
        return {}
    before = screened.at_registration
    limit = "" if before is None else f"below {limits.max_quarantined_growth:g} × {max(before, _FEW):.2%}"
    return {f"{_LEFT_OUT}: {screened.quarantined_share:.2%}": limit} | {
        f"{_recall_of(style)}: {value:.1%}": f"at least {limits.min_recall:.1%}"
        for style, value in screened.recall.items()
    }


def metrics(screened: Screened | None) -> dict[str, float]:
    """Return the figures by the names that they have on the champion's run."""
    if screened is None:
        return {}
    recall = {f"recall.{style}": value for style, value in screened.recall.items()}
    return {"quarantined_share": screened.quarantined_share} | recall


_LEFT_OUT = "accounts left out as fake"


def _recall_of(style: str) -> str:
    return f"simulated accounts found, style {style}"
