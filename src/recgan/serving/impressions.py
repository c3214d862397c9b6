"""What shoppers were shown, logged; and POST /feedback, which takes what came of it."""

import os
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pyarrow as pa
from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from recgan.data.impressions import BEST, CLOCKS, DATABASE, DRAWN, FEEDBACK, INTERLEAVED, SHOWN
from recgan.serving.buffered import Buffered
from recgan.serving.experiments import Given
from recgan.serving.metrics import Metrics
from recgan.serving.schema import Id, Instant, Price, Problem, RecommendRequest
from recgan.serving.segments import Segments
from recgan.serving.server import may_write

MAX_FEEDBACK = 1_000
"""Events of one request."""

NOT_ALLOWED = (
    "feedback counts as what shoppers did, so not everybody may send it: send the header Authorization: "
    "Bearer … with the server's RECGAN_SERVE_TOKEN"
)


def _happened(instant: datetime) -> datetime:
    if instant > datetime.now(UTC) + CLOCKS:
        raise ValueError("should not be after now: what has not happened cannot be told")
    return instant


class FeedbackEvent(BaseModel):
    """What a shopper did with an item of an answer."""

    model_config = ConfigDict(extra="forbid")

    request_id: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] = Field(description="Of the answer.")
    item_id: Id
    event: Literal["view", "cart", "purchase"]
    timestamp: Annotated[Instant, AfterValidator(_happened)] | None = Field(
        None, description="ISO 8601, or seconds since 1970; null for now."
    )
    value: Annotated[float, Field(strict=True, allow_inf_nan=False)] | None = Field(
        None, description="Pieces of a purchase; else of no effect."
    )
    price: Price | None = Field(None, description="Of one piece.")


class FeedbackRequest(BaseModel):
    """What came of answers, those of earlier days included."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"events": [{"request_id": "0" * 32, "item_id": "50", "event": "purchase"}]}]
        },
    )

    events: Annotated[list[FeedbackEvent], Field(min_length=1, max_length=MAX_FEEDBACK)]


class Accepted(BaseModel):
    """How many events were taken down."""

    accepted: int


class ImpressionLog:
    """The answers of one model's server, and what came of them."""

    def __init__(self, folder: Path, metrics: Metrics) -> None:
        """Keep the folder of the registered model; PostgreSQL takes its place where DATABASE names one."""
        self._metrics = metrics
        self._shown, self._feedback = (
            _table(folder, table, schema, metrics.rows_lost.labels(table).inc)
            for table, schema in (("shown", SHOWN), ("feedback", FEEDBACK))
        )

    def __enter__(self) -> Self:
        """Begin to write."""
        self._shown.start()
        self._feedback.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Write all that waits."""
        self._shown.close()
        self._feedback.close()

    def shown(self, request: RecommendRequest, given: Given, began: float) -> str:
        """Log an answer and return its id.

        Args:
            request: what was asked.
            given: what is answered.
            began: when it was asked, by time.perf_counter.
        """
        ranking, model, teams = given.ranking, given.served.model, given.teams
        request_id, chance = uuid.uuid4().hex, ranking.drawn
        policy = DRAWN if chance is not None else BEST if teams is None else INTERLEAVED
        known = {
            BEST: None if ranking.reordered else (1.0,) * len(ranking.items),
            DRAWN: None if chance is None else chance.propensities,
            INTERLEAVED: None,
        }
        row = {
            "request_id": request_id,
            "time": datetime.now(UTC),
            "user_id": request.user_id,
            "history": [event.item_id for event in request.history or ()],
            "k": given.k,
            "exclude_seen": request.exclude_seen,
            "categories": request.categories,
            "min_price": request.min_price,
            "max_price": request.max_price,
            "item_ids": [item.item_id for item in ranking.items],
            "scores": [item.score for item in ranking.items],
            "name": model.name,
            "version": model.version,
            "policy": policy,
            "propensities": known[policy],
            "fallback": ranking.fallback,
            "candidates": None if chance is None else chance.candidates,
            "log_weights": None if chance is None else chance.log_weights,
            "experiment": given.experiment,
            "arm": given.arm,
            "teams": None if teams is None else [teams.get(item.item_id) for item in ranking.items],
            "milliseconds": 1000 * (time.perf_counter() - began),
        }
        self._shown.add(tuple(row[name] for name in _SHOWN))
        self._metrics.shown.inc()
        return request_id

    def came(self, events: list[FeedbackEvent]) -> None:
        """Log what came of answers."""
        now = datetime.now(UTC)
        for event in events:
            row = {
                "request_id": event.request_id,
                "item_id": event.item_id,
                "event": event.event,
                "time": event.timestamp or now,
                "value": event.value,
                "price": event.price,
                "received": now,
            }
            self._feedback.add(tuple(row[name] for name in _FEEDBACK))
            self._metrics.feedback.labels(event.event).inc()


def _table(folder: Path, table: str, schema: pa.Schema, lost: Callable[[int], Any]) -> Buffered:
    if os.environ.get(DATABASE):
        from recgan.data.impressions_database import database
        from recgan.serving.database_log import DatabaseLog

        if (url := database()) is not None:
            return DatabaseLog(url, folder.name, table, lost)
    return Segments(folder / table, schema, lost)


_SHOWN, _FEEDBACK = SHOWN.names, FEEDBACK.names


def feedback_router(log: ImpressionLog, came: Callable[[str, str], None]) -> APIRouter:
    """Return the route that takes feedback.

    Args:
        log: where it is kept.
        came: is told of each event: the id of the answer, and the item.
    """
    router = APIRouter()

    @router.post(
        "/feedback",
        status_code=202,
        responses={
            400: {"model": Problem, "description": "The body is not JSON."},
            401: {"model": Problem, "description": "The token is missing or is another one."},
        },
    )
    async def feedback(request: FeedbackRequest, asked: Request, response: Response) -> Accepted:
        """Take what came of answers; the next night may learn from it."""
        if not may_write(asked.headers.get("authorization", "")):
            raise HTTPException(401, NOT_ALLOWED, {"WWW-Authenticate": "Bearer"})
        log.came(request.events)
        for event in request.events:
            came(event.request_id, event.item_id)
        return Accepted(accepted=len(request.events))

    return router
