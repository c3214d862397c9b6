"""A log that is taken to end earlier: cuts count back from there, and nothing later is read."""

from datetime import timedelta

import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from recgan.core.errors import RecganError
from recgan.features.build import build_features
from tests.features.conftest import START

UNTIL = START + timedelta(days=10)


def test_the_cuts_count_back_from_the_instant_given(random_log, params, no_items):
    built = build_features(ibis.memtable(random_log(3)), no_items, params(), until=UNTIL)
    assert built.summary["cuts"] == {
        "validation_start": (UNTIL - timedelta(days=4)).isoformat(),
        "test_start": (UNTIL - timedelta(days=2)).isoformat(),
    }
    assert built.summary["log"]["end"] == UNTIL.isoformat()


def test_no_later_event_changes_anything(random_log, log, params, no_items):
    rows = random_log(3)
    past = pc.less(rows["timestamp"], pa.scalar(UNTIL, rows["timestamp"].type))
    before, later = rows.filter(past), rows.filter(pc.invert(past))
    assert min(len(before), len(later)) > 100
    at_the_end = log([("u1", "i1", "purchase", 10), ("u2", "i99", "purchase", 10)])
    quarantined = later.append_column("reason", pa.array(["duplicate"] * len(later)))
    settings = params(half_life_days=3)
    md5s = {
        build_features(
            ibis.memtable(events), no_items, settings, ibis.memtable(refused), until=UNTIL
        ).summary["md5"]
        for events, refused in (
            (before, quarantined.slice(0, 0)),
            (rows, quarantined),
            (pa.concat_tables([before, at_the_end]), quarantined.slice(0, 1)),
        )
    }
    assert len(md5s) == 1
    whole = build_features(ibis.memtable(rows), no_items, settings)
    assert whole.summary["md5"] not in md5s


def test_an_end_before_all_events_leaves_nothing(random_log, params, no_items):
    with pytest.raises(RecganError, match="no event"):
        build_features(ibis.memtable(random_log(3)), no_items, params(), until=START)
