"""Finding shoppers and items by a part of their words: one scan over one string."""

import random
import threading
from collections.abc import Iterable
from itertools import islice

import numpy as np

from recgan.serving.explorer.schema import KnownItem, Shopper
from recgan.serving.model import ServedModel


class Lines:
    """Texts to be searched, whatever their case. Fields of a text are parted by tabs."""

    def __init__(self, texts: Iterable[str]) -> None:
        lines = [text.casefold().replace("\n", " ") for text in texts]
        lengths = np.array([len(line) + 1 for line in lines], dtype=np.int64)
        self._starts = 1 + np.cumsum(lengths) - lengths
        self._all = "\n" + "\n".join(lines) + "\n"

    def find(self, q: str, limit: int) -> list[int]:
        """Return which texts contain q: first those with a field that is q or begins with it."""
        q = " ".join(q.casefold().split())
        if not q:
            return list(range(min(limit, len(self._starts))))
        found: dict[int, None] = {}
        for part in (f"\n{q}\n", f"\n{q}\t", f"\n{q}", f"\t{q}", q):
            at = self._all.find(part)
            while at >= 0 and len(found) < limit:
                # A line break at the beginning of a part stands before its line.
                line = int(np.searchsorted(self._starts, at + (part[0] == "\n"), side="right")) - 1
                found[line] = None
                at = -1 if line + 1 == len(self._starts) else self._all.find(part, self._starts[line + 1] - 1)
        return list(found)


class Index:
    """Shoppers and items of one version; items stand in the order of their popularity, the new ones last."""

    def __init__(self, served: ServedModel) -> None:
        self.served = served
        packaged = served.packaged
        self._user_ids = [] if packaged.shoppers is None else list(packaged.shoppers.rows)
        self._sizes = (
            np.zeros(0, dtype=np.int64)
            if packaged.shoppers is None
            else np.diff(packaged.shoppers.user_items.indptr)
        )
        self._shoppers = Lines(user_id.replace("\t", " ") for user_id in self._user_ids)
        new = np.arange(len(packaged.item_ids), len(served.item_ids))
        self._popular = np.concatenate([np.argsort(-packaged.popularity, kind="stable"), new])
        described = (served.described(position) for position in self._popular.tolist())
        self._items = Lines(
            "\t".join(
                field.replace("\t", " ")
                for field in (item.item_id, item.title, item.category)
                if field is not None
            )
            for item in described
        )

    def shoppers(self, q: str, limit: int) -> list[Shopper]:
        """Find shoppers by a part of their id."""
        return [self._shopper(row) for row in self._shoppers.find(q, limit)]

    def shopper(self, user_id: str) -> Shopper:
        """Return a shopper by the whole id; one that the package does not know has no items."""
        shoppers = self.served.packaged.shoppers
        row = None if shoppers is None else shoppers.rows.get(user_id)
        return Shopper(user_id=user_id, items=0) if row is None else self._shopper(row)

    def anyone(self) -> Shopper | None:
        """Return a shopper at random, one with a history; None where there is none."""
        rows = np.flatnonzero(self._sizes)
        return self._shopper(int(random.choice(rows))) if len(rows) else None

    def items(self, q: str, limit: int) -> list[KnownItem]:
        """Find items by a part of id, title or category, the most popular first."""
        return [known(self.served, int(self._popular[line])) for line in self._items.find(q, limit)]

    def _shopper(self, row: int) -> Shopper:
        return Shopper(user_id=self._user_ids[row], items=int(self._sizes[row]))


class Indexes:
    """The index of the version that was asked for last; made once, at the first question."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._index: Index | None = None

    def of(self, served: ServedModel) -> Index:
        """Return the version's index."""
        with self._lock:
            if self._index is None or self._index.served is not served:
                self._index = Index(served)
            return self._index


def known(served: ServedModel, position: int) -> KnownItem:
    """Return what the shop says of an item."""
    described = served.described(position).model_dump(exclude={"score", "rule"})
    return KnownItem(**described, image_url=served.picture(position))


def categories(served: ServedModel, limit: int) -> tuple[list[str], int]:
    """Return the categories with the most items by name, and how many others there are."""
    counts: dict[str, int] = {}
    catalogue = served.packaged.catalogue
    for category in () if catalogue is None else catalogue.categories:
        if category is not None:
            counts[category] = counts.get(category, 0) + 1
    most = sorted(counts, key=lambda category: (-counts[category], category))
    return sorted(islice(most, limit)), max(len(counts) - limit, 0)
