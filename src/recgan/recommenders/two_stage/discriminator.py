"""What judges the proposals: linear, or with one layer of hidden units beside. Serves without torch."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_TAIL = 0.001  # of each feature's values on either side that are clamped before it is standardised


@dataclass(frozen=True)
class Scale:
    """How features are clamped and then standardised, as fitted on the lists of the training."""

    low: Floats
    """(features,)"""
    high: Floats
    mean: Floats
    spread: Floats

    @classmethod
    def fit(cls, features: Floats, there: NDArray[np.bool_]) -> Self:
        """Learn from the features (rows, N, features) of the places that hold an item.

        Clamping comes first: one value far out would make all others equal.
        """
        values = features[there]  # (places, features)
        low, high = np.quantile(values, [_TAIL, 1 - _TAIL], axis=0).astype(np.float32)
        clamped = np.clip(values, low, high)
        spread = clamped.std(axis=0, dtype=np.float64).astype(np.float32)
        mean = clamped.mean(axis=0, dtype=np.float64).astype(np.float32)
        return cls(low, high, mean, np.where(spread > 1e-6, spread, 1).astype(np.float32))

    def __call__(self, features: Floats) -> Floats:
        """Return clamped and standardised features."""
        return np.asarray((np.clip(features, self.low, self.high) - self.mean) / self.spread, np.float32)


@dataclass(frozen=True)
class Discriminator:
    """s = x·w + v·max(0, x W + b), x the standardised features; without hidden units the first term alone."""

    scale: Scale
    linear: Floats
    """w (features,)"""
    inner: Floats
    """W (features, hidden)"""
    bias: Floats
    """b (hidden,)"""
    outer: Floats
    """v (hidden,)"""

    def judge(self, features: Floats) -> Floats:
        """Return how real each item looks, (rows, N), from features (rows, N, features)."""
        x = self.scale(features)
        scores = x @ self.linear
        if self.outer.size:
            scores = scores + np.maximum(x @ self.inner + self.bias, 0) @ self.outer
        return np.asarray(scores, dtype=np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all of it by name."""
        own = {name: getattr(self, name) for name in _WEIGHTS}
        return own | {f"scale.{one.name}": getattr(self.scale, one.name) for one in fields(Scale)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Put together what `arrays` returned.

        Raises:
            KeyError: an array is missing.
            ValueError: their sizes disagree.
        """
        scale = Scale(*(arrays[f"scale.{one.name}"] for one in fields(Scale)))
        found = cls(scale, *(arrays[name] for name in _WEIGHTS))
        if found.inner.shape != (len(found.linear), len(found.outer)) or len(scale.low) != len(found.linear):
            raise ValueError("the discriminator's weights are of different sizes")
        return found


_WEIGHTS = ("linear", "inner", "bias", "outer")
