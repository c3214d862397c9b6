"""Real rows and generated ones, weighed, as what a linear recommender is fitted on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array
from scipy.special import logsumexp

from recgan.recommenders.linear import item_gram
from recgan.recommenders.student.blocks import Block, parts_of, sums_of


@dataclass(frozen=True)
class Choice:
    """What validation chose."""

    generated_weight: float
    """ω"""
    row_exponent: float
    """a"""
    temperature: float | None
    """τ; None takes the scores as they are."""
    l2: float
    """λ"""
    epochs: tuple[int, ...] = ()
    """Each teacher's best epoch."""
    critic_shares: tuple[float, ...] = ()
    """Each teacher's k."""
    half_life_days: float | None = None
    """By which histories are weighed when they are scored."""


class Rows:
    """Real rows, and the scores from which generated ones are made."""

    def __init__(self, user_items: csr_array, taught: csr_array, scores: NDArray[np.float32] | None) -> None:
        """Hold both.

        Args:
            user_items: (users, items), all real rows.
            taught: (some users, items), the rows that the teachers scored.
            scores: (some users, items), G; None where nothing is generated.
        """
        self._real, self._sizes = csc_array(user_items), sums_of(user_items)
        self._taught_sizes, self._scores = sums_of(taught), scores
        self._totals: dict[float, NDArray[np.float64]] = {}  # of the last temperature: log Σ_i exp(G_i / τ)
        self._latest: dict[str, tuple[tuple[Any, ...], NDArray[np.float64]]] = {}

    def gram(self, block: Block, choice: Choice) -> NDArray[np.float64]:
        """Return (XᵀDX + ω YᵀDY) / (1 + ω) of a block's support, (support, support); not to be changed."""
        a, tau, omega = choice.row_exponent, choice.temperature, choice.generated_weight
        first = int(block.targets[0])
        real = self._kept("real", (first, a), lambda: self.real_gram(block, a))
        if not omega:
            return real
        generated = self._kept("generated", (first, a, tau), lambda: self.generated_gram(block, a, tau))
        return (real + omega * generated) / (1 + omega)

    def real_gram(self, block: Block, exponent: float) -> NDArray[np.float64]:
        """Return XᵀDX of a block's support, (support, support)."""
        return item_gram(csr_array(self._real[:, block.support]), self._weights(self._sizes, exponent))

    def generated_gram(self, block: Block, exponent: float, temperature: float | None) -> NDArray[np.float64]:
        """Return YᵀDY of a block's support, (support, support)."""
        gram = np.zeros((len(block.support),) * 2)
        weights = self._weights(self._taught_sizes, exponent)
        for part in parts_of(len(weights), len(block.support)):
            rows = self.profiles(part, block.support, temperature) * np.sqrt(weights[part, None])
            gram += rows.T @ rows
        return gram

    def profiles(
        self, part: slice, items: NDArray[np.int64], temperature: float | None
    ) -> NDArray[np.float64]:
        """Return y of some of the taught rows and items, (rows, items)."""
        assert self._scores is not None
        if temperature is None:
            return self._scores[part][:, items].astype(np.float64)
        if temperature not in self._totals:
            parts = parts_of(*self._scores.shape)
            sums = [logsumexp(self._scores[part] / np.float64(temperature), axis=1) for part in parts]
            self._totals = {temperature: np.concatenate(sums)}
        logits = self._scores[part][:, items] / np.float64(temperature)
        profiles: NDArray[np.float64] = np.exp(logits - self._totals[temperature][part, None])
        return profiles * self._taught_sizes[part, None]

    def _kept(
        self, kind: str, key: tuple[Any, ...], make: Callable[[], NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """Return the last matrix of a kind if it was made for the same key, else make it."""
        if kind not in self._latest or self._latest[kind][0] != key:
            self._latest.pop(kind, None)
            self._latest[kind] = key, make()
        return self._latest[kind][1]

    def _weights(self, sizes: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
        mean = float(powers(self._sizes, exponent)[self._sizes > 0].mean())
        return powers(sizes, exponent) / mean


def powers(sizes: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    """Return n^-a, 0 for an empty row."""
    return np.where(sizes > 0, np.where(sizes > 0, sizes, 1) ** -exponent, 0)
