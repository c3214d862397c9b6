"""The last look at an experiment, as a file: whoever serves a page reads that, and not the log."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from recgan.core import layout
from recgan.core.files import read_json, write_json
from recgan.online.second_gate import Arm, Effect, Evidence, Verdict
from recgan.online.sequences import Interval
from recgan.registry.experiments import Experiment


def keep(root: Path, evidence: Evidence, verdict: Verdict) -> None:
    """Write a look into reports/experiment.json.

    Args:
        root: the project.
        evidence: what was found.
        verdict: what follows.
    """
    content = {"evidence": asdict(evidence), "verdict": asdict(verdict)}
    content["evidence"]["now"] = evidence.now.isoformat()
    content["evidence"]["experiment"]["began"] = evidence.experiment.began.isoformat()
    write_json(root / layout.EXPERIMENT_REPORT, content)


def kept(root: Path, experiment: Experiment) -> tuple[Evidence, Verdict] | None:
    """Return the last look at an experiment; None where nobody looked yet, or the file has another form."""
    try:
        content = read_json(root / layout.EXPERIMENT_REPORT)
        found, verdict = content["evidence"], content["verdict"]
        if found["experiment"]["id"] != experiment.id:
            return None
        effects = [
            Effect(**one | {"interval": one["interval"] and Interval(**one["interval"])})
            for one in found["effects"]
        ]
        changes = {
            "experiment": experiment,
            "now": datetime.fromisoformat(found["now"]),
            "champion": Arm(**found["champion"]),
            "challenger": Arm(**found["challenger"]),
            "own_items": found["own_items"] and tuple(found["own_items"]),
            "effects": tuple(effects),
        }
        return Evidence(**found | changes), Verdict(verdict["outcome"], tuple(verdict["reasons"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None
