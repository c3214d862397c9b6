"""What flow runs are called: the data and the day, so that a list of them can be read."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from prefect.runtime import flow_run

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.images.settings import ImagesParams
from recgan.settings import Params, load_params


def named(
    what: str, load: Callable[[Path], Params | ImagesParams] = lambda root: load_params(root / layout.PARAMS)
) -> Callable[[], str]:
    """Return what names a run of a flow: its own word, the registered model, the source, the day (UTC).

    Params that cannot be read name nothing; the flow itself says what is wrong with them.

    Args:
        what: the flow's name.
        load: reads the params of a project.
    """

    def name() -> str:
        day = f"{datetime.now(UTC):%Y-%m-%d}"
        try:
            params = load(Path(flow_run.parameters.get("root", ".")))
        except (RecganError, OSError):
            return f"{what} {day}"
        return f"{what} {params.register_.name} ({params.ingest.source}) {day}"

    return name
