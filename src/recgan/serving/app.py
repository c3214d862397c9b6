"""The HTTP interface.

A fast model answers on the event loop: handing so little work to a thread costs more. One that takes
milliseconds answers in a thread beside it, so that /health and /ready do not wait for it.
"""

import gc
import json
import logging
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recgan.environment import configure
from recgan.errors import RecganError
from recgan.serving.champion import ChampionWatch
from recgan.serving.explorer.routes import explorer
from recgan.serving.metrics import Metrics
from recgan.serving.model import History, Mask, Ranking, ServedModel
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
from recgan.serving.server import Exposure

SLOW = 0.001
"""Seconds of the recommender from which on it answers beside the event loop."""

VERSION_HEADER, FALLBACK_HEADER = "X-Recgan-Model-Version", "X-Recgan-Fallback"
_PATHS = {"/recommend", "/similar", "/health", "/ready", "/metrics", "/openapi.json"}
_Responses = dict[int | str, dict[str, Any]]
_ASKED: _Responses = {
    200: {
        "headers": {
            VERSION_HEADER: {"required": True, "schema": {"type": "string"}},
            FALLBACK_HEADER: {"description": "Where popularity stood in.", "schema": {"const": "true"}},
        }
    },
    413: {"model": Problem, "description": f"The body is over {MAX_BODY} bytes."},
    503: {
        "model": Problem,
        "description": "No champion is loaded.",
        "headers": {"Retry-After": {"required": True, "schema": {"type": "integer"}}},
    },
}
_NOT_JSON: _Responses = {400: {"model": Problem, "description": "The body is not JSON."}}


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
    )


def create_app(
    name: str,
    root: Path = Path(),
    poll_seconds: float = 5.0,
    exposure: Exposure = "none",
    freeze: bool = False,
) -> FastAPI:
    """Make the app for a registered model; its champion is loaded when the app starts.

    Args:
        name: the registered model.
        root: the project.
        poll_seconds: between two looks at the alias.
        exposure: to whom the explorer shows histories.
        freeze: keep the garbage collector off what is there when the first request is taken: going through
            all of it stops every request for a fifth of a second.
    """
    metrics = Metrics()

    def swapped(served: ServedModel) -> None:
        metrics.version.set(int(served.model.version))
        metrics.swaps.inc()

    watch = ChampionWatch(name, root, poll_seconds, swapped, metrics.problems.inc)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Before the first request is taken: with several workers, one that is not ready would answer 503.
        await to_thread.run_sync(watch.look)
        if freeze:
            gc.collect()
            gc.freeze()
        watch.start()
        yield
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
    app.add_middleware(Measured, metrics=metrics, max_body=MAX_BODY)
    app.add_exception_handler(RequestValidationError, _unprocessable)
    app.add_exception_handler(RecganError, _refused)
    app.add_exception_handler(405, _not_allowed)

    beside = CapacityLimiter(1)  # more threads would take the cores of other workers

    async def ranked(
        served: ServedModel, history: History, k: int, exclude_seen: bool, allowed: Mask | None
    ) -> Ranking:
        if served.seconds < SLOW:
            return served.rank(history, k, exclude_seen, allowed)
        return await to_thread.run_sync(served.rank, history, k, exclude_seen, allowed, limiter=beside)

    def champion() -> ServedModel:
        served = watch.serving
        if served is None:
            raise HTTPException(503, watch.problem, {"Retry-After": "5"})
        return served

    def answered(served: ServedModel, ranking: Ranking, answer: BaseModel) -> Response:
        headers = {VERSION_HEADER: served.model.version}
        if ranking.fallback:
            metrics.fallbacks.inc()
            headers[FALLBACK_HEADER] = "true"
        # As it is: to validate our own answer again takes longer than to make it.
        return Response(answer.model_dump_json(), media_type="application/json", headers=headers)

    @app.post("/recommend", response_model=RecommendAnswer, responses=_ASKED | _NOT_JSON)
    async def recommend(request: RecommendRequest) -> Response:
        """Recommend for a history of events, a known shopper, or both together."""
        served = champion()
        allowed, unknown_categories = served.allowed(request)
        history = served.history(request.history, request.user_id)
        ranking = await ranked(served, history, request.k, request.exclude_seen, allowed)
        answer = RecommendAnswer(
            model=served.model,
            items=ranking.items,
            fallback=ranking.fallback,
            unknown_items=list(history.unknown_items),
            events_left_out=history.events_left_out,
            user_known=history.user_known,
            unknown_categories=unknown_categories,
        )
        return answered(served, ranking, answer)

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

    unknown_item: _Responses = {404: {"model": Problem, "description": "The model does not know the item."}}

    @app.get("/similar", response_model=SimilarAnswer, responses=_ASKED | unknown_item)
    async def similar(request: Annotated[SimilarQuery, Query()]) -> Response:
        """Find the items nearest to one: what the model recommends for a history of it alone."""
        return await similar_to(request)

    @app.post("/similar", response_model=SimilarAnswer, responses=_ASKED | _NOT_JSON | unknown_item)
    async def similar_by_post(request: SimilarRequest) -> Response:
        """Find the items nearest to one: what the model recommends for a history of it alone."""
        return await similar_to(request)

    @app.get("/health")
    async def health() -> Health:
        """Tell that the process answers."""
        return Health()

    @app.get("/ready", responses={503: {"model": Readiness, "description": "No champion is loaded."}})
    async def ready(response: Response) -> Readiness:
        """Tell whether a champion is loaded; a problem beside it is one with a newer version."""
        served = watch.serving
        response.status_code = 200 if served is not None else 503
        return Readiness(
            ready=served is not None, model=None if served is None else served.model, problem=watch.problem
        )

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}, "description": ""}},
    )
    async def prometheus() -> Response:
        """Return the metrics for Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    if exposure != "none":
        app.include_router(explorer(champion, name, root, poll_seconds, exposure))
    return app


class Measured:
    """Count and time every request, and refuse a body that is too long before anything reads it."""

    def __init__(self, app: ASGIApp, metrics: Metrics, max_body: int) -> None:
        self.app = app
        self.metrics = metrics
        self.max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in _PATHS else "other"
        status, began = 500, time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            body = await self._body(scope, receive)
            if body is None:
                detail = f"the body is over {self.max_body} bytes; send a shorter history"
                await _json(413, detail)(scope, receive, sending)
                return
            await self.app(scope, _replaying(body, receive), sending)
        finally:
            self.metrics.requests.labels(path, str(status)).inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - began)

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """Read the whole body; None where it is too long."""
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > self.max_body:
            return None
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self.max_body:
                return None
            if not message.get("more_body", False):
                return bytes(body)


def _replaying(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _unprocessable(request: Request, error: Exception) -> Response:
    """Say what is wrong and where, without repeating the input: that may not even be JSON."""
    assert isinstance(error, RequestValidationError)
    faults = [
        {"loc": list(fault["loc"]), "msg": fault["msg"].removeprefix("Value error, "), "type": fault["type"]}
        for fault in error.errors()[:20]
    ]
    return _json(422, faults)


async def _not_allowed(request: Request, error: Exception) -> Response:
    """Name all methods of a path; Starlette names those of its first route alone."""
    assert isinstance(error, StarletteHTTPException)
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    methods = {method for route in routes for method in getattr(route, "methods", None) or ()}
    methods |= set((error.headers or {}).get("Allow", "").split(", ")) - {""}
    answer = _json(405, error.detail)
    answer.headers["Allow"] = ", ".join(sorted(methods))
    return answer


async def _refused(request: Request, error: Exception) -> Response:
    return _json(422, [{"loc": ["body"], "msg": str(error), "type": "value_error"}])


def _json(status: int, detail: Any) -> Response:
    # In ASCII: a name from the request may hold half a surrogate pair, which is no UTF-8.
    return Response(json.dumps({"detail": detail}), status, media_type="application/json")
