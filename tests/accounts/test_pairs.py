"""Pairs of account and item."""

import ibis
import numpy as np
import pyarrow as pa

from recgan.accounts.log import log_of, read_labels
from recgan.data.events import EVENTS, ITEMS, USERS, Tables, write_tables
from tests.accounts.conftest import START

ROWS = [
    ("u2", "b", 3.5, "purchase", 2.0),
    ("u1", "b", 1.0, "rating", 5.0),
    ("u1", "b", 0.5, "view", None),
    ("u1", "b", 2.0, "rating", 4.0),
    ("u1", "a", 0.25, "cart", None),
]


def test_a_pair_has_its_first_event_and_what_all_its_events_say(events):
    log = log_of(ibis.memtable(events(ROWS)))
    assert list(log.user_ids) == ["u1", "u2"]
    assert list(log.item_ids) == ["a", "b"]
    assert [*zip(log.user, log.item, strict=True)] == [(0, 0), (0, 1), (1, 1)]
    assert log.first.tolist() == [0, 0.25, 3.25]
    assert log.events.tolist() == [1, 3, 1]
    assert log.kinds.tolist() == [0b0010, 0b1001, 0b0100]  # view, cart, purchase, rating from the right
    assert np.array_equal(log.stars, [np.nan, 4.5, np.nan], equal_nan=True)
    assert log.start == START.replace(hour=6)
    assert log.end == 3.25


def test_the_order_of_the_events_does_not_matter(events):
    one, other = (log_of(ibis.memtable(events(rows))) for rows in (ROWS, ROWS[::-1]))
    for name in ("user", "item", "first", "events", "kinds", "stars"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_one_event_without_a_time_leaves_the_log_without_times(events):
    log = log_of(ibis.memtable(events([*ROWS, ("u3", "a", None)])))
    assert log.first is None
    assert log.start is None
    assert len(log.user) == 4


def test_an_empty_log_is_a_log(events):
    log = log_of(ibis.memtable(events([])))
    assert len(log.user) == len(log.user_ids) == 0
    assert log.first is None


def test_labels_are_those_of_the_log_and_a_null_is_none(events, tmp_path):
    users = [
        {"user_id": "u2", "fake": True},
        {"user_id": "u9", "fake": True},
        {"user_id": "u1", "fake": None},
    ]
    table = events([*ROWS, ("u0", "a", 1)])
    users.append({"user_id": "u0", "fake": False})
    write_tables(Tables(table, ITEMS.empty_table(), pa.Table.from_pylist(users, USERS)), tmp_path)
    assert read_labels(tmp_path, log_of(ibis.memtable(table.cast(EVENTS)))).tolist() == [0, -1, 1]
