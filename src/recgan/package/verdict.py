"""The evaluation's page with the gate's decision: what people open first after a run."""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.files import read_json, write_json, write_text
from recgan.evaluation.page import page
from recgan.evaluation.plain_words import Champion, Change, Verdict
from recgan.package.gate import CHAMPION
from recgan.package.lineage import CANDIDATE, LINEAGE
from recgan.recommenders.loading import challenger_of
from recgan.registry.promotion import Promotion, evidence_of
from recgan.registry.tracking import connect
from recgan.settings import Params

log = logging.getLogger(__name__)


def write_verdict(root: Path, params: Params, promotion: Promotion) -> None:
    """Write reports/verdict.html; a page that cannot be drawn is a warning, for the decision stands.

    Args:
        root: the project.
        params: of the project.
        promotion: what became of the version at the gate.
    """
    try:
        client = connect(root)
        version = client.get_model_version(params.register_.name, promotion.version)
        _write(root, _verdict(root, params, version, promotion, evidence_of(client, version)))
    except (RecganError, TemplateError, MlflowException, OSError) as error:
        log.warning("no %s: %s", layout.VERDICT_PAGE, error)


def tell_of_change(root: Path, model: str, change: Change) -> None:
    """Draw reports/verdict.html anew after a rollback or a promotion by hand: another version is live now.

    A page of another model, or none, is left as it is. One that cannot be drawn is a warning.
    """
    kept, drawn = root / layout.VERDICT, root / layout.VERDICT_PAGE
    try:
        if not drawn.exists() or not kept.exists():
            return
        content = read_json(kept)
        champion = content.pop("champion")
        verdict = Verdict(
            **content
            | {
                "day": date.fromisoformat(content["day"]),
                "champion": None if champion is None else Champion(**champion),
                "change": change,
            }
        )
        if verdict.model == model:
            _write(root, verdict)
    except (RecganError, TemplateError, OSError, ValueError, TypeError, KeyError) as error:
        log.warning("%s is as it was before the change: %s", layout.VERDICT_PAGE, error)


def _write(root: Path, verdict: Verdict) -> None:
    text = page(root, verdict)
    write_json(root / layout.VERDICT, asdict(verdict) | {"day": verdict.day.isoformat()})
    write_text(root / layout.VERDICT_PAGE, text)


def draw(
    root: Path,
    params: Params,
    version: ModelVersion,
    promotion: Promotion,
    evidence: Mapping[str, Any] | None,
) -> str | None:
    """Return the page of a judged version; None, with a warning, where it cannot be drawn.

    Args:
        root: the project.
        params: of the project.
        version: the challenger.
        promotion: what became of it.
        evidence: the gate's, as a mapping; None where there is none.
    """
    try:
        return page(root, _verdict(root, params, version, promotion, evidence))
    except (RecganError, TemplateError) as error:  # no reason to hold a promotion back
        log.warning("no page with the gate's decision: %s", error)
        return None


def _verdict(
    root: Path,
    params: Params,
    version: ModelVersion,
    promotion: Promotion,
    evidence: Mapping[str, Any] | None,
) -> Verdict:
    before = promotion.previous if promotion.promoted else promotion.champion
    return Verdict(
        model=params.register_.name,
        version=promotion.version,
        candidate=version.tags.get(CANDIDATE) or challenger_of(root),
        day=datetime.now(UTC).date(),
        promoted=promotion.promoted,
        reasons=promotion.decision.reasons,
        live=promotion.champion,
        previous=promotion.previous,
        champion=champion_of(evidence or {}, before, params.register_.gate.alpha),
        lineage={key: version.tags[key] for key in LINEAGE if key in version.tags},
    )


def champion_of(evidence: Mapping[str, Any], before: str | None, alpha: float) -> Champion | None:
    """Return the comparison with the champion; None without one, or where it was with another champion.

    Args:
        evidence: the gate's; empty where there is none.
        before: the champion at the time of the decision.
        alpha: of the gate.
    """
    if before is None or evidence.get("champion_version") != before:
        return None
    kept = evidence["retraining"]
    pairs = [one for one in evidence["comparisons"] if one["name"] == CHAMPION]
    if kept is None and not pairs:
        return None
    found = pairs[0] if kept is None else kept["comparison"]
    return Champion(
        version=before,
        hit_rate=evidence.get("champion_hit_rate"),  # evidence of before has none
        difference=found["difference"],
        p=found["p_holm"] if kept is None else kept["p_value"],
        alpha=alpha,
        retraining=kept is not None,
    )
