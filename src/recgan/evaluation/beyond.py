"""What a summary says beyond the candidates of one window and one seed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from recgan.core import layout
from recgan.core.files import read_json
from recgan.evaluation.replications import read_replications
from recgan.evaluation.second_stage import second_stages
from recgan.evaluation.settings import EvaluateParams
from recgan.evaluation.spread import spread
from recgan.features.matrices import Features
from recgan.recommenders.two_stage.recommender import load_ablations


def beyond(
    root: Path,
    rankings: Mapping[str, NDArray[Any]],
    features: Features,
    kinds: Mapping[str, str],
    seeds: Mapping[str, int | None],
    params: EvaluateParams,
) -> dict[str, Any]:
    """Return the summary's entries on other windows and seeds, and on the parts of candidates in two stages.

    Args:
        root: the project.
        rankings: of the test users, by candidate.
        features: they were made of.
        kinds: candidate → the recommender that it is.
        seeds: candidate → its seed; null where it has none.
        params: the section `evaluate`.
    """
    ablations = {
        name: read_json(root / layout.CANDIDATE_METRICS / f"{name}.json").get("ablations", {})
        for name, kind in kinds.items()
        if kind == "two_stage"
    }
    return {
        "replications": spread(
            rankings, features, seeds, read_replications(root / layout.REPLICATIONS), params
        ),
        "second_stages": second_stages(
            rankings, features, ablations, lambda name: load_ablations(root / layout.MODELS / name), params
        ),
    }
