"""What the discriminator of a candidate in two stages earns, beside what it is compared with alone."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recgan.evaluation.settings import EvaluateParams
from recgan.evaluation.significance import compare
from recgan.features.matrices import Features
from recgan.recommenders.protocol import recommend
from recgan.recommenders.ranking import ndcg

NAMES = {
    "uniform": "the same with fakes drawn uniformly",
    "generator": "the generator alone",
    "blend": "the generator blended with others",
}
"""How the tables call each ablation."""
EARNED = (
    "The discriminator is trained on what the generator proposes. Beside it, with the same budget, stands "
    "what shows whether that counts. None of these can become the challenger. p is two-sided."
)


def second_stages(
    rankings: Mapping[str, NDArray[np.int32]],
    features: Features,
    validation: Mapping[str, Mapping[str, float | None]],
    ablations: Callable[[str], Mapping[str, Any]],
    params: EvaluateParams,
) -> list[dict[str, Any]]:
    """Rank the test users with each candidate's ablations, and compare the candidate with them.

    Args:
        rankings: name → of all users of the test window, by the candidates.
        features: matrices.
        validation: name of each candidate in two stages → ablation → its NDCG there, all at primary_k.
        ablations: name → ablation → the recommender.
        params: the evaluate section.
    """
    came = features.test.came()
    some, k = np.diff(came.indptr) > 0, params.primary_k
    found = []
    for name, theirs in validation.items():
        if name not in rankings:
            continue
        seen = not features.summary["repeat_purchases"]
        lists = {
            other: recommend(one, features.test.history, k, seen, ages=features.test.ages)[0]
            for other, one in ablations(name).items()
        }
        comparisons = compare(
            ndcg(rankings[name], came, k)[some],
            {other: ndcg(one, came, k)[some] for other, one in lists.items()},
            params.bootstrap_samples,
            params.confidence,
            params.seed,
        )
        found.append(
            {
                "name": name,
                "validation": {other: theirs.get(other) for other in lists},
                "comparisons": [asdict(one) for one in comparisons],
            }
        )
    return found


def earned_rows(summary: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return the head and the lines of the table; no line without a candidate in two stages."""
    k = summary["primary_k"]
    head = ["candidate", "against", "on validation", f"NDCG@{k}", "difference [CI]", "p", "p after Holm"]
    known = {one["name"]: one["validation_ndcg"] for one in summary["candidates"]}
    rows = []
    for one in summary.get("second_stages", []):
        first = one["comparisons"][0]
        rows.append(
            [one["name"], "", _number(known[one["name"]]), f"{first['mean_challenger']:.4f}", "", "", ""]
        )
        rows += [
            [
                one["name"],
                NAMES[other["name"]],
                _number(one["validation"][other["name"]]),
                f"{other['mean_other']:.4f}",
                f"{other['difference']:+.4f} [{other['low']:+.4f}, {other['high']:+.4f}]",
                f"{other['p_value']:.4f}",
                f"{other['p_holm']:.4f}",
            ]
            for other in one["comparisons"]
        ]
    return head, rows


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
