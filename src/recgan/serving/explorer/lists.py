"""The three lists for a history, and how edits moved them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from recgan.core.errors import RecganError
from recgan.serving.explorer.challenger import Contender
from recgan.serving.explorer.schema import (
    MAX_STORED_SHOWN,
    Added,
    Column,
    Gone,
    LeftOut,
    Lists,
    ListsRequest,
    Ranked,
    Stored,
    Verdict,
)
from recgan.serving.explorer.search import known
from recgan.serving.histories import History
from recgan.serving.model import ServedModel
from recgan.serving.ordering import Mask
from recgan.serving.schema import MAX_K, Item

_Rank = Callable[[History, int, Mask | None], tuple[list[Item], bool]]
"""The list for a history, and so many items behind it."""


@dataclass(frozen=True)
class Standing:
    """Who answers now."""

    shown: ServedModel
    """Whose catalogue, shoppers and popularity are shown: the champion, or the challenger without one."""
    champion: ServedModel | None
    problem: str | None
    """Why there is no champion."""


def lists(
    request: ListsRequest, standing: Standing, contender: Contender, left_out: LeftOut | None = None
) -> Lists:
    """Answer a history by champion, challenger and popularity.

    A model's list is what /recommend answers if that version is the champion. So each takes the stored
    history, the weights and the catalogue of its own package.

    Raises:
        RecganError: the package that is shown cannot filter.
    """
    shown, champion = standing.shown, standing.champion
    stored = shown.history(None, request.user_id)
    removed = set(request.removed)
    packaged = shown.packaged
    order = sorted(
        range(len(stored.positions)),
        key=lambda at: (-stored.confidences[at], -packaged.popularity[stored.positions[at]]),
    )
    listed = [
        Stored(
            **known(shown, int(stored.positions[at])).model_dump(),
            confidence=float(stored.confidences[at]),
            removed=packaged.item_ids[stored.positions[at]] in removed,
        )
        for at in order[:MAX_STORED_SHOWN]
    ]
    registered = contender.registered
    return Lists(
        model=shown.model,
        user_known=stored.user_known,
        stored=listed,
        stored_left_out=len(order) - len(listed),
        added=[_added(request, shown, number) for number in range(len(request.history or ()))],
        edited=_is_edited(request),
        champion=Column(version=None, state="none", message=standing.problem)
        if champion is None
        else _column(request, champion, _by_model(request, champion)),
        challenger=_challenger(request, contender),
        popularity=_column(request, shown, _by_popularity(request, shown)),
        verdict=None
        if registered is None
        else Verdict(decision=registered.decision, reasons=list(registered.reasons)),
        left_out=left_out,
    )


def edited_history(request: ListsRequest, served: ServedModel) -> History:
    """Return the history that a request means."""
    return served.history(request.history, request.user_id, removed=request.removed)


def _is_edited(request: ListsRequest) -> bool:
    return bool(request.history or request.removed)


def _by_model(request: ListsRequest, served: ServedModel) -> _Rank:
    def rank(history: History, beyond: int, allowed: Mask | None) -> tuple[list[Item], bool]:
        ranking = served.rank(history, request.k, request.exclude_seen, allowed, beyond)
        return ranking.items, ranking.fallback

    return rank


def _by_popularity(request: ListsRequest, served: ServedModel) -> _Rank:
    def rank(history: History, beyond: int, allowed: Mask | None) -> tuple[list[Item], bool]:
        seen = history.seen if request.exclude_seen else None
        return served.best(served.packaged.popularity, request.k, seen, allowed, beyond), False

    return rank


def _challenger(request: ListsRequest, contender: Contender) -> Column:
    registered, served = contender.registered, contender.served
    version = None if registered is None else registered.version
    if contender.problem is not None:
        return Column(version=version, state="failed", message=contender.problem)
    if registered is None:
        return Column(version=None, state="none", message="No version challenges the champion.")
    if served is None:
        return Column(version=version, state="loading", message=f"Version {version} is being loaded.")
    try:
        return _column(request, served, _by_model(request, served))
    except RecganError as error:  # an older package cannot filter
        return Column(version=version, state="failed", message=str(error))


def _column(request: ListsRequest, served: ServedModel, rank: _Rank) -> Column:
    allowed, unknown_categories = served.allowed(request)
    stored, history = served.history(None, request.user_id), edited_history(request, served)
    items, fallback = rank(history, 0, allowed)
    before: dict[str, int] = {}
    gone: list[Gone] = []
    if _is_edited(request):
        # Not the list of MAX_K: the new products' share of that lets in more of them.
        originally, _ = rank(stored, MAX_K - request.k, allowed)
        before = {item.item_id: place for place, item in enumerate(originally, start=1)}
        still = {item.item_id for item in items}
        seen = set(served.item_ids[history.seen].tolist()) if request.exclude_seen else set()
        gone = [
            Gone(**_shown(item, served), before=before[item.item_id], seen=item.item_id in seen)
            for item in originally[: request.k]
            if item.item_id not in still
        ]
    return Column(
        version=served.model.version,
        state="ready",
        fallback=fallback,
        items=[Ranked(**_shown(item, served), before=before.get(item.item_id)) for item in items],
        gone=gone,
        unknown_items=list(history.unknown_items),
        unknown_categories=unknown_categories,
        stored=len(stored.positions),
    )


def _shown(item: Item, served: ServedModel) -> dict[str, Any]:
    position = served.position(item.item_id)
    picture = None if position is None else served.picture(position)
    return item.model_dump() | {"image_url": picture}


def _added(request: ListsRequest, served: ServedModel, number: int) -> Added:
    assert request.history is not None
    event = request.history[number]
    worth, position = served.history([event]).confidences, served.position(event.item_id)
    return Added(
        item=None if position is None else known(served, position),
        item_id=event.item_id,
        event=event.event,
        value=event.value,
        worth=float(worth.sum()),
    )
