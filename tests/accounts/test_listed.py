"""Accounts that are listed, or left out by what labels taught."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recgan.accounts import listed as module
from recgan.accounts.listed import listed
from recgan.accounts.log import read_taught
from recgan.accounts.screen import screen
from recgan.data.events import USERS
from recgan.data.quarantine import QUARANTINE
from tests.accounts.logs import log_of_sets


@pytest.fixture(scope="module")
def farm():
    """100 shoppers, and 30 fakes with the same products."""
    rng = np.random.default_rng(0)
    histories = [set(rng.choice(200, 9, replace=False).tolist()) for _ in range(100)]
    return log_of_sets([*histories, *[set(range(200, 212)) for _ in range(30)]])


NOBODY = np.full(130, -1, dtype=np.int8)


def test_a_farm_is_listed_in_words_and_not_left_out(params):
    rng = np.random.default_rng(0)
    histories = [set(rng.choice(400, 9, replace=False).tolist()) for _ in range(300)]
    log = log_of_sets([*histories, *[set(range(400, 412)) for _ in range(5)]])
    found = listed(log, np.full(305, -1, dtype=np.int8), None, params())
    assert found.suspect[300:].all()
    assert not found.left_out.any()
    assert found.reasons[300][0].startswith("12 of its 12 products are those of u30")
    assert found.score[300:].min() > 0.25
    assert set(found.figures) == {"overlap", "popularity", "pca"}
    assert found.summary["overlap"] == {"suspects": 5}
    why = "it takes 20 labelled accounts of each kind"
    assert found.summary["labelled"] == {"fake": 0, "genuine": 0, "not_run": why}


def test_odd_profiles_are_for_logs_without_times(params):
    rng = np.random.default_rng(1)
    popular = [set(rng.choice(30, 8, replace=False).tolist()) for _ in range(60)]
    log = log_of_sets([*popular, set(range(30, 38))])
    found = listed(log, np.full(61, -1, dtype=np.int8), None, params())
    assert np.argmax(found.figures["popularity"]) == 60
    assert found.reasons[60][0] == "its products are held by 1 accounts each, far fewer than is usual"
    times = {(user, item): 1.0 for user, items in enumerate([*popular, set(range(30, 38))]) for item in items}
    dated = log_of_sets([*popular, set(range(30, 38))], first=times)
    assert set(listed(dated, np.full(61, -1, dtype=np.int8), None, params()).figures) == {"overlap"}


def test_labels_leave_out_accounts_that_have_none(farm, params):
    labels = NOBODY.copy()
    labels[:50], labels[100:120] = 0, 1
    labels[129] = 0  # somebody was wrong, and the label stands
    found = listed(farm, labels, None, params(labels={"min_each": 20, "precision": 0.9}))
    assert np.flatnonzero(found.left_out).tolist() == list(range(120, 129))
    assert found.suspect[129]
    assert "like labelled fakes" in found.reasons[120][-1]
    assert found.summary["labelled"]["left_out"] == 9
    screened = screen(
        farm, labels, params(labels={"min_each": 20, "precision": 0.9}, max_quarantined_share=0.3)
    )
    assert screened.summary["quarantined_by"]["labels"] == 9
    rows = {row["user_id"]: row for row in screened.tables.accounts.to_pylist()}
    assert rows["u120"]["quarantined"]
    assert rows["u129"]["suspect"]
    assert not rows["u129"]["quarantined"]


def test_a_log_too_long_is_told_and_nobody_is_listed(farm, params, monkeypatch):
    monkeypatch.setattr(module, "MOST_PAIRS", 100)
    found = listed(farm, NOBODY, None, params())
    assert not found.suspect.any()
    assert found.summary["overlap"]["not_run"].startswith("the log has 1,260 pairs")


def test_labelled_fakes_are_learned_from_though_validate_left_them_out(tmp_path, events):
    kept = events([("a", "x", 0), ("b", "x", 1)])
    out = events([("f", "x", 2), ("c", "y", 3)])
    out = out.append_column("reason", pa.array(["fake_account", "duplicate"])).cast(QUARANTINE)
    users = [{"user_id": "a", "fake": False}, {"user_id": "b", "fake": None}]
    pq.write_table(kept, tmp_path / "events.parquet")
    pq.write_table(out, tmp_path / "quarantine.parquet")
    pq.write_table(pa.Table.from_pylist(users, USERS), tmp_path / "users.parquet")
    log, labels = read_taught(tmp_path)
    assert log.user_ids.tolist() == ["a", "b", "f"]
    assert labels.tolist() == [0, -1, 1]
    assert log.end == 2
    pq.write_table(out.slice(1), tmp_path / "quarantine.parquet")
    assert read_taught(tmp_path) is None
