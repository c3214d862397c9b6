from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recgan.core.errors import RecganError
from recgan.data.sources import online_retail
from recgan.data.sources.online_retail import read_online_retail

RAW = pd.DataFrame(
    {
        "InvoiceNo": ["536365", "536365", "C536379", "536380", "536381"],
        "StockCode": [" 85123A", "71053", "85123A", "85123A", "DOT"],
        "Description": ["HOLDER", None, "HOLDER ", "?", None],
        "Quantity": [6, 2, -1, 3, 1],
        "InvoiceDate": pd.to_datetime(["2010-12-01 08:26"] * 2 + ["2010-12-02 09:00"] * 3),
        "UnitPrice": [2.5, 0.0, 2.5, 3.5, -11062.06],
        "CustomerID": [17850.0, 17850.0, 14527.0, None, None],
        "Country": "United Kingdom",
    }
)


def write(path, raw=RAW):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        raw.to_parquet(path, index=False)
    else:
        raw.to_csv(path, index=False, encoding="latin-1", date_format="%m/%d/%Y %H:%M")


@pytest.mark.parametrize(
    "name",
    ["online_retail.parquet", "online_retail.csv", "Online Retail.csv", "online-retail/online_retail.csv"],
)
def test_every_raw_row_is_one_purchase(tmp_path, name):
    write(tmp_path / name)
    tables = read_online_retail(tmp_path)
    rows = tables.events.to_pylist()
    assert [row["user_id"] for row in rows] == ["17850", "17850", "14527", None, None]
    assert [row["item_id"] for row in rows] == ["85123A", "71053", "85123A", "85123A", "DOT"]
    assert [row["value"] for row in rows] == [6, 2, -1, 3, 1]
    assert [row["price"] for row in rows] == [2.5, 0, 2.5, 3.5, -11062.06]
    assert [row["session_id"] for row in rows] == ["536365", "536365", "C536379", "536380", "536381"]
    assert {row["event"] for row in rows} == {"purchase"}
    assert rows[0]["timestamp"] == datetime(2010, 12, 1, 8, 26, tzinfo=UTC)
    assert rows[2]["timestamp"] == datetime(2010, 12, 2, 9, 0, tzinfo=UTC)


def items_of(folder, raw=RAW):
    write(folder / "online_retail.parquet", raw)
    return {
        row["item_id"]: (row["title"], row["price"]) for row in read_online_retail(folder).items.to_pylist()
    }


def test_items_are_named_and_priced_by_their_first_sale(tmp_path):
    assert items_of(tmp_path) == {"85123A": ("HOLDER", 2.5), "71053": (None, None), "DOT": (None, None)}
    twice = pd.concat([RAW.assign(UnitPrice=[2.5, 0.0, 2.5, 3.5, -1.0]), RAW.iloc[:1].assign(UnitPrice=4.5)])
    assert items_of(tmp_path, twice)["85123A"] == (
        "HOLDER",
        3.5,
    )  # the median of the two at the first instant
    given_away = RAW.assign(UnitPrice=[0.0, 0.0, 2.5, np.inf, -1.0])
    assert items_of(tmp_path, given_away)["85123A"] == ("HOLDER", 2.5)  # not the row without a price


@pytest.mark.parametrize("seed", range(5))
def test_no_later_row_changes_an_item_that_was_sold(tmp_path, seed):
    """Whatever the rows after an instant say, in whatever order: the items sold by then stay."""
    rng = np.random.default_rng(seed)
    n = 300
    raw = pd.DataFrame(
        {
            "InvoiceNo": "1",
            "StockCode": rng.choice([f"i{i}" for i in range(30)], n),
            "Description": rng.choice(["cup", "mug", "bowl", None], n),
            "Quantity": 1,
            "InvoiceDate": pd.Timestamp("2011-01-01") + pd.to_timedelta(rng.integers(0, 60, n), "D"),
            "UnitPrice": rng.choice([0.0, -1.0, 1.0, 2.0, 5.0], n),
            "CustomerID": 1.0,
        }
    )
    late = raw["InvoiceDate"] >= pd.Timestamp("2011-01-10")
    known = set(raw["StockCode"][~late & (raw["UnitPrice"] > 0)])
    changed = raw.copy()
    changed.loc[late, "Description"] = rng.choice(["vase", "?"], late.sum())
    changed.loc[late, "UnitPrice"] = rng.choice([7.0, 9.0], late.sum())
    before, after = items_of(tmp_path, raw), items_of(tmp_path, changed.sample(frac=1, random_state=seed))
    assert 5 < len(known) < 30
    assert {item: before[item] for item in known} == {item: after[item] for item in known}
    assert before != after


def test_a_missing_column_is_named(tmp_path):
    write(tmp_path / "online_retail.csv", RAW.drop(columns="UnitPrice"))
    with pytest.raises(RecganError, match=r"online_retail\.csv has no column UnitPrice, only InvoiceNo, "):
        read_online_retail(tmp_path)


def test_a_file_of_other_content_is_refused(tmp_path):
    write(tmp_path / "online_retail.csv", RAW.assign(Quantity="many"))
    with pytest.raises(RecganError, match=r"not UCI's Online Retail .*many"):
        read_online_retail(tmp_path)
    (tmp_path / "online_retail.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(RecganError, match=r"online_retail\.parquet is not readable"):
        read_online_retail(tmp_path)


def test_without_openpyxl_the_remedy_is_said_before_any_download(tmp_path, monkeypatch):
    monkeypatch.setattr(online_retail, "find_spec", lambda name: None)
    monkeypatch.setattr(online_retail, "fetch_members", lambda *args: pytest.fail("downloaded"))
    with pytest.raises(
        RecganError, match=r"archive\.ics\.uci\.edu.*pip install openpyxl, or put online_retail\.p"
    ):
        read_online_retail(tmp_path)


@pytest.mark.parametrize("rows", [5, 6])
def test_a_download_is_checked_by_its_number_of_rows(tmp_path, monkeypatch, rows):
    monkeypatch.setattr(online_retail, "find_spec", lambda name: object())
    monkeypatch.setattr(online_retail, "fetch_members", lambda *args: {"Online Retail.xlsx": b"xlsx"})
    monkeypatch.setattr(online_retail.pd, "read_excel", lambda *args, **kwargs: RAW.copy())
    if rows == len(RAW):
        assert read_online_retail(tmp_path, rows=rows).events.num_rows == 5
    else:
        with pytest.raises(RecganError, match="has 5 rows, not 6"):
            read_online_retail(tmp_path, rows=rows)


def test_the_real_log_has_its_published_counts(real_data):
    events = read_online_retail(real_data("online-retail")).events.to_pandas()
    assert len(events) == online_retail.ROWS == 541_909
    assert events["user_id"].isna().sum() == 135_080
    assert events["user_id"].nunique() == 4372
    assert events["item_id"].nunique() == 4070
    assert (events["price"] <= 0).sum() == 2517
    assert events["session_id"].str.startswith("C").sum() == 9288


def test_a_stray_quote_sign_swallows_no_rows(tmp_path):
    path = tmp_path / "online_retail.csv"
    write(path, pd.concat([RAW.assign(Description="CAF\xc9")] * 4))
    lines = path.read_text(encoding="latin-1").split("\n")
    lines[3] = lines[3].replace("CAF\xc9", '"BEST OF')
    lines[9] = lines[9].replace("CAF\xc9", '"BEST OF')
    path.write_text("\n".join(lines), encoding="latin-1")
    with pytest.raises(
        RecganError, match="line 4, column Description: the value that begins with '\"BEST OF,-1"
    ):
        read_online_retail(tmp_path)


@pytest.mark.parametrize("name", ["online_retail.csv", "online_retail.parquet"])
def test_a_column_that_stands_twice_is_refused(tmp_path, name):
    doubled = pd.concat([RAW, RAW[["CustomerID"]]], axis=1)
    if name.endswith("csv"):
        write(tmp_path / name, doubled)
    else:
        table = pa.Table.from_pandas(RAW)
        pq.write_table(table.append_column("CustomerID", table["CustomerID"]), tmp_path / name)
    with pytest.raises(RecganError, match="CustomerID"):
        read_online_retail(tmp_path)
