from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from recgan.core.errors import RecganError
from recgan.core.files import read_json
from recgan.core.layout import BEHAVIOUR, BEHAVIOUR_METRICS, KEPT
from recgan.daily import behaviour as module
from recgan.daily.behaviour import Events, behaviour, events_of, forecast, inputs, outcome, quality
from recgan.daily.foretold import days_of, foretold_for
from recgan.data.events import EVENTS, Tables, write_tables
from recgan.data.sources.shop import ShopSource, simulate_shop
from tests.conftest import screen_out

END = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(module, "_ROUNDS", 15)
    monkeypatch.setattr(module, "MOST_CUTS", 5)


@pytest.fixture(scope="module")
def tables():
    source = {
        "source": "shop",
        "path": Path("raw"),
        "feedback": None,
        "seed": 3,
        "events": 20_000,
        "days": 100,
        "end": END,
    }
    source["pictures"] = None
    source["fakes"] = {"share": 0, "styles": ["push"], "labelled": 0}
    return simulate_shop(ShopSource(**source))


@pytest.fixture(scope="module")
def shop(tables):
    return events_of(tables.events)


def log(*rows):
    """Events of (user, kind, day); a purchase is of two pieces at 5."""
    user, kind, day = zip(*rows, strict=True)
    kind = np.array(kind, dtype=object)
    return Events(
        np.array(user), kind, np.array(day, dtype=float), np.where(kind == "purchase", 10.0, 0.0),
        np.array(["a", "b", "c"], dtype=object),
    )  # fmt: skip


def test_what_comes_within_the_days_after_the_cut_counts_and_nothing_else():
    events = log(
        (0, "view", 1),
        (1, "view", 2),
        (1, "purchase", 10),
        (0, "cart", 10.5),
        (2, "view", 11),
        (0, "view", 17),
    )
    shoppers, _ = inputs(events, 10)
    assert shoppers.tolist() == [0, 1]  # c had not come by then
    assert outcome(events, shoppers, 10, 7, "p_return").tolist() == [True, False]  # the cut itself is before
    assert outcome(events, shoppers, 10, 0.4, "p_return").tolist() == [False, False]
    assert outcome(events, shoppers, 9, 7, "p_purchase").tolist() == [False, True]
    assert outcome(events, shoppers, 10, 7, "p_cart").tolist() == [True, False]


def test_inputs_are_recency_frequency_and_value_at_the_cut():
    events = log((0, "view", 1), (0, "view", 1.5), (0, "view", 9), (1, "purchase", 9.5), (0, "purchase", 11))
    _, matrix = inputs(events, 10)
    since_last, since_first, days, in_7, in_30, _, ever, gap, due = matrix[0, :9]
    assert [since_last, since_first, days] == [1, 9, 2]
    assert [in_7, in_30, ever] == [1, 3, 3]
    assert [gap, due] == [8, 1 / 8]
    assert np.isnan(matrix[0, 9])  # had bought nothing yet
    assert matrix[:, -1].tolist() == [0, 10]


def test_a_forecast_knows_nothing_of_what_comes_after_its_cut(shop):
    before = shop.time <= 70
    until = Events(
        *(getattr(shop, name)[before] for name in ("user", "kind", "time", "spent")), user_ids=shop.user_ids
    )
    for kind in ("boosting", "logistic"):
        shoppers, found = forecast(shop, 70, 7, kind)
        again, same = forecast(until, 70, 7, kind)
        np.testing.assert_array_equal(shoppers, again)
        assert set(found) == {"p_return", "p_cart", "p_purchase"}
        for column, p in found.items():
            np.testing.assert_array_equal(p, same[column])
            assert ((p > 0) & (p < 1)).all()


def test_what_is_known_is_asked_for_at_the_cut_and_at_earlier_ones_alone(shop):
    asked = []

    def only_recency(events, cut):
        asked.append(cut)
        shoppers, matrix = inputs(events, cut)
        return shoppers, matrix[:, :1]

    _, found = forecast(shop, 70, 7, "logistic", only_recency)
    assert sorted(asked, reverse=True) == [70, 63, 56, 49, 42, 35]
    _, matrix = inputs(shop, 70)
    falling = found["p_return"][np.argsort(matrix[:, 0])]
    assert (np.diff(falling) <= 0).all()  # the longer ago, the less probable


def test_probabilities_are_calibrated_and_tell_who_comes_back(shop):
    for kind in ("boosting", "logistic"):
        shoppers, found = forecast(shop, 85, 7, kind)
        measured = quality(found["p_return"], outcome(shop, shoppers, 85, 7, "p_return"))
        assert measured["auc"] > 0.65
        assert measured["calibration_error"] < 0.1
        assert measured["brier"] < measured["share"] * (1 - measured["share"])


def test_quality_agrees_with_values_by_hand():
    measured = quality(np.array([0.25, 0.75, 0.25, 0.75]), np.array([False, True, True, True]))
    assert measured["auc"] == pytest.approx(5 / 6)  # of three pairs two right and one tied
    assert measured["brier"] == pytest.approx((0.0625 * 3 + 0.5625) / 4)
    assert measured["calibration_error"] == pytest.approx((0.25 + 0.25 + 0.75 + 0.25) / 4)
    assert quality(np.array([0.5, 0.5]), np.array([True, True]))["auc"] is None


def put(tables, root, events=None):
    (root / KEPT).mkdir(parents=True)
    write_tables(Tables(tables.events if events is None else events, tables.items, tables.users), root / KEPT)
    screen_out(root)
    return root


def test_the_command_writes_a_row_a_shopper_twice_the_same(tables, tmp_path):
    put(tables, tmp_path)
    metrics = behaviour(tmp_path, 7)
    first = (tmp_path / BEHAVIOUR).read_bytes()
    behaviour(tmp_path, 7)
    assert (tmp_path / BEHAVIOUR).read_bytes() == first
    table = pq.read_table(tmp_path / BEHAVIOUR)
    assert table.column_names == ["user_id", "p_return", "p_cart", "p_purchase"]
    assert table["user_id"].to_pylist() == sorted(set(tables.events["user_id"].drop_null().to_pylist()))
    assert read_json(tmp_path / BEHAVIOUR_METRICS) == metrics
    assert set(metrics["test"]) == {"boosting", "logistic"}


def test_lists_get_the_columns_of_the_events_they_are_made_from_and_of_no_others(tables, tmp_path, caplog):
    assert foretold_for(tmp_path) is None
    put(tables, tmp_path)
    behaviour(tmp_path, 7)
    assert days_of(tmp_path) == 7
    table = pq.read_table(tmp_path / BEHAVIOUR)
    first, second = table["user_id"][:2].to_pylist()
    lists = pa.record_batch({"user_id": [second, second, "nobody", first], "rank": [1, 2, 1, 1]})
    found = foretold_for(tmp_path).beside(lists)
    assert found.column_names == ["user_id", "rank", "p_return", "p_cart", "p_purchase"]
    for column in ("p_return", "p_purchase"):
        of_first, of_second = table[column][:2].cast(pa.float32()).to_pylist()
        assert found[column].to_pylist() == [of_second, of_second, None, of_first]
        assert found[column].type == pa.float32()
    screen_out(tmp_path, first)
    assert foretold_for(tmp_path) is None
    screen_out(tmp_path)
    assert foretold_for(tmp_path) is not None
    write_tables(Tables(tables.events[:-1], tables.items, tables.users), tmp_path / KEPT)  # the log went on
    assert foretold_for(tmp_path) is None
    assert "behaviour.parquet is not of today's events" in caplog.text
    pq.write_table(pa.table({"user_id": ["a"], "p_return": [0.5]}), tmp_path / BEHAVIOUR)  # made before
    assert foretold_for(tmp_path) is None
    assert days_of(tmp_path) is None


def test_nothing_is_foretold_of_who_is_left_out_nor_learned_from_it(tables, tmp_path):
    user_ids = sorted(set(tables.events["user_id"].drop_null().to_pylist()))
    left_out, kind = user_ids[::3], tables.events["user_id"]
    screen_out(put(tables, tmp_path / "screened"), *left_out)
    genuine = tables.events.filter(pc.invert(pc.is_in(kind, pa.array(left_out))))
    put(tables, tmp_path / "genuine", genuine)
    for name in ("screened", "genuine"):
        behaviour(tmp_path / name, 7)
    found, expected = (pq.read_table(tmp_path / name / BEHAVIOUR) for name in ("screened", "genuine"))
    assert found.equals(expected)
    assert not set(found["user_id"].to_pylist()) & set(left_out)


def test_a_log_without_carts_has_no_such_column(tables, tmp_path):
    kinds = tables.events["event"]
    put(tables, tmp_path, tables.events.filter(pc.is_in(kinds, pa.array(["purchase"]))))
    assert set(behaviour(tmp_path, 7)["test"]["boosting"]) == {"p_return", "p_purchase"}


def test_what_cannot_be_foretold_is_refused_and_nothing_is_written(tables, tmp_path):
    put(tables, tmp_path)
    with pytest.raises(RecganError, match=r"the log has 99.* days; to look 20 days ahead takes 120"):
        behaviour(tmp_path, 20)
    for days in (0, float("nan")):
        with pytest.raises(RecganError, match=f"days is {days:g}"):
            behaviour(tmp_path, days)
    place = EVENTS.get_field_index("timestamp")
    without = tables.events.set_column(place, EVENTS.field(place), pa.nulls(20_000, EVENTS.field(place).type))
    with pytest.raises(RecganError, match="20,000 of 20,000 events have no timestamp"):
        events_of(without)
    assert not (tmp_path / BEHAVIOUR).exists()
