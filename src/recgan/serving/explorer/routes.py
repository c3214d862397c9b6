"""The explorer's page and what it asks: /explorer and /explorer/api/….

Endpoints are plain functions, which run in threads: a list takes longer than the event loop may wait. They
are not in the OpenAPI document, since they change with the page.
"""

import logging
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response

from recgan.accounts.published import target_path
from recgan.core import layout
from recgan.data.settings import EVENT_KINDS
from recgan.online.ordering import Bound
from recgan.serving.explorer.challenger import ChallengerWatch
from recgan.serving.explorer.experiment import experiment_router
from recgan.serving.explorer.left_out import LeftOutWatch, left_out
from recgan.serving.explorer.lists import Standing, edited_history, lists
from recgan.serving.explorer.schema import (
    MAX_CATEGORIES_SHOWN,
    Kind,
    KnownItem,
    Lists,
    ListsRequest,
    SearchRequest,
    Shopper,
    ShoppersRequest,
    State,
    Why,
    WhyRequest,
)
from recgan.serving.explorer.search import Indexes, categories
from recgan.serving.explorer.why import why
from recgan.serving.model import ServedModel
from recgan.serving.rules import RulesWatch
from recgan.serving.server import Exposure, may_see_histories

log = logging.getLogger(__name__)

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {
    # No script from elsewhere, none inline: a title that looks like a script could not run even as HTML.
    # Pictures alone may come from elsewhere: from the address that the shop gives of a product's.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: https:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def explorer(
    champion: Callable[[], ServedModel],
    name: str,
    root: Path = Path(),
    poll_seconds: float = 5.0,
    exposure: Exposure = "local",
    accounts: Path | None = None,
    rules: RulesWatch | None = None,
) -> APIRouter:
    """Make the routes.

    Args:
        champion: returns what answers now, or raises the HTTPException that says why nothing does.
        name: the registered model.
        root: the project.
        poll_seconds: the registry is asked for a challenger no more often than this.
        exposure: to whom histories are shown.
        accounts: the file of accounts that are left out of training; None looks beside the published lists.
        rules: of the shop; None for none.
    """
    indexes, challenger = Indexes(), ChallengerWatch(name, root, poll_seconds)
    shop = rules or RulesWatch()
    watch = LeftOutWatch(accounts or target_path(root / layout.RECOMMENDATIONS, name))
    page = {
        file.name: file.read_bytes()
        for file in files("recgan.serving.explorer").joinpath("page").iterdir()
        if Path(file.name).suffix in _TYPES
    }
    guards = [Depends(_by_address)] if exposure == "local" else []
    router = APIRouter(prefix="/explorer", include_in_schema=False, dependencies=guards)

    def file(name: str) -> Response:
        if name not in page:
            raise HTTPException(404, f"the explorer has no file {name!a}")
        return Response(page[name], media_type=_TYPES[Path(name).suffix], headers=_HEADERS)

    @router.get("")
    def start() -> Response:
        return file("index.html")

    router.include_router(experiment_router(name, root, _HEADERS))

    @router.get("/{name}")
    def part(name: str) -> Response:
        return file(name)

    api = APIRouter(prefix="/api", dependencies=[Depends(_never_stored)])

    def standing() -> Standing:
        try:
            served = champion()
        except HTTPException as error:
            # Nothing has passed the gate yet: then what was refused is what people want to see.
            contender = challenger.loaded()
            if contender.served is None:
                details = [str(error.detail), contender.problem]
                raise HTTPException(503, "; ".join(filter(None, details)), error.headers) from None
            return Standing(contender.served, None, str(error.detail))
        return Standing(served, served, None)

    def shown() -> ServedModel:
        return standing().shown

    @api.get("/state")
    def state() -> State:
        served = shown()
        packaged, settings = served.packaged, served.packaged.confidence
        weights = dict.fromkeys(EVENT_KINDS, 1.0) if settings is None else settings.weights
        named, left_out = categories(served, MAX_CATEGORIES_SHOWN)
        return State(
            model=served.model,
            shoppers=None if packaged.shoppers is None else len(packaged.shoppers.rows),
            items=len(packaged.item_ids),
            kinds=[Kind(event=one, weight=weights[one]) for one in EVENT_KINDS if weights.get(one, 0) > 0],
            binary=settings is None or settings.binary,
            min_rating=None if settings is None else settings.min_rating,
            categories=named,
            categories_left_out=left_out,
            prices=packaged.catalogue is not None
            and any(price is not None for price in packaged.catalogue.prices),
            left_out=0 if (published := watch.look()) is None else len(published.accounts),
        )

    @api.get("/shoppers")
    def shoppers(request: Annotated[ShoppersRequest, Query()]) -> list[Shopper]:
        index, published = indexes.of(shown()), watch.look()
        accounts = {} if published is None else published.accounts
        # A package knows nobody who was left out when it was trained; they are found all the same.
        of_package = [] if request.left_out else index.shoppers(request.q, request.limit)
        ids = dict.fromkeys([*(one.user_id for one in of_package), *watch.find(request.q, request.limit)])
        return [
            index.shopper(user_id).model_copy(update={"left_out": user_id in accounts})
            for user_id in list(ids)[: request.limit]
        ]

    @api.get("/shoppers/random")
    def random_shopper() -> Shopper:
        found = indexes.of(shown()).anyone()
        if found is None:
            raise HTTPException(404, f"the package of {name} knows no shopper with a history")
        return found

    @api.get("/items")
    def items(request: Annotated[SearchRequest, Query()]) -> list[KnownItem]:
        served = shown()
        found, bound = indexes.of(served).items(request.q, request.limit), shop.holding(served)
        return found if bound is None else [_with_rule(item, served, bound) for item in found]

    @api.post("/lists")
    def three_lists(request: ListsRequest) -> Lists:
        now = standing()
        account = left_out(watch.look(), request.user_id, now.shown)
        return lists(request, now, challenger.look(), account, shop)

    @api.post("/why")
    def explain(request: WhyRequest) -> Why:
        served = champion() if request.column == "champion" else challenger.look().served
        if served is None:
            raise HTTPException(503, "the challenger is not loaded", {"Retry-After": "5"})
        if not served.knows(request.item_id):
            raise HTTPException(404, f"version {served.model.version} knows no item {request.item_id!a}")
        allowed, _ = served.allowed(request)
        if (bound := shop.holding(served)) is not None:
            allowed = np.ones(len(served.item_ids), dtype=np.bool_) if allowed is None else allowed
            allowed[bound.hard] = False
        history = edited_history(request, served)
        try:
            return why(served, history, request.item_id, request.exclude_seen, allowed, request.k)
        except Exception as error:
            log.exception("version %s cannot say why", served.model.version)
            raise HTTPException(
                503, f"version {served.model.version} cannot answer: {type(error).__name__}: {error}"
            ) from None

    router.include_router(api)
    return router


def _with_rule(item: KnownItem, served: ServedModel, bound: Bound) -> KnownItem:
    position = served.position(item.item_id)
    rule = None if position is None else bound.why_left_out(position)
    return item.model_copy(update={"left_out": rule})


def _by_address(request: Request) -> None:
    """Refuse names: any page in this machine's browser could lend its own to 127.0.0.1 (DNS rebinding)."""
    host = request.headers.get("host", "")
    if not may_see_histories("local", host):
        raise HTTPException(
            403,
            f"the explorer is shown to this machine alone, as localhost or 127.0.0.1, not as {host!a}; "
            "recgan serve --explorer shows it to everyone who reaches the server",
        )


def _never_stored(response: Response) -> None:
    response.headers["Cache-Control"] = "no-store"
