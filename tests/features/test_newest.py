"""The newest history: everything that is known of a shopper, the test window included."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from recgan.features.matrices import Features, HeldOut
from recgan.features.newest import newest_histories

KINDS = {
    "time": {"kind": "time", "validation_days": 2, "test_days": 2},
    "random": {"kind": "random", "validation_share": 0.2, "test_share": 0.2, "seed": 3},
    "leave-last-out": {"kind": "leave-last-out"},
    "published": {"kind": "published", "validation_share": 0.2, "seed": 3},
}


def matrix(*rows):
    return csr_array(np.array(rows, dtype=np.float32))


def ids(*names):
    return np.array(names, dtype=object)


def test_before_and_in_the_test_window_make_one_history():
    known = matrix([1, 0, 0, 0], [0, 2.5, 0, 0], [0, 0, 0.5, 0])
    history = matrix([0, 0, 0, 1], [0, 2.5, 0, 0], [0, 0, 0, 0])
    test = HeldOut(
        user_ids=ids("a", "d", "e"),
        history=history,
        held_out=matrix([1, 0, 0, 0], [1, 1, 1, 0], [0, 1, 0, 0]),
        ages=csr_array((np.float32([1, 6]), history.indices, history.indptr), shape=history.shape),
        held_out_times=np.array([8.5, 9, 9.5, 10, 8]),
    )
    summary = {
        "log": {"start": "2024-01-01T00:00:00+00:00", "end": "2024-01-11T00:00:00+00:00"},
        "cuts": {"validation_start": "2024-01-07T00:00:00+00:00", "test_start": "2024-01-09T00:00:00+00:00"},
    }
    features = Features(
        *(known[:1], known, ids("c", "d", "b"), pd.DataFrame(), None, test, summary),
        train_times=np.float32([5]),
        train_validation_times=np.float32([5, 2, 7]),
    )
    newest = newest_histories(features)
    assert newest.user_ids.tolist() == ["a", "b", "c", "d", "e"]
    assert (newest.user_items.toarray() != 0).astype(int).tolist() == [
        [1, 0, 0, 1],  # in the test window alone
        [0, 0, 1, 0],  # not in the test window
        [1, 0, 0, 0],
        [1, 1, 1, 0],  # both
        [0, 1, 0, 0],  # new, and the history before was empty
    ]
    assert newest.user_items.toarray()[3].tolist() == [1, 2.5, 1, 0]  # what the window holds out counts 1
    assert newest.user_items.has_sorted_indices
    assert newest.until == datetime(2024, 1, 11, tzinfo=UTC)
    assert newest.ages.nnz == newest.user_items.nnz
    assert newest.ages.data.tolist() == [
        *(1.5, 3),  # a: on day 8.5, and a day before the window of two
        3,  # b, on day 7
        5,
        *(1, 0.5, 0),  # d: again in the window, where the last item is of the last instant
        2,
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_ages_are_those_of_the_events(build, params, random_log, kind):
    """Each shopper's last event with the item; in a window that knows first events, no later than it."""
    log = random_log(4)
    built = build(log, params(split=KINDS[kind], repeat_purchases=True))
    newest, events = newest_histories(built), log.to_pandas()
    np.testing.assert_array_equal(newest.ages.indices, newest.user_items.indices)
    np.testing.assert_array_equal(newest.ages.indptr, newest.user_items.indptr)
    assert newest.ages.dtype == np.float32
    rows = np.repeat(newest.user_ids, np.diff(newest.ages.indptr))
    pairs = list(zip(rows, built.items["item_id"].to_numpy()[newest.ages.indices], strict=True))
    end, met = events["timestamp"].max(), events.groupby(["user_id", "item_id"])["timestamp"]
    least, most = (((end - of.loc[pairs]) / pd.Timedelta(days=1)).to_numpy() for of in (met.max(), met.min()))
    once = least == most
    assert newest.ages.data[once] == pytest.approx(least[once], abs=1e-6)
    assert (newest.ages.data >= least - 1e-6).all()
    assert (newest.ages.data <= most + 1e-6).all()
    assert newest.until == end
