import hashlib
import http.server
import threading
import zipfile
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from recgan.core.errors import RecganError
from recgan.data.sources.movielens import ARCHIVES, Archive, MovieLensSource
from recgan.data.sources.movielens import read as read_movielens

SMALL = MovieLensSource(source="movielens-100k", path=Path("raw"), feedback=None)
LARGE = MovieLensSource(source="movielens-1m", path=Path("raw"), feedback=None)

U_DATA = "7\t2\t3\t881250949\n7\t1\t5\t0\n8\t2\t1\t881250950\n"
U_ITEM = (
    '1|Toy "Story" (1995)|01-Jan-1995||http://a|0|0|0|1|1|1' + "|0" * 13 + "\n"
    "2|Amélie|01-Jan-1995||http://b|0|1" + "|0" * 17 + "\n"
    "3|unknown||||1" + "|0" * 18 + "\n"
    "4|No genre||||0" + "|0" * 18 + "\n"
)


def put_small(folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "u.data").write_text(U_DATA)
    (folder / "u.item").write_bytes(U_ITEM.encode("latin-1"))


def check_small(tables):
    assert tables.events.select(["user_id", "item_id", "event", "value"]).to_pylist() == [
        {"user_id": "7", "item_id": "2", "event": "rating", "value": 3.0},
        {"user_id": "7", "item_id": "1", "event": "rating", "value": 5.0},
        {"user_id": "8", "item_id": "2", "event": "rating", "value": 1.0},
    ]
    assert tables.events["timestamp"].to_pylist()[:2] == [
        datetime(1997, 12, 4, 15, 55, 49, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
    ]
    assert tables.items.select(["item_id", "title", "category"]).to_pylist() == [
        {"item_id": "1", "title": 'Toy "Story" (1995)', "category": "Animation"},
        {"item_id": "2", "title": "Amélie", "category": "Action"},
        {"item_id": "3", "title": "unknown", "category": "unknown"},
        {"item_id": "4", "title": "No genre", "category": None},
    ]
    assert tables.users["user_id"].to_pylist() == ["7", "8"]


@pytest.mark.parametrize("subfolder", [".", "ml-100k"])
def test_the_small_set_is_read_from_a_folder(tmp_path, subfolder):
    put_small(tmp_path / subfolder)
    check_small(read_movielens(SMALL, tmp_path))


def test_the_larger_set_is_read_from_a_folder(tmp_path):
    (tmp_path / "ratings.dat").write_text("1::1193::5::978300760\n2::661::3::978302109\n")
    (tmp_path / "movies.dat").write_bytes(
        '661::James & the "Giant" Peach (1996)::Animation|Children\'s|Musical\n1193::Léon::Drama\n'.encode(
            "latin-1"
        )
    )
    tables = read_movielens(LARGE, tmp_path)
    assert tables.events["item_id"].to_pylist() == ["1193", "661"]
    assert tables.events["value"].to_pylist() == [5, 3]
    assert tables.events["timestamp"][0].as_py() == datetime(2000, 12, 31, 22, 12, 40, tzinfo=UTC)
    assert tables.items["title"].to_pylist() == ['James & the "Giant" Peach (1996)', "Léon"]
    assert tables.items["category"].to_pylist() == ["Animation", "Drama"]


def test_a_damaged_file_is_named(tmp_path):
    put_small(tmp_path)
    (tmp_path / "u.data").write_text("7\t2\tfive\t881250949\n")
    with pytest.raises(RecganError, match=r"u\.data or u\.item .*five.*unpack it anew"):
        read_movielens(SMALL, tmp_path)


def test_a_quote_sign_swallows_no_ratings(tmp_path):
    put_small(tmp_path)
    (tmp_path / "u.data").write_text('"7\t2\t5\t881250949\n8\t2\t5\t881250949\n"9\t2\t5\t881250949\n')
    assert read_movielens(SMALL, tmp_path).events["user_id"].to_pylist() == ['"7', "8", '"9']


def test_the_real_set_has_its_published_counts(real_data):
    tables = read_movielens(SMALL, real_data("ml-100k"))
    assert (tables.users.num_rows, tables.items.num_rows, tables.events.num_rows) == (943, 1682, 100_000)
    assert tables.items["category"].null_count == 0
    times = tables.events["timestamp"].to_pandas()
    assert str(times.min().date()) == "1997-09-20"
    assert str(times.max().date()) == "1998-04-22"


# --- download ---------------------------------------------------------------------------------------------


class Server(http.server.SimpleHTTPRequestHandler):
    asked: list[str]

    def __init__(self, *args, asked, **kwargs):
        self.asked = asked
        super().__init__(*args, **kwargs)

    def do_GET(self):
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture
def published(tmp_path, monkeypatch):
    """An archive on a local server, what was asked of the server, and an empty cache."""
    monkeypatch.setenv("RECGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    site = tmp_path / "site"
    put_small(tmp_path / "ml-100k")
    site.mkdir()
    with zipfile.ZipFile(site / "ml-100k.zip", "w") as archive:
        for name in ("u.data", "u.item"):
            archive.write(tmp_path / "ml-100k" / name, f"ml-100k/{name}")
    asked = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, directory=site, asked=asked))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    md5 = hashlib.md5((site / "ml-100k.zip").read_bytes()).hexdigest()
    url = f"http://127.0.0.1:{server.server_port}/ml-100k.zip"
    yield Archive(url, md5, "ml-100k", "u.data", "u.item"), asked, site
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_download_is_kept_in_the_cache(tmp_path, published):
    archive, asked, _ = published
    for _ in range(2):
        check_small(read_movielens(SMALL, tmp_path / "raw", archive))
    assert len(asked) == 1
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["ml-100k.zip"]


def test_local_files_need_no_download(tmp_path, published):
    archive, asked, _ = published
    put_small(tmp_path / "raw")
    check_small(read_movielens(SMALL, tmp_path / "raw", archive))
    assert asked == []


def test_a_damaged_cache_is_downloaded_anew(tmp_path, published):
    archive, asked, _ = published
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "ml-100k.zip").write_bytes(b"half of it")
    check_small(read_movielens(SMALL, tmp_path / "raw", archive))
    assert len(asked) == 1


def test_a_wrong_checksum_is_refused_and_nothing_is_kept(tmp_path, published):
    archive, _, _ = published
    wrong = Archive(archive.url, "0" * 32, "ml-100k", "u.data", "u.item")
    with pytest.raises(
        RecganError, match=r"ml-100k\.zip does not have the published md5 0{32}.*ingest\.path"
    ):
        read_movielens(SMALL, tmp_path / "raw", wrong)
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_archive_without_the_files_is_refused(tmp_path, published):
    archive, _, _ = published
    other = Archive(archive.url, archive.md5, "ml-100k", "u.data", "u.other")
    with pytest.raises(RecganError, match=r"not the expected archive.*u\.other"):
        read_movielens(SMALL, tmp_path / "raw", other)


def test_a_cache_that_cannot_be_made_is_not_taken_for_a_missing_network(tmp_path, published, monkeypatch):
    archive, asked, _ = published
    (tmp_path / "file").touch()
    monkeypatch.setenv("RECGAN_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(NotADirectoryError, match="cache"):
        read_movielens(SMALL, tmp_path / "raw", archive)
    assert asked == []


def test_offline_names_the_address_and_where_to_put_the_files(tmp_path, published):
    archive, _, site = published
    (site / "ml-100k.zip").unlink()
    closed = Archive("http://127.0.0.1:9/ml-100k.zip", archive.md5, "ml-100k", "u.data", "u.item")
    for gone in (archive, closed):  # not found, and no server at all
        with pytest.raises(RecganError) as caught:
            read_movielens(SMALL, tmp_path / "raw", gone)
        message = str(caught.value)
        assert message.startswith(f"cannot download {gone.url} (")
        assert (
            f"put u.data and u.item in a folder and set ingest.path to it (now {tmp_path / 'raw'})" in message
        )
        assert "\n" not in message


def test_the_addresses_and_checksums_are_those_of_grouplens():
    assert {name: (a.url, a.md5) for name, a in ARCHIVES.items()} == {
        "movielens-100k": (
            "https://files.grouplens.org/datasets/movielens/ml-100k.zip",
            "0e33842e24a9c977be4e0107933c0723",
        ),
        "movielens-1m": (
            "https://files.grouplens.org/datasets/movielens/ml-1m.zip",
            "c4d9eecfca2ab87c1945afe126590906",
        ),
    }
