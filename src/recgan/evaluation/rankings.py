"""The candidates' rankings of the test users: made, and read where the stage evaluate leaves them."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.evaluation.candidates import Candidate
from recgan.features.matrices import Features
from recgan.recommenders.protocol import Recommender, recommend
from recgan.recommenders.ranking import once

Rankings = dict[str, NDArray[np.int32]]

_log = logging.getLogger(__name__)


def rank_all(
    features: Features, candidates: Sequence[Candidate], load: Callable[[str], Recommender], k: int
) -> tuple[list[Candidate], Rankings, Rankings]:
    """Rank all test users, and somebody of whom nothing is known, with each candidate.

    Args:
        features: matrices.
        candidates: as training left them.
        load: name → the fitted recommender.
        k: length of a ranking.

    Returns:
        The candidates, one that cannot rank skipped from here on; name → (test users, k); and name → (k,)
        the list of an empty history.
    """
    known, rankings, first_lists = [], {}, {}
    nothing = csr_array(np.zeros((1, features.test.history.shape[1]), dtype=np.float32))
    for one in candidates:
        if one.skipped is None:
            try:
                recommender = load(one.name)
                rankings[one.name], _ = recommend(
                    recommender,
                    features.test.history,
                    k,
                    not features.summary["repeat_purchases"],
                    ages=features.test.ages,
                )
                first_lists[one.name] = recommend(recommender, nothing, k)[0][0]
            except (RecganError, MemoryError) as fault:
                rankings.pop(one.name, None)
                one = replace(one, skipped=f"it cannot rank the test users: {fault}")
        if one.skipped is not None:
            _log.warning("%s is left out: %s", one.name, one.skipped)
        known.append(one)
    return known, rankings, first_lists


def read_rankings(path: Path, features: Features, longest: int) -> Rankings:
    """Read the candidates' rankings, cut to the longest k; an item repeated in a list counts once.

    Raises:
        RecganError: they are missing, not readable, too short, or of other features.
    """
    try:
        with np.load(path) as stored:
            rankings = {name: stored[name] for name in stored.files}
    except (OSError, ValueError) as error:
        raise RecganError(f"no readable rankings in {path} ({error}); run dvc repro evaluate") from None
    n_users, n_items = features.test.history.shape
    for name, ranking in rankings.items():
        if ranking.shape[0] != n_users or ranking.max(initial=-1) >= n_items:
            raise RecganError(
                f"{path} ranks {ranking.shape[0]:,} users with {name}, but the features have {n_users:,} "
                f"test users and {n_items:,} items; run dvc repro evaluate"
            )
        if ranking.shape[1] < min(longest, n_items):
            raise RecganError(
                f"evaluate.k has {longest}, but the rankings are {ranking.shape[1]} long; "
                f"choose no k above {ranking.shape[1]}"
            )
    return {name: once(ranking[:, :longest]) for name, ranking in rankings.items()}
