"""The candidates' rankings of the test users, as the stage evaluate leaves them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recgan.core.errors import RecganError
from recgan.features.matrices import Features
from recgan.recommenders.ranking import once

Rankings = dict[str, NDArray[np.int32]]


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
                f"{path} ranks {ranking.shape[0]} users with {name}, but the features have {n_users} "
                f"test users and {n_items} items; run dvc repro evaluate"
            )
        if ranking.shape[1] < min(longest, n_items):
            raise RecganError(
                f"evaluate.k has {longest}, but the rankings are {ranking.shape[1]} long; "
                f"choose no k above {ranking.shape[1]}"
            )
    return {name: once(ranking[:, :longest]) for name, ranking in rankings.items()}
