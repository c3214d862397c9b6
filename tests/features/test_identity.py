"""May a recommender that was trained under one split be measured under another."""

import pytest

from recgan.features.unfair import unfair

TIME = {"kind": "time", "trained_until": "2026-03-01T12:00:00+00:00"}
RANDOM = {"kind": "random", "draw": "d1", "seed": 0, "validation_share": 0.1, "test_share": 0.2}
PUBLISHED = {"kind": "published", "test": "abc"}
LAST = {"kind": "leave-last-out", "test": "abc"}


@pytest.mark.parametrize(
    ("then", "now"),
    [
        (TIME, TIME),
        (TIME | {"trained_until": "2026-03-01T11:59:59+00:00"}, TIME),
        (TIME | {"trained_until": "2026-03-01T13:00:00+01:00"}, TIME),  # the same instant
        (RANDOM, RANDOM),
        (RANDOM | {"test_share": 0.3}, RANDOM),  # whose test is part of what was held out then
        (RANDOM | {"validation_share": 0.3}, RANDOM),
        (PUBLISHED, PUBLISHED),
        (LAST, LAST),
    ],
)
def test_what_was_held_out_then_and_now_is_fair(then, now):
    assert unfair(then, now) is None


@pytest.mark.parametrize(
    ("then", "now", "why"),
    [
        (None, TIME, "does not say what was held out"),
        (None, RANDOM, "does not say what was held out"),
        (TIME, RANDOM, "split of kind time, today's is random"),
        (RANDOM, TIME, "split of kind random, today's is time"),
        (LAST, PUBLISHED, "kind leave-last-out, today's is published"),
        # The test window has grown, or the log has lost its newest days.
        (TIME, TIME | {"trained_until": "2026-02-01T00:00:00+00:00"}, "trained until 2026-03-01 12:00, and"),
        (RANDOM | {"seed": 1}, RANDOM, "drawn with seed 1, today's split with 0"),
        (RANDOM | {"draw": "d0"}, RANDOM, "drawn by d0, today's split by d1"),
        (RANDOM, RANDOM | {"test_share": 0.25}, "a share of 0.2 was held out then, and 0.25 today"),
        (PUBLISHED | {"test": "b"}, PUBLISHED, "the published split held out other items then"),
        (LAST | {"test": "b"}, LAST, "the leave-last-out split held out other items then"),
    ],
)
def test_what_may_have_been_trained_on_is_not(then, now, why):
    assert why in unfair(then, now)


SPLITS = {
    "time": {"kind": "time", "validation_days": 2, "test_days": 2},
    "random": {"kind": "random", "validation_share": 0.1, "test_share": 0.2, "seed": 3},
    "leave-last-out": {"kind": "leave-last-out"},
    "published": {"kind": "published", "validation_share": 0.2, "seed": 3},
}


def tomorrow(log, events):
    """The same log and two more events; one comes back to what a shopper had bought first."""
    first = events.to_pandas().sort_values("timestamp").iloc[0]
    more = [(first["user_id"], first["item_id"], "view", 12.5), ("new", "i0", "view", 12.6)]
    return log([*events_of(events), *more], split=[*events["split"].to_pylist(), "train", "train"])


def events_of(events):
    start = events.to_pandas()["timestamp"].min().normalize()
    return [
        (row.user_id, row.item_id, row.event, (row.timestamp - start).total_seconds() / 86_400)
        for row in events.to_pandas().itertuples()
    ]


@pytest.mark.parametrize("kind", SPLITS)
def test_features_say_what_they_hold_out(build, params, log, random_log, cells, kind):
    events, settings = random_log(5), params(split=SPLITS[kind])
    today = build(log(events_of(events), split=events["split"].to_pylist()), settings)
    later = build(tomorrow(log, events), settings)
    then, now = (one.summary["split_identity"] for one in (today, later))
    # Whoever is called fair has learned nothing of what is held out, and somebody else has.
    learned = set(cells(today.train_validation, today.user_ids, today.items))
    held_out = set(cells(later.test.held_out, later.test.user_ids, later.items))
    assert held_out
    assert not learned & held_out or unfair(then, now) is not None
    assert then["kind"] == kind
    assert unfair(then, then) is None
    # Who returns to an old item makes it the last one: a champion may have been trained on it.
    assert (unfair(then, now) is None) == (kind != "leave-last-out")
    if kind == "time":
        assert then["trained_until"] == today.summary["cuts"]["test_start"]
        assert unfair(now, then) is not None
