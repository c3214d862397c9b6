"""Which discriminator: list length, form and regularisation, chosen on validation."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.features.matrices import HeldOut
from recgan.recommenders.two_stage.decided import Choice
from recgan.recommenders.two_stage.discriminator import Discriminator
from recgan.recommenders.two_stage.learning import learn
from recgan.recommenders.two_stage.lists import Lists
from recgan.recommenders.two_stage.settings import TwoStageParams

log = logging.getLogger(__name__)


def fit_as(
    choice: Choice, lists: Lists, seed: int, watched: Lists | None = None
) -> tuple[Discriminator, int]:
    """Fit a discriminator with chosen settings on lists; return it and its passes."""
    own = lists.first(choice.proposals)
    if not len(own.rows):
        raise RecganError(
            "the generator proposes nothing that came, so there is nothing to learn from; raise proposals "
            "or windows, or take another generator"
        )
    seen = None if watched is None else watched.first(choice.proposals)
    return learn(
        own.features(),
        own.came,
        own.there,
        l2=choice.l2,
        hidden=choice.hidden,
        epochs=choice.epochs,
        seed=seed,
        watched=None if seen is None or not len(seen.rows) else (seen.features(), seen.came, seen.there),
    )


def search(
    settings: TwoStageParams,
    lists: Lists,
    watched: Lists,
    proposed: Lists,
    window: HeldOut,
    validate: Callable[[Any], float],
    label: str,
) -> tuple[Choice, Discriminator, float]:
    """Return the best settings on validation, the discriminator fitted with them, and its NDCG.

    Args:
        settings: of the candidate.
        lists: to learn from.
        watched: lists of validation of the same make; their loss ends the passes.
        proposed: what the generator proposes for validation, to be put in order.
        window: validation.
        validate: NDCG of a recommender there.
        label: for the log.

    Raises:
        RecganError: nothing that came is among the lists.
    """

    def tried(asked: Choice) -> Trial:
        found, epochs = fit_as(asked, lists, settings.seed, watched)
        return found.judge(proposed.head(asked.proposals).features()), epochs, found

    choice, ndcg, found = _best(settings, tried, proposed, window, validate, label)
    assert found is not None
    return choice, found, ndcg


def search_in_halves(
    settings: TwoStageParams,
    lists: Lists,
    proposed: Lists,
    window: HeldOut,
    validate: Callable[[Any], float],
    label: str,
) -> tuple[Choice, Discriminator, float]:
    """Choose as `search` does where validation is all that there is to learn from.

    Each half of its shoppers is judged by a discriminator that learned from the other half alone. The one
    that is returned learned from both.

    Args:
        settings: of the candidate.
        lists: of validation, to learn from.
        proposed: what the generator proposes for validation, to be put in order.
        window: validation.
        validate: NDCG of a recommender there.
        label: for the log.

    Raises:
        RecganError: nothing that came is among the lists of one half.
    """
    half = np.random.default_rng(settings.seed).permutation(window.held_out.shape[0]) % 2
    learns, judged = half[lists.rows], half[proposed.rows]

    def tried(asked: Choice) -> Trial:
        features = proposed.head(asked.proposals).features()
        scores, passes = np.zeros(features.shape[:2], dtype=np.float32), []
        for one in (0, 1):
            found, epochs = fit_as(asked, lists.some(learns != one), settings.seed, lists.some(learns == one))
            scores[judged == one] = found.judge(features[judged == one])
            passes.append(epochs)
        return scores, round(sum(passes) / 2), None

    choice, ndcg, _ = _best(settings, tried, proposed, window, validate, label)
    return choice, fit_as(choice, lists, settings.seed)[0], ndcg


def search_both(
    settings: TwoStageParams,
    lists: tuple[Lists, Lists] | None,
    last: tuple[Lists, Lists],
    window: HeldOut,
    validate: Callable[[Any], float],
    label: str,
) -> list[tuple[Choice, Discriminator, float]]:
    """Return what the searches find for the generator's proposals and for fakes drawn uniformly.

    Args:
        settings: of the candidate.
        lists: of both, to learn from; None where validation is all that there is.
        last: of both, of validation.
        window: validation.
        validate: NDCG of a recommender there.
        label: for the log.
    """
    labels = label, f"{label} uniform"
    if lists is None:
        return [
            search_in_halves(settings, each, last[0], window, validate, name)
            for each, name in zip(last, labels, strict=True)
        ]
    return [
        search(settings, each, watched, last[0], window, validate, name)
        for each, watched, name in zip(lists, last, labels, strict=True)
    ]


Trial = tuple[NDArray[np.float32], int, Discriminator | None]
"""Scores of validation's proposals (rows, N), the passes, and the discriminator if it is one."""


def _best(
    settings: TwoStageParams,
    tried: Callable[[Choice], Trial],
    proposed: Lists,
    window: HeldOut,
    validate: Callable[[Any], float],
    label: str,
) -> tuple[Choice, float, Discriminator | None]:
    """Try all settings: the linear form chooses the list's length, the others are tried with that length."""
    best: tuple[float, Choice, Discriminator | None] | None = None
    n = settings.proposals[0]
    forms = [0, *(hidden for hidden in settings.hidden if hidden)]
    for hidden in forms:
        for length in settings.proposals if hidden == 0 else (n,):
            for l2 in settings.l2:
                asked = Choice(length, hidden, l2, settings.epochs if hidden else 0)
                scores, epochs, found = tried(asked)
                ndcg = validate(OnValidation(proposed, length, window, scores))
                log.info("%s: N %d, hidden %d, l2 %g: %.4f", label, length, hidden, l2, ndcg)
                if (
                    best is None
                    or ndcg > best[0]
                    or (best[1].hidden == 0 and hidden and 0 not in settings.hidden)
                ):
                    best = ndcg, Choice(length, hidden, l2, epochs), found
        assert best is not None
        n = best[1].proposals
    assert best is not None
    return best[1], best[0], best[2]


class OnValidation:
    """The proposals for validation in a discriminator's order, as a recommender of its histories alone.

    It saves scoring the catalogue for each trial. What is proposed beyond the judged length keeps the
    generator's order below it, as where it is served. Where nothing that came is in the list, no order of
    the list scores anything: what came is put last.
    """

    def __init__(self, lists: Lists, length: int, window: HeldOut, scores: NDArray[np.float32]) -> None:
        """Take the discriminator's scores (rows, length) of the first places of the lists."""
        judged = np.where(lists.head(length).there, scores, np.inf)
        above = judged - judged.min(axis=1, keepdims=True, initial=np.inf) + 2
        n = lists.ids.shape[1]
        self._scores = np.tile(1 - np.arange(n, dtype=np.float32) / (n + 1), (len(lists.ids), 1))
        self._scores[:, : above.shape[1]] = above
        self._ids = lists.ids
        keys = _keys(window.history, window.ages)
        self._place = {keys[row]: place for place, row in enumerate(lists.rows)}
        self._last: dict[bytes, list[NDArray[np.int32]]] = {}
        for row, key in enumerate(keys):
            if key not in self._place:
                came = window.held_out.indices[window.held_out.indptr[row] : window.held_out.indptr[row + 1]]
                self._last.setdefault(key, []).append(came)

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Score all items for histories of validation (rows, items)."""
        found = np.zeros(user_items.shape, dtype=np.float32)
        for row, key in enumerate(_keys(user_items, ages)):
            if key in self._place:
                place = self._place[key]
                there = self._ids[place] >= 0
                found[row, self._ids[place][there]] = self._scores[place][there]
            else:
                found[row, np.concatenate(self._last[key])] = -1
        return found


def _keys(user_items: csr_array, ages: csr_array | None) -> list[bytes]:
    """Return each history as bytes, equal for equal histories."""
    indices, values = user_items.indices.astype(np.int32), user_items.data.astype(np.float32)
    days = None if ages is None else ages.data.astype(np.float32)
    return [
        indices[low:high].tobytes()
        + values[low:high].tobytes()
        + (b"" if days is None else days[low:high].tobytes())
        for low, high in zip(user_items.indptr[:-1], user_items.indptr[1:], strict=True)
    ]
