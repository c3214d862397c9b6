"""What is known of the candidates beyond one window and one seed, as the stage `replicate` left it."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.files import read_json, read_whole


@dataclass(frozen=True)
class Replication:
    """One training of a candidate, and how it does on its own test window."""

    window: int
    """0 is today's, 1 the one before."""
    test_start: str
    test_end: str
    candidate: str
    seed: int | None
    """None of what draws nothing."""
    ablated: bool
    """Whether it is trained without its adversarial term."""
    fingerprint: str
    """Of the training; the name of its file."""
    skipped: str | None
    """Why there is no result of it; None where there is one."""
    user_ids: NDArray[np.object_]
    """(users,) with something held out; none where it was skipped."""
    ndcg: NDArray[np.float64]
    """(users,) at primary_k."""

    def entry(self) -> dict[str, Any]:
        """Return what the index says of it."""
        about = asdict(self)
        return {name: about[name] for name in about if name not in ("user_ids", "ndcg")}


def read_replications(folder: Path) -> list[Replication]:
    """Read what the stage `replicate` wrote; none where the folder is missing.

    Raises:
        RecganError: a file is missing or not readable.
        Unavailable: the folder was replaced again and again meanwhile.
    """
    return read_whole(folder, _read) if folder.exists() else []


def read_users(path: Path) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
    """Read the users of one training and their NDCG."""
    table = pd.read_parquet(path)
    return table["user_id"].to_numpy(dtype=object), table["ndcg"].to_numpy(dtype=np.float64)


def _read(folder: Path) -> list[Replication]:
    try:
        return [_replication(folder, about) for about in read_json(folder / layout.REPLICATIONS_INDEX)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecganError(
            f"the replications in {folder} are not readable ({error}); run dvc repro --force replicate"
        ) from None


def _replication(folder: Path, about: dict[str, Any]) -> Replication:
    if about["skipped"] is not None:
        return Replication(**about, user_ids=np.empty(0, dtype=object), ndcg=np.empty(0))
    user_ids, ndcg = read_users(folder / f"{about['fingerprint']}.parquet")
    return Replication(**about, user_ids=user_ids, ndcg=ndcg)
