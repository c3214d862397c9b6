"""An unchanged log grows old by itself."""

from datetime import UTC, datetime

import pytest

from recgan.core.errors import RecganError
from recgan.core.files import write_json
from recgan.data.freshness import check_freshness
from recgan.settings import load_params
from tests.conftest import SHOP

NOW = datetime(2026, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("days", "newest", "fresh"),
    [
        (3, "2026-01-07T00:00:01+00:00", True),
        (3, "2026-01-06T23:59:59+00:00", False),
        (None, "1997-01-01T00:00:00+00:00", True),
        (3, None, False),
    ],
)
def test_the_newest_event_may_be_so_old(tmp_path, request, days, newest, fresh):
    write_json(tmp_path / "metrics/validation.json", {"last_event_of_source": newest})
    given = load_params(SHOP).validate_
    params = given.model_copy(update={"max_age_days": days})
    if fresh:
        check_freshness(tmp_path, params, NOW)
    else:
        with pytest.raises(RecganError, match="See to the export"):
            check_freshness(tmp_path, params, NOW)
