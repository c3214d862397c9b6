import base64
import gzip
import hashlib
import io
import struct
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from PIL import Image

from recgan.core.errors import RecganError
from recgan.data import idx
from recgan.data.events import EVENTS, ITEMS, USERS
from recgan.data.quarantine import with_sound_pictures
from recgan.data.sources.shop import ShopSource, check_files, simulate_shop, simulate_with_hidden
from recgan.data.sources.shop_names import KINDS, brand_names, model_names
from recgan.data.sources.shop_pictures import GLYPHS, picture
from recgan.data.sources.shop_world import CATEGORIES, REFILL_DAYS, make_catalogue, with_shop_endings

END = datetime(2026, 1, 1, tzinfo=UTC)
DAY = pd.Timedelta(days=1)


FAKES = {"share": 0.03, "styles": ["push", "segment", "farm", "drip"], "labelled": 0.3}


def source(**changes):
    settings = {
        "source": "shop",
        "path": Path("raw"),
        "feedback": None,
        "seed": 7,
        "events": 60_000,
        "days": 180,
        "end": END,
    }
    return ShopSource(**(settings | {"pictures": None} | {"fakes": FAKES | {"share": 0}} | changes))


@pytest.fixture(scope="module")
def tables():
    return simulate_shop(source())


@pytest.fixture(scope="module")
def events(tables):
    return tables.events.to_pandas()


@pytest.fixture(scope="module")
def clean(tables, events):
    users = tables.users.to_pandas()
    genuine = events["user_id"].isin(users["user_id"])
    priced = events["price"].isna() | (events["price"] > 0)
    return events[genuine & priced & ~(events["value"] <= 0) & ~events.duplicated()]


@pytest.fixture(scope="module")
def catalogue(tables):
    """The hidden world of `tables`, by item id: simulate_shop draws the catalogue first."""
    drawn = make_catalogue(tables.items.num_rows, 180, np.random.default_rng(7))
    ids = np.array([f"i{number + 1:05}" for number in drawn.number])
    columns = {name: getattr(drawn, name) for name in ("burst", "arrival")}
    shown = [set(ids[row]) for row in drawn.related]
    goes_with = [set(ids[row]) if row[0] >= 0 else set() for row in drawn.accessories]
    return pd.DataFrame({**columns, "related": shown, "accessories": goes_with}, index=ids)


@pytest.fixture(scope="module")
def category(tables):
    return tables.items.to_pandas().set_index("item_id")["category"]


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


def test_titles_say_the_brand_and_the_category_and_nothing_else(tables):
    """What learns from words must not read the hidden style, the popularity or the day of arrival."""
    items = tables.items.to_pandas()
    assert items["title"].is_unique
    words = items["title"].str.lower().str.findall(r"\w\w+")
    shared = words.explode().value_counts()
    shared = set(shared.index[shared > 1])
    told = words.map(lambda found: " ".join(word for word in found if word in shared))
    assert told.groupby(items["brand"]).nunique().max() == 1
    assert items.groupby("brand")["category"].nunique().max() == 1
    assert items["brand"].str.fullmatch(r"[A-Z][a-z]+").all()
    assert (items["title"].str.split().str[0] == items["brand"]).all()


def test_prices_end_as_a_shop_writes_them_and_stay_what_they_were(tables):
    prices = tables.items["price"].to_numpy()
    assert set(np.unique(np.round(prices * 100).astype(int) % 10)) == {9}
    drawn = np.exp(np.random.default_rng(0).normal(3.4, 1, 10_000)).clip(0.5)
    written = with_shop_endings(drawn)
    assert np.abs(written - drawn)[drawn < 50].max() < 0.0501
    assert np.abs(written / drawn - 1)[drawn >= 10].max() < 0.0051
    assert with_shop_endings(np.array([0.5, 23.47, 84.2, 231.4])).tolist() == [0.49, 23.49, 83.99, 230.99]


def test_each_category_has_names_and_a_picture_of_its_own():
    assert list(KINDS) == list(GLYPHS) == list(CATEGORIES)
    kinds = [kind for names in KINDS.values() for kind in names.split("|")]
    assert len(set(kinds)) == len(kinds)
    for names in (brand_names(1200, seed=1), model_names(40_000, seed=1)):
        assert len(set(names)) == len(names)


@pytest.fixture
def fashion(tmp_path, monkeypatch):
    """Fashion-MNIST's training files, made up: an image of class c has the value 10 c, and its number."""
    labels = np.repeat(np.arange(10, dtype=np.uint8), 200)
    pixels = np.repeat(10 * labels, 28 * 28).reshape(-1, 28, 28)
    pixels[:, 0, 0] = np.arange(len(labels)) % 200
    address = idx._ADDRESSES["fashion-mnist"]
    files = dict(address.files)
    for kind, array in (("images", pixels), ("labels", labels)):
        content = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
        file = files[f"train {kind}"]
        (tmp_path / file.name).write_bytes(gzip.compress(content))
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        files[f"train {kind}"] = replace(file, md5=md5)
    monkeypatch.setitem(idx._ADDRESSES, "fashion-mnist", replace(address, files=files))
    return tmp_path


def test_fashion_mnist_pictures_what_it_has(fashion):
    drawn, taken = (simulate_shop(source(events=20_000, pictures=at)) for at in (None, fashion))
    assert taken.events.equals(drawn.events)
    before, items = (tables.items.to_pandas() for tables in (drawn, taken))
    clothes = items["category"].isin(["shoes", "bags", "shirts", "dresses", "trousers", "jackets"])
    photos = items["image_url"].str.startswith("data:image/png;base64,")
    assert (photos == clothes | items["title"].str.contains("pacer shoes|running vest|singlet")).all()
    assert items["image_url"][~photos].equals(before["image_url"][~photos])
    assert with_sound_pictures(taken.items) == (taken.items, 0)
    assert items["image_url"][photos].is_unique
    for title, label in (("ankle boots", 9), ("loafers", 7), ("tote", 8), ("wrap dress", 3), ("polo", 0)):
        for address in items["image_url"][items["title"].str.endswith(title)]:
            with Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))) as image:
                assert image.getpixel((5, 5)) == 255 - 10 * label
    assert simulate_shop(source(events=20_000, pictures=fashion)).items.equals(taken.items)


def test_missing_files_of_pictures_are_known_before_anything_is_simulated(fashion):
    settings = source(pictures=fashion)
    check_files(settings, Path())
    next(fashion.glob("*labels*")).unlink()
    for look in (lambda: check_files(settings, Path()), lambda: simulate_shop(settings)):
        with pytest.raises(RecganError, match=r"no train-labels.*give ingest.pictures the folder"):
            look()


def test_a_picture_is_svg_in_its_own_address(tables):
    urls = tables.items["image_url"].to_pylist()
    assert max(map(len, urls)) < 800
    assert with_sound_pictures(tables.items) == (tables.items, 0)
    assert len(set(urls)) > len(set(tables.items["brand"].to_pylist()))
    for category in CATEGORIES:
        kind, drawn = picture(category, 3, 8).split(",", 1)
        assert kind == "data:image/svg+xml"
        assert not set('"<>#%') & set(drawn.replace("%", ""))
        assert ElementTree.fromstring(unquote(drawn)).tag == "{http://www.w3.org/2000/svg}svg"


def test_one_seed_gives_equal_tables_and_another_seed_others(tables):
    again, other = simulate_shop(source()), simulate_shop(source(seed=8))
    for name in ("events", "items", "users"):
        assert getattr(again, name).equals(getattr(tables, name))
        assert not getattr(other, name).equals(getattr(tables, name))


def test_an_end_without_a_zone_is_utc(tables):
    assert simulate_shop(source(end=datetime(2026, 1, 1))).events.equals(tables.events)


def test_dirty_rows_are_three_percent_and_of_the_announced_kinds(tables, events):
    cancelled = (events["event"] == "purchase") & (events["value"] <= 0)
    dirt = {
        "null_user": events["user_id"].isna(),
        "cancellation": cancelled,
        "price": events["price"] <= 0,
        "duplicate": events.duplicated(),
    }
    for kind, rows in dirt.items():
        assert 0.003 < rows.mean() < 0.012, kind
    assert 0.025 < np.logical_or.reduce(list(dirt.values())).mean() < 0.035
    assert set(events["event"]) == {"view", "cart", "purchase", "rating"}
    assert events.loc[events["event"] == "rating", "value"].isin([1, 2, 3, 4, 5]).all()
    assert events.loc[events["event"].isin(["view", "cart"]), "value"].isna().all()
    assert (events.loc[(events["event"] == "purchase") & ~cancelled, "value"] >= 1).all()


@pytest.fixture(scope="module")
def attacked():
    return simulate_with_hidden(source(events=20_000, fakes=FAKES))


def test_fake_accounts_come_on_top_and_change_nothing_else(attacked):
    tables, hidden = attacked
    clean = simulate_shop(source(events=20_000))
    planted = pa.array(hidden.planted.user_ids, pa.string())
    for name in ("events", "users"):
        table = getattr(tables, name)
        fake = pc.fill_null(pc.is_in(table["user_id"], planted), False)
        assert table.filter(pc.invert(fake)).equals(getattr(clean, name))
        assert pc.any(fake).as_py()
    assert tables.items.equals(clean.items)
    other = simulate_shop(source(events=20_000, fakes={"share": 0.1, "styles": ["crowd"], "labelled": 0.3}))
    assert other.users[: clean.users.num_rows].equals(clean.users)


def test_the_share_the_styles_and_the_labels_are_as_asked(attacked):
    tables, hidden = attacked
    planted = hidden.planted
    accounts = tables.users.num_rows
    assert len(set(planted.user_ids)) == len(planted.user_ids) == round(0.03 * accounts)
    assert list(planted.styles) == FAKES["styles"]
    assert set(planted.campaign) == set(range(4))
    label = dict(zip(*(tables.users[name].to_pylist() for name in ("user_id", "fake")), strict=True))
    for user_id, judged in label.items():
        assert judged in (None, user_id in planted.user_ids)
    assert np.mean([judged is not None for judged in label.values()]) == pytest.approx(0.3, abs=0.08)


def test_every_fake_account_pushes_a_target_of_its_campaign_at_the_shop_s_price(attacked):
    tables, hidden = attacked
    events, planted = tables.events.to_pandas(), hidden.planted
    of_item = events[events["price"] > 0].groupby(["item_id", events["timestamp"].dt.date])
    for number, targets in enumerate(planted.targets):
        members = set(planted.user_ids[planted.campaign == number])
        theirs = events[events["user_id"].isin(members)]
        assert set(theirs.loc[theirs["item_id"].isin(targets), "user_id"]) == members
        assert theirs.groupby("session_id")["user_id"].nunique().max() == 1
    assert (of_item["price"].nunique() <= 2).all()  # two where a week of lower prices begins that day


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


def test_a_visit_keeps_to_its_theme_and_follows_the_pages_of_products(clean, catalogue, category):
    views = clean[clean["event"] == "view"].sort_values(["session_id", "timestamp"], kind="stable")
    before = views.groupby("session_id")["item_id"].shift()
    views, before = views[before.notna()], before[before.notna()]
    same = category[before].to_numpy() == category[views["item_id"]].to_numpy()
    by_shopper = views.groupby("user_id")["item_id"].shift(25)  # of another visit, by and large
    far = by_shopper.notna()
    same_far = category[by_shopper[far]].to_numpy() == category[views.loc[far, "item_id"]].to_numpy()
    assert same.mean() > 0.6 > 2 * same_far.mean()
    related = catalogue["related"].to_dict()
    follows = [item in related[last] for item, last in zip(views["item_id"], before, strict=True)]
    leads = [last in related[item] for item, last in zip(views["item_id"], before, strict=True)]
    assert np.mean(follows) > 1.5 * np.mean(leads)


def test_a_purchase_brings_accessories_in_the_next_days(clean, catalogue):
    bought = clean.loc[clean["event"] == "purchase", ["user_id", "item_id", "timestamp"]]
    bought = bought[bought["timestamp"].between(*(pd.Timestamp(END) - days * DAY for days in (160, 20)))]
    main = bought[catalogue.loc[bought["item_id"], "accessories"].map(len).to_numpy() > 0]
    pairs = main.assign(item_id=catalogue.loc[main["item_id"], "accessories"].to_numpy()).explode("item_id")
    views = clean.loc[clean["event"] == "view", ["user_id", "item_id", "timestamp"]]
    met = pairs.reset_index().merge(views, on=["user_id", "item_id"], suffixes=("", "_viewed"))
    days = (met["timestamp_viewed"] - met["timestamp"]) / DAY
    after, before = (
        met.loc[days.between(*around), "index"].nunique() / len(main) for around in ((0, 12), (-12, 0))
    )
    assert after > 0.3
    assert after > 2.5 * before


def test_what_is_used_up_is_bought_again_after_its_interval(clean, category):
    bought = clean[clean["event"] == "purchase"].sort_values("timestamp")
    bought = bought[bought["timestamp"] < pd.Timestamp(END) - 60 * DAY]
    gap = bought.groupby(["user_id", "item_id"])["timestamp"].diff(-1).abs() / DAY
    kind = category[bought["item_id"]].to_numpy()
    used_up = np.isin(kind, list(REFILL_DAYS))
    interval = np.array([REFILL_DAYS.get(name, 20) for name in kind])
    in_time = ((gap / interval).between(0.7, 1.4)).to_numpy()
    assert in_time[used_up].mean() > 0.2 > 5 * in_time[~used_up].mean()
    again = (gap / interval)[used_up & (gap > 2).to_numpy()]  # not the same visit's
    assert 0.9 < again.median() < 1.1


def test_interests_last_for_weeks(clean, category):
    views = clean[clean["event"] == "view"].sort_values(["user_id", "timestamp"], kind="stable")
    week = (views["timestamp"] - views["timestamp"].min()) // (10 * DAY)
    mixes = pd.crosstab([views["user_id"], week], category[views["item_id"]].to_numpy())
    mixes = mixes.div(np.sqrt((mixes**2).sum(axis=1)), axis=0)

    def likeness(shift):
        moved = mixes.copy()
        moved.index = pd.MultiIndex.from_arrays(
            [moved.index.get_level_values(0), moved.index.get_level_values(1) + shift]
        )
        both = mixes.index.intersection(moved.index)
        return (mixes.loc[both] * moved.loc[both]).sum(axis=1).mean()

    assert likeness(1) > 1.15 * likeness(8)


def test_some_launches_are_hits_that_fade_and_others_flop(clean, catalogue):
    start = pd.Timestamp(END) - 180 * DAY
    views = clean[clean["event"] == "view"]
    age = (views["timestamp"] - start) / DAY - catalogue.loc[
        views["item_id"], "arrival"
    ].to_numpy() / 86_400_000
    launched = catalogue[catalogue["arrival"].between(1, 130 * 86_400_000)]
    first, later = (
        views[age.between(low, low + 14)].groupby("item_id").size().reindex(launched.index, fill_value=0)
        for low in (0, 35)
    )
    hit = launched["burst"] > 0
    assert 0.15 < hit.mean() < 0.35
    assert first[hit].mean() > 2 * first[~hit].mean()
    assert first[hit].sum() > 1.5 * later[hit].sum()
    assert first[~hit].sum() < 1.5 * later[~hit].sum()
    assert (catalogue.loc[catalogue["arrival"] < 0, "burst"] == 0).all()


def test_both_last_fortnights_sell_products_of_their_own(clean):
    first = clean.drop_duplicates(["user_id", "item_id"])
    cut = pd.Timestamp(END) - 28 * DAY
    known = clean.loc[clean["timestamp"] < cut, "item_id"].unique()
    for low in (28, 14):
        window = first[
            first["timestamp"].between(*(pd.Timestamp(END) - day * DAY for day in (low, low - 14)))
        ]
        assert 0.03 < 1 - window["item_id"].isin(known).mean() < 0.2


def test_weekends_are_busier(clean):
    days = clean.groupby(clean["timestamp"].dt.date).size()
    weekday = pd.to_datetime(days.index).day_of_week
    assert days[weekday >= 5].mean() > 1.15 * days[weekday < 5].mean()


def test_shoppers_and_products_grow_with_the_log(tables):
    small = simulate_shop(source(events=6000))
    assert 4 < tables.users.num_rows / small.users.num_rows < 10
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
