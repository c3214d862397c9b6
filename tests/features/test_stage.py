"""The stage: files in, files out, byte for byte the same."""

import contextlib
import hashlib
import itertools
import shutil
import threading

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from recgan.core.errors import RecganError, Unavailable
from recgan.core.files import read_json, replacing
from recgan.data.events import ITEMS, USERS, Tables, write_tables
from recgan.data.quarantine import QUARANTINE
from recgan.features.matrices import content_md5, read_features
from recgan.stages import features
from tests.conftest import SHOP, screen_out


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
    screen_out(tmp_path)
    return tmp_path


def _md5s(folder):
    return {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_what_is_written_reads_back(project):
    features(root=project)
    folder = project / "data" / "features"
    built = read_features(folder)
    assert read_json(project / "metrics" / "features.json") == built.summary
    assert built.train.shape == (built.summary["train"]["users"], built.summary["train"]["items"])
    assert built.train_validation.shape[1] == len(built.items)
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


def test_accounts_that_the_screen_left_out_are_as_if_they_had_never_come(project):
    kept = project / "data/kept"
    events = pq.read_table(kept / "events.parquet")
    left_out = ["u1", "u5", "u17"]
    genuine = events.filter(pc.invert(pc.is_in(events["user_id"], pa.array(left_out))))
    screen_out(project, *left_out)
    features(root=project)
    screened = read_json(project / "metrics/features.json")
    before = _md5s(project / "data/features")
    assert screened["log"]["screened_out"] == {"events": len(events) - len(genuine), "accounts": 3}
    assert screened["log"]["events"] + screened["log"]["events_left_out"] == len(genuine)

    screen_out(project)
    pq.write_table(genuine, kept / "events.parquet")
    features(root=project)
    plain = read_json(project / "metrics/features.json")
    assert plain["log"]["screened_out"] == {"events": 0, "accounts": 0}
    after = _md5s(project / "data/features")
    # What nobody genuine had come to before is no new product, whoever came to it.
    differ = {name for name in before if before[name] != after[name]}
    assert differ <= {"summary.json", "manifest.json"} | {name for name in before if name.startswith("cold")}


def test_without_a_screen_nothing_is_built(project):
    shutil.rmtree(project / "data/screened")
    with pytest.raises(RecganError, match=r"no file .*screened/accounts.parquet.*dvc repro screen"):
        features(root=project)


# --- one version, or none -------------------------------------------------------------------------------


def _other(project):
    """Write the features of other events beside the project's; return both folders."""
    features(root=project)
    first = project / "data" / "features"
    kept = project / "other" / "data" / "kept"
    shutil.copytree(project / "data" / "kept", kept)
    screen_out(kept.parents[1])
    shutil.copy(project / "params.yaml", kept.parents[1])
    events = pq.read_table(kept / "events.parquet")
    pq.write_table(events.slice(0, len(events) - 100), kept / "events.parquet")
    features(root=kept.parents[1])
    return first, kept.parent / "features"


def test_files_of_two_versions_are_refused(project):
    first, second = _other(project)
    names = sorted(path.name for path in first.iterdir())
    assert names == sorted(path.name for path in second.iterdir())
    read_features(second)
    differ = [name for name in names if (first / name).read_bytes() != (second / name).read_bytes()]
    assert {"train.npz", "test_held_out.npz", "summary.json", "train_times.npy"} <= set(differ)
    for name in differ:
        mixed = project / f"mixed-{name}"
        shutil.copytree(first, mixed)
        shutil.copy(second / name, mixed / name)
        with pytest.raises(RecganError, match=r"do not belong together|are not readable"):
            read_features(mixed)


def test_readers_beside_a_writer_never_see_two_versions(project):
    """A reader that is slower than the writer, as on a busy machine, may be refused, but not be misled."""
    first, second = _other(project)
    md5s = {read_json(folder / "summary.json")["md5"] for folder in (first, second)}
    target = project / "data" / "swapped"
    shutil.copytree(first, target)
    stop = threading.Event()

    def write():
        for source in itertools.cycle((second, first)):
            with replacing(target) as new:
                shutil.copytree(source, new)
            if stop.wait(0.3):
                break

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = []
        for _ in range(5):
            with contextlib.suppress(Unavailable):
                seen.append(read_features(target))
    finally:
        stop.set()
        writer.join()
    assert seen
    assert {content_md5(one) for one in seen} == {one.summary["md5"] for one in seen} <= md5s
