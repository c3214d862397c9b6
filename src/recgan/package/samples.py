"""A few shoppers with what the champion would show them, in words: the first look at a new champion."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from recgan.package.packaged import PackagedRecommender
from recgan.package.store import load_champion
from recgan.recommenders.protocol import recommend

_LEAST, _MOST = 3, 30  # products in the history of a shopper that is shown
_WIDTH = 44  # characters of a title


def samples(root: Path, name: str, exclude_seen: bool, shoppers: int = 3, k: int = 5) -> list[str]:
    """Return lines that show some shoppers' histories and what the champion recommends to them.

    The shoppers are spread evenly over all with a history of some length; the same champion gives the same
    lines. Somebody of whom nothing is known comes last.

    Args:
        root: the project.
        name: of the registered model.
        exclude_seen: leave out the items of the history.
        shoppers: how many with a history.
        k: items for each.

    Raises:
        RecganError: there is no champion, or its package cannot be read.
    """
    packaged = load_champion(root, name).packaged
    lines = [f"What {name}'s champion recommends, for example:"]
    for who, history, shown in _asked(packaged, exclude_seen, shoppers, k):
        lines += [f"  {who}", f"    had:  {_words(packaged, history)}" if history else "    had nothing yet"]
        lines += [f"    {place}. {_words(packaged, [item])}" for place, item in enumerate(shown, 1)]
    return lines


def _asked(
    packaged: PackagedRecommender, exclude_seen: bool, shoppers: int, k: int
) -> Iterator[tuple[str, list[int], list[int]]]:
    """Yield who it is, the positions of the history, the largest confidence first, and those recommended."""
    known = packaged.shoppers
    if known is not None:
        lengths = np.diff(known.user_items.indptr)
        ids = list(known.rows)
        some = [row for row in known.rows.values() if _LEAST <= lengths[row] <= _MOST]
        for row in [some[len(some) * one // shoppers] for one in range(min(shoppers, len(some)))]:
            history = known.user_items[[row]]
            ages = None if known.ages is None else known.ages[[row]]
            ids_shown, _ = recommend(packaged.recommender, history, k, exclude_seen, ages=ages)
            best = np.argsort(-history.data, kind="stable")[:3]
            yield f"shopper {ids[row]}", history.indices[best].tolist(), _there(ids_shown)
    nobody = packaged.matrices([[]])[0]
    yield "a new shopper", [], _there(recommend(packaged.recommender, nobody, k)[0])


def _there(ranking: np.ndarray[tuple[int, ...], np.dtype[np.int32]]) -> list[int]:
    return [int(item) for item in ranking[0] if item >= 0]


def _words(packaged: PackagedRecommender, items: list[int]) -> str:
    return ", ".join(_title(packaged, item) for item in items)


def _title(packaged: PackagedRecommender, item: int) -> str:
    title = None if packaged.catalogue is None else packaged.catalogue.titles[item]
    shown = " ".join((title or "").split())
    shown = f"{shown[: _WIDTH - 1]}…" if len(shown) > _WIDTH else shown
    return f"{shown} ({packaged.item_ids[item]})" if shown else str(packaged.item_ids[item])
