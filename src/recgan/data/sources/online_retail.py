"""UCI Online Retail: the raw log of a British gift shop, with its faults (Chen et al., 2012; CC BY 4.0)."""

import io
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recgan.core.download import fetch_members
from recgan.core.errors import RecganError
from recgan.data.events import Tables
from recgan.data.settings import Source
from recgan.data.sources.columns import check_columns, described_items, make_tables
from recgan.data.sources.csv_files import check_lines
from recgan.data.sources.csv_format import PLAIN


class OnlineRetailSource(Source):
    """UCI Online Retail, the raw log."""

    source: Literal["online-retail"]


URL = "https://archive.ics.uci.edu/static/public/352/online+retail.zip"
ROWS = 541_909
_MEMBER = "Online Retail.xlsx"
_NAMES = ("online_retail.parquet", "online_retail.csv", "Online Retail.csv", _MEMBER)
_TEXT = ("InvoiceNo", "StockCode", "Description")
_COLUMNS = (*_TEXT, "Quantity", "InvoiceDate", "UnitPrice", "CustomerID")


def read(params: OnlineRetailSource, folder: Path) -> Tables:
    """Read the log, as `read_online_retail` does."""
    return read_online_retail(folder)


def read_online_retail(folder: Path, url: str = URL, rows: int = ROWS) -> Tables:
    """Read the log from `folder`, from its subfolder online-retail, or from UCI: one event a row.

    Every row is a purchase: cancellations have a negative quantity, adjustments a price of zero or below.
    Times have no zone in the source and are taken as UTC. UCI publishes no checksum, so a download is
    checked by its number of rows. UCI ships xlsx, which needs openpyxl; Parquet and CSV do not.

    Args:
        folder: where online_retail.parquet, online_retail.csv or "Online Retail.xlsx" may lie.
        url: where to download the archive from.
        rows: that a download must have.

    Raises:
        RecganError: neither a local file nor a download, or a file of another format.
    """
    for place in (folder, folder / "online-retail"):
        for name in _NAMES:
            if (place / name).is_file():
                return _tables(_read(place / name))
    put = f"put {_NAMES[0]}, {_NAMES[1]} or {_MEMBER} into a folder and set ingest.path to it (now {folder})"
    _need_openpyxl(put)
    raw = _read_excel(io.BytesIO(fetch_members(url, (_MEMBER,), put)[_MEMBER]), url)
    if len(raw) != rows:
        raise RecganError(f"{url} has {len(raw):,} rows, not {rows:,}: the publisher changed it; {put}")
    return _tables(raw)


def _read(path: Path) -> pd.DataFrame:
    if path.suffix == ".xlsx":
        _need_openpyxl(f"save {path} as CSV beside it")
        return _read_excel(path, str(path))
    try:
        if path.suffix == ".parquet":
            raw = pd.read_parquet(path)
        else:
            # "NA" and the like are no nulls here, but an empty field is; UCI's text is latin-1.
            raw = pd.read_csv(
                path,
                dtype={**dict.fromkeys(_TEXT, str)},
                encoding="latin-1",
                keep_default_na=False,
                na_values=[""],
            )
    except (pa.ArrowInvalid, ValueError, OSError) as error:
        raise RecganError(f"{path} is not readable ({error}); put the file there anew") from None
    if path.suffix == ".csv":
        check_lines(path, len(raw), PLAIN.model_copy(update={"encoding": "latin-1"}))
    return _checked(raw, str(path))


def _read_excel(file: Path | io.BytesIO, name: str) -> pd.DataFrame:
    try:
        raw = pd.read_excel(file, dtype=dict.fromkeys(_TEXT, str))
    except Exception as error:  # openpyxl lets errors of zip, XML and its own through
        raise RecganError(f"{name} is not a readable xlsx file ({error}); put the file there anew") from None
    return _checked(raw, name)


def _need_openpyxl(otherwise: str) -> None:
    if find_spec("openpyxl") is None:
        raise RecganError(
            f"UCI ships xlsx ({URL}), which needs openpyxl; pip install openpyxl, or {otherwise}"
        )


def _checked(raw: pd.DataFrame, name: str) -> pd.DataFrame:
    check_columns(list(raw.columns), _COLUMNS, name, "put UCI's file there")
    try:
        return raw.assign(
            InvoiceDate=pd.to_datetime(raw["InvoiceDate"]),
            Quantity=pd.to_numeric(raw["Quantity"]).astype(float),
            UnitPrice=pd.to_numeric(raw["UnitPrice"]).astype(float),
            CustomerID=pd.to_numeric(raw["CustomerID"]).astype("Int64"),
        )
    except (ValueError, TypeError) as error:
        raise RecganError(f"{name} is not UCI's Online Retail ({error}); put UCI's file there") from None


def _tables(raw: pd.DataFrame) -> Tables:
    item_ids = pc.utf8_trim_whitespace(pa.array(raw["StockCode"], pa.string()))
    events = {
        "user_id": pa.array(raw["CustomerID"], pa.int64()).cast(pa.string()),
        "item_id": item_ids,
        "event": pa.scalar("purchase"),
        "timestamp": pa.array(raw["InvoiceDate"], pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC")),
        "value": pa.array(raw["Quantity"], pa.float64()),
        "price": pa.array(raw["UnitPrice"], pa.float64()),
        "session_id": pa.array(raw["InvoiceNo"], pa.string()),
    }
    titles = pa.array(raw["Description"], pa.string())
    items = described_items(item_ids, events["timestamp"], {"title": titles, "price": events["price"]})
    return make_tables(events, items)
