"""What a recommender's MLflow run is called, and which of its figures are metrics there."""

from pathlib import Path

from recgan.core import layout
from recgan.core.files import read_json
from recgan.registry.figures import numbers

_COUNTS = ("users", "items", "events", "quarantined")
_RANGED = ("ndcg", "hr")


def label(root: Path, candidate: str) -> str:
    """Return a candidate with the day of the newest event that it may have been trained on."""
    path = root / layout.FEATURES_METRICS
    end = read_json(path).get("log", {}).get("end") if path.exists() else None
    return f"{candidate}, events until {end[:10]}" if end else candidate


def figures(root: Path, candidate: str, k: int) -> dict[str, float]:
    """Return the figures of a candidate that are compared from run to run, some thirty.

    Its own on the test window go by bare names (ndcg_at_10), those of the other candidates are
    evaluation/NAME.ndcg_at_k. What its training says is candidates/NAME/…, how much data there was data/….
    All figures are in the files of metrics/.

    Args:
        root: the project.
        candidate: its name.
        k: the primary one.
    """
    measured = numbers(root / layout.EVALUATION_METRICS, "")
    own, found = f"{candidate}.", {}
    for key, value in measured.items():
        metric = key.removeprefix(own)
        if key.startswith(own) and "." not in metric and _kept(metric, k):
            found[metric] = value
        elif key.endswith(f".ndcg_at_{k}") and key.count(".") == 1 and not key.startswith(own):
            found[f"evaluation/{key}"] = value
    found |= numbers(root / layout.CANDIDATE_METRICS / f"{candidate}.json", f"candidates/{candidate}")
    counts = numbers(root / layout.HEADLINE, "")
    return found | {f"data/{name}": counts[name] for name in _COUNTS if name in counts}


def _kept(metric: str, k: int) -> bool:
    name, _, cut = metric.partition("_at_")
    return cut == str(k) or (name in _RANGED and cut in (f"{k}_low", f"{k}_high"))
