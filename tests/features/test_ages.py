"""The age of each entry of a history, and the item that came next."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from recgan.features.matrices import HeldOut, Outside, content_md5, read_features, write_features
from recgan.features.newest import newest_histories

KINDS = {
    "time": {"kind": "time", "validation_days": 2, "test_days": 2},
    "random": {"kind": "random", "validation_share": 0.2, "test_share": 0.2, "seed": 3},
    "leave-last-out": {"kind": "leave-last-out"},
    "published": {"kind": "published", "validation_share": 0.2, "seed": 3},
}
DAY = pd.Timedelta(days=1)


def events_of(events, kind, name):
    """Return which events are before a window of a split, which are in it, and where ages count to.

    Where a split puts all events of a pair into one window, each pair's own events are all there is to find.
    """
    days, end = events["timestamp"], events["timestamp"].max()
    if kind == "time" and name == "test":
        return days < end - 2 * DAY, days >= end - 2 * DAY, end - 2 * DAY
    if kind == "time":
        return days < end - 4 * DAY, (days >= end - 4 * DAY) & (days < end - 2 * DAY), end - 4 * DAY
    if kind == "published" and name == "test":
        return events["split"] == "train", events["split"] == "test", end
    train = events["split"] == "train" if kind == "published" else events["split"].notna()
    return train, train, end


def pairs(matrix, window, built):
    """Return the (user, item) of each entry, in the order of the data."""
    rows = np.repeat(window.user_ids, np.diff(matrix.indptr))
    return list(zip(rows, ids_of(window, built)[matrix.indices], strict=True))


def ids_of(window, built):
    """Return the id of each position of `came()`."""
    outside = [] if window.outside is None else window.outside.item_ids
    return np.concatenate([built.items["item_id"].to_numpy(dtype=object), outside])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("repeats", [False, True])
def test_ages_and_times_are_those_of_the_events(build, params, random_log, kind, repeats):
    log = random_log(8)
    built = build(log, params(split=KINDS[kind], repeat_purchases=repeats))
    events = log.to_pandas()
    for name in ("validation", "test"):
        window = getattr(built, name)
        before, inside, now = events_of(events, kind, name)
        last = events[before].groupby(["user_id", "item_id"])["timestamp"].max()
        first = events[inside].groupby(["user_id", "item_id"])["timestamp"].min()
        history, held_out = window.history, window.held_out
        np.testing.assert_array_equal(window.ages.indptr, history.indptr)
        np.testing.assert_array_equal(window.ages.indices, history.indices)
        assert window.ages.dtype == np.float32
        assert window.ages.shape == history.shape
        days = (now - last.loc[pairs(history, window, built)]) / DAY
        assert window.ages.data == pytest.approx(days.to_numpy(), abs=1e-6)
        assert (window.ages.data >= 0).all()
        came = (first.loc[pairs(held_out, window, built)] - events["timestamp"].min()) / DAY
        assert window.held_out_times == pytest.approx(came.to_numpy(), abs=1e-9)
        whole = pairs(window.came(), window, built)
        came = (first.loc[whole] - events["timestamp"].min()) / DAY
        assert window.came_times() == pytest.approx(came.to_numpy(), abs=1e-9)
        frame = pd.DataFrame(whole, columns=["user", "item"]).assign(day=came.to_numpy())
        earliest = frame[frame["day"] == frame.groupby("user")["day"].transform("min")]
        found = pairs(window.next_items(), window, built)
        assert sorted(found) == sorted(zip(earliest["user"], earliest["item"], strict=True))


def test_an_age_of_zero_stays_an_entry(build, params, log, tmp_path):
    rows = [("a", "x", "view", 0), ("a", "y", "view", 5), ("b", "x", "view", 1), ("b", "y", "view", 5)]
    split = {"kind": "published", "validation_share": 0, "seed": 0}
    built = build(
        log([*rows, ("b", "x", "view", 5)], split=["train", "train", "train", "test", "train"]),
        params(split=split),
    )
    write_features(built, tmp_path)
    for test in (built.test, read_features(tmp_path).test):  # b: x again, on the log's last day
        assert test.history.nnz == test.ages.nnz == 1
        assert test.ages.data.tolist() == [0]
        assert test.ages[[0]].nnz == 1
        assert test.held_out_times.tolist() == [5]


def test_what_is_written_reads_back(build, params, random_log, tmp_path):
    built = build(random_log(1), params(min_item_users=9))
    write_features(built, tmp_path)
    read = read_features(tmp_path)
    for name in ("validation", "test"):
        one, other = getattr(built, name), getattr(read, name)
        for part in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(one.ages, part), getattr(other.ages, part))
        assert one.ages.shape == other.ages.shape
        np.testing.assert_array_equal(one.held_out_times, other.held_out_times)
        np.testing.assert_array_equal(one.came_times(), other.came_times())
        np.testing.assert_array_equal(one.outside.item_ids, other.outside.item_ids)
        assert (one.came() != other.came()).nnz == 0
        assert other.held_out_times.dtype == np.float64


def test_the_md5_is_of_ages_and_times_too(build, params, random_log):
    built = build(random_log(1), params(min_item_users=9))
    test = built.test
    older = csr_array((test.ages.data + 1, test.ages.indices, test.ages.indptr), shape=test.ages.shape)
    renamed = replace(test.outside, item_ids=test.outside.item_ids + "'")
    later = replace(test.outside, held_out_times=test.outside.held_out_times + 1)
    other = [
        built,
        replace(built, test=replace(test, ages=older)),
        replace(built, test=replace(test, held_out_times=test.held_out_times + 1)),
        replace(built, test=replace(test, ages=None, held_out_times=None)),
        *(replace(built, test=replace(test, outside=one)) for one in (None, renamed, later)),
    ]
    assert len({content_md5(one) for one in other}) == 7


def test_the_md5_is_not_of_pictures_from_which_nothing_is_learned(build, params, random_log):
    built = build(random_log(1), params(min_item_users=9))
    pictured = replace(built, items=built.items.assign(image_url="https://shop.example/a.jpg"))
    renamed = replace(built, items=built.items.assign(title="another"))
    assert content_md5(pictured) == content_md5(built) != content_md5(renamed)


def test_a_window_of_new_users_alone_has_ages_of_nothing(build, params, log):
    rows = [("a", "x", "view", 0), ("b", "x", "view", 3), ("c", "x", "view", 6), ("d", "x", "view", 6)]
    built = build(log(rows), params())
    for window in (built.validation, built.test):
        assert window.history.nnz == window.ages.nnz == 0
        assert window.ages.shape == window.history.shape
        np.testing.assert_array_equal(window.next_items().toarray(), np.ones(window.history.shape))


def test_one_event_without_a_timestamp_leaves_no_ages(build, params, log):
    rows = [(user, f"i{item}", "view", item) for user in "abc" for item in range(10)]
    built = build(log([*rows, ("a", "i11", "view", None)]), params(split=KINDS["random"]))
    for window in (built.validation, built.test):
        assert window.ages is None
        assert window.held_out_times is None
        assert window.next_items() is None
    newest = newest_histories(built)
    assert newest.ages is None
    assert newest.until is None


def test_the_next_items_are_those_of_the_first_instant():
    held_out = csr_array(np.array([[1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 1]], dtype=np.float32))
    nobody = np.array(list("abcd"), dtype=object)
    times = np.array([3, 2.5, 4, 7, 1, 1, 0], dtype=np.float64)
    window = HeldOut(nobody, held_out, held_out, held_out, times)
    first = [[0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 1]]
    np.testing.assert_array_equal(window.next_items().toarray(), first)
    assert held_out.nnz == 7  # which has been read and not changed
    held_out.data[1] = 0  # no longer held out
    np.testing.assert_array_equal(window.next_items().toarray(), [[1, 0, 0, 0], *first[1:]])


def test_the_next_item_may_lie_outside_the_vocabulary():
    nobody = np.array(list("ab"), dtype=object)
    inside = csr_array(np.array([[1, 0], [1, 1]], dtype=np.float32))
    beyond = csr_array(np.array([[1, 0, 1], [1, 0, 0]], dtype=np.float32))
    outside = Outside(np.array(list("xyz"), dtype=object), beyond, np.array([1.0, 6.0, 3.0]))
    window = HeldOut(nobody, inside, inside, inside, np.array([2.0, 3.0, 4.0]), outside)
    expected = [[0, 0, 1, 0, 0], [1, 0, 1, 0, 0]]  # the second: one of each at one instant
    np.testing.assert_array_equal(window.next_items().toarray(), expected)
