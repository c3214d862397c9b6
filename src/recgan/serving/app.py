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
from fastapi.responses import RedirectResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException

from recgan.accounts.published import target_path as accounts_path
from recgan.core.environment import configure
from recgan.core.errors import RecganError
from recgan.newcomers.file import VARIABLE as NEWCOMERS
from recgan.newcomers.file import target_path
from recgan.newcomers.weights import Newcomers
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
    start_page,
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
from recgan.serving.model import Mask, ServedModel
from recgan.serving.ranking import Ranking
from recgan.serving.schema import (
    MAX_BODY,
    Health,
    Problem,
    Readiness,
    RecommendAnswer,
    RecommendRequest,
    SimilarAnswer,
    SimilarQuery,
    SimilarRequest,
)
from recgan.serving.server import Exposure, allowed_hosts, may_see_histories

SLOW = 0.001
"""Seconds of the recommender from which on it answers beside the event loop."""


def app() -> FastAPI:
    """Make the app from the environment that `recgan serve` sets; for uvicorn."""
    configure()
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
    """
    metrics = Metrics()
    logged = None if impressions is None else ImpressionLog(impressions, metrics)
    exploring = exploration or Exploration(None)

    def swapped(served: ServedModel) -> None:
        metrics.version.set(int(served.model.version))
        metrics.swaps.inc()

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

    def refused(status: int) -> None:
        metrics.refused.labels(str(status)).inc()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        # Before the first request is taken: with several workers, one that is not ready would answer 503.
        await to_thread.run_sync(watch.look)
        if freeze:
            gc.collect()
            gc.freeze()
        watch.start()
        with logged or nullcontext():
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
    )
    app.state.watch, app.state.metrics = watch, metrics
    app.add_middleware(Intake, metrics=metrics, max_body=MAX_BODY, allowed_hosts=hosts)
    app.add_exception_handler(RequestValidationError, unprocessable)
    app.add_exception_handler(RecganError, beyond_the_model)
    app.add_exception_handler(StarletteHTTPException, http_exception)
    app.add_exception_handler(405, not_allowed)

    beside = CapacityLimiter(1)  # more threads would take the cores of other workers

    async def ranked(
        served: ServedModel, history: History, k: int, exclude_seen: bool, allowed: Mask | None
    ) -> Ranking:
        if served.takes(len(history.positions)) < SLOW:
            return served.rank(history, k, exclude_seen, allowed)
        return await to_thread.run_sync(served.rank, history, k, exclude_seen, allowed, limiter=beside)

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
            most = None if share is None else by.listed(share)
            k = request.k if most is None else min(request.k, most)
            allowed, unknown_categories = by.allowed(request)
            history = by.history(request.history, request.user_id)
            wide = exploring.candidates(k, most) if explore else None  # None for most requests
            ranking = await ranked(by, history, wide or k, request.exclude_seen, allowed)
            ranking = ranking if wide is None else exploring.draw(ranking, k, by.new_share)
            return Given(by, k, history, ranking, unknown_categories)

        given = await watch.experiments.answered(served, request.user_id, draw)
        answer = RecommendAnswer(
            request_id=None if logged is None else logged.shown(request, given, began),
            model=given.served.model,
            items=given.ranking.items,
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
        ranking = await ranked(served, served.item(request.item_id), request.k, True, allowed)
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

    @app.get("/health")
    async def health() -> Health:
        """Tell that the process answers."""
        return Health()

    @app.get("/ready", responses={503: {"model": Readiness, "description": "No champion is loaded."}})
    async def ready(response: Response) -> Readiness:
        """Tell whether a champion is loaded; a problem beside it is one with finding a newer version."""
        served = watch.serving
        response.status_code = 200 if served is not None else 503
        return Readiness(
            ready=served is not None,
            model=None if served is None else served.model,
            problem=watch.problem,
            new=watch.new_products(),
            trying=watch.experiments.told(),
        )

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}, "description": ""}},
    )
    async def prometheus() -> Response:
        """Return the metrics for Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/", include_in_schema=False)
    async def start(asked: Request) -> Response:
        """Lead a browser on: to the explorer where it is shown, else to what there is."""
        if exposure != "none" and may_see_histories(exposure, asked.headers.get("host", "")):
            return RedirectResponse("explorer", headers={"Cache-Control": "no-store"})
        return start_page(name)

    if logged is not None:
        app.include_router(feedback_router(logged))
    if exposure != "none":
        accounts = accounts_path((newcomers or target_path(root, name)).parent, name)
        app.include_router(explorer(champion, name, root, poll_seconds, exposure, accounts))
    return app
