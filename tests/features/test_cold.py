"""Products first sold in a window, and the times of what was met before it."""

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal

from recgan.features.build import build_features
from recgan.features.matrices import read_features, write_features

KINDS = {
    "random": {"kind": "random", "validation_share": 0.2, "test_share": 0.2, "seed": 3},
    "leave-last-out": {"kind": "leave-last-out"},
    "published": {"kind": "published", "validation_share": 0.2, "seed": 3},
}
CATALOGUE = ["item_id", "title", "category", "brand", "price"]


@pytest.fixture
def random_log(random_log):
    """Let validation sell middle0 to middle2 first, and test late0 to late3."""

    def make(seed) -> pa.Table:
        log = random_log(seed)
        day = (log["timestamp"].to_pandas() - log["timestamp"].to_pandas().min()) / pd.Timedelta(days=1)
        row, item = np.arange(len(log)), log["item_id"].to_numpy().astype(object)
        for name, new, n in (
            ("middle", (day > 8.5) & (row % 4 == 0), 3),
            ("late", (day > 10.5) & (row % 3 == 0), 4),
        ):
            item[new] = [f"{name}{place % n}" for place in np.flatnonzero(new)]
        return replaced(log, "item_id", item.tolist())

    return make


def replaced(log: pa.Table, name: str, values: list) -> pa.Table:
    place = log.schema.get_field_index(name)
    field = log.schema.field(place)
    return log.set_column(place, field, pa.array(values, field.type))


@pytest.fixture
def items():
    """What the shop lists: all items but late3, and one that nobody ever meets."""
    names = [f"i{n}" for n in range(30)] + [
        "late0",
        "late1",
        "late2",
        "middle0",
        "middle1",
        "middle2",
        "unsold",
    ]
    return pd.DataFrame(
        {
            "item_id": names,
            "title": [f"Item {name}" for name in names],
            "category": [f"c{n % 4}" for n in range(len(names))],
            "brand": [None if n % 3 else "b" for n in range(len(names))],
            "price": [float(n) for n in range(len(names))],
        }
    ).astype({"title": "str", "category": "str", "brand": "str"})


def windows(events: pd.DataFrame, params) -> dict[str, tuple[pd.Timestamp, pd.Timestamp]]:
    """First instant of each window and of the next, by name."""
    end = events["timestamp"].max()
    test = end - pd.Timedelta(days=params.split.test_days)
    validation = test - pd.Timedelta(days=params.split.validation_days)
    return {"cold_validation": (validation, test), "cold_test": (test, end + pd.Timedelta(seconds=1))}


# --- products first sold in a window ---------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_agrees_with_an_independent_implementation(build, params, random_log, items, cells, seed):
    log, params = random_log(seed), params(min_user_items=2, min_item_users=2)
    built = build(log, params, items)
    events = log.to_pandas()
    for name, (start, end) in windows(events, params).items():
        cold = getattr(built, name)
        before = set(events.loc[events["timestamp"] < start, "item_id"])
        inside = events[(events["timestamp"] >= start) & (events["timestamp"] < end)]
        sold = {(row.user_id, row.item_id) for row in inside.itertuples() if row.item_id not in before}
        first_sold = {item for _, item in sold}
        assert first_sold
        assert cold.items["item_id"].tolist() == sorted(first_sold | set(items["item_id"]) - before)
        assert set(cold.items.loc[cold.items["first_sold"], "item_id"]) == first_sold
        assert cold.user_ids.tolist() == sorted({user for user, _ in sold})
        assert set(cells(cold.held_out, cold.user_ids, cold.items)) == sold
        known = built.items["item_id"].head(cold.history.shape[1])  # validation has those of train
        assert not set(cold.items["item_id"]) & set(known)
        counts = built.summary[name]
        assert (counts["items"], counts["first_sold"]) == (len(cold.items), len(first_sold))
        assert (counts["users"], counts["interactions"]) == (len(cold.user_ids), len(sold))
    # What came before is the same for the known items and the new ones.
    history = cells(built.test.history, built.test.user_ids, built.items)
    cold_history = cells(built.cold_test.history, built.cold_test.user_ids, built.items)
    both = set(built.test.user_ids) & set(built.cold_test.user_ids)
    assert {key: v for key, v in history.items() if key[0] in both} == {
        key: v for key, v in cold_history.items() if key[0] in both
    }


def test_by_hand(build, params, log, items, cells):
    rows = [
        *[(user, item, "purchase", 0) for user in "ab" for item in ("i1", "i2")],
        ("a", "i3", "purchase", 1),  # the k-core leaves it out; it is no new product
        ("b", "i4", "view", 1),  # a view of weight 0 does not count, and still makes it a known product
        ("a", "i5", "purchase", 5),  # first sold in validation
        ("b", "i1", "purchase", 5),
        ("c", "i2", "purchase", 5),
        *[("b", item, "purchase", 8) for item in ("i3", "i4", "i5", "i6", "late3")],  # late3 is not listed
        ("new", "i6", "purchase", 8),
        ("new", "i7", "view", 8),  # does not count: listed, not sold
        ("c", "i1", "purchase", 9),
    ]
    params = params(weights={"purchase": 1, "view": 0}, min_item_users=2, min_user_items=2)
    built = build(log(rows), params, items)
    assert built.items["item_id"].tolist() == ["i1", "i2"]
    validation, test = built.cold_validation, built.cold_test
    assert cells(validation.held_out, validation.user_ids, validation.items) == {("a", "i5"): 1}
    # i6 is sold later and listed, so validation has it as a product like any other; late3 it cannot know of.
    assert {"i5", "i6", "i7", "unsold"} < set(validation.items["item_id"])
    assert not {"i3", "i4", "late3"} & set(validation.items["item_id"])
    sold = {("b", "i6"): 1, ("b", "late3"): 1, ("new", "i6"): 1}
    assert cells(test.held_out, test.user_ids, test.items) == sold
    assert not {"i3", "i4", "i5"} & set(test.items["item_id"])
    flags = test.items.set_index("item_id")["first_sold"]
    assert flags[["i6", "late3"]].all()
    assert not flags[["i7", "unsold"]].any()
    assert cells(test.history, test.user_ids, built.items) == {("b", "i1"): 2, ("b", "i2"): 1}
    assert built.summary["cold_test"]["new_users"] == 1


def test_new_items_have_what_the_shop_lists_and_nothing_that_was_counted(build, params, random_log, items):
    built = build(random_log(1), params(), items)
    cold = built.cold_test.items
    assert list(cold.columns) == [*CATALOGUE, "first_sold"]
    assert (cold[CATALOGUE].dtypes == built.items[CATALOGUE].dtypes).all()
    listed = cold.loc[cold["item_id"] != "late3", CATALOGUE].reset_index(drop=True)
    expected = items.set_index("item_id").loc[listed["item_id"]].reset_index()
    assert_frame_equal(listed, expected)
    assert cold.set_index("item_id").loc["late3"].drop("first_sold").isna().all()


def test_what_the_test_window_sells_changes_nothing_before_it(build, params, random_log, items):
    params = params(half_life_days=3)
    log = random_log(4)
    start = windows(log.to_pandas(), params)["cold_test"][0]
    later = (log["timestamp"].to_pandas() >= start).to_numpy()
    other_items = np.where(later, "i" + pd.Series(np.arange(len(log))).astype(str) + "x", log["item_id"])
    other_items[later & (np.arange(len(log)) % 2 == 0)] = "i1"  # some of train, else nothing is held out
    other = replaced(log, "item_id", other_items.tolist())
    one, two = (build(events, params, items) for events in (log, other))
    assert (one.train != two.train).nnz == 0
    assert (one.train_times == two.train_times).all()
    assert (one.train_validation_times == two.train_validation_times).all()
    assert_frame_equal(one.items, two.items)
    assert_frame_equal(one.cold_validation.items, two.cold_validation.items)
    assert (one.cold_validation.held_out != two.cold_validation.held_out).nnz == 0


def test_a_product_in_quarantine_before_the_window_is_no_new_one(random_log, params, items, log):
    events = random_log(1)
    end = (events["timestamp"].to_pandas().max() - pd.Timestamp("2024-01-01", tz="UTC")) / pd.Timedelta(
        days=1
    )
    rows = [(None, "late0", "purchase", 1), (None, "unsold", "purchase", end), ("a", None, "view", 1)]
    quarantined = log(rows).append_column("reason", pa.array(["null_user", "null_user", "null_item"]))
    without, built = (
        build_features(ibis.memtable(events), items, params(), table)
        for table in (None, ibis.memtable(quarantined))
    )
    assert "late0" in set(without.cold_test.items["item_id"])
    assert set(without.cold_test.items["item_id"]) - set(built.cold_test.items["item_id"]) == {"late0"}
    assert (built.test.held_out != without.test.held_out).nnz == 0
    assert (built.train != without.train).nnz == 0


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_split_in_time_has_new_products(build, params, random_log, items, kind):
    built = build(random_log(1), params(split=KINDS[kind]), items)
    assert built.cold_validation is None
    assert built.cold_test is None
    assert "cold_test" not in built.summary


def test_a_window_that_sells_nothing_new_has_no_cold_start(build, params, log, items):
    rows = [("a", "i1", "view", 0), ("b", "i2", "view", 0), ("a", "i2", "view", 3), ("b", "i1", "view", 6)]
    built = build(log(rows), params(), items)
    assert built.cold_validation is None
    assert built.cold_test is None


# --- times -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{}, {"binary": True}, {"min_user_items": 6, "min_item_users": 9}])
def test_each_entry_has_the_time_of_its_last_event_in_the_window(build, params, random_log, items, changes):
    log, params = random_log(5), params(**changes)
    built = build(log, params, items)
    events = log.to_pandas()
    cut = windows(events, params)
    for name, end in (
        ("train", cut["cold_validation"][0]),
        ("train_validation", cut["cold_test"][0]),
    ):
        matrix, times = getattr(built, name), getattr(built, f"{name}_times")
        assert times.shape == matrix.data.shape
        assert times.dtype == np.float32
        assert (times > 0).all()
        before = events[events["timestamp"] < end]
        last = before.groupby(["user_id", "item_id"])["timestamp"].max()
        days = (last - events["timestamp"].min()) / pd.Timedelta(days=1)
        coo = matrix.tocoo()
        pairs = list(zip(built.user_ids[coo.row], built.items["item_id"].to_numpy()[coo.col], strict=True))
        assert times == pytest.approx(days.loc[pairs].to_numpy(), rel=1e-6, abs=1e-6)


def test_train_times_end_before_the_cut(build, params, random_log, items):
    built = build(random_log(6), params(), items)
    start = pd.Timestamp(built.summary["log"]["start"])
    cuts = {name: (pd.Timestamp(cut) - start).total_seconds() for name, cut in built.summary["cuts"].items()}
    assert built.train_times.max() < cuts["validation_start"] / 86400
    assert cuts["validation_start"] / 86400 < built.train_validation_times.max() < cuts["test_start"] / 86400


def test_an_entry_of_both_windows_has_two_times(build, params, log):
    rows = [("a", "x", "view", 0), ("a", "x", "view", 1.5), ("a", "x", "view", 4.25), ("b", "y", "view", 0)]
    built = build(log([*rows, ("b", "x", "view", 4), ("a", "y", "view", 7)]), params())
    assert built.train_times == pytest.approx([1.5, 0], abs=1e-6)
    assert built.train_validation_times == pytest.approx([4.25, 4, 0], abs=1e-6)


def test_one_event_without_a_timestamp_leaves_no_times(build, params, log):
    rows = [(user, f"i{item}", "view", item) for user in "abc" for item in range(10)]
    split = KINDS["random"]
    assert build(log(rows), params(split=split)).train_times is not None
    built = build(log([*rows, ("a", "i11", "view", None)]), params(split=split))
    assert built.train_times is None
    assert built.train_validation_times is None


# --- writing and the hash --------------------------------------------------------------------------------


def test_what_is_written_reads_back(build, params, random_log, items, tmp_path):
    built = build(random_log(1), params(), items)
    write_features(built, tmp_path)
    read = read_features(tmp_path)
    assert (read.train_times == built.train_times).all()
    assert (read.train_validation_times == built.train_validation_times).all()
    for name in ("cold_validation", "cold_test"):
        one, other = getattr(built, name), getattr(read, name)
        assert_frame_equal(one.items, other.items)
        assert (other.items[CATALOGUE].dtypes == read.items[CATALOGUE].dtypes).all()
        assert one.user_ids.tolist() == other.user_ids.tolist()
        assert (one.history != other.history).nnz == (one.held_out != other.held_out).nnz == 0


def test_a_column_that_the_shop_leaves_empty_keeps_its_type(build, params, random_log, items, tmp_path):
    empty = items.assign(brand=pd.Series([None] * len(items), dtype="str"), price=np.nan)
    write_features(build(random_log(1), params(), empty), tmp_path)
    read = read_features(tmp_path)
    assert (read.cold_test.items[CATALOGUE].dtypes == read.items[CATALOGUE].dtypes).all()


def test_the_md5_covers_the_catalogue_and_the_times(random_log, params, items):
    def md5(events, listed):
        return build_features(ibis.memtable(events), listed, params(binary=True)).summary["md5"]

    events = random_log(1)
    first = md5(events, items)
    assert md5(events, items) == first
    for item in ("i0", "unsold"):  # one of the vocabulary, one of the new
        assert md5(events, items.assign(price=items["price"] + (items["item_id"] == item))) != first
    times = events["timestamp"].to_pandas()
    middle = (times > times.min() + pd.Timedelta(days=1)) & (times < times.min() + pd.Timedelta(days=2))
    moved = replaced(events, "timestamp", (times + pd.Timedelta(minutes=1)).where(middle, times).tolist())
    assert md5(moved, items) != first
