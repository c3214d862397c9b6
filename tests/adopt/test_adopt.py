"""The command as a whole: an export in, an example out that `make run` takes."""

import io
import logging
import shutil

import numpy as np
import pandas as pd
import pytest

from recgan.adopt.command import adopt
from recgan.adopt.sizes import detectable, enough, suited
from recgan.core.errors import RecganError
from recgan.core.yaml12 import read_yaml
from recgan.evaluation.significance import detectable_difference
from recgan.settings import Params, load_with_base, read_with_base
from recgan.use import use
from tests.conftest import ROOT
from tests.test_examples import repeated


@pytest.fixture
def project(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "raw").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def orders(shoppers=30, each=10, days=200):
    """Semicolons, d.m.Y, decimal commas; each shopper buys `each` of 12 products, evenly over the days."""
    lines = ["Kundennummer;Artikelnummer;Bezeichnung;Datum;Menge;Preis"]
    for shopper in range(shoppers):
        for turn in range(each):
            at = pd.Timestamp("2024-01-01") + pd.Timedelta(days=turn * days / each + shopper / 24)
            item = (shopper * 5 + turn * 7) % 12
            lines.append(f"{shopper};A{item};Ding {item};{at:%d.%m.%Y %H:%M};1;{item + 1},50")
    return "\n".join(lines) + "\n"


def test_one_command_makes_an_example_that_the_pipeline_takes(project, capsys):
    (project / "raw/orders.csv").write_bytes(orders().encode("cp1252"))
    level = logging.getLogger("recgan").level
    adopt([project / "raw/orders.csv"], ask=False)
    assert logging.getLogger("recgan").level == level
    said = capsys.readouterr().out
    assert "kept: 300 events" in said
    assert said.endswith("make run DATA=orders\n")

    target = project / "examples/orders.yaml"
    difference = read_yaml(target)
    base = read_with_base(target.parent / difference.pop("base"))
    assert list(repeated(base, difference, Params)) == []
    params = load_with_base(target)
    assert str(params.ingest.path) == "raw/orders.csv"
    assert params.ingest.csv.decimal == ","
    assert params.ingest.time_format == "%d.%m.%Y %H:%M"
    assert params.validate_.min_events == 150  # half of 300
    assert params.validate_.max_user_share == 0.05  # 1.5 times a thirtieth
    # Of 181 days the two windows may take 40 %, and nobody is there in 500 shoppers: the longest that fits.
    assert params.features.split.test_days == params.features.split.validation_days == 28
    assert "rcgan" not in params.candidates
    assert params.register_.name == "recgan-orders"
    assert use("orders").changed

    with pytest.raises(RecganError, match="is there already; give another --name, or --force"):
        adopt([project / "raw/orders.csv"], ask=False)


def test_where_the_check_fails_the_same_command_goes_on_until_somebody_edits_the_file(project, monkeypatch):
    def features(folder):
        raise RecganError("no item has 3 users; lower features.min_item_users")

    for stage in ("ingest", "validate", "screen"):
        monkeypatch.setattr(f"recgan.adopt.written.{stage}", lambda folder: None)
    monkeypatch.setattr("recgan.adopt.written.features", features)
    export, mine = project / "orders.csv", project / "mine.yaml"

    def attempt():
        adopt([export], ask=False, out=mine, name="mine")

    for shoppers in (2, 3):  # the export is mended, though not enough
        export.write_text(orders(shoppers))
        with pytest.raises(RecganError, match=r"will not do yet.*\nno item has 3 users"):
            attempt()
        assert read_yaml(mine)["base"] == "examples/own-files.yaml"
        assert read_yaml(mine)["validate"]["min_events"] == 5 * shoppers  # of the export as it is now

    mine.write_text(f"# my words\n{mine.read_text()}")
    with pytest.raises(RecganError, match="is there already"):
        attempt()

    mine.write_text(mine.read_text().removeprefix("# my words\n"))
    monkeypatch.setattr("recgan.adopt.written.check", lambda content: {"test": {"users": 100}})
    attempt()
    with pytest.raises(RecganError, match="is there already"):  # a finished one is nobody's to replace
        attempt()


@pytest.mark.parametrize("name", ["../evil", "sp ace", "a/b"])
def test_a_name_is_one_of_a_file_in_examples(project, name):
    (project / "orders.csv").write_text(orders(shoppers=2))
    before = sorted(project.rglob("*"))
    with pytest.raises(RecganError, match="letters, digits, dots, hyphens and underscores alone"):
        adopt([project / "orders.csv"], ask=False, name=name)
    assert sorted(project.rglob("*")) == before


def test_the_largest_share_of_a_shopper_is_no_more_than_all():
    rows = "\n".join(f"u,i{number % 9},{number}" for number in range(60))
    assert suited(log(rows), 14).max_user_share == 1


def test_outside_a_project_nothing_is_looked_at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecganError, match="run recgan adopt from the root of the project"):
        adopt([tmp_path / "none.csv"], ask=False)


# --- sizes ----------------------------------------------------------------------------------------------


def log(text):
    frame = pd.read_csv(io.StringIO(text), names=["user_id", "item_id", "day"])
    days = pd.to_timedelta(frame["day"], unit="D")
    return frame.assign(timestamp=pd.Timestamp("2024-01-01", tz="UTC") + days)


def test_windows_fit_the_log_and_what_is_met_again_is_nothing_new():
    rows = "a,x,0\na,y,1\na,z,2\nb,x,3\nb,y,4\nc,x,5\nc,z,95\nb,x,99\na,w,100\n"
    sizes = suited(log(rows), monitor_days=14)
    # 2 · 14 days are the most of 7, 14, 28 within 40 of 100 days; c met z, a met w; b had x before.
    assert (sizes.window, sizes.shoppers) == (14, 2)
    # Before day 72: a has 3 items, b 2, c 1, so a third has three; no item has 3 shoppers but x.
    assert (sizes.min_user_items, sizes.min_item_users) == (3, 2)
    assert (sizes.min_events, sizes.monitor_events) == (4, 1)
    assert sizes.few


def test_a_detectable_difference_is_the_gates():
    draws = np.random.default_rng(0).normal(size=4000)
    error = draws.std()
    assert detectable(1, error, level=0.05) == pytest.approx(detectable_difference(draws, 0.95))
    assert detectable(400, 0.2, level=0.05) == pytest.approx(2.8016 * 0.2 / 20, abs=1e-5)


def test_too_few_shoppers_are_said_to_be_hopeless():
    assert enough(19, 20, 0.05).startswith("HOPELESS")
    few, some, many = (enough(shoppers, 20, 0.05) for shoppers in (60, 110, 900))
    assert "difference in NDCG@10 of 0.076" in few  # 2.8016 · 0.21 / √60
    assert "only a large one will show" in few
    assert "a small one may not show" in some
    assert "every one of them would show" in many  # (2.8016 · 0.21 / 0.02)² = 865
