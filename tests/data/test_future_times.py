from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from recgan.data.quarantine import ahead_by_zone
from recgan.stages import validate
from tests.data.test_validate import CLEAN, NOW, complaint, event, metrics, named, project, tables


def local(zone, n=3):
    """Return the newest events of a shop whose clock is read as UTC."""
    shift = NOW.astimezone(ZoneInfo(zone)).utcoffset()
    return [event(i, timestamp=NOW + shift - timedelta(minutes=20 * i + 1)) for i in range(n)]


@pytest.mark.parametrize(
    ("zone", "hours"),
    [("Australia/Sydney", 11), ("Europe/Berlin", 1), ("Asia/Kolkata", 6), ("Pacific/Kiritimati", 14)],
)
def test_local_times_from_the_east_are_told_by_their_zone(tmp_path, zone, hours):
    message = complaint(project(tmp_path, tables([*CLEAN, *local(zone)])))
    assert named(message) == ["future_timestamp"]
    assert f"as local times at UTC+{hours} do when they are read as UTC" in message
    assert "name the zone in ingest.timezone" in message
    assert "validate.drop" not in message


def test_where_future_events_may_be_dropped_the_log_still_speaks_of_zones(tmp_path, caplog):
    root = project(tmp_path, tables([*CLEAN, *local("Asia/Tokyo")]), drop=["future_timestamp"])
    validate(root, NOW)
    assert metrics(root)["quarantined_by_reason"]["future_timestamp"] == 3
    assert "the newest 3 events lie up to 9.0 hours in the future" in caplog.text


def test_no_zone_is_further_ahead_than_fourteen_hours(tmp_path):
    rows = [*CLEAN, *local("Asia/Tokyo"), event(9, timestamp=NOW + timedelta(hours=14, seconds=1))]
    message = complaint(project(tmp_path, tables(rows)))
    assert "ingest.timezone" not in message
    assert "add future_timestamp to validate.drop" in message


def test_without_future_events_there_is_nothing_to_say():
    assert ahead_by_zone(0, NOW, NOW) is None
    assert ahead_by_zone(0, None, NOW) is None


def test_a_log_without_times_lies_in_any_period(tmp_path):
    rows = [event(i, timestamp=None, split="test" if i % 5 == 0 else "train") for i in range(200)]
    root = project(tmp_path, tables(rows), period_start="1995-01-01T00:00:00Z")
    validate(root, NOW)
    assert metrics(root)["kept"] == 200
