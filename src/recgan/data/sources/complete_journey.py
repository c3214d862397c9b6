"""Complete Journey: one year of a grocer's households (84.51°; the R package completejourney, CC0)."""

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from recgan.core.errors import RecganError
from recgan.data.events import Tables
from recgan.data.settings import Source
from recgan.data.sources.columns import check_columns, first_rows, make_tables
from recgan.data.sources.csv_files import check_lines


class CompleteJourneySource(Source):
    """84.51° Complete Journey, exported from the R package completejourney."""

    source: Literal["completejourney"]


_TEXT = ("household_id", "product_id", "basket_id")
_NUMBERS = ("quantity", "sales_value", "retail_disc", "coupon_match_disc")
_TRANSACTIONS = (*_TEXT, *_NUMBERS, "transaction_timestamp")
_PRODUCTS = (
    "product_id",
    "manufacturer_id",
    "department",
    "brand",
    "product_category",
    "product_type",
    "package_size",
)
_REMEDY = (
    "in R: arrow::write_parquet(completejourney::get_transactions(), 'transactions.parquet') and "
    "arrow::write_parquet(completejourney::products, 'products.parquet')"
)


def read(params: CompleteJourneySource, folder: Path) -> Tables:
    """Read transactions and products, as `read_complete_journey` does."""
    return read_complete_journey(folder)


def read_complete_journey(folder: Path) -> Tables:
    """Read transactions and products, exported from the R package: one purchase a line of a receipt.

    A time without a zone is UTC: the shops are in New York's zone, and R exports the instant. The price of a
    purchase is what the shop got for one piece, so a manufacturer's coupon counts as money. The price of an
    item is the median of its shelf prices at the instant of its first sale, before the loyalty card's
    discount and coupons. Later prices must not tell an earlier window what things will cost. A product that
    the transactions do not sell has none. Gasoline comes in thousandths of a gallon.

    Args:
        folder: has transactions (all of get_transactions(), else transactions_sample) and products, each as
            .parquet or .csv; or a subfolder completejourney that has.

    Raises:
        RecganError: a file is missing, not readable, or has other columns.
    """
    folder = next((place for place in (folder / "completejourney", folder) if place.is_dir()), folder)
    sold = _read(folder, ("transactions", "transactions_sample"), _TRANSACTIONS)
    products = _read(folder, ("products",), _PRODUCTS)
    # Nothing over nothing, and money for no piece, are no prices.
    pieces = sold["quantity"].where(sold["quantity"] > 0)
    shelf = (sold["sales_value"] + sold["retail_disc"] + sold["coupon_match_disc"]) / pieces
    events = {
        "user_id": pa.array(sold["household_id"], pa.string()),
        "item_id": pa.array(sold["product_id"], pa.string()),
        "event": pa.scalar("purchase"),
        "timestamp": pa.array(sold["transaction_timestamp"], pa.timestamp("us")).cast(
            pa.timestamp("us", tz="UTC")
        ),
        "value": pa.array(sold["quantity"], pa.float64()),
        "price": pa.array(sold["sales_value"] / pieces, pa.float64(), from_pandas=True),
        "session_id": pa.array(sold["basket_id"], pa.string()),
    }
    prices = pd.DataFrame(
        {
            "item_id": sold["product_id"],
            "price": shelf.where((shelf > 0) & np.isfinite(shelf)),
            "time": sold["transaction_timestamp"],
        }
    )
    return make_tables(events, _items(products, first_rows(prices).groupby("item_id")["price"].median()))


def _items(products: pd.DataFrame, prices: pd.Series) -> dict[str, pa.Array]:
    """Name a product by its type and size, its category with its department, its brand with who makes it.

    The column brand only tells the grocer's own label (Private) from all others (National).
    """
    columns = {
        "item_id": products["product_id"],
        "title": _joined(products["product_type"], products["package_size"], ", "),
        "category": _joined(products["department"], products["product_category"], " / "),
        "brand": _joined(products["brand"], products["manufacturer_id"], " "),
    }
    items = {name: pa.array(column, pa.string(), from_pandas=True) for name, column in columns.items()}
    price = products["product_id"].map(prices).astype(np.float64)
    return items | {"price": pa.array(price, pa.float64(), from_pandas=True)}


def _joined(first: pd.Series, second: pd.Series, between: str) -> pd.Series:
    return (first + between + second).fillna(first).fillna(second)


def _read(folder: Path, names: tuple[str, ...], columns: tuple[str, ...]) -> pd.DataFrame:
    paths = [folder / f"{name}{suffix}" for name in names for suffix in (".parquet", ".csv")]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise RecganError(
            f"no {' or '.join(path.name for path in paths)} in {folder}; export it there, {_REMEDY}, "
            "or set ingest.path to the folder that has it"
        )
    try:
        if path.suffix == ".parquet":
            raw = pd.read_parquet(path)
        else:
            text = {name: str for name in columns if name not in (*_NUMBERS, "transaction_timestamp")}
            raw = pd.read_csv(path, dtype=text, keep_default_na=False, na_values=["", "NA"])
    except (pa.ArrowInvalid, ValueError, OSError) as error:
        raise RecganError(f"{path} is not readable ({error}); export it anew, {_REMEDY}") from None
    if path.suffix == ".csv":
        check_lines(path, len(raw))
    check_columns(list(raw.columns), columns, str(path), f"export it anew, {_REMEDY}")
    try:
        return _typed(raw[list(columns)])
    except (ValueError, TypeError) as error:
        raise RecganError(f"{path} is not of completejourney ({error}); export it anew, {_REMEDY}") from None


def _typed(raw: pd.DataFrame) -> pd.DataFrame:
    typed: dict[str, pd.Series] = {}
    for name in raw.columns:
        if name in _NUMBERS:
            typed[name] = pd.to_numeric(raw[name]).astype(float)
        elif name == "transaction_timestamp":
            typed[name] = pd.to_datetime(raw[name], utc=True).dt.tz_convert(None)
        else:
            typed[name] = raw[name].astype("str")
    return pd.DataFrame(typed)
