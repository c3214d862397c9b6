"""GET and PUT /rules."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, Field

from recgan.core.errors import RecganError
from recgan.online.binding import about, unknown
from recgan.online.contradictions import contradictions
from recgan.online.rules import Cap, NotAgain, Pin, Rule, Rules, Variety
from recgan.online.rules_file import check_keys
from recgan.serving.model import ServedModel
from recgan.serving.rules import RulesWatch
from recgan.serving.schema import Problem
from recgan.serving.server import Exposure, may_read_rules, may_write

NOT_ALLOWED = (
    "what shoppers are shown is not for everybody to {}: send the header Authorization: Bearer … with the "
    "server's RECGAN_SERVE_TOKEN"
)


_Responses = dict[int | str, dict[str, Any]]


class RuleState(BaseModel):
    """A rule, and what it is about."""

    rule: Rule
    holds: bool = Field(description="Now, by its `from` and `until`.")
    items: int | None = Field(description="Items of the champion that it names; null for one about lists.")
    unknown_items: int = Field(description="Ids that the champion does not know, perhaps of tomorrow.")


class RulesState(BaseModel):
    """All rules of the shop."""

    rules: list[RuleState]
    contradictions: list[str] = Field(description="Rules that cannot all be obeyed, and which wins.")
    problem: str | None = Field(description="Why the newest file of them is not used.")


def state_of(watch: RulesWatch, served: ServedModel | None) -> RulesState:
    """Say what the rules are about.

    Args:
        watch: which keeps them.
        served: the champion; without one nothing is known of items.
    """
    active = set(map(id, watch.active))
    return RulesState(
        rules=[
            RuleState(
                rule=rule,
                holds=id(rule) in active,
                items=_items(rule, served),
                unknown_items=0 if served is None else unknown(rule, served),
            )
            for rule in watch.rules.rules
        ],
        contradictions=contradictions(watch.rules, lambda item_id: _described(item_id, served)),
        problem=watch.problem,
    )


def _items(rule: Rule, served: ServedModel | None) -> int | None:
    if served is None or isinstance(rule, Cap | NotAgain | Variety):
        return None
    return int(served.knows(rule.item)) if isinstance(rule, Pin) else len(about(rule, served))


def _described(item_id: str, served: ServedModel | None) -> tuple[str | None, str | None]:
    position = None if served is None else served.position(item_id)
    catalogue = None if served is None else served.catalogue
    if position is None or catalogue is None:
        return None, None
    brand = None if catalogue.brands is None else catalogue.brands[position]
    return catalogue.categories[position], brand


def rules_router(
    watch: RulesWatch, serving: Callable[[], ServedModel | None], exposure: Exposure
) -> APIRouter:
    """Return the routes.

    Args:
        watch: which keeps the rules.
        serving: the champion; None where none is loaded.
        exposure: to whom histories are shown, who may read the rules too.
    """
    router = APIRouter()
    missing: _Responses = {401: {"model": Problem, "description": "The token is missing or is another one."}}

    def may_read(asked: Request) -> None:
        host, authorization = (asked.headers.get(one, "") for one in ("host", "authorization"))
        if not may_read_rules(exposure, host, authorization):
            raise HTTPException(401, NOT_ALLOWED.format("read"), {"WWW-Authenticate": "Bearer"})

    def may_change(asked: Request) -> None:
        if not may_write(asked.headers.get("authorization", "")):
            raise HTTPException(401, NOT_ALLOWED.format("change"), {"WWW-Authenticate": "Bearer"})

    async def each_key_once(asked: Request) -> None:
        try:
            check_keys(await asked.body(), "the body")
        except RecganError as error:
            raise HTTPException(400, str(error)) from None

    @router.get("/rules", responses=missing, dependencies=[Depends(may_read)])
    def show() -> RulesState:
        """Show the rules of the shop, and what they are about."""
        return state_of(watch, serving())

    @router.put(
        "/rules",
        responses=missing
        | {
            400: {"model": Problem, "description": "The body is not JSON, or a key stands twice."},
            500: {"model": Problem, "description": "The server cannot write its file of rules."},
        },
        dependencies=[Depends(may_change), Depends(each_key_once)],
    )
    def replace(rules: Rules) -> RulesState:
        """Replace all rules of the shop; other workers and servers follow within seconds."""
        try:
            watch.put(rules)
        except RecganError as error:
            raise HTTPException(500, str(error)) from None
        return state_of(watch, serving())

    return router
