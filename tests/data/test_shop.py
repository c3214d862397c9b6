from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recgan.data.events import EVENTS, ITEMS, USERS
from recgan.data.sources.shop import ShopSource, simulate_shop

END = datetime(2026, 1, 1, tzinfo=UTC)
DAY = pd.Timedelta(days=1)


def source(**changes):
    settings = {"source": "shop", "path": Path("raw"), "seed": 7, "events": 60_000, "days": 180, "end": END}
    return ShopSource(**(settings | changes))


@pytest.fixture(scope="module")
def tables():
    return simulate_shop(source())


@pytest.fixture(scope="module")
def events(tables):
    return tables.events.to_pandas()


@pytest.fixture(scope="module")
def clean(tables, events):
    users = tables.users.to_pandas()
    genuine = events["user_id"].isin(users.loc[~users["fake"], "user_id"])
    priced = events["price"].isna() | (events["price"] > 0)
    return events[genuine & priced & ~(events["value"] <= 0) & ~events.duplicated()]


@pytest.mark.parametrize(("n", "days"), [(1000, 180), (1000, 7), (4321, 30), (60_000, 3650)])
def test_rows_are_exact_and_lie_in_the_period(n, days):
    simulated = simulate_shop(source(events=n, days=days))
    times = simulated.events["timestamp"].to_pandas()
    assert simulated.events.num_rows == n
    assert times.is_monotonic_increasing
    assert pd.Timestamp(END) - days * DAY <= times.min()
    assert times.max() < END


def test_tables_have_the_schemas_and_ids_that_agree(tables):
    assert tables.events.schema.equals(EVENTS)
    assert tables.items.schema.equals(ITEMS)
    assert tables.users.schema.equals(USERS)
    users, items = tables.users["user_id"].to_pylist(), tables.items["item_id"].to_pylist()
    assert len(set(users)) == len(users)
    assert len(set(items)) == len(items)
    assert set(tables.events["user_id"].drop_null().to_pylist()) == set(users)
    assert set(tables.events["item_id"].to_pylist()) <= set(items)
    for column in ("item_id", "event", "timestamp", "session_id"):
        assert tables.events[column].null_count == 0


def test_one_seed_gives_equal_tables_and_another_seed_others(tables):
    again, other = simulate_shop(source()), simulate_shop(source(seed=8))
    for name in ("events", "items", "users"):
        assert getattr(again, name).equals(getattr(tables, name))
        assert not getattr(other, name).equals(getattr(tables, name))


def test_an_end_without_a_zone_is_utc(tables):
    assert simulate_shop(source(end=datetime(2026, 1, 1))).events.equals(tables.events)


def test_dirty_rows_are_three_percent_and_of_the_announced_kinds(tables, events):
    fake = set(tables.users.filter(tables.users["fake"])["user_id"].to_pylist())
    cancelled = (events["event"] == "purchase") & (events["value"] <= 0)
    dirt = {
        "null_user": events["user_id"].isna(),
        "cancellation": cancelled,
        "price": events["price"] <= 0,
        "fake": events["user_id"].isin(fake),
        "duplicate": events.duplicated(),
    }
    for kind, rows in dirt.items():
        assert 0.003 < rows.mean() < 0.012, kind
    assert 0.025 < np.logical_or.reduce(list(dirt.values())).mean() < 0.035
    assert set(events["event"]) == {"view", "cart", "purchase", "rating"}
    assert events.loc[events["event"] == "rating", "value"].isin([1, 2, 3, 4, 5]).all()
    assert events.loc[events["event"].isin(["view", "cart"]), "value"].isna().all()
    assert (events.loc[(events["event"] == "purchase") & ~cancelled, "value"] >= 1).all()


def test_fake_accounts_hammer_few_products(tables, events):
    fake = tables.users.filter(tables.users["fake"])["user_id"].to_pylist()
    per_account = events[events["user_id"].isin(fake)].groupby("user_id")["item_id"]
    assert per_account.nunique().max() <= 3
    assert per_account.size().mean() > 20


def test_a_cancellation_repeats_an_earlier_purchase(events):
    key = ["session_id", "item_id", "value"]
    cancelled = events[(events["event"] == "purchase") & (events["value"] <= 0)]
    bought = events[(events["event"] == "purchase") & (events["value"] > 0)]
    pairs = cancelled.assign(value=-cancelled["value"]).merge(bought, on=key, suffixes=("", "_bought"))
    later = pairs[pairs["timestamp"] >= pairs["timestamp_bought"]]
    # The purchase itself may be among the rows whose price was spoilt, but it is there.
    assert len(later[[*key, "timestamp"]].drop_duplicates()) == len(cancelled.drop_duplicates())


def test_each_step_of_the_funnel_follows_the_one_before(clean):
    first = clean.groupby(["user_id", "item_id", "event"])["timestamp"].min().unstack()
    counts = clean["event"].value_counts()
    assert counts["view"] > counts["cart"] > counts["purchase"] > counts["rating"] > 0
    for earlier, later in (("view", "cart"), ("cart", "purchase"), ("purchase", "rating")):
        # A few steps before are missing: a visit cut off, or rows that dirt took.
        both = first[later].notna()
        assert (first.loc[both, earlier] < first.loc[both, later]).mean() > 0.97


def test_popularity_has_a_long_tail_and_activity_is_skewed(clean):
    items = clean["item_id"].value_counts()
    assert 0.5 < items.iloc[: len(items) // 5].sum() / len(clean) < 0.85
    users = clean["user_id"].value_counts()
    assert users.mean() > 1.3 * users.median()


def test_products_and_shoppers_keep_arriving(clean):
    last_weeks = pd.Timestamp(END) - 28 * DAY
    for column in ("item_id", "user_id"):
        first = clean.groupby(column)["timestamp"].min()
        assert 0.03 < (first > last_weeks).mean() < 0.3


def test_visits_repeat_and_return_to_products(clean):
    assert clean.groupby("user_id")["session_id"].nunique().median() >= 3
    views = clean[clean["event"] == "view"]
    visits = views.groupby(["user_id", "item_id"])["session_id"].nunique()
    assert (visits > 1).mean() > 0.05
    assert clean.groupby("session_id")["user_id"].nunique().max() == 1


def test_weekends_are_busier(clean):
    days = clean.groupby(clean["timestamp"].dt.date).size()
    weekday = pd.to_datetime(days.index).day_of_week
    assert days[weekday >= 5].mean() > 1.15 * days[weekday < 5].mean()


def test_shoppers_and_products_grow_with_the_log(tables):
    small = simulate_shop(source(events=6000))
    assert 5 < tables.users.num_rows / small.users.num_rows < 10
    assert 4 < tables.items.num_rows / small.items.num_rows < 7
    assert simulate_shop(source(events=1000)).items.num_rows >= 40


def test_nobody_dominates_a_small_log():
    for seed in range(5):
        ids = simulate_shop(source(events=1000, seed=seed)).events["user_id"]
        assert max(ids.drop_null().value_counts().field("counts").to_pylist()) <= 20


def test_taste_can_be_learnt_from_other_shoppers(clean):
    """Neighbours by co-occurrence predict the last month far better than popularity does."""
    cut = pd.Timestamp(END) - 28 * DAY
    before, after = clean[clean["timestamp"] < cut], clean[clean["timestamp"] >= cut]
    items = pd.Index(before["item_id"].unique())
    users = pd.Index(np.intersect1d(before["user_id"].unique(), after["user_id"].unique()))
    seen, new = (np.zeros((len(users), len(items)), np.float32) for _ in range(2))
    for frame, matrix in ((before, seen), (after, new)):
        known = frame[frame["user_id"].isin(users) & frame["item_id"].isin(items)]
        matrix[users.get_indexer(known["user_id"]), items.get_indexer(known["item_id"])] = 1
    new[seen > 0] = 0
    popularity = seen.sum(axis=0)
    norm = np.sqrt(np.maximum(popularity, 1))
    cosine = seen.T @ seen / norm[:, None] / norm[None, :]
    np.fill_diagonal(cosine, 0)

    def recall(scores):
        top = np.argsort(np.where(seen > 0, -np.inf, scores), axis=1)[:, -10:]
        hits = np.take_along_axis(new, top, axis=1).sum(axis=1)
        return (hits / np.maximum(new.sum(axis=1), 1))[new.sum(axis=1) > 0].mean()

    assert recall(seen @ cosine) > 1.3 * recall(np.tile(popularity, (len(users), 1)))
