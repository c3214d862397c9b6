"""The three lists for a history, and how edits moved them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from recgan.core.errors import RecganError
from recgan.newcomers.assortment import Mask
from recgan.online.ordering import Applied
from recgan.serving.explorer.challenger import Contender
from recgan.serving.explorer.ruled import rules_shown, taken_out
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
from recgan.serving.ranking import Ranking
from recgan.serving.rules import RulesWatch
from recgan.serving.schema import MAX_K, Item

_Rank = Callable[[History, int, Mask | None, Applied | None], Ranking]
"""The list for a history by the rules of the shop, and so many items behind it."""


@dataclass(frozen=True)
class Standing:
    """Who answers now."""

    shown: ServedModel
    """Whose catalogue, shoppers and popularity are shown: the champion, or the challenger without one."""
    champion: ServedModel | None
    problem: str | None
    """Why there is no champion."""


def lists(
    request: ListsRequest,
    standing: Standing,
    contender: Contender,
    left_out: LeftOut | None = None,
    rules: RulesWatch | None = None,
) -> Lists:
    """Answer a history by champion, challenger and popularity.

    A model's list is what /recommend answers if that version is the champion. So each takes the stored
    history, the weights and the catalogue of its own package, and the rules of the shop. Of these popularity
    obeys what is never shown.

    Raises:
        RecganError: the package that is shown cannot filter.
    """
    shown, champion, rules = standing.shown, standing.champion, rules or RulesWatch()
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
        else _column(request, champion, _by_model(request, champion), _on(request, champion, rules)),
        challenger=_challenger(request, contender, rules),
        popularity=_column(request, shown, _by_popularity(request, shown), rules.alone(shown)),
        verdict=None
        if registered is None
        else Verdict(decision=registered.decision, reasons=list(registered.reasons)),
        rules=rules_shown(rules, shown),
        left_out=left_out,
    )


def _on(request: ListsRequest, served: ServedModel, rules: RulesWatch) -> Applied | None:
    return rules.on(served, request.user_id, request.categories)


def edited_history(request: ListsRequest, served: ServedModel) -> History:
    """Return the history that a request means."""
    return served.history(request.history, request.user_id, removed=request.removed)


def _is_edited(request: ListsRequest) -> bool:
    return bool(request.history or request.removed)


def _by_model(request: ListsRequest, served: ServedModel) -> _Rank:
    def rank(history: History, beyond: int, allowed: Mask | None, rules: Applied | None) -> Ranking:
        return served.rank(history, request.k, request.exclude_seen, allowed, beyond, rules)

    return rank


def _by_popularity(request: ListsRequest, served: ServedModel) -> _Rank:
    def rank(history: History, beyond: int, allowed: Mask | None, rules: Applied | None) -> Ranking:
        asked = (request.k, history.seen if request.exclude_seen else None, allowed, beyond)
        if rules is None:
            return Ranking(served.best(served.packaged.popularity, *asked), False)
        return served.by_rules(rules, served.packaged.popularity, *asked)

    return rank


def _challenger(request: ListsRequest, contender: Contender, rules: RulesWatch) -> Column:
    registered, served = contender.registered, contender.served
    version = None if registered is None else registered.version
    if contender.problem is not None:
        return Column(version=version, state="failed", message=contender.problem)
    if registered is None:
        return Column(version=None, state="none", message="No version challenges the champion.")
    if served is None:
        return Column(version=version, state="loading", message=f"Version {version} is being loaded.")
    try:
        return _column(request, served, _by_model(request, served), _on(request, served, rules))
    except RecganError as error:  # an older package cannot filter
        return Column(version=version, state="failed", message=str(error))


def _column(request: ListsRequest, served: ServedModel, rank: _Rank, rules: Applied | None) -> Column:
    allowed, unknown_categories = served.allowed(request)
    stored, history = served.history(None, request.user_id), edited_history(request, served)
    found = rank(history, 0, allowed, rules)
    items = found.items
    before: dict[str, int] = {}
    gone: list[Gone] = []
    if _is_edited(request):
        # Not the list of MAX_K: the new products' share of that lets in more of them.
        originally = rank(stored, MAX_K - request.k, allowed, rules).items
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
        fallback=found.fallback,
        items=[Ranked(**_shown(item, served), before=before.get(item.item_id)) for item in items],
        gone=gone,
        ruled=[] if rules is None else taken_out(served, rules, rank(history, 0, allowed, None), found),
        rules=found.rules,
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
