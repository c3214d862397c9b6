"""The monitor: steady on more of the same, drifted on something else, silent where nothing is known."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recgan.core.errors import RecganError
from recgan.core.files import read_json, write_json
from recgan.daily.monitor import Observation, Report, as_markdown, decide, monitor, observe, outcome
from recgan.daily.publish import METADATA
from recgan.daily.recommendations import SCHEMA, target_path
from recgan.daily.screened import Screened
from recgan.data.events import EVENTS, ITEMS, USERS, Tables, write_tables
from recgan.package.reference import describe_training
from recgan.package.store import Recommenders
from recgan.registry.enrol import enrol
from recgan.registry.tracking import connect, current
from recgan.registry.versions import the_champion
from recgan.settings import MonitorParams
from tests.conftest import screen_out
from tests.package.conftest import ITEMS as N_ITEMS
from tests.package.conftest import TASTES, make_project, shop_features, write_lock
from tests.package.conftest import USERS as N_USERS

CUT = pd.Timestamp("2026-03-01", tz="UTC")
LIMITS = MonitorParams(
    days=14,
    min_events=300,
    max_psi=0.25,
    max_jensen_shannon=0.2,
    max_unknown_items=0.3,
    max_unknown_shoppers=0.5,
    min_coverage=0.05,
    min_recall=0.9,
    max_quarantined_growth=3,
)


def events(rng, start, days, n, items=N_ITEMS, users=N_USERS, kinds=(0.7, 0.2, 0.1)):
    """Events at all hours; the items follow popularity, whatever the window."""
    popularity = shop_features().items["popularity"].to_numpy(dtype=float)
    shares = popularity if items == N_ITEMS else np.ones(items)
    drawn = rng.choice(items, n, p=shares / shares.sum())
    seconds = rng.uniform(0, days * 86_400, n)
    return pd.DataFrame(
        {
            "user_id": [f"user-{user}" for user in rng.integers(0, users, n)],
            "item_id": [f"item-{item}" for item in drawn],
            "event": rng.choice(["view", "cart", "purchase"], n, p=kinds),
            "timestamp": [start + pd.Timedelta(microseconds=int(1e6 * second)) for second in seconds],
            "value": np.nan,
            "price": 1.0 + drawn % 7,
            "session_id": None,
            "split": None,
        }
    )


def arrow(frame, schema):
    columns = [pa.array(frame[field.name].tolist(), field.type, from_pandas=True) for field in schema]
    return pa.table(columns, schema=schema)


def keep(root, frame, left_out=()):
    """Write data/kept, and which accounts are left out."""
    items = pd.DataFrame(
        {
            "item_id": [f"item-{item}" for item in range(2 * N_ITEMS)],
            "title": "",
            "category": [f"taste-{item % TASTES}" for item in range(2 * N_ITEMS)],
            "brand": "",
            "price": 1.0,
            "image_url": None,
        }
    )
    users = pd.DataFrame({"user_id": frame["user_id"].unique(), "fake": False})
    (root / "data/kept").mkdir(exist_ok=True)
    screen_out(root, *left_out)
    tables = (arrow(table, schema) for table, schema in ((frame, EVENTS), (items, ITEMS), (users, USERS)))
    write_tables(Tables(*tables), root / "data/kept")


def publish(root, name, version, item_ids):
    """Publish one place for each shopper."""
    target = target_path(root, name)
    target.parent.mkdir(exist_ok=True)
    rows = pd.DataFrame({"user_id": "u", "rank": 1, "item_id": item_ids, "score": 1.0, "version": version})
    rows["new"] = False
    champion = current(connect(), name)
    about = {"version": version, "run_id": str(champion.run_id)}
    schema = SCHEMA.with_metadata({METADATA: json.dumps(about).encode()})
    pq.write_table(arrow(rows, schema), target)


def screening(share, **recall):
    """What a stage wrote of a night."""
    return {"quarantined_share": share, "canaries": {style: {"recall": of} for style, of in recall.items()}}


@pytest.fixture
def named(params, request):
    register = params.register_.model_copy(update={"name": request.node.name})
    canaries = params.screen.canaries.model_copy(update={"watched": ("push", "segment")})
    screen = params.screen.model_copy(update={"canaries": canaries})
    return params.model_copy(update={"register_": register, "monitor": LIMITS, "screen": screen})


@pytest.fixture
def before():
    return events(np.random.default_rng(0), CUT - pd.Timedelta(days=60), 60, 6000)


@pytest.fixture
def shop(store_env, named, before, tmp_path):
    """A champion that was trained on 60 days and evaluated: each item once in its lists."""
    root = make_project(tmp_path / "project", named, good_tastes=TASTES)
    keep(root, before)
    write_json(root / "metrics/screening.json", screening(0.01, push=1.0, segment=1.0, farm=0.2))
    summary = root / "data/features/summary.json"
    write_json(summary, {**read_json(summary), "cuts": {"test_start": CUT.isoformat()}})
    np.savez(root / "data/evaluation/rankings.npz", cfgan=np.arange(N_ITEMS, dtype=np.int32)[:, None])
    write_lock(root)
    registered = enrol(Recommenders(root, named))
    connect().set_registered_model_alias(named.register_.name, "champion", registered.version)
    return root


def test_from_steady_to_drifted(shop, named, before):
    name, rng, client = named.register_.name, np.random.default_rng(1), connect()
    # Nothing is newer, nothing published: nothing to say, and no reason to retrain.
    idle = monitor(shop, named)
    assert (idle.retrain, idle.reasons) == (False, ("Nothing could be compared.",))
    assert (outcome(idle), "drift was not measured" in as_markdown(idle, LIMITS)) == ("NotCompared", True)
    assert (idle.observation.drift, idle.observation.shares) == ({}, {})
    assert "0 events are newer" in idle.observation.notes[0]
    assert "nothing is published" in idle.observation.notes[1]

    # More of the same, and lists like those of the evaluation.
    same = pd.concat([before, events(rng, CUT, 10, 1000)])
    keep(shop, same)
    publish(shop, name, "1", [f"item-{item}" for item in range(N_ITEMS)] * 3)
    steady = monitor(shop, named)
    seen = steady.observation
    assert not steady.retrain
    assert seen.notes == ()
    assert seen.events == 1000
    assert seen.shares == {"unknown_items": 0, "unknown_shoppers": 0, "coverage": 1}
    assert set(seen.drift) == {
        *(f"events.{of}" for of in ("kind", "hour", "category", "popularity", "price")),
        *(f"recommended.{of}" for of in ("category", "popularity", "price")),
    }
    assert max(figures["psi"] for figures in seen.drift.values()) < 0.1

    # A campaign that the screen left out is no drift.
    pushed = events(rng, CUT + pd.Timedelta(days=9), 1, 1000, 1).assign(user_id="fake")
    keep(shop, pd.concat([same, pushed]), left_out=["fake"])
    champion = the_champion(client, name)
    assert observe(shop, named, champion) == seen
    keep(shop, pd.concat([same, pushed]))
    assert observe(shop, named, champion).drift != seen.drift

    # Other items, other shoppers, other kinds: each is named, in the report, on the run and on the version.
    other = events(rng, CUT + pd.Timedelta(days=20), 10, 1000, 2 * N_ITEMS, 4 * N_USERS, (0.1, 0.1, 0.8))
    keep(shop, pd.concat([same, other]))
    publish(shop, name, "1", ["item-1", "item-2"] * 50)
    drifted = monitor(shop, named)
    seen = drifted.observation
    assert drifted.retrain
    assert seen.events == 1000  # those of the days before are no longer among the newest 14
    assert seen.shares["unknown_items"] == pytest.approx(0.5, abs=0.05)
    assert seen.shares["unknown_shoppers"] == pytest.approx(0.75, abs=0.05)
    assert seen.shares["coverage"] == 2 / N_ITEMS
    told = "\n".join(drifted.reasons)
    for what in (
        "events.kind: PSI",
        "an item the champion does not know",
        "shoppers",
    ):
        assert what in told
    assert "recommended.category: Jensen-Shannon distance" in told
    assert "share of its catalogue in the published lists: 4.2% is below 5.0%" in told
    assert "events.hour" not in told
    assert read_json(shop / "reports/monitor.json")["reasons"] == list(drifted.reasons)
    assert "| events.kind |" in (shop / "reports/monitor.md").read_text()
    history = client.get_metric_history(seen.run_id, "monitor/retrain")
    assert [(point.step, point.value) for point in history] == [(0, 0), (9, 0), (29, 1)]
    assert client.get_run(seen.run_id).data.metrics["monitor/events.kind.psi"] > 0.25
    assert client.get_model_version(name, "1").tags["monitor.retrain"] == "true"

    # Lists of another version say nothing about the champion.
    publish(shop, name, "7", ["item-1"])
    assert any(
        "version 7 is published, not the champion" in note for note in monitor(shop, named).observation.notes
    )


def test_a_screen_that_finds_less_or_leaves_out_much_more_is_a_warning(shop, named):
    path, name = shop / "metrics/screening.json", named.register_.name
    calm = monitor(shop, named)
    assert calm.observation.screened == Screened(0.01, 0.01, {"push": 1.0, "segment": 1.0})
    assert calm.warnings == ()

    write_json(path, screening(0.04, push=0.95, segment=0.85, farm=0.0))
    warned = monitor(shop, named)
    assert (warned.retrain, outcome(warned)) == (False, "Warned")  # no retraining mends it
    segment, growth = warned.warnings
    assert segment == "simulated accounts found, style segment: 85.0% is below 90.0%"
    assert growth.startswith("accounts left out as fake: 4.00%, at least 3 times the 1.00% of the night")
    text = (shop / "reports/monitor.md").read_text()
    assert f"- **{segment}**" in text
    assert "| simulated accounts found, style push: 95.0% |" in text
    figures = connect().get_run(warned.observation.run_id).data.metrics
    assert figures["monitor/recall.segment"] == 0.85
    assert figures["monitor/quarantined_share"] == 0.04

    # What is not known is said, and is no warning: a log without times, no screening yet.
    write_json(path, {"quarantined_share": 0.0})
    untimed = monitor(shop, named)
    assert untimed.warnings == ()
    assert any("no canaries of push, segment were screened" in note for note in untimed.observation.notes)
    path.unlink()
    before = monitor(shop, named)
    assert (before.observation.screened, before.warnings) == (None, ())
    assert any("there is no metrics/screening.json" in note for note in before.observation.notes)

    # A champion from before the screen.
    write_json(path, screening(0.04, push=1.0, segment=1.0))
    client, run_id = connect(), str(current(connect(), name).run_id)
    listed = type(client).list_artifacts
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            type(client),
            "list_artifacts",
            lambda self, run, folder=None: [
                file for file in listed(self, run, folder) if run != run_id or "screening" not in file.path
            ],
        )
        old = monitor(shop, named)
    assert old.observation.screened == Screened(0.04, None, {"push": 1.0, "segment": 1.0})
    assert old.warnings == ()
    assert any("registered before accounts were screened" in note for note in old.observation.notes)


def test_the_reference_holds_the_events_of_training_and_no_shopper(shop, named, before):
    features = shop_features()
    features.summary["cuts"] = {"test_start": (CUT - pd.Timedelta(days=30)).isoformat()}
    reference = describe_training(shop, features, "cfgan", 10)
    assert reference["events"] == (before["timestamp"] < CUT - pd.Timedelta(days=30)).sum()
    assert "user-" not in str(reference)
    without_cuts = describe_training(shop, shop_features(), "cfgan", 10)
    assert without_cuts["events"] == len(before)  # a split without instants: everything was at hand
    assert pd.Timestamp(without_cuts["until"]) > before["timestamp"].max()


def test_a_champion_without_a_reference_and_no_champion_are_said(store_env, named, before, tmp_path):
    root = make_project(tmp_path / "project", named, good_tastes=TASTES)
    with pytest.raises(RecganError, match="has no champion yet"):
        monitor(root, named)
    registered = enrol(Recommenders(root, named))  # without data/kept
    connect().set_registered_model_alias(named.register_.name, "champion", registered.version)
    keep(root, before)
    with pytest.raises(RecganError, match="registered without a reference"):
        monitor(root, named)


def test_kept_events_that_dvc_does_not_know_are_no_reference(store_env, named, before, tmp_path):
    root = make_project(tmp_path / "project", named, good_tastes=TASTES)
    keep(root, before)
    with pytest.raises(RecganError, match="data/kept is not what"):
        enrol(Recommenders(root, named))


# --- the decision ----------------------------------------------------------------------------------------

STEADY = Observation(
    name="shop",
    version="1",
    run_id="0",
    trained_until="",
    newest_from="",
    newest_until="",
    events=1000,
    drift={"events.kind": {"psi": 0.25, "jensen_shannon": 0.2}},
    shares={"unknown_items": 0.3, "unknown_shoppers": 0.5, "coverage": 0.05},
    screened=Screened(0.0299, 0.01, {"push": 0.9}),
    notes=(),
)


def test_a_limit_that_is_reached_is_not_passed():
    assert decide(STEADY, LIMITS) == Report(STEADY, False, ("Nothing is beyond its limit.",), ())
    assert not decide(replace(STEADY, drift={}, shares={}), LIMITS).retrain


@pytest.mark.parametrize(
    ("screened", "warnings"),
    [
        (Screened(0.0299, 0.01, {"push": 0.9}), 0),
        (Screened(0.03, 0.01, {"push": 0.899, "bot": float("nan")}), 3),
        (Screened(0.0029, 0.0, {}), 0),  # next to nothing before: one account more is no jump
        (Screened(0.003, 0.0, {}), 1),
        (None, 0),
    ],
)
def test_warnings_make_no_retraining_due(screened, warnings):
    found = decide(replace(STEADY, screened=screened), LIMITS)
    assert len(found.warnings) == warnings
    assert not found.retrain


@pytest.mark.parametrize(
    "beyond",
    [
        {"drift": {"events.kind": {"psi": 0.251, "jensen_shannon": 0}}},
        {"drift": {"events.kind": {"psi": 0, "jensen_shannon": 0.201}}},
        {"drift": {"events.kind": {"psi": float("nan"), "jensen_shannon": 0}}},
        {"shares": {"unknown_items": 0.301}},
        {"shares": {"unknown_shoppers": 0.501}},
        {"shares": {"coverage": 0.049}},
        {"shares": {"coverage": float("nan")}},
    ],
)
def test_each_limit_alone_makes_retraining_due(beyond):
    found = decide(replace(STEADY, **{"drift": {}, "shares": {}} | beyond), LIMITS)
    assert found.retrain
    assert len(found.reasons) == 1
