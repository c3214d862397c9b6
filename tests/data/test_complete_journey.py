from datetime import UTC, datetime

import pandas as pd
import pytest

from recgan.core.errors import RecganError
from recgan.data.sources.complete_journey import read_complete_journey

SOLD = pd.DataFrame(
    {
        "household_id": ["900", "900", "7", "7", "8"],
        "store_id": "330",
        "basket_id": ["31", "31", "32", "32", "33"],
        "product_id": ["25671", "26190", "25671", "99", "26190"],
        "quantity": [1.0, 2.0, 3.0, 1.0, 0.0],
        "sales_value": [2.0, 1.0, 9.0, 4.0, 0.0],
        "retail_disc": [0.5, 0.0, 0.0, 0.0, 0.0],
        "coupon_disc": [1.0, 0.0, 0.0, 0.0, 0.0],
        "coupon_match_disc": [0.25, 0.0, 0.0, 0.0, 0.0],
        "week": 1,
        "transaction_timestamp": pd.to_datetime(["2017-01-01 11:53:26"] * 2 + ["2017-07-02 03:59:59"] * 3),
    }
)
PRODUCTS = pd.DataFrame(
    {
        "product_id": ["25671", "26081", "26190"],
        "manufacturer_id": ["2", "2", "69"],
        "department": ["GROCERY", "MISCELLANEOUS", "GROCERY"],
        "brand": ["National", "National", "Private"],
        "product_category": ["FRZN ICE", None, "FRUIT - SHELF STABLE"],
        "product_type": ["ICE - CRUSHED/CUBED", None, "APPLE SAUCE"],
        "package_size": ["22 LB", None, None],
    }
)


def write(folder, suffix="parquet", sold=SOLD, products=PRODUCTS, name="transactions_sample"):
    folder.mkdir(parents=True, exist_ok=True)
    for table, path in ((sold, folder / name), (products, folder / "products")):
        if suffix == "parquet":
            table.to_parquet(path.with_suffix(".parquet"), index=False)
        else:  # as R writes it: NA for what is missing
            table.to_csv(path.with_suffix(".csv"), index=False, na_rep="NA", date_format="%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize("inside", [".", "completejourney"])
def test_every_line_of_a_receipt_is_one_purchase(tmp_path, suffix, inside):
    write(tmp_path / inside, suffix)
    rows = read_complete_journey(tmp_path).events.to_pylist()
    assert [row["user_id"] for row in rows] == ["900", "900", "7", "7", "8"]
    assert [row["item_id"] for row in rows] == ["25671", "26190", "25671", "99", "26190"]
    assert [row["session_id"] for row in rows] == ["31", "31", "32", "32", "33"]
    assert [row["value"] for row in rows] == [1, 2, 3, 1, 0]
    assert [row["price"] for row in rows] == [2, 0.5, 3, 4, None]  # of one piece; of none there is none
    assert {row["event"] for row in rows} == {"purchase"}
    assert rows[0]["timestamp"] == datetime(2017, 1, 1, 11, 53, 26, tzinfo=UTC)
    assert rows[2]["timestamp"] == datetime(2017, 7, 2, 3, 59, 59, tzinfo=UTC)


def test_a_time_with_a_zone_is_its_instant(tmp_path):
    local = SOLD["transaction_timestamp"].dt.tz_localize("UTC").dt.tz_convert("America/New_York")
    write(tmp_path, sold=SOLD.assign(transaction_timestamp=local))
    rows = read_complete_journey(tmp_path).events.to_pylist()
    assert rows[0]["timestamp"] == datetime(2017, 1, 1, 11, 53, 26, tzinfo=UTC)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_items_are_named_by_type_department_and_maker(tmp_path, suffix):
    write(tmp_path, suffix)
    assert read_complete_journey(tmp_path).items.to_pylist() == [
        {
            "item_id": "25671",
            "title": "ICE - CRUSHED/CUBED, 22 LB",
            "category": "GROCERY / FRZN ICE",
            "brand": "National 2",
            "price": 2.75,  # what the shelf says, before the card and the coupon, at the first sale
            "image_url": None,
        },
        {
            "item_id": "26081",
            "title": None,
            "category": "MISCELLANEOUS",
            "brand": "National 2",
            "price": None,  # never sold
            "image_url": None,
        },
        {
            "item_id": "26190",
            "title": "APPLE SAUCE",
            "category": "GROCERY / FRUIT - SHELF STABLE",
            "brand": "Private 69",
            "price": 0.5,
            "image_url": None,
        },
    ]


def test_no_later_sale_changes_a_price(tmp_path):
    write(tmp_path, sold=SOLD.assign(sales_value=[2.0, 1.0, 900.0, 4.0, 7.0], quantity=[1, 2, 3, 1, 1.0]))
    prices = [row["price"] for row in read_complete_journey(tmp_path).items.to_pylist()]
    assert prices == [2.75, None, 0.5]
    free = SOLD.assign(sales_value=[0.0, 1.0, 9.0, 4.0, 0.0], retail_disc=0.0, coupon_match_disc=0.0)
    write(tmp_path, sold=free.iloc[::-1])
    assert read_complete_journey(tmp_path).items.to_pylist()[0]["price"] == 3


def test_all_transactions_go_before_the_sample(tmp_path):
    write(tmp_path, sold=SOLD.iloc[:1])
    write(tmp_path, name="transactions")
    assert read_complete_journey(tmp_path).events.num_rows == 5


def test_a_missing_file_or_column_is_named(tmp_path):
    with pytest.raises(RecganError, match=r"no transactions\.parquet or .*in R: arrow::write_parquet"):
        read_complete_journey(tmp_path)
    write(tmp_path, products=PRODUCTS.drop(columns="brand"))
    with pytest.raises(RecganError, match=r"products\.parquet has no column brand, only product_id, "):
        read_complete_journey(tmp_path)
    (tmp_path / "products.parquet").unlink()
    with pytest.raises(RecganError, match=r"no products\.parquet or products\.csv in "):
        read_complete_journey(tmp_path)


def test_a_file_of_other_content_is_refused(tmp_path):
    write(tmp_path, "csv", sold=SOLD.assign(quantity="many"))
    with pytest.raises(RecganError, match=r"not of completejourney .*many"):
        read_complete_journey(tmp_path)
    (tmp_path / "transactions_sample.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(RecganError, match=r"transactions_sample\.parquet is not readable"):
        read_complete_journey(tmp_path)


def test_the_real_sample_has_its_published_counts(real_data):
    tables = read_complete_journey(real_data("completejourney"))
    events, items = tables.events.to_pandas(), tables.items.to_pandas()
    assert (len(events), events["user_id"].nunique(), events["item_id"].nunique()) == (75_000, 2_377, 20_902)
    assert len(items) == items["item_id"].nunique() == 92_331
    assert (events["value"] == 0).sum() == events["price"].isna().sum() == 416
    assert (~events["item_id"].isin(items["item_id"])).sum() == 222
    assert (events["value"] > 1000).sum() == 692  # gasoline
    # The year is New York's: weeks begin there at midnight, five hours after UTC's.
    assert str(events["timestamp"].min()) == "2017-01-01 12:30:27+00:00"
    assert str(events["timestamp"].max()) == "2018-01-01 03:47:38+00:00"
    assert items["price"].between(0.5, 20).sum() > 0.9 * items["price"].notna().sum()


def test_a_stray_quote_sign_swallows_no_products(tmp_path):
    write(tmp_path, "csv", products=pd.concat([PRODUCTS.assign(product_type="ICE")] * 3))
    path = tmp_path / "products.csv"
    lines = path.read_text().split("\n")
    lines[2], lines[8] = (line.replace("ICE,", '"ICE,') for line in (lines[2], lines[8]))
    path.write_text("\n".join(lines))
    with pytest.raises(
        RecganError, match=r"products\.csv, line 3, column product_type: .* swallows rows: line 4"
    ):
        read_complete_journey(tmp_path)
