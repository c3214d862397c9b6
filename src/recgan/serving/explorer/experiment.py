"""The page /explorer/experiment: what runs, both arms, and buttons that begin, end and look.

A look reads the whole log, so a process of its own makes it: this one answers shoppers.
"""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import jinja2
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from recgan.core import layout
from recgan.core.redact import clean
from recgan.online import experiment as online
from recgan.online.last_look import kept
from recgan.online.outcomes import METRICS
from recgan.online.second_gate import Effect
from recgan.online.words import SAID
from recgan.package.store import Recommenders
from recgan.registry.experimenting import stop
from recgan.registry.experiments import last, running, sentence, told
from recgan.registry.rollback import this_user
from recgan.serving.server import may_write
from recgan.settings import Params, load_params

NOT_ALLOWED = (
    "an experiment decides what shoppers are shown, so not everybody may begin or end one: give the server's "
    "RECGAN_SERVE_TOKEN"
)
LOOKS_WITHIN = 300.0
"""Seconds for a look."""
WIDTH, MIDDLE = 320, 160
"""Of a chart of a confidence sequence, in its own units."""


class Start(BaseModel):
    """An experiment to begin; what is not given is as params.yaml has it."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[str, Field(max_length=20)] | None = None
    share: float | None = None
    design: Literal["split", "interleave"] | None = None


class Stop(BaseModel):
    """Why the experiment ends."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(max_length=1000)]


@dataclass(frozen=True)
class Bar:
    """A confidence sequence as a chart has it: from left to right around no difference in the middle."""

    low: float
    high: float
    at: float


def bar(effect: Effect) -> Bar | None:
    """Return where a confidence sequence lies on a scale of its own; None without one."""
    if effect.interval is None:
        return None
    ends = (effect.interval.low, effect.interval.high, effect.difference)
    largest = max(map(abs, ends))
    low, high, at = (MIDDLE + end / largest * (MIDDLE - 8) for end in ends)
    return Bar(low, high, at)


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = files("recgan.serving.explorer").joinpath("page/experiment.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(text)


def page(root: Path, name: str) -> str:
    """Return the page as HTML.

    Args:
        root: the project.
        name: the registered model.

    Raises:
        Unavailable: the registry does not answer.
    """
    runs, ended = running(root, name), last(root, name)
    look = None if runs is None else kept(root, runs)
    params = root / layout.PARAMS
    return _template().render(
        name=name,
        runs=runs,
        sentence=None if runs is None else sentence(runs),
        ended=None if ended is None else told(ended).split("\n"),
        evidence=None if look is None else look[0],
        verdict=None if look is None else look[1],
        said=SAID,
        metrics=list(METRICS),
        bar=bar,
        width=WIDTH,
        middle=MIDDLE,
        section=load_params(params).experiment if params.exists() else None,
    )


def experiment_router(name: str, root: Path, headers: Mapping[str, str]) -> APIRouter:
    """Return the routes.

    Args:
        name: the registered model.
        root: the project.
        headers: of pages.
    """
    router = APIRouter()

    def may_change(asked: Request) -> None:
        if not may_write(asked.headers.get("authorization", "")):
            raise HTTPException(401, NOT_ALLOWED)

    def params() -> Params:
        if not (root / layout.PARAMS).exists():
            raise HTTPException(503, "this server's folder has no params.yaml, so begin and end it elsewhere")
        return load_params(root / layout.PARAMS)

    @router.get("/experiment")
    def show() -> Response:
        return Response(page(root, name), media_type="text/html", headers=dict(headers))

    guarded = [Depends(may_change)]

    @router.post("/api/experiment/start", dependencies=guarded)
    def begin(request: Start) -> dict[str, str]:
        begun = online.start(root, params(), **request.model_dump(), by=f"{this_user()}, explorer")
        return {"said": sentence(begun)}

    @router.post("/api/experiment/stop", dependencies=guarded)
    def end(request: Stop) -> dict[str, str]:
        return {"said": told(stop(Recommenders(root, params()), request.reason, f"{this_user()}, explorer"))}

    @router.post("/api/experiment/look", dependencies=guarded)
    def look() -> dict[str, str]:
        params()
        command = [sys.executable, "-m", "recgan", "experiment", "status"]
        try:
            done = subprocess.run(
                command, cwd=root, capture_output=True, text=True, timeout=LOOKS_WITHIN, check=False
            )
        except subprocess.TimeoutExpired:
            raise HTTPException(503, f"the look took longer than {LOOKS_WITHIN:g} s") from None
        if done.returncode != 0:
            raise HTTPException(503, clean(done.stderr.strip()))
        return {"said": "looked"}

    return router
