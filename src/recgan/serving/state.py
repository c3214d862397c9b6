"""How the server is: /health, /ready, /metrics, and a way in for who opens its address in a browser."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from recgan.serving.answers import start_page
from recgan.serving.champion import ChampionWatch
from recgan.serving.metrics import Metrics
from recgan.serving.rules import RulesWatch
from recgan.serving.schema import Health, Readiness
from recgan.serving.server import Exposure, may_see_histories


def state_router(
    name: str, exposure: Exposure, watch: ChampionWatch, metrics: Metrics, rules: RulesWatch
) -> APIRouter:
    """Return the routes.

    Args:
        name: the registered model.
        exposure: to whom the explorer is shown.
        watch: which keeps the champion.
        metrics: of the app.
        rules: which keeps the rules of the shop.
    """
    router = APIRouter()

    @router.get("/health")
    async def health() -> Health:
        """Tell that the process answers."""
        return Health()

    @router.get("/ready", responses={503: {"model": Readiness, "description": "No champion is loaded."}})
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
            rules=rules.in_force(served),
        )

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}, "description": ""}},
    )
    async def prometheus() -> Response:
        """Return the metrics for Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @router.get("/", include_in_schema=False)
    async def start(asked: Request) -> Response:
        """Lead a browser on: to the explorer where it is shown, else to what there is."""
        if exposure != "none" and may_see_histories(exposure, asked.headers.get("host", "")):
            return RedirectResponse("explorer", headers={"Cache-Control": "no-store"})
        return start_page(name)

    return router
