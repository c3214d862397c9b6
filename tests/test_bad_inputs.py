"""Bad input gets one clear error (what, the value, the remedy), and what was there before stays."""

import contextlib
import io
import os
import resource
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
import yaml

from recgan.__main__ import main
from recgan.use import whole
from tests.conftest import ROOT

STAGES = ("ingest", "validate", "screen", "features")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A project with the user's own events.csv that went through the first stages."""
    root = tmp_path_factory.mktemp("good")
    (root / "raw").mkdir()
    (root / "params.yaml").write_bytes(whole(ROOT / "examples/own-files.yaml")[0])
    log().to_csv(root / "raw/events.csv", index=False)
    for stage in STAGES:
        done = cli(root, stage)
        assert done == (0, ""), done
    return root


@pytest.fixture
def project(good, tmp_path):
    shutil.copytree(good, tmp_path / "project")
    return tmp_path / "project"


def log() -> pd.DataFrame:
    """Return 3,000 sound events of 100 users on 40 items over 60 days."""
    rng = np.random.default_rng(1)
    start = datetime(2025, 1, 1, tzinfo=UTC)
    return pd.DataFrame(
        {
            "user_id": [f"u{user}" for user in rng.integers(0, 100, 3000)],
            "item_id": [f"i{item}" for item in rng.integers(0, 40, 3000)],
            "event": rng.choice(["view", "cart", "purchase"], 3000),
            "timestamp": [
                (start + timedelta(seconds=int(second))).isoformat()
                for second in np.sort(rng.integers(0, 60 * 86_400, 3000))
            ],
        }
    )


def cli(root: Path, stage: str) -> tuple[int, str]:
    """Run a subcommand in this process as the command line would; return the exit code and the errors."""
    errors = io.StringIO()
    code = 0
    with (
        contextlib.chdir(root),
        contextlib.redirect_stderr(errors),
        contextlib.redirect_stdout(io.StringIO()),
        patch.object(sys, "argv", ["recgan", stage]),
    ):
        try:
            main()
        except SystemExit as exit_:
            code = int(exit_.code or 0)
    return code, errors.getvalue()


def contents(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted((root / "data").rglob("*")) if path.is_file()}


def drop_column(root: Path) -> None:
    log().drop(columns="item_id").to_csv(root / "raw/events.csv", index=False)


def empty_file(root: Path) -> None:
    (root / "raw/events.csv").write_text("")


def wrong_type(root: Path) -> None:
    frame = log()
    frame.loc[7, "timestamp"] = "yesterday"
    frame.to_csv(root / "raw/events.csv", index=False)


def null_ids(root: Path) -> None:
    log().assign(user_id=None).to_csv(root / "raw/events.csv", index=False)


def future_dates(root: Path) -> None:
    frame = log()
    frame.loc[2990:, "timestamp"] = "2199-01-01T00:00:00+00:00"
    frame.to_csv(root / "raw/events.csv", index=False)


def one_shopper(root: Path) -> None:
    log().assign(user_id="u1").to_csv(root / "raw/events.csv", index=False)


def unknown_kind(root: Path) -> None:
    frame = log()
    frame.loc[3, "event"] = "teleport"
    frame.to_csv(root / "raw/events.csv", index=False)


def corrupt_parquet(root: Path) -> None:
    (root / "raw/events.parquet").write_bytes(b"PAR1 this is no Parquet PAR1")
    set_param(root, "ingest", "events", "events.parquet")


def mistyped_param(root: Path) -> None:
    text = (root / "params.yaml").read_text()
    (root / "params.yaml").write_text(text.replace("min_events:", "min_event:"))


def no_file(root: Path) -> None:
    (root / "raw/events.csv").unlink()


def short_log(root: Path) -> None:
    split = {"kind": "time", "validation_days": 50, "test_days": 50}
    set_param(root, "features", "split", split)


def nothing_left(root: Path) -> None:
    set_param(root, "features", "min_user_items", 1000)


def set_param(root: Path, section: str, name: str, value: object) -> None:
    content = yaml.safe_load((root / "params.yaml").read_text())
    content[section][name] = value
    (root / "params.yaml").write_text(yaml.safe_dump(content))


@pytest.mark.parametrize(
    ("spoil", "stage", "words"),
    [
        (drop_column, "ingest", ["no column item_id", "user_id, event, timestamp", "ingest.columns.item_id"]),
        (empty_file, "ingest", ["events.csv is empty", "replace it"]),
        (no_file, "ingest", ["no file raw/events.csv", "put it there"]),
        (wrong_type, "ingest", ["column timestamp", "row 8", "yesterday"]),
        (corrupt_parquet, "ingest", ["events.parquet is not readable Parquet", "write it anew"]),
        (mistyped_param, "ingest", ["validate.min_event", "did you mean `min_events`"]),
        (null_ids, "validate", ["3,000 null_user", "user_id=null", "max_quarantined_share"]),
        (future_dates, "validate", ["future_timestamp", "10", "2199-01-01"]),
        (one_shopper, "validate", ["kept_user_share", "user_id=u1 has 3,000 events"]),
        (unknown_kind, "validate", ["unknown_event", "teleport"]),
        (short_log, "features", ["the log starts on 2025-01-01", "features.split.validation_days"]),
        (nothing_left, "features", ["min_user_items"]),
    ],
)
def test_bad_input_is_one_clear_error_and_nothing_is_lost(project, spoil, stage, words):
    spoil(project)
    before = contents(project)
    for earlier in STAGES[: STAGES.index(stage)]:
        assert cli(project, earlier) == (0, "")
        before = contents(project)
    code, errors = cli(project, stage)
    assert code == 1
    assert errors.startswith("error: ")
    assert errors.count("error: ") == 1
    assert "Traceback" not in errors
    for word in words:
        assert word in errors
    assert contents(project) == before


def test_a_full_disk_is_one_clear_error_and_nothing_is_lost(project):
    """A limit on the size of files stands in for the full disk: the write fails in the same place."""
    before = contents(project)
    (project / "raw/events.csv").write_text((project / "raw/events.csv").read_text().replace("u1,", "u999,"))
    done = subprocess.run(
        [sys.executable, "-m", "recgan", "ingest"],
        cwd=project,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)),
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "free space" in done.stderr
    assert "Traceback" not in done.stderr
    assert contents(project) == before


def test_a_folder_in_the_way_is_one_clear_error(project):
    shutil.rmtree(project / "data")
    (project / "data").write_text("a file where the folder should be")
    code, errors = cli(project, "ingest")
    assert code == 1
    assert errors.startswith("error: ")
    assert "Traceback" not in errors
    assert (project / "data").read_text() == "a file where the folder should be"
