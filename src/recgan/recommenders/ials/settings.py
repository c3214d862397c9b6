"""The grid of iALS."""

from recgan.core.sections import Count, NonNegative, Positive
from recgan.recommenders.settings import BaselineGrid


class IALSGrid(BaselineGrid):
    """iALS (Hu et al. 2008) from `implicit`."""

    factors: tuple[Count, ...]
    regularization: tuple[NonNegative, ...]
    alpha: tuple[Positive, ...]
    iterations: tuple[Count, ...]
