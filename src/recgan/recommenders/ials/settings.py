"""The grid of iALS."""

from typing import Literal

from recgan.core.sections import Count, NonNegative, Positive, Seed
from recgan.recommenders.settings import ClassicalGrid, HalfLives


class IALSGrid(ClassicalGrid):
    """iALS (Hu et al. 2008) from `implicit`."""

    recommender: Literal["ials"]
    seed: Seed
    """Of the first factors."""
    factors: tuple[Count, ...]
    regularization: tuple[NonNegative, ...]
    alpha: tuple[Positive, ...]
    iterations: tuple[Count, ...]
    half_life_days: HalfLives
