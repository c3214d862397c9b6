"""Factors of shoppers out of any recommender's scores, and vectors of products by ridge on them.

A recommender that was trained before a product came has no score for it, but it has scores of every shopper
for all others. Let z be a row of scores, standardised over the products, and P the leading right singular
vectors of many such rows. Then q = (z P c, 1) stands for the shopper, whatever the recommender is. Of one
whose scores are inner products of factors, such as iALS, it spans the same space as the factors.

A product's vector v is what q · v calls 1 for who bought it. With v_c what the content of the product says,

    v = v_c + (κ e G + ρ I + a BᵀB)⁻¹ a Bᵀ(1 − B v_c)

which minimises a Σ_buyers (1 − q·v)² + κ e Σ_shoppers (q·(v − v_c))² + ρ |v − v_c|². B holds the buyers so
far, G = QᵀQ of all shoppers. e is the share of the shoppers who were seen since the product's first event:
whoever was not there has not refused it. It is the fold-in of implicit feedback (Hu, Koren & Volinsky 2008)
with a prior of content and with exposure (Liang et al. 2016, ExpoMF).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array
from scipy.sparse.linalg import svds

Matrix = NDArray[np.float64]

WIDTH = 32
"""Most factors of a shopper; 16 to 64 measure alike (docs/experiments/new-products.md)."""
REFUSALS, PRIOR, BUYERS = 1.0, 5.0, 3.0
"""κ, ρ and a."""
CONTENT_L2 = 0.01
"""Ridge of the products' vectors on their content, for each product."""


@dataclass(frozen=True)
class Tastes:
    """The way from a row of scores to the factors of a shopper."""

    directions: NDArray[np.float32]
    """(products, width) P c; c makes the mean of |z P c|² one."""

    def factors(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (rows, width + 1) q of rows of scores (rows, products)."""
        return self.standing(scores)[0]

    def standing(
        self, scores: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return q, and mean and standard deviation (rows, 1) of the scores."""
        mean, spread = scores.mean(axis=1, keepdims=True), scores.std(axis=1, keepdims=True)
        z = (scores - mean) / np.where(spread > 0, spread, 1)
        ones = np.ones((len(scores), 1), dtype=np.float32)
        return np.hstack([z @ self.directions, ones]), mean, spread


@dataclass(frozen=True)
class Standing:
    """Where a product without a score stands among those with one, as a shopper's scores go.

    Its q · v stands some standard deviations above the mean of the known products' q · v. It gets the score
    that stands as high among the shopper's scores, and `lift` standard deviations more:
    s = mean + sd ((q·v − q·m) / √(qᵀCq) + lift), m and C mean and covariance of the known products' vectors.
    """

    tastes: Tastes
    mean: NDArray[np.float32]
    """(width + 1,) m."""
    covariance: NDArray[np.float32]
    """(width + 1, width + 1) C."""

    @classmethod
    def of(cls, tastes: Tastes, known: Matrix) -> "Standing":
        """Return that of known products' vectors (products, width + 1)."""
        centred = known - known.mean(axis=0)
        covariance = centred.T @ centred / len(known)
        return cls(tastes, known.mean(axis=0).astype(np.float32), covariance.astype(np.float32))

    def score(
        self, scores: NDArray[np.float32], vectors: NDArray[np.float32], lift: float
    ) -> NDArray[np.float32]:
        """Score products by their vectors (new, width + 1), beside rows of scores (rows, products)."""
        q, mean, spread = self.tastes.standing(scores)
        among = np.sqrt(np.maximum(np.sum((q @ self.covariance) * q, axis=1, keepdims=True), 0))
        z = (q @ (vectors - self.mean).T) / np.where(among > 0, among, np.inf)
        found: NDArray[np.float32] = (mean + spread * (z + np.float32(lift))).astype(np.float32)
        return found


def fit_tastes(scores: NDArray[np.float32], width: int = WIDTH) -> Tastes:
    """Find the directions in which shoppers' scores differ most.

    Args:
        scores: (shoppers, products) of one recommender.
        width: most directions.
    """
    spread = scores.std(axis=1, keepdims=True)
    z = (scores - scores.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1)
    z = z.astype(np.float64)
    width = min(width, min(z.shape) - 1)
    if width < 1 or not z.any():
        return Tastes(np.zeros((z.shape[1], 0), dtype=np.float32))
    _, values, directions = svds(z, k=width, v0=np.ones(min(z.shape)))
    P = directions[values > 1e-6 * max(values.max(), 1e-12)].T
    length = np.sqrt(np.mean(np.sum((z @ P) ** 2, axis=1))) if P.size else 1.0
    return Tastes((P / max(length, 1e-12)).astype(np.float32))


def fold_in(prior: Matrix, buyers: Matrix, gram: Matrix, exposure: float) -> Matrix:
    """Return the vector (width,) of a product: what its content says, and its buyers on top.

    Args:
        prior: (width,) v_c.
        buyers: (buyers, width) their factors.
        gram: (width, width) QᵀQ of all shoppers.
        exposure: the share of them who were seen since the product's first event, 0..1.
    """
    if not len(buyers):
        return prior
    ridge = REFUSALS * exposure * gram + PRIOR * np.eye(len(prior)) + BUYERS * buyers.T @ buyers
    found: Matrix = prior + np.linalg.solve(ridge, BUYERS * buyers.T @ (1 - buyers @ prior))
    return found


def known_vectors(factors: Matrix, user_items: csr_array) -> Matrix:
    """Return the vectors (products, width) of known products by the same ridge, without a prior.

    Args:
        factors: (shoppers, width).
        user_items: (shoppers, products) their histories.
    """
    gram, columns = factors.T @ factors, csc_array(user_items)
    nothing = np.zeros(factors.shape[1])
    return np.array(
        [
            fold_in(nothing, factors[columns.indices[start:end]], gram, 1.0)
            for start, end in zip(columns.indptr[:-1], columns.indptr[1:], strict=True)
        ]
    ).reshape(user_items.shape[1], factors.shape[1])


def by_content(known: Matrix, content: NDArray[np.float32], others: NDArray[np.float32]) -> Matrix:
    """Return the vectors (others, width) that content says, by ridge on the known products.

    Args:
        known: (products, width) vectors.
        content: (products, dimensions) of the same.
        others: (others, dimensions) of those to say something of; 0 of one of which nothing is known.
    """
    A, B = (np.hstack([part, np.ones((len(part), 1))]) for part in (content, others))
    ridge = A.T @ A + CONTENT_L2 * len(A) * np.eye(A.shape[1])
    found: Matrix = B @ np.linalg.solve(ridge, A.T @ known)
    return found
