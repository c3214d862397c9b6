"""The stage: files in, files out, byte for byte the same."""

import hashlib
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from recgan.data.events import ITEMS, USERS, Tables, write_tables
from recgan.data.quarantine import QUARANTINE
from recgan.errors import RecganError
from recgan.features.build import features
from recgan.features.matrices import read_features
from recgan.files import read_json
from tests.conftest import SHOP


@pytest.fixture
def project(tmp_path, random_log):
    """A project's root with kept tables and parameters that suit them."""
    content = yaml.safe_load(SHOP.read_text(encoding="utf-8"))
    content["features"] |= {
        "binary": False,
        "half_life_days": 3,
        "split": {"kind": "time", "validation_days": 2, "test_days": 2},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    kept = tmp_path / "data" / "kept"
    kept.mkdir(parents=True)
    items = [{"item_id": f"i{n}", "title": f"Item {n}", "category": "c", "price": 1.0} for n in range(20)]
    tables = Tables(random_log(7, events=3000), pa.Table.from_pylist(items, ITEMS), USERS.empty_table())
    write_tables(tables, kept)
    pq.write_table(QUARANTINE.empty_table(), kept / "quarantine.parquet")
    return tmp_path


def _md5s(folder):
    return {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_what_is_written_reads_back(project):
    features(root=project)
    folder = project / "data" / "features"
    built = read_features(folder)
    assert read_json(project / "metrics" / "features.json") == built.summary
    assert built.train.shape == (built.summary["train"]["users"], len(built.items))
    assert (
        built.test.history.shape == built.test.held_out.shape == (len(built.test.user_ids), len(built.items))
    )
    assert isinstance(built.items["first_seen"].dtype, pd.DatetimeTZDtype)
    assert (
        built.items["title"].notna().sum() == built.items["item_id"].isin([f"i{n}" for n in range(20)]).sum()
    )


def test_the_same_events_in_any_order_give_the_same_bytes(project):
    features(root=project)
    before = _md5s(project / "data" / "features")
    path = project / "data" / "kept" / "events.parquet"
    events = pq.read_table(path)
    shuffled = events.take(np.random.default_rng(1).permutation(len(events)))
    pq.write_table(shuffled, path, row_group_size=500)
    features(root=project)
    assert _md5s(project / "data" / "features") == before


def test_a_failed_run_leaves_the_old_features(project):
    features(root=project)
    before = _md5s(project / "data" / "features")
    content = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    content["features"]["min_item_users"] = 1000
    (project / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(RecganError, match=r"lower features.min_user_items"):
        features(root=project)
    assert _md5s(project / "data" / "features") == before


def test_missing_or_foreign_events_are_named(project):
    path = project / "data" / "kept" / "events.parquet"
    shutil.copy(path.with_name("items.parquet"), path)
    with pytest.raises(RecganError, match="has the columns"):
        features(root=project)
    path.unlink()
    with pytest.raises(RecganError, match=r"no file .*events.parquet; run the stage"):
        features(root=project)
