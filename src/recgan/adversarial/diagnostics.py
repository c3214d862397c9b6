"""Is the game still a game? Measures of its health, and the limits beyond which they are unhealthy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr
from torch import Tensor

Row = dict[str, float | None]
"""One epoch of the curves: name → value, None where nobody looked."""


@dataclass(frozen=True)
class Lines:
    """The limit beyond which a measure is unhealthy; None sets no limit."""

    grace: int = 5
    """Epochs at the start that raise no alarm; a gradient's early level is its median over them."""
    win_rate: float | None = None
    """Highest share of pairs in which the discriminator puts the real row above the fake."""
    gradient_growth: float | None = None
    """Largest gradient norm, in multiples of its early level, for either player."""
    floors: Mapping[str, float] = field(default_factory=dict)
    """Smallest value of what the probe measures, by its name."""


class Means:
    """The mean of each measure over an epoch's steps; it stays on the device until it is asked for."""

    def __init__(self) -> None:
        self._totals: dict[str, Tensor] = {}
        self._steps: dict[str, int] = {}

    def add(self, name: str, value: Tensor) -> None:
        """Count one step's value."""
        value = value.detach()
        self._totals[name] = self._totals[name] + value if name in self._totals else value
        self._steps[name] = self._steps.get(name, 0) + 1

    def found(self) -> dict[str, Tensor]:
        """Return the means."""
        return {name: total / self._steps[name] for name, total in self._totals.items()}


def win_rate(real: Tensor, fake: Tensor) -> Tensor:
    """Return the share of pairs with D(real) > D(fake): .5 is a game in balance, 1 a game that is over."""
    return (real > fake).float().mean()


def effective_number(counts: NDArray[np.generic]) -> float:
    """Return exp(entropy) of counts: the number of equally frequent things that would be as varied.

    Hill 1973, order 1; 0 where there is nothing.
    """
    present = np.asarray(counts, dtype=np.float64)
    present = present[present > 0]
    if not len(present):
        return 0.0
    return float(np.exp(entr(present / present.sum()).sum()))


def effective_rank(matrix: NDArray[np.floating]) -> float:
    """Return exp(entropy) of the singular values (Roy & Vetterli 2007): how many directions it uses.

    Args:
        matrix: (rows, columns); the cost is that of the smaller side's Gram matrix.
    """
    tall = np.asarray(matrix, dtype=np.float64)
    gram = tall @ tall.T if tall.shape[0] <= tall.shape[1] else tall.T @ tall
    squares = np.linalg.eigvalsh(gram)
    noise = squares[-1] * len(squares) * np.finfo(np.float64).eps
    return effective_number(np.sqrt(squares[squares > noise]))


def alarms(curves: Sequence[Row], lines: Lines) -> dict[str, str]:
    """Return what is unhealthy in the last row of the curves: measure → what is wrong and what helps."""
    row, found = curves[-1], {}
    if len(curves) <= lines.grace:
        return {}
    wins = row.get("win_rate")
    if lines.win_rate is not None and wins is not None and wins >= lines.win_rate:
        found["win_rate"] = (
            f"the discriminator wins {wins:.1%} of all pairs (line {lines.win_rate:.1%}), so the generator "
            "may learn little from it; constrain it (r1, spectral_norm) or lower its learning rate"
        )
    for player, name in (("generator", "g_grad_norm"), ("discriminator", "d_grad_norm")):
        norm = row.get(name)
        if lines.gradient_growth is None or norm is None:
            continue
        early = median(past[name] or 0.0 for past in curves[: lines.grace])
        if norm > lines.gradient_growth * early > 0:
            found[name] = (
                f"the {player}'s gradient norm is {norm:.3g}, more than {lines.gradient_growth:g} times its "
                f"early level {early:.3g}; lower the learning rates or clip its gradient"
            )
    for name, floor in lines.floors.items():
        value = row.get(name)
        if value is not None and value < floor:
            found[name] = (
                f"{name} is {value:.1f} (line {floor:g}): what is generated has collapsed onto few forms; "
                "lower the learning rates or add feature matching"
            )
    return found
