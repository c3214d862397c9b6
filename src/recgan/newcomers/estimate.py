"""The new products of a log as weights for one package: who bought them so far, and what they are."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.newcomers.log import Log, histories, positions_in
from recgan.newcomers.tastes import Matrix, Standing, by_content, fit_tastes, fold_in, known_vectors
from recgan.newcomers.weights import Newcomers, Origin, texts
from recgan.package.packaged import Catalogue, PackagedRecommender
from recgan.recommenders.feature_gan.item_vectors import fit_content

LIMIT = 1_000
"""Most new products of a file: those that most shoppers are predicted to take. A log may hold many thousands
of products that were too rare for the vocabulary, and will be."""
_SHOPPERS, _CELLS = 4_000, 2**25  # whose scores make the tastes, and how many scores that may be
_BLOCK = 2**24  # scores at a time
_STAND_INS = 5
_TOKENS, _TOKEN_ITEMS, _CONTENT, _CONTENT_L2 = 2_000, 3, 64, 0.05  # of the content, as examples/shop.yaml's


@dataclass(frozen=True)
class Found:
    """What is known of the new products at an instant."""

    codes: NDArray[np.intp]
    """(new,) places in `Log.item_ids`."""
    vectors: Matrix
    """(new, width + 1)"""
    buyers: NDArray[np.int32]
    """(pairs,) places in `Log.user_ids`: who had one, once for each product."""
    bought: NDArray[np.int32]
    """(pairs,) the products of the same pairs, as places in `codes`."""


class Estimator:
    """Tell of any instant of a log what is known of the products that a package does not know."""

    def __init__(self, packaged: PackagedRecommender, log: Log, since: int) -> None:
        """Find the tastes, and the known products among them.

        Args:
            packaged: whose vocabulary says which products are known.
            log: events.
            since: microseconds UTC; the shoppers' histories before it make the tastes.

        Raises:
            RecganError: or whatever else the recommender raises.
        """
        self.packaged, self.log = packaged, log
        self.n_known = len(packaged.item_ids)
        self.positions = positions_in(log, packaged.positions)
        shoppers = np.unique(log.users[: log.before(since) or len(log.users)])
        most = max(2, min(_SHOPPERS, _CELLS // max(self.n_known, 1)))
        shoppers = shoppers[:: -(-len(shoppers) // most)]
        user_items, ages = self.histories(shoppers, since)
        scores = np.vstack(list(self._scores(user_items, ages)))
        self.tastes = fit_tastes(scores)
        factors = self.tastes.factors(scores).astype(np.float64)
        self._gram = factors.T @ factors / len(factors)
        self._mean_factors = factors.mean(axis=0)
        self.known = known_vectors(factors, user_items)
        described = pd.DataFrame({"item_id": packaged.item_ids.astype(str)}).merge(
            log.table, on="item_id", how="left", validate="many_to_one"
        )
        self.standing = Standing.of(self.tastes, self.known)
        content = fit_content(described, _TOKENS, _TOKEN_ITEMS, _CONTENT, _CONTENT_L2)
        everything = pd.DataFrame({"item_id": log.item_ids.astype(str)}).merge(
            log.table, on="item_id", how="left", validate="many_to_one"
        )
        self.described = everything
        self._prior = by_content(self.known, content.vectors(described), content.vectors(everything))
        """(items of the log, width + 1) what content says of each."""

    def histories(self, users: NDArray[np.int32], until: int) -> tuple[csr_array, csr_array]:
        """Return confidences and ages (rows, known) of shoppers before an instant."""
        return histories(self.log, self.positions, self.n_known, users, until, self.packaged.confidence)

    def scores(self, users: NDArray[np.int32], until: int) -> tuple[NDArray[np.float32], csr_array]:
        """Return the scores (rows, known) of shoppers as of an instant, and their histories."""
        user_items, ages = self.histories(users, until)
        return np.vstack(list(self._scores(user_items, ages))), user_items

    def at(self, until: int) -> Found:
        """Estimate the vectors of all products outside the vocabulary with an event before an instant.

        Args:
            until: microseconds UTC.
        """
        log, end = self.log, self.log.before(until)
        users, items, times = log.users[:end], log.items[:end], log.times[:end]
        outside = self.positions[items] < 0
        codes, first = np.unique(items[outside], return_index=True)  # the earliest event comes first
        born = times[outside][first]
        last = np.full(len(log.user_ids), np.iinfo(np.int64).min)
        np.maximum.at(last, users, times)
        seen = np.sort(last[np.unique(users)])
        exposures = 1 - np.searchsorted(seen, born) / max(len(seen), 1)
        pairs = np.unique(np.searchsorted(codes, items[outside]) * len(log.user_ids) + users[outside])
        bought, buyers = np.divmod(pairs, len(log.user_ids))
        who, place = np.unique(buyers, return_inverse=True)
        factors = self._factors(who.astype(np.int32), until)
        starts = np.searchsorted(bought, np.arange(len(codes) + 1))
        gram = self._gram * len(seen)
        vectors = np.array(
            [
                fold_in(
                    self._prior[code], factors[place[starts[new] : starts[new + 1]]], gram, exposures[new]
                )
                for new, code in enumerate(codes)
            ]
        ).reshape(len(codes), len(gram))
        promising = np.argsort(-(vectors @ self._mean_factors), kind="stable")[:LIMIT]
        at = np.full(len(codes), -1, dtype=np.int32)
        at[promising] = np.arange(len(promising))
        listed = at[bought] >= 0
        return Found(
            codes[promising].astype(np.intp),
            vectors[promising],
            buyers[listed].astype(np.int32),
            at[bought[listed]],
        )

    def placed(self, found: Found, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Score what was found (rows, new) beside rows of the recommender's scores, without a lift."""
        return self.standing.score(scores, found.vectors.astype(np.float32), 0.0)

    def newcomers(self, found: Found, origin: Origin, lift: float, max_share: float) -> Newcomers:
        """Return the weights of what was found."""
        rows = self.described.iloc[found.codes]
        owners: dict[str, list[int]] = {}
        for buyer, new in zip(found.buyers.tolist(), found.bought.tolist(), strict=True):
            owners.setdefault(str(self.log.user_ids[buyer]), []).append(new)
        prices = rows["price"].to_numpy(dtype=np.float64)
        stand_ins, shares = self._stand_ins(found.vectors)
        return Newcomers(
            origin=origin,
            item_ids=[str(self.log.item_ids[code]) for code in found.codes],
            catalogue=Catalogue(
                texts(rows["title"].tolist()),
                texts(rows["category"].tolist()),
                [float(price) if np.isfinite(price) else None for price in prices],
                images if any(images := texts(rows["image_url"].tolist())) else None,
                brands if any(brands := texts(rows["brand"].tolist())) else None,
            ),
            standing=self.standing,
            vectors=found.vectors.astype(np.float32),
            lift=lift,
            max_share=max_share,
            stand_ins=stand_ins,
            stand_in_shares=shares,
            owners=owners,
        )

    def _stand_ins(self, vectors: Matrix) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the known products nearest to each new one, and their shares by cosine."""
        mean = self.known.mean(axis=0)  # without it, the most popular would be near to all
        known, new = self.known - mean, vectors - mean
        lengths = [np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12) for part in (known, new)]
        cosines = (new / lengths[1]) @ (known / lengths[0]).T
        nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :_STAND_INS]
        near = np.maximum(np.take_along_axis(cosines, nearest, axis=1), 0)
        total = near.sum(axis=1, keepdims=True)
        shares = np.divide(near, total, out=np.zeros_like(near), where=total > 0)
        return nearest.astype(np.int32), shares.astype(np.float32)

    def _factors(self, users: NDArray[np.int32], until: int) -> Matrix:
        user_items, ages = self.histories(users, until)
        parts = [self.tastes.factors(scores) for scores in self._scores(user_items, ages)]
        return np.vstack(parts).astype(np.float64)

    def _scores(self, user_items: csr_array, ages: csr_array) -> Iterator[NDArray[np.float32]]:
        """Yield the recommender's scores, a block of rows at a time."""
        block = max(1, min(1024, _BLOCK // max(self.n_known, 1)))
        for start in range(0, max(user_items.shape[0], 1), block):
            part = slice(start, start + block)
            yield self.packaged.recommender.score(user_items[part], ages[part])
