"""Judges recommenders on the validation window: by all its users, or while they train by a fixed sample."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from recgan.features.held_out import HeldOut
from recgan.recommenders.protocol import Recommender, ScoreEach
from recgan.recommenders.ranking import window_ndcg, window_ndcgs
from recgan.recommenders.trained import Training


@dataclass(frozen=True)
class Validation:
    """NDCG at k on a window, the full catalogue ranked."""

    window: HeldOut
    k: int
    exclude_seen: bool

    def __call__(self, recommender: Recommender) -> float:
        """Return the mean NDCG of a recommender over the window's users."""
        return window_ndcg(recommender, self.window, self.k, self.exclude_seen)

    def each(self, score_each: ScoreEach, many: int) -> list[float]:
        """Return the mean NDCG by each of several scores that share their computation.

        Args:
            score_each: see `recommend_each`.
            many: how many scores it yields.
        """
        return window_ndcgs(score_each, many, self.window, self.k, self.exclude_seen)

    def sample(self, users: int) -> Self:
        """Return the same on at most so many users; itself where the window has no more.

        They are drawn by a hash of their ids: the same ones in every look of every recommender, and mostly
        the same ones tomorrow.
        """
        window = self.window
        rows = np.flatnonzero(np.diff(window.came().indptr))
        if len(rows) <= users:
            return self
        hashes = [hashlib.blake2b(str(one).encode(), digest_size=8).digest() for one in window.user_ids[rows]]
        order = np.argsort(np.frombuffer(b"".join(hashes), dtype="<u8"), kind="stable")
        return replace(self, window=window.rows(np.sort(rows[order[:users]])))


Validate = Callable[[Any], float]
"""A score of a recommender, higher is better: a `Validation`, or whatever else measures one."""


def at_looks(validate: Validate, users: int | None) -> Validate:
    """Return what judges the looks of a training: a sample of so many users; None takes all."""
    return validate.sample(users) if users is not None and isinstance(validate, Validation) else validate


class Looked(Protocol):
    """A recommender that was looked at while it was trained."""

    training: Training


R = TypeVar("R", bound=Looked)


def judged_by_all(recommender: R, validate: Validate | None, users: int | None) -> R:
    """Let a training's NDCG be that of all users, where its looks were judged by a sample.

    Args:
        recommender: with the weights that the looks chose.
        validate: by all users; None where nothing was validated.
        users: of the sample; None looked at all.
    """
    if validate is not None and at_looks(validate, users) is not validate:
        ndcg = validate(recommender)
        recommender.training = replace(recommender.training, validation_ndcg=ndcg)
    return recommender
