"""The dozen figures that stand for an evaluation, which DVC compares from run to run."""

from collections.abc import Mapping
from typing import Any


def headline(summary: Mapping[str, Any], quality: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the challenger's figures at the primary k, the best sellers' beside them, and how much data.

    Args:
        summary: of the evaluation.
        quality: of the validation; None where there is none.
    """
    k, ours = summary["primary_k"], summary["challenger"]
    of = summary["recommenders"]
    measured, (low, high) = of[ours]["metrics"], (of[ours]["intervals"][f"ndcg_at_{k}"][e] for e in _ENDS)
    popular = next((c["name"] for c in summary["candidates"] if c["kind"] == "popularity"), None)
    found = {
        "challenger": ours,
        "validation_ndcg": next(c["validation_ndcg"] for c in summary["candidates"] if c["name"] == ours),
        "ndcg": measured[f"ndcg_at_{k}"],
        "ndcg_low": low,
        "ndcg_high": high,
        "hit_rate": measured[f"hr_at_{k}"],
        "coverage": measured[f"coverage_at_{k}"],
        "popularity_ndcg": of[popular]["metrics"][f"ndcg_at_{k}"] if popular in of else None,
        "k": k,
        "users": summary["users"],
        "items": summary["items"],
    }
    if quality is not None:
        found |= {"events": quality["kept"], "quarantined": quality["quarantined"]}
    return found


_ENDS = ("low", "high")
