import gzip
import logging

import pytest
import yaml

from recgan.core.errors import RecganError
from recgan.data.events import read_tables
from recgan.settings import load_with_base
from recgan.stages import ingest
from tests.conftest import EXAMPLES, SHOP, example


def project(folder, **changes):
    content = yaml.safe_load(SHOP.read_text())
    content["ingest"]["fakes"]["share"] = 0
    content["ingest"] = {**content["ingest"], **changes} if "source" not in changes else changes
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    (folder / "raw").mkdir(exist_ok=True)
    return folder


def test_the_stage_writes_the_three_tables_and_says_what(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        ingest(project(tmp_path, events=1000))
    tables = read_tables(tmp_path / "data" / "ingested")
    assert tables.events.num_rows == 1000
    line = f"shop: 1,000 events of {tables.users.num_rows} users on {tables.items.num_rows} items, from 2025-"
    assert line in caplog.text


def test_the_stage_writes_the_same_bytes_again(tmp_path):
    written = []
    for _ in range(2):
        ingest(project(tmp_path, events=1000))
        written.append({p.name: p.read_bytes() for p in (tmp_path / "data" / "ingested").iterdir()})
    assert written[0] == written[1]
    assert set(written[0]) == {"events.parquet", "items.parquet", "users.parquet"}


OWN = {
    "source": "files",
    "path": "raw",
    "feedback": None,
    "events": "log.csv.gz",
    "items": None,
    "users": None,
    "columns": {"user_id": "who", "item_id": "what", "timestamp": "when"},
    "item_columns": {},
    "user_columns": {},
    "event": "purchase",
    "event_names": {},
    "null_words": [],
    "csv": {"delimiter": ",", "encoding": "utf-8", "decimal": "."},
    "fill_down": None,
    "leave_out": {},
    "time_format": None,
    "timezone": None,
}


def test_own_files_lie_in_the_project_and_a_fault_leaves_the_old_tables(tmp_path):
    project(tmp_path, **OWN)
    with gzip.open(tmp_path / "raw" / "log.csv.gz", "wt") as file:
        file.write("who,what,when\na,x,2024-05-01\n")
    ingest(tmp_path)
    before = read_tables(tmp_path / "data" / "ingested").events
    assert before["user_id"].to_pylist() == ["a"]

    with gzip.open(tmp_path / "raw" / "log.csv.gz", "wt") as file:
        file.write("who,what,when\na,x,yesterday\n")
    with pytest.raises(RecganError, match="'yesterday' is not a time"):
        ingest(tmp_path)
    assert read_tables(tmp_path / "data" / "ingested").events.equals(before)


def test_a_split_without_times_is_described_as_such(tmp_path, caplog):
    content = example("cfgan-ml100k")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    folder = tmp_path / content["ingest"]["path"]
    folder.mkdir(parents=True)
    for name in ("train", "test"):
        (folder / content["ingest"][name]).write_text("0 0 3.0\n")
    with caplog.at_level(logging.INFO):
        ingest(tmp_path)
    assert "published-split: 2 events of 1 users on 1 items, without times" in caplog.text


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_complete_together_with_its_base(path):
    params = load_with_base(path)
    of_their_own = {"shop": "recgan", "live": "live"}
    assert params.register_.name == of_their_own.get(path.stem, f"recgan-{path.stem}")


def test_the_examples_cover_every_real_source():
    sources = {load_with_base(path).ingest.source for path in EXAMPLES}
    assert sources - {"shop"} == {"movielens-100k", "movielens-1m", "online-retail", "completejourney"} | {
        "published-split",
        "sequences",
        "files",
    }
