"""Is the newest event new enough today? Validate asks when it runs, and DVC skips an unchanged one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.files import read_json
from recgan.data.settings import ValidateParams


def check_freshness(root: Path, params: ValidateParams, now: datetime | None = None) -> None:
    """Refuse a log whose newest event is older than validate.max_age_days allows.

    Feedback does not count: it goes on coming while the shop's export has stopped.

    Args:
        root: the project, after its validate stage.
        params: the validate section; without max_age_days everything is fresh.
        now: the instant to ask about; None is this one.

    Raises:
        RecganError: the newest event is too old: no new events have come in.
    """
    if params.max_age_days is None:
        return
    newest = read_json(root / layout.VALIDATION_METRICS)["last_event_of_source"]
    now = now or datetime.now(UTC)
    if newest is None or now - datetime.fromisoformat(newest) > timedelta(days=params.max_age_days):
        raise RecganError(
            f"the newest event is of {newest}, and it is {now:%Y-%m-%d %H:%M} UTC: more than "
            f"validate.max_age_days ({params.max_age_days:g}) ago, although nothing is wrong with the file. "
            "See to the export that should have brought new events, or raise max_age_days (null for a "
            "historical log)"
        )
