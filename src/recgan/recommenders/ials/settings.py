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
    """Dimensions of a user and of an item."""
    regularization: tuple[NonNegative, ...]
    """Ridge on the factors."""
    alpha: tuple[Positive, ...]
    """Weight of an interaction of confidence 1, above the 1 that every pair has."""
    iterations: tuple[Count, ...]
    """Turns in which users and items are solved for."""
    half_life_days: HalfLives
    """Days after which an event of a history counts half when it is scored; null weighs none."""
