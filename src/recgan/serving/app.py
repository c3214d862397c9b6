"""The HTTP interface.

A fast model answers on the event loop: handing so little work to a thread costs more. One that takes
milliseconds answers in a thread beside it, so that /health and /ready do not wait for it.
"""

import gc
import logging
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException

from recgan.accounts.published import target_path as accounts_path
from recgan.core.environment import configure
from recgan.core.errors import RecganError
from recgan.newcomers.assortment import Mask
from recgan.newcomers.file import VARIABLE as NEWCOMERS
from recgan.newcomers.file import target_path
from recgan.newcomers.weights import Newcomers
from recgan.online.ordering import Applied
from recgan.serving.answers import (
    ASKED,
    FALLBACK_HEADER,
    NOT_JSON,
    RETRY_AFTER,
    VERSION_HEADER,
    Responses,
    beyond_the_model,
    http_exception,
    listed_share,
    not_allowed,
    unprocessable,
)
from recgan.serving.champion import ChampionWatch
from recgan.serving.experiments import Given
from recgan.serving.exploration import Exploration
from recgan.serving.explorer.routes import explorer
from recgan.serving.histories import History
from recgan.serving.impressions import ImpressionLog, feedback_router
from recgan.serving.intake import Intake
from recgan.serving.metrics import Metrics
from recgan.serving.model import ServedModel
from recgan.serving.ranking import Ranking
from recgan.serving.rules import RulesWatch, settled
from recgan.serving.rules_routes import rules_router
from recgan.serving.schema import (
    MAX_BODY,
    Problem,
    RecommendAnswer,
    RecommendRequest,
    RulesInForce,
    SimilarAnswer,
    SimilarQuery,
    SimilarRequest,
)
from recgan.serving.server import Exposure, allowed_hosts, check_tokens
from recgan.serving.state import state_router

SLOW = 0.003
"""Seconds of the recommender from which on it answers beside the event loop."""
SWITCH_SECONDS = 0.0005
"""For which a thread beside the requests, such as one that logs, keeps the interpreter while they wait."""


def app() -> FastAPI:
    """Make the app from the environment that `recgan serve` sets; for uvicorn."""
    configure()
    check_tokens()
    sys.setswitchinterval(SWITCH_SECONDS)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    logging.getLogger("recgan").setLevel(logging.INFO)
    asked = os.environ.get("RECGAN_SERVE_EXPLORER")
    return create_app(
        os.environ.get("RECGAN_SERVE_NAME", "recgan"),
        poll_seconds=float(os.environ.get("RECGAN_SERVE_POLL_SECONDS", "5")),
        exposure="any" if asked == "any" else "local" if asked == "local" else "none",
        freeze=True,
        hosts=allowed_hosts(),
        newcomers=Path(named) if (named := os.environ.get(NEWCOMERS)) else None,
        impressions=Path(kept) if (kept := os.environ.get("RECGAN_SERVE_IMPRESSIONS")) else None,
        exploration=Exploration.of_environment(),
        rules=Path(shop) if (shop := os.environ.get("RECGAN_SERVE_RULES")) else None,
    )


def create_app(
    name: str,
    root: Path = Path(),
    poll_seconds: float = 5.0,
    exposure: Exposure = "none",
    freeze: bool = False,
    hosts: tuple[str, ...] | None = None,
    newcomers: Path | None = None,
    impressions: Path | None = None,
    exploration: Exploration | None = None,
    rules: Path | None = None,
) -> FastAPI:
    """Make the app for a registered model; its champion is loaded when the app starts.

    Args:
        name: the registered model.
        root: the project.
        poll_seconds: between two looks at the alias.
        exposure: who may see histories, in the explorer and from /recommend.
        freeze: keep the garbage collector off what is there when the first request is taken: going through
            all of it stops every request for a fifth of a second.
        hosts: by which the server may be asked; None for any.
        newcomers: the file of new products; None looks beside the published recommendations. That of accounts
            that are left out of training stands beside it.
        impressions: the folder where answers and feedback are logged; None logs none, and takes no feedback.
        exploration: draws lists by chance; None draws none.
        rules: the file of the shop's rules, which need not be there; None has none, and takes none.
    """
    metrics = Metrics()
    logged = None if impressions is None else ImpressionLog(impressions, metrics)
    exploring = exploration or Exploration(None)

    def swapped(served: ServedModel) -> None:
        metrics.version.set(int(served.model.version))
        metrics.swaps.inc()
        shop.meet(served)

    def renewed(new: Newcomers | None) -> None:
        metrics.newcomers.set(0 if new is None else len(new))
        metrics.newcomers_until.set(0 if new is None else new.origin.until.timestamp())

    watch = ChampionWatch(
        name,
        root,
        poll_seconds,
        swapped,
        metrics.problems.inc,
        metrics.looked.set_to_current_time,
        newcomers or target_path(root, name),
        renewed,
    )

    def ruled(found: RulesInForce) -> None:
        metrics.rules.set(found.rules)
        metrics.rules_broken.set(found.problem is not None)

    shop = RulesWatch(rules, poll_seconds, ruled)

    def refused(status: int) -> None:
        metrics.refused.labels(str(status)).inc()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        # Before the first request is taken: with several workers, one that is not ready would answer 503.
        await to_thread.run_sync(watch.look)
        if freeze:
            gc.collect()
            gc.freeze()
        with logged or nullcontext(), shop:  # first the log, which refuses to be begun twice
            watch.start()
            yield {"refused": refused}  # for connections, which end before they are requests
        watch.stop()

    # The pages of /docs load scripts from a public network; the document itself is at /openapi.json.
    app = FastAPI(
        title="recgan",
        summary="Recommendations of the champion.",
        version="1",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # Prometheus reads ours
    )
    app.state.watch, app.state.metrics = watch, metrics
    app.add_middleware(Intake, metrics=metrics, max_body=MAX_BODY, allowed_hosts=hosts)
    app.add_exception_handler(RequestValidationError, unprocessable)
    app.add_exception_handler(RecganError, beyond_the_model)
    app.add_exception_handler(StarletteHTTPException, http_exception)
    app.add_exception_handler(405, not_allowed)

    beside = CapacityLimiter(1)  # more threads would take the cores of other workers

    async def ranked(
        served: ServedModel,
        history: History,
        k: int,
        exclude_seen: bool,
        allowed: Mask | None,
        applied: Applied | None,
    ) -> Ranking:
        asked = (history, k, exclude_seen, allowed, 0, applied)
        if served.takes(len(history.positions)) < SLOW:
            return served.rank(*asked)
        return await to_thread.run_sync(served.rank, *asked, limiter=beside)

    def champion() -> ServedModel:
        served = watch.serving
        if served is None:
            raise HTTPException(503, watch.problem, {"Retry-After": RETRY_AFTER})
        return served

    def answered(served: ServedModel, ranking: Ranking, answer: BaseModel) -> Response:
        headers = {VERSION_HEADER: served.model.version}
        if ranking.fallback:
            metrics.fallbacks.inc()
            headers[FALLBACK_HEADER] = "true"
        # As it is: validating our own answer again takes longer than making it.
        return Response(answer.model_dump_json(), media_type="application/json", headers=headers)

    @app.post("/recommend", response_model=RecommendAnswer, responses=ASKED | NOT_JSON)
    async def recommend(request: RecommendRequest, asked: Request) -> Response:
        """Recommend for a history of events, a known shopper, or both together."""
        began, served = time.perf_counter(), champion()
        share = listed_share(request, asked, exposure)

        async def draw(by: ServedModel, explore: bool) -> Given:
            applied = shop.on(by, request.user_id, request.categories, plain=share is not None)
            most = None if share is None else by.listed(share, applied)
            k = request.k if most is None else min(request.k, most)
            allowed, unknown_categories = by.allowed(request)
            history = by.history(request.history, request.user_id)
            wide = exploring.candidates(k, most) if explore else None  # None for most requests
            asked_for = (by, history, wide or k, request.exclude_seen, allowed)
            if wide is None:
                ranking = await ranked(*asked_for, applied)
            else:
                best = await ranked(*asked_for, applied and applied.unordered())
                ranking = settled(by, applied, best, exploring.draw(best, k, by.new_share), k)
            return Given(by, k, history, ranking, unknown_categories)

        given = await watch.experiments.answered(served, request.user_id, draw)
        request_id = None if logged is None else logged.shown(request, given, began)
        if share is None:
            shop.answered(request.user_id, request_id, given.ranking)
        answer = RecommendAnswer(
            request_id=request_id,
            model=given.served.model,
            items=given.ranking.items,
            rules=given.ranking.rules,
            fallback=given.ranking.fallback,
            unknown_items=list(given.history.unknown_items),
            events_left_out=given.history.events_left_out,
            user_known=given.history.user_known,
            unknown_categories=given.unknown_categories,
        )
        return answered(given.served, given.ranking, answer)

    async def similar_to(request: SimilarRequest) -> Response:
        served = champion()
        if not served.knows(request.item_id):
            raise HTTPException(
                404, f"version {served.model.version} of {name} knows no item {request.item_id!a}"
            )
        allowed, unknown_categories = served.allowed(request)
        ranking = await ranked(
            served, served.item(request.item_id), request.k, True, allowed, shop.alone(served)
        )
        answer = SimilarAnswer(
            model=served.model,
            items=ranking.items,
            fallback=ranking.fallback,
            item_id=request.item_id,
            unknown_categories=unknown_categories,
        )
        return answered(served, ranking, answer)

    unknown_item: Responses = {404: {"model": Problem, "description": "The model does not know the item."}}

    @app.get("/similar", response_model=SimilarAnswer, responses=ASKED | unknown_item)
    async def similar(request: Annotated[SimilarQuery, Query()]) -> Response:
        """Find the items nearest to one: what the model recommends for a history of it alone."""
        return await similar_to(request)

    @app.post("/similar", response_model=SimilarAnswer, responses=ASKED | NOT_JSON | unknown_item)
    async def similar_by_post(request: SimilarRequest) -> Response:
        """Find the items nearest to one: what the model recommends for a history of it alone."""
        return await similar_to(request)

    app.include_router(state_router(name, exposure, watch, metrics, shop))
    if logged is not None:
        app.include_router(feedback_router(logged, shop.came))
    if rules is not None:
        app.include_router(rules_router(shop, lambda: watch.serving, exposure))
    if exposure != "none":
        accounts = accounts_path((newcomers or target_path(root, name)).parent, name)
        app.include_router(explorer(champion, name, root, poll_seconds, exposure, accounts, shop))
    return app
