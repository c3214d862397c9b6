import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recgan.adopt.sample import look
from recgan.core.errors import RecganError

ROWS = 'kunde;artikel;datum;preis\n1;"Tür; groß";03.04.2024;12,50\n2;Bett;13.04.2024;3,00\n'


def written(folder, content, name="log.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def complaint(*paths):
    with pytest.raises(RecganError) as caught:
        look(paths)
    return str(caught.value)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_a_delimiter_and_an_encoding_are_found(tmp_path, delimiter, encoding):
    text = ROWS.replace(";", delimiter).replace(",", "," if delimiter != "," else ".").replace("Tür.", "Tür,")
    text = text if delimiter != "," else 'kunde,artikel,datum,preis\n1,"Tür, groß",03.04.2024,1\n2,Bett,x,3\n'
    export = look([written(tmp_path, text.encode(encoding))])
    assert export.csv.delimiter == delimiter
    assert export.csv.encoding == encoding.removesuffix("-sig")
    assert export.columns == ("kunde", "artikel", "datum", "preis")
    assert export.rows["artikel"] == [f"Tür{delimiter} groß", "Bett"]


def test_gzip_and_parquet_are_looked_into(tmp_path):
    packed = look([written(tmp_path, gzip.compress(ROWS.encode()), "log.csv.gz")])
    pq.write_table(pa.table({"a": [1, None], "b": ["x", " "], "c": [None, 2.5]}), tmp_path / "log.parquet")
    parquet = look([tmp_path / "log.parquet"])
    assert packed.rows["kunde"] == ["1", "2"]
    assert (parquet.csv, dict(parquet.rows)) == (
        None,
        {"a": ["1", None], "b": ["x", None], "c": [None, "2.5"]},
    )


def test_a_blank_is_nothing_and_a_short_row_too(tmp_path):
    export = look([written(tmp_path, "a,b,c\n1,,3\n4,5\n")])
    assert export.rows == {"a": ["1", "4"], "b": [None, "5"], "c": ["3", None]}
    assert export.filled("b") == 0.5


@pytest.mark.parametrize("filled_up", ["", ";;;"])
def test_lines_before_the_header_are_named(tmp_path, filled_up):
    path = written(tmp_path, f"Exported on 2024-05-01{filled_up}\n\nby me{filled_up}\n{ROWS}")
    assert complaint(path) == (
        f"{path}, line 1: 'Exported on 2024-05-01' is no header of an export; line 4 is the first with three "
        "values: 'kunde;artikel;datum;preis'. If it is the header, delete the lines before it"
    )
    assert look([written(tmp_path, f"\n\n{ROWS}")]).columns[0] == "kunde"  # nothing is lost with blank lines


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"user,item\nu,i,2024-05-01\nv,j,2024-05-02\n", "line 1: 'user,item' is no header"),
        (b" \n\n", "is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is a picture (PNG)"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "is a picture (JPEG)"),
        (b"%PDF-1.7", "is a PDF document"),
        (b"PK\x03\x04rest", "as .xlsx files are; save the sheet as CSV"),
        (b"ab\0\1\2\3cd", "is no text"),
        (b"PAR1xxxx", "by its name or by its content, but not by both"),
        (b'{"user": 1}', "is JSON; export it as CSV or Parquet"),
        (b"user\n1\n2\n", "has 1 column(s): user; an event needs three"),
        (b"user,item,at\n", "has a header but no rows"),
        (b"196\t242\t3\t881250949\n", "has no header: its first line has 196 in the place of a name"),
    ],
)
def test_what_is_no_export_is_one_clear_error(tmp_path, content, message):
    assert message in complaint(written(tmp_path, content))


def test_several_files_are_one_pattern(tmp_path):
    for month in ("2024-01", "2024-02", "2024-10"):
        written(tmp_path, f"u,i,at\n{month},x,1\n", f"orders-{month}.csv")
    files = sorted(tmp_path.glob("*.csv"))
    export = look(files[::-1])
    assert (export.path, export.events, export.files) == (tmp_path, "orders-2024-*.csv", tuple(files))
    whole = look([tmp_path])
    assert (whole.path, whole.events, whole.files) == (tmp_path, ".", tuple(files))
    assert look(files[:2]).events == "orders-2024-0*.csv"
    assert "would also read orders-2024-02.csv; put them into a folder" in complaint(files[0], files[2])
    assert "no file" in complaint(tmp_path / "none.csv")
