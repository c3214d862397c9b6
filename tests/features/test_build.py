"""What features must hold: windows in order, a vocabulary from train, the confidences of the formula."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recgan.core.errors import RecganError
from recgan.features.settings import TimeSplit

KINDS = {
    "time": {"kind": "time", "validation_days": 2, "test_days": 2},
    "random": {"kind": "random", "validation_share": 0.2, "test_share": 0.2, "seed": 3},
    "leave-last-out": {"kind": "leave-last-out"},
    "published": {"kind": "published", "validation_share": 0.2, "seed": 3},
}
every_split = pytest.mark.parametrize("kind", KINDS)


# --- an independent implementation, in pandas and dictionaries -------------------------------------------


def reference(events: pa.Table, params) -> dict:
    """Do what features does for a split in time, one user and item at a time."""
    frame = events.to_pandas()
    weights = {kind: weight for kind, weight in params.weights.items() if weight > 0}
    frame = frame[frame["event"].isin(weights)]
    if params.min_rating is not None:
        frame = frame[(frame["event"] != "rating") | (frame["value"] >= params.min_rating)]
    test_start = frame["timestamp"].max() - pd.Timedelta(days=params.split.test_days)
    validation_start = test_start - pd.Timedelta(days=params.split.validation_days)

    def confidences(rows, end):
        found: dict = {}
        for row in rows.itertuples():
            age = (end.floor("s") - row.timestamp.floor("s")).total_seconds() / 86400
            decay = 0.5 ** (age / params.half_life_days) if params.half_life_days else 1
            key = (row.user_id, row.item_id)
            found[key] = found.get(key, 0) + weights[row.event] * decay
        return {key: 1.0 if params.binary else value for key, value in found.items()}

    before_validation = frame[frame["timestamp"] < validation_start]
    before_test = frame[frame["timestamp"] < test_start]
    core = set(confidences(before_validation, validation_start))
    while True:
        users, items = pd.Series([u for u, _ in core]), pd.Series([i for _, i in core])
        enough_items, enough_users = users.value_counts(), items.value_counts()
        smaller = {
            (u, i)
            for u, i in core
            if enough_items[u] >= params.min_user_items and enough_users[i] >= params.min_item_users
        }
        if smaller == core:
            break
        core = smaller
    vocabulary = {i for _, i in core}
    train = {key: v for key, v in confidences(before_validation, validation_start).items() if key in core}
    ever_in_train = set(before_validation["user_id"])
    train_users = {u for u, _ in train}
    both = {
        (u, i): v
        for (u, i), v in confidences(before_test, test_start).items()
        if u in train_users or u not in ever_in_train
    }
    counts = pd.Series([i for _, i in both]).value_counts()
    later = {i for i, n in counts.items() if n >= params.min_item_users} - vocabulary
    both = {(u, i): v for (u, i), v in both.items() if i in vocabulary | later}

    def window(rows, history_rows, end, vocabulary):
        before = confidences(history_rows, end)
        came = {
            (row.user_id, row.item_id): 1.0
            for row in rows.itertuples()
            if params.repeat_purchases or (row.user_id, row.item_id) not in before
        }
        asked = {u for u, _ in came}
        history = {k: v for k, v in before.items() if k[1] in vocabulary and k[0] in asked}
        held = {k: v for k, v in came.items() if k[1] in vocabulary}
        return history, held, {k: v for k, v in came.items() if k[1] not in vocabulary}

    in_validation = before_test[before_test["timestamp"] >= validation_start]
    in_test = frame[frame["timestamp"] >= test_start]
    return {
        "train": train,
        "train_validation": both,
        "validation": window(in_validation, before_validation, validation_start, vocabulary),
        "test": window(in_test, before_test, test_start, vocabulary | later),
        "vocabulary": sorted(vocabulary),
        "later": sorted(later),
    }


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"binary": True, "min_rating": 4},
        {"half_life_days": 3.5},
        {"repeat_purchases": True, "weights": {"purchase": 4, "rating": 1.5}},
        {"min_user_items": 6, "min_item_users": 9, "half_life_days": 1},
    ],
)
def test_agrees_with_an_independent_implementation(build, params, random_log, cells, changes):
    events, params = random_log(11), params(**changes)
    built, expected = build(events, params), reference(events, params)
    assert built.items["item_id"].tolist() == expected["vocabulary"] + expected["later"]
    assert built.train.shape[1] == built.validation.history.shape[1] == len(expected["vocabulary"])
    assert cells(built.train, built.user_ids, built.items) == pytest.approx(expected["train"])
    both = cells(built.train_validation, built.user_ids, built.items)
    assert both == pytest.approx(expected["train_validation"])
    for name in ("validation", "test"):
        window = getattr(built, name)
        history, held_out, outside = expected[name]
        assert cells(window.history, window.user_ids, built.items) == pytest.approx(history)
        assert cells(window.held_out, window.user_ids, built.items) == held_out
        found = window.outside
        columns = pd.DataFrame({"item_id": [] if found is None else found.item_ids})
        beyond = {} if found is None else cells(found.held_out, window.user_ids, columns)
        assert beyond == outside
        assert window.user_ids.tolist() == sorted({user for user, _ in held_out | outside})


# --- laws of every split ---------------------------------------------------------------------------------


@every_split
def test_held_out_items_are_not_in_the_history(build, params, random_log, kind):
    built = build(random_log(1), params(split=KINDS[kind]))
    for window in (built.validation, built.test):
        assert (window.history * window.held_out).nnz == 0
        assert (np.diff(window.came().indptr) > 0).all()
        assert set(window.held_out.data) == {1.0}


def test_repeat_purchases_keep_seen_items_in_what_is_held_out(build, params, random_log):
    without, kept = (build(random_log(1), params(repeat_purchases=repeats)) for repeats in (False, True))
    assert (kept.test.history * kept.test.held_out).nnz > 0
    assert kept.test.held_out.nnz == without.test.held_out.nnz + without.summary["test"]["seen_left_out"]


@every_split
def test_nothing_depends_on_the_order_of_the_rows(build, params, random_log, kind):
    events = random_log(2)
    shuffled = events.take(np.random.default_rng(0).permutation(len(events)))
    params = params(split=KINDS[kind], half_life_days=2.5)
    one, other = build(events, params), build(shuffled, params)
    assert one.summary == other.summary
    pd.testing.assert_frame_equal(one.items, other.items, check_exact=True)


@every_split
def test_matrices_are_float32_csr_with_sorted_indices(build, params, random_log, kind):
    built = build(random_log(3), params(split=KINDS[kind], min_user_items=2, min_item_users=2))
    of_train, n_items = built.train.shape[1], len(built.items)
    for matrix, width in (
        (built.train, of_train),
        (built.train_validation, n_items),
        (built.validation.history, of_train),
        (built.validation.held_out, of_train),
        (built.test.history, n_items),
        (built.test.held_out, n_items),
    ):
        assert matrix.dtype == np.float32
        assert matrix.indices.dtype == matrix.indptr.dtype == np.int32
        assert matrix.has_canonical_format
        assert matrix.shape[1] == width
        assert (matrix.data > 0).all()
    assert len(built.user_ids) == built.train_validation.shape[0]
    assert (np.diff(built.train.indptr) > 0).all()
    users, later_users = (np.diff(matrix.tocsc().indptr) for matrix in (built.train, built.train_validation))
    assert built.items["popularity"].tolist() == [*users, *later_users[of_train:]]
    assert (later_users[of_train:] >= 2).all()


@every_split
def test_a_train_users_history_is_the_train_row(build, params, random_log, cells, kind):
    built = build(random_log(4), params(split=KINDS[kind]))
    train = cells(built.train, built.user_ids, built.items)
    history = cells(built.validation.history, built.validation.user_ids, built.items)
    asked = set(built.validation.user_ids)
    assert history == {key: value for key, value in train.items() if key[0] in asked}


# --- the split in time -----------------------------------------------------------------------------------


def test_train_ends_before_validation_begins_before_test_begins(build, params, random_log):
    events = random_log(5)
    built = build(events, params())
    cuts = {name: pd.Timestamp(cut) for name, cut in built.summary["cuts"].items()}
    frame = events.to_pandas()
    before = frame["timestamp"] < cuts["validation_start"]
    after = frame["timestamp"] >= cuts["test_start"]
    counts = {name: window["events"] for name, window in built.summary["windows"].items()}
    assert counts == {"train": before.sum(), "validation": (~before & ~after).sum(), "test": after.sum()}
    assert cuts["validation_start"] < cuts["test_start"] <= frame["timestamp"].max()
    assert frame[before]["timestamp"].max() < frame[~before & ~after]["timestamp"].min()
    assert frame[~before & ~after]["timestamp"].max() < frame[after]["timestamp"].min()


def test_an_event_at_the_cut_is_in_the_window_that_starts(build, params, log):
    rows = [("a", "x", "view", 0), ("b", "x", "view", 2), ("b", "y", "view", 4), ("a", "y", "view", 6)]
    built = build(log([*rows, ("c", "y", "view", 1)]), params())
    assert built.summary["cuts"] == {
        "validation_start": "2024-01-03T00:00:00+00:00",
        "test_start": "2024-01-05T00:00:00+00:00",
    }
    assert built.user_ids.tolist() == ["a", "c", "b"]  # b is first seen in validation
    assert built.validation.user_ids.tolist() == ["b"]
    assert built.test.user_ids.tolist() == ["a", "b"]


def test_the_vocabulary_of_train_grows_behind_its_end_by_what_validation_brings(build, params, log):
    events = log(
        [
            ("a", "x", "view", 0),
            ("b", "x", "view", 1),
            ("b", "y", "view", 1),
            ("a", "y", "view", 1),
            ("a", "new", "view", 3),  # first sold in validation
            ("c", "new", "view", 3),
            ("c", "lone", "view", 3),  # to one shopper alone
            ("c", "y", "view", 3),
            ("b", "new", "view", 5),
            ("c", "newest", "view", 6),  # first sold in test
            ("c", "lone", "view", 6),
            ("c", "x", "view", 6),
            ("d", "lone", "view", 6),
        ]
    )
    built = build(events, params(min_item_users=2))
    assert built.items["item_id"].tolist() == ["x", "y", "new"]
    assert built.items["popularity"].tolist() == [2, 2, 2]
    assert built.train.toarray().tolist() == [[1, 1], [1, 1]]
    assert built.user_ids.tolist() == ["a", "b", "c"]
    assert built.train_validation.toarray().tolist() == [[1, 1, 1], [1, 1, 0], [0, 1, 1]]
    assert built.validation.held_out.toarray().tolist() == [[0, 0], [0, 1]]
    assert built.test.outside.item_ids.tolist() == ["lone", "newest"]


def test_what_came_outside_the_vocabulary_is_kept_with_its_users(build, params, log):
    events = log(
        [
            ("a", "x", "view", 0),
            ("b", "x", "view", 1),
            ("b", "y", "view", 1),
            ("a", "new", "view", 3),  # first sold in validation
            ("c", "x", "view", 3),
            ("a", "y", "view", 5),
            ("b", "newest", "view", 6),  # first sold in test
            ("b", "new", "view", 5),
            ("c", "newest", "view", 6),
        ]
    )
    built = build(events, params())
    assert built.validation.user_ids.tolist() == ["a", "c"]  # to a comes nothing of train's vocabulary
    assert built.validation.held_out.toarray().tolist() == [[0, 0], [1, 0]]
    assert built.validation.outside.item_ids.tolist() == ["new"]
    assert built.validation.outside.held_out.toarray().tolist() == [[1], [0]]
    assert built.test.user_ids.tolist() == ["a", "b", "c"]
    assert built.test.came().toarray().tolist() == [[0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]]
    assert built.test.known().user_ids.tolist() == ["a", "b"]
    test = built.summary["test"]
    assert (test["unknown_items"], test["unknown_items_share"]) == (1, 1 / 3)
    assert (test["unknown_interactions"], test["unknown_interactions_share"]) == (2, 1 / 2)
    assert (test["users"], test["known_users"], test["users_left_out"]) == (3, 2, 0)
    assert test["outside_interactions"] == 2


def test_a_user_new_in_test_has_an_empty_history(build, params, log):
    rows = [("a", "x", "view", 0), ("b", "y", "view", 0), ("a", "y", "view", 3), ("new", "x", "view", 6)]
    built = build(log(rows), params())
    assert built.test.user_ids.tolist() == ["new"]
    assert built.test.history.shape == (1, 2)
    assert built.test.history.nnz == 0
    assert built.summary["test"]["new_users"] == 1
    assert "new" not in built.user_ids


def test_a_user_whom_the_k_core_left_out_is_still_asked_with_a_history(build, params, log, cells):
    rows = [(user, item, "view", 0) for user in "ab" for item in "xyz"]
    rows += [("small", "x", "cart", 1), ("small", "odd", "view", 1), ("small", "y", "view", 6)]
    rows += [("a", "odd", "view", 3), ("new", "x", "view", 3)]
    built = build(log(rows), params(min_user_items=3, min_item_users=2))
    assert built.user_ids.tolist() == ["a", "b", "new"]
    assert built.test.user_ids.tolist() == ["small"]
    assert cells(built.test.history, built.test.user_ids, built.items) == {("small", "x"): 2.0}
    assert built.summary["k_core"] == {"users_left_out": 1, "items_left_out": 1, "interactions_left_out": 2}


def test_decay_by_hand(build, params, log, cells):
    rows = [
        ("a", "x", "purchase", 0),  # 8 days before validation: two half lives
        ("a", "x", "view", 4),  # 4 days: one
        ("b", "y", "cart", 8 - 0.5),
        ("b", "x", "view", 9),  # validation; 1 day before test
        ("a", "y", "view", 12),
    ]
    built = build(log(rows), params(half_life_days=4))
    train = cells(built.train, built.user_ids, built.items)
    assert train == pytest.approx({("a", "x"): 4 / 4 + 1 / 2, ("b", "y"): 2 * 0.5 ** (0.5 / 4)})
    both = cells(built.train_validation, built.user_ids, built.items)
    later = 0.5 ** (2 / 4)  # two more days have passed
    assert both == pytest.approx(
        {key: value * later for key, value in train.items()} | {("b", "x"): 0.5**0.25}
    )
    history = cells(built.test.history, built.test.user_ids, built.items)
    assert history == pytest.approx({("a", "x"): 1.5 * later})
    assert cells(built.test.held_out, built.test.user_ids, built.items) == {("a", "y"): 1.0}


def test_a_confidence_decayed_to_nothing_is_still_an_interaction(build, params, random_log):
    built = build(random_log(6), params(half_life_days=0.001))
    plain = build(random_log(6), params())
    assert built.train.nnz == plain.train.nnz
    assert (built.train.data > 0).all()


def test_without_timestamps_nothing_decays(build, params, log):
    rows = [
        ("a", "x", "view", None),
        ("a", "y", "cart", None),
        ("b", "x", "view", None),
        ("b", "y", "cart", None),
    ]
    split = {"kind": "published", "validation_share": 0, "seed": 0}
    built = build(log(rows, split=["train", "train", "train", "test"]), params(half_life_days=1, split=split))
    assert built.train.toarray().tolist() == [[1, 2], [1, 0]]
    assert built.validation is None
    assert (built.train_validation != built.train).nnz == 0
    assert built.items["first_seen"].isna().all()
    assert built.items["trend"].isna().all()
    assert built.summary["cuts"] is None


def test_statistics_of_items_come_from_train_only(build, params, log, no_items):
    rows = [
        ("a", "x", "purchase", 0),
        ("a", "x", "purchase", 3.5),
        ("b", "x", "view", 1),
        ("b", "x", "rating", 2),
        ("b", "y", "view", 4 - 0.1),
        ("c", "x", "purchase", 5),  # validation
        ("a", "y", "purchase", 8),  # test
    ]
    events = log(
        rows,
        price=[10.0, 20.05, None, None, None, 1000.0, 1000.0],
        value=[1.0, 2.0, None, 4.5, None, 3.0, None],
    )
    items = pd.DataFrame(
        {"item_id": ["y", "unsold"], "title": ["Y", "U"], "category": "c", "brand": None, "price": [1.5, 2.5]}
    )
    built = build(events, params(), items)
    x, y = (row._asdict() for row in built.items.itertuples())
    assert (x["popularity"], y["popularity"]) == (2, 1)
    assert x["mean_price"] == pytest.approx((10 + 20.05) / 2)
    assert x["mean_rating"] == 4.5
    assert x["purchases_per_view"] == 2
    assert x["trend"] == 1 / 4  # the train window is days 0 to 4, its last quarter starts on day 3
    assert y["trend"] == 1
    assert np.isnan(y["mean_price"])
    assert np.isnan(y["mean_rating"])
    assert y["first_seen"] == pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(days=3.9)
    assert (y["title"], y["price"]) == ("Y", 1.5)
    assert pd.isna(x["title"])


def test_prices_and_ratings_that_are_no_numbers_are_not_counted(build, params, log, no_items):
    rows = [("a", "x", "purchase", 0), ("b", "x", "purchase", 0), ("b", "y", "view", 0)]
    rows += [("a", "x", "rating", 1), ("a", "y", "view", 3), ("b", "x", "view", 3), ("c", "x", "view", 6)]
    events = log(
        rows,
        price=[5.0, float("nan"), None, None, None, None, None],
        value=[None, None, None, np.inf, 0, 0, 0],
    )
    built = build(events, params())
    assert built.items["mean_price"].iloc[0] == 5
    assert np.isnan(built.items["mean_rating"].iloc[0])


# --- cleaning --------------------------------------------------------------------------------------------


def test_min_rating_is_for_ratings_only(build, params, log, cells):
    rows = [
        ("a", "x", "rating", 0),
        ("a", "y", "rating", 0),
        ("a", "z", "purchase", 0),
        ("b", "x", "view", 0),
    ]
    rows += [("b", "z", "view", 3), ("b", "x", "view", 3), ("c", "x", "view", 6)]
    built = build(log(rows, value=[4.0, 3.0, 1.0, None, None, None, None]), params(min_rating=4))
    assert cells(built.train, built.user_ids, built.items) == {("a", "x"): 3, ("a", "z"): 4, ("b", "x"): 1}
    assert built.summary["log"]["events_left_out"] == 1


def test_no_event_of_a_wanted_kind_names_what_the_log_has(build, params, log):
    events = log([("a", "x", "view", 0), ("a", "x", "view", 1), ("a", "x", "cart", 2)])
    with pytest.raises(RecganError, match=r"the log has 1 cart, 2 view, .*weights is .*purchase"):
        build(events, params(weights={"purchase": 1, "view": 0}))


def test_an_empty_log_is_named(build, params, log):
    with pytest.raises(RecganError, match="no event at all"):
        build(log([]), params())


# --- what a split needs ----------------------------------------------------------------------------------


def test_a_log_shorter_than_the_windows_names_the_remedy(build, params, log):
    events = log([("a", "x", "view", 0), ("a", "y", "view", 2.5)])
    split = {"kind": "time", "validation_days": 4, "test_days": 3}
    message = r"has 2\.5 days, .*_days 4 and test_days 3 take 7; shorten them to less than 2.5 together"
    with pytest.raises(RecganError, match=message):
        build(events, params(split=split))
    with pytest.raises(RecganError, match=r"has 2\.5 days, .* take 1e\+09"):
        build(events, params(split=split | {"test_days": 1e9}))


def test_a_log_holds_the_windows_before_which_something_is_left():
    split = TimeSplit(kind="time", validation_days=4, test_days=3)
    # 3 n + 4 days of windows, and more than that in the log
    assert [split.windows_in(days) for days in (0, 4, 7, 7.1, 10, 10.1, 31.5)] == [0, 0, 0, 1, 1, 2, 9]


def test_a_gap_in_the_validation_window_is_named(build, params, log):
    events = log([("a", "x", "view", 0), ("b", "x", "view", 9)])
    with pytest.raises(RecganError, match=r"no event from 2024-01-06 00:00 to 2024-01-08 00:00.*lengthen"):
        build(events, params())


def test_an_empty_k_core_names_the_numbers(build, params, random_log):
    with pytest.raises(RecganError, match=r"\d+ users, \d+ items and \d+ inter.*31 of them or more; lower"):
        build(random_log(1), params(min_item_users=31))


def test_nothing_held_out_is_named(build, params, log):
    events = log(
        [("a", "x", "view", 0), ("b", "x", "view", 3), ("b", "new", "view", 6), ("a", "x", "view", 6)]
    )
    with pytest.raises(
        RecganError, match=r"test window: of its 2 interactions 1 are .* and 1 of these .*lengthen"
    ):
        build(events, params())


@pytest.mark.parametrize(("kind", "days"), [("time", [0, None]), ("leave-last-out", [0, None])])
def test_a_missing_timestamp_is_named(build, params, log, kind, days):
    events = log([("a", f"i{day}", "view", day) for day in days])
    with pytest.raises(RecganError, match=r"1 of 2 events have no\s+timestamp"):
        build(events, params(split=KINDS[kind]))


def test_a_published_split_without_its_column_is_named(build, params, log):
    events = log([("a", "x", "view", None), ("a", "y", "view", None)], split=["train", None])
    with pytest.raises(RecganError, match=r"neither train nor test in 1 of 2 events; take ingest.source"):
        build(events, params(split=KINDS["published"]))
    with pytest.raises(RecganError, match="no column split"):
        build(events.drop_columns(["split"]), params(split=KINDS["published"]))


def test_a_split_that_spares_nothing_is_named(build, params, log):
    events = log([("a", "x", "view", 0), ("b", "y", "view", 1)])
    with pytest.raises(
        RecganError, match=r"test window of the random split is empty: none of.*raise features"
    ):
        build(events, params(split=KINDS["random"]))
    two = log([("a", "x", "view", 0), ("a", "y", "view", 1), ("b", "y", "view", 1)])
    with pytest.raises(RecganError, match="validation window of the leave-last-out split is empty"):
        build(two, params(split=KINDS["leave-last-out"]))


# --- the splits of papers --------------------------------------------------------------------------------


def test_leave_last_out_by_hand(build, params, log, cells):
    rows = [("a", "w", "view", 0), ("a", "x", "view", 1), ("a", "y", "view", 2), ("a", "z", "view", 3)]
    rows += [("a", "x", "cart", 9)]  # x again: it is a's last item, and all of x is held out
    rows += [("b", "w", "view", 0), ("b", "z", "view", 1)]  # two items: none for validation
    rows += [("c", "x", "view", 0)]  # one item: train only
    rows += [("d", item, "view", 5) for item in "zyxw"]  # a tie: the higher id counts as later
    built = build(log(rows), params(split=KINDS["leave-last-out"]))
    train = cells(built.train, built.user_ids, built.items)
    assert set(train) == {("a", "w"), ("a", "y"), ("b", "w"), ("c", "x"), ("d", "w"), ("d", "x")}
    validation, test = built.validation, built.test
    assert cells(validation.held_out, validation.user_ids, built.items) == {("d", "y"): 1}
    # z is in nobody's train, so validation does not know it; as a's last but one it comes in behind.
    assert built.summary["validation"]["unknown_interactions"] == 1
    assert cells(validation.outside.held_out, validation.user_ids, outside_of(validation)) == {("a", "z"): 1}
    assert cells(test.held_out, test.user_ids, built.items) == {("a", "x"): 1, ("b", "z"): 1, ("d", "z"): 1}
    assert built.summary["test"]["unknown_interactions"] == 0


def outside_of(window):
    return pd.DataFrame({"item_id": window.outside.item_ids})


def windows_of(built, cells):
    """Name the window of every pair that train knows, in ids: 0 train, 1 validation, 2 test."""
    tables = [
        (built.train, built.user_ids),
        *((w.held_out, w.user_ids) for w in (built.validation, built.test)),
    ]
    return {
        pair: window
        for window, (matrix, users) in enumerate(tables)
        for pair in cells(matrix, users, built.items)
    }


def test_a_random_split_is_another_with_another_seed(build, params, random_log):
    split = {"kind": "random", "validation_share": 0.2, "test_share": 0.3, "seed": 1}
    built, other = (build(random_log(8), params(split=split | {"seed": seed})) for seed in (1, 2))
    assert other.summary["md5"] != built.summary["md5"]


def test_no_pair_of_a_random_split_moves_when_events_come(build, params, log, random_log, cells):
    """Tomorrow's log: more events of everyone, new shoppers and items, and ids that sort before all."""
    today = random_log(9)
    more = random_log(10, events=200, users=60, items=45)
    newcomer = more.slice(0, 3)
    newcomer = newcomer.set_column(0, "user_id", pa.array([" a"] * 3)).set_column(
        1, "item_id", pa.array(["!", "i0", "i1"])
    )
    parameters = params(split=KINDS["random"])
    before = windows_of(build(today, parameters), cells)
    after = windows_of(build(pa.concat_tables([today, more, newcomer]), parameters), cells)
    assert len(after) > len(before) > 300
    assert {pair: after[pair] for pair in before} == before


def test_a_shopper_whose_items_are_all_held_out_is_a_new_one(build, params, random_log):
    split = {"kind": "random", "validation_share": 0.1, "test_share": 0.8, "seed": 1}
    built = build(random_log(12), params(split=split))
    assert built.summary["test"]["new_users"] > 0
    assert np.isfinite(built.test.history.data).all()


def test_a_published_test_is_kept_and_validation_comes_from_train(build, params, log, cells):
    rows = [(user, f"i{item}", "rating", None) for user in "abcdefgh" for item in range(20)]
    split = ["test" if item >= 16 and user != "c" else "train" for user in "abcdefgh" for item in range(20)]
    published = {"kind": "published", "validation_share": 0.25, "seed": 1}
    built = build(log(rows, split=split), params(split=published))
    held_out = cells(built.test.held_out, built.test.user_ids, built.items)
    assert set(held_out) == {(user, f"i{item}") for user in "abdefgh" for item in range(16, 20)}
    train, validation, test = (window["interactions"] for window in built.summary["windows"].values())
    assert (train + validation, test) == (7 * 16 + 20, 7 * 4)
    assert validation == pytest.approx(0.25 * (7 * 16 + 20), abs=12)  # 2.4 standard deviations
    assert built.test.history.nnz == 7 * 16  # train and validation
    # One more train row moves none of the others.
    grown = build(log([*rows, ("z", "i0", "rating", None)], split=[*split, "train"]), params(split=published))
    before, after = (windows_of(one, cells) for one in (built, grown))
    assert {pair: after[pair] for pair in before} == before


def test_an_item_drawn_whole_for_validation_comes_back_to_train(build, params, log):
    # Every item has one train pair, so each that is drawn would leave the vocabulary.
    rows = [(user, f"{user}{item}", "rating", None) for user in "abcd" for item in range(4)]
    rows += [(user, "shared", "rating", None) for user in "abcd"]
    tests = [("a", "b0", "rating", None)]
    split = ["train"] * len(rows) + ["test"]
    published = {"kind": "published", "validation_share": 0.5, "seed": 0}
    built = build(log(rows + tests, split=split), params(split=published))
    assert len(built.items) == 17
    assert built.summary["test"]["unknown_interactions"] == 0
    assert built.validation.held_out.nnz > 0
    assert built.train.nnz + built.validation.held_out.nnz == 20
