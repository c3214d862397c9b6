"""Answers that refuse: always JSON, without passwords, and never the input itself; and the way in."""

import json
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from recgan.core.redact import clean
from recgan.online.rules_file import fault_of
from recgan.serving.schema import MAX_BODY, Problem, RecommendRequest
from recgan.serving.server import Exposure, may_see_histories

RETRY_AFTER = "5"  # seconds
SECRET_HISTORY = (
    "beside a user_id, {fields} would tell the shopper's history by what is missing, which this server does "
    "not show; leave that out, give the history instead of the user_id, send the token of "
    "RECGAN_SERVE_TOKEN, or serve with --explorer"
)

VERSION_HEADER, FALLBACK_HEADER = "X-Recgan-Model-Version", "X-Recgan-Fallback"
Responses = dict[int | str, dict[str, Any]]
ASKED: Responses = {
    200: {
        "headers": {
            VERSION_HEADER: {"required": True, "schema": {"type": "string"}},
            FALLBACK_HEADER: {"description": "Where popularity stood in.", "schema": {"const": "true"}},
        }
    },
    401: {"model": Problem, "description": "The token for asking is missing or is another one."},
    403: {"model": Problem, "description": "The caller may not see histories, or asks for another host."},
    408: {"model": Problem, "description": "The body did not come in time."},
    413: {"model": Problem, "description": f"The body is over {MAX_BODY} bytes."},
    503: {
        "model": Problem,
        "description": "No champion is loaded.",
        "headers": {"Retry-After": {"required": True, "schema": {"type": "integer"}}},
    },
}
NOT_JSON: Responses = {400: {"model": Problem, "description": "The body is not JSON."}}

LISTED_SHARE = 10
"""A list for a user_id has at most one item in ten: of a whole catalogue, what is missing was seen."""


def refusal(status: int, detail: Any, headers: dict[str, str] | None = None) -> Response:
    """Return an answer that refuses; one that may be tried again says when."""
    headers = dict(headers or {})
    if status in (408, 503):
        headers.setdefault("Retry-After", RETRY_AFTER)
        headers.setdefault("Connection", "close")
    # In ASCII: a name from the request may hold half a surrogate pair, which is no UTF-8.
    return Response(json.dumps({"detail": detail}), status, headers, "application/json")


async def http_exception(request: Request, error: Exception) -> Response:
    """Say what an endpoint refuses with; a fault of ours may quote what a library said."""
    assert isinstance(error, HTTPException)
    detail = clean(error.detail) if error.status_code >= 500 else error.detail
    headers = dict(error.headers or {})
    return Response(json.dumps({"detail": detail}), error.status_code, headers, "application/json")


async def unprocessable(request: Request, error: Exception) -> Response:
    """Say what is wrong and where, without repeating the input: that may not even be JSON."""
    assert isinstance(error, RequestValidationError)
    faults = [
        {"loc": list(fault["loc"]), "msg": fault["msg"].removeprefix("Value error, "), "type": fault["type"]}
        for fault in error.errors()[:20]
    ]
    if request.url.path == "/rules":  # whoever may change them may read what is wrong with theirs
        for said, fault in zip(faults, error.errors(), strict=False):
            said["msg"] = fault_of(error.body, {**fault, "loc": fault["loc"][1:]})
    return refusal(422, faults)


async def not_allowed(request: Request, error: Exception) -> Response:
    """Name all methods of a path; Starlette names those of its first route alone."""
    assert isinstance(error, HTTPException)
    routes = [
        route for route in _each(request.app.routes) if route.matches(request.scope)[0] is not Match.NONE
    ]
    methods = {method for route in routes for method in getattr(route, "methods", None) or ()}
    methods |= set((error.headers or {}).get("Allow", "").split(", ")) - {""}
    return refusal(405, error.detail, {"Allow": ", ".join(sorted(methods))})


def _each(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    for route in routes:
        inner = getattr(route, "original_router", None)  # FastAPI keeps a router that was included whole
        yield from (route,) if inner is None else inner.routes


async def beyond_the_model(request: Request, error: Exception) -> Response:
    """Say what this version cannot answer."""
    return refusal(422, [{"loc": ["body"], "msg": str(error), "type": "value_error"}])


def listed_share(request: RecommendRequest, asked: Request, exposure: Exposure) -> int | None:
    """Return how many items of the catalogue come to one of the list at least; None for any list.

    Raises:
        HTTPException: the caller may not see histories, and the answer would tell the shopper's.
    """
    if request.user_id is None:
        return None
    named = (asked.headers.get(header, "") for header in ("host", "authorization"))
    if may_see_histories(exposure, *named):
        return None
    if telling := request.telling():
        raise HTTPException(403, SECRET_HISTORY.format(fields=", ".join(telling)))
    return LISTED_SHARE


def start_page(name: str) -> Response:
    """Return a page for who opens the server's address in a browser: where its answers are."""
    ways = {
        "ready": "whether a model is loaded, and which",
        "openapi.json": "what can be asked, and what is answered",
        "metrics": "counters for Prometheus",
    }
    links = "".join(f'<li><a href="{path}">/{path}</a>: {words}</li>' for path, words in ways.items())
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(name)}</title>'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        f"<main><h1>{escape(name)}</h1><p>This server recommends: POST /recommend.</p><ul>{links}</ul>"
        "<p>It shows no explorer here: <code>recgan serve</code> shows one to its own machine, "
        "<code>recgan serve --explorer</code> to everyone who reaches it.</p></main></html>",
        headers={"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"},
    )
