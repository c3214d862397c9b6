"""Register, judge, promote: what the aliases hold after each, on a store of their own."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
import pytest
import yaml
from markupsafe import escape
from scipy.sparse import csr_array

from recgan.core.errors import RecganError, Unavailable
from recgan.evaluation.evaluate import measure
from recgan.evaluation.plain_words import Change
from recgan.features.matrices import write_features
from recgan.package import evidence
from recgan.package.asking import QUESTIONS, ask
from recgan.package.gate import FLOOR
from recgan.package.store import Recommenders, load_champion, retraining
from recgan.package.verdict import tell_of_change, write_verdict
from recgan.recommenders.loading import load_recommender
from recgan.recommenders.protocol import recommend
from recgan.recommenders.ranking import window_ndcg
from recgan.registry.domain import Decision
from recgan.registry.enrol import enrol
from recgan.registry.lineage import folder_md5
from recgan.registry.promotion import judge, promote
from recgan.registry.tracking import artifact_location, connect, current
from tests.package.conftest import (
    ITEMS,
    TASTES,
    make_project,
    named_so,
    shop_features,
    taste_recommender,
    write_lock,
)

pytestmark = pytest.mark.usefixtures("forked_packages")


@pytest.fixture(autouse=True)
def asked_once(monkeypatch):
    """A version answers each batch of questions once, in a process of its own; then its answers are known."""
    known = {}

    def once(model_uri, questions, *how):
        asked = (model_uri, questions.serialize().to_pybytes(), *how)
        if asked not in known:
            known[asked] = ask(model_uri, questions, *how)
        return known[asked]

    monkeypatch.setattr(evidence, "ask", once)


@pytest.fixture
def client(store_env):
    return connect()


@pytest.fixture
def named(params, request):
    """The params with a registered model of the test's own."""
    return named_so(params, request.node.name.partition("[")[0])


def write_evaluation(root, params):
    """Write what the stage `evaluate` leaves behind of the recommender."""
    features, lists = shop_features(), taste_recommender(params, 1)
    rows = np.flatnonzero(np.diff(features.test.held_out.indptr))
    ranking = recommend(lists, features.test.history, max(params.evaluate.k))[0][rows]
    measured, _ = measure({"cfgan": ranking, "ease": ranking}, features, rows, params.evaluate)
    summary = {
        "challenger": "cfgan",
        "recommender": "cfgan",
        "candidates": [],
        "adversarial": None,
        "users": len(rows),
        "users_left_out": 1,
        "items": ITEMS,
    }
    (root / "data/evaluation/summary.json").write_text(
        json.dumps({**summary, "features_md5": None, **measured})
    )
    quality = {"quarantined_by_reason": {}, "expectations": {}, "first_event": None, "success": True}
    shares = ("quarantined_share", "expected", "expected_share", "faulty", "faulty_share")
    counts = dict.fromkeys(("raw", "kept", "quarantined", *shares, "users", "items"), 0)
    (root / "metrics/validation.json").write_text(json.dumps(quality | counts))


def aliases(client, params):
    found = {
        alias: current(client, params.register_.name, alias)
        for alias in ("champion", "challenger", "previous")
    }
    return {alias: str(version.version) for alias, version in found.items() if version is not None}


def mean_ndcg(params, good_tastes, order=None):
    """NDCG of a recommender by positions, in this process: what the gate must find through ids."""
    return window_ndcg(taste_recommender(params, good_tastes, order), shop_features(order).test, 10, True)


def test_the_gate_from_the_first_champion_to_a_poor_challenger(client, named, tmp_path):
    name = named.register_.name

    # Registered once, whoever asks again; the first champion has to beat popularity and must_beat alone.
    fair = make_project(tmp_path / "fair", named, good_tastes=3)
    first = enrol(Recommenders(fair, named), "flow-run-1")
    assert (first.version, first.reused) == ("1", False)
    again = enrol(Recommenders(fair, named), "flow-run-2")
    assert again == replace(first, reused=True)
    assert len(client.search_model_versions(f"name = '{name}'")) == 1
    experiment = client.get_experiment_by_name(name).experiment_id
    assert len(client.search_runs([experiment])) == 1
    assert aliases(client, named) == {"challenger": "1"}
    judgement = judge(Recommenders(fair, named), "1")
    assert judgement.champion_version is None
    promotion = promote(Recommenders(fair, named), "1", judgement)
    assert promotion.promoted, promotion.decision.failures
    assert (promotion.champion, promotion.previous) == ("1", None)
    assert aliases(client, named) == {"champion": "1"}

    # Nothing to do for the champion itself.
    assert enrol(Recommenders(fair, named)).reused
    assert aliases(client, named) == {"champion": "1"}
    idle = promote(Recommenders(fair, named), "1", judge(Recommenders(fair, named), "1"))
    assert (idle.promoted, idle.already_champion, idle.champion) == (False, True, "1")

    # A better one, whose vocabulary has the items in other positions: positions do not matter.
    order = np.random.default_rng(2).permutation(ITEMS)
    good = make_project(tmp_path / "good", named, good_tastes=TASTES, order=order)
    second = enrol(Recommenders(good, named))
    assert aliases(client, named) == {"champion": "1", "challenger": "2"}
    judgement = judge(Recommenders(good, named), second.version)
    assert [comparison.name for comparison in judgement.evidence.comparisons] == [FLOOR, "ease"]
    held_out = shop_features().test
    before = recommend(taste_recommender(named, 3), held_out.history, 10)[0]
    came = held_out.held_out.toarray()
    found = [came[row, items].any() for row, items in enumerate(before) if came[row].any()]
    assert judgement.evidence.champion_hit_rate == pytest.approx(np.mean(found))
    against = judgement.evidence.retraining.comparison
    assert against.mean_other == pytest.approx(mean_ndcg(named, 3))
    assert against.mean_challenger == pytest.approx(mean_ndcg(named, TASTES, order))
    promotion = promote(Recommenders(good, named), second.version, judgement)
    assert (promotion.promoted, promotion.champion, promotion.previous) == (True, "2", "1")
    assert aliases(client, named) == {"champion": "2", "previous": "1"}

    # A poor one is refused, with the reasons on its version; the champion stays.
    poor = make_project(tmp_path / "poor", named, good_tastes=1)
    write_evaluation(poor, named)
    third = enrol(Recommenders(poor, named))
    promotion = promote(
        Recommenders(poor, named), third.version, judge(Recommenders(poor, named), third.version)
    )
    assert (promotion.promoted, promotion.champion) == (False, "2")
    assert aliases(client, named) == {"champion": "2", "previous": "1", "challenger": "3"}
    [lost] = [one for one in promotion.decision.failures if "a retraining of the champion (version 2)" in one]
    assert "is not shown to lose less than 5.0% of its NDCG" in lost

    tags = client.get_model_version(name, "3").tags
    assert tags["gate.decision"] == "refuse"
    assert tags["gate.reasons"].splitlines() == list(promotion.decision.reasons)
    path = mlflow.artifacts.download_artifacts(
        f"runs:/{third.run_id}/gate/decision.json", dst_path=str(tmp_path)
    )
    assert json.loads(Path(path).read_text())["evidence"]["champion_version"] == "2"
    path = mlflow.artifacts.download_artifacts(
        f"runs:/{third.run_id}/gate/report.html", dst_path=str(tmp_path)
    )
    shown = Path(path).read_text()
    assert "Not promoted: cfgan, " in shown
    assert "version 3 does not go live; version 2 stays live." in shown
    assert all(str(escape(reason)) in shown for reason in promotion.decision.reasons)
    assert tags["dvc.lock.sha256"] in shown

    assert "as a retraining of the champion version 2 (p " in shown.lower()
    assert "it is not shown to be no worse" in shown

    # The page that people open first is the same; a stale one is no part of what is registered next.
    write_verdict(poor, named, promotion)
    assert (poor / "reports" / "verdict.html").read_text() == shown
    write_verdict(poor, named, replace(promotion, decision=Decision(False, ("✗ Another reason.",))))
    assert "✗ Another reason." in (poor / "reports" / "verdict.html").read_text()

    # What it says is live is no longer so after a promotion by hand or a rollback.
    page = poor / "reports" / "verdict.html"
    before = page.read_text()
    tell_of_change(poor, "another model", Change("3", "Live now: another model."))
    assert page.read_text() == before
    tell_of_change(poor, named.register_.name, Change("3", "Live now: version 3, by hand."))
    assert "Live by hand: cfgan, " in page.read_text()
    assert "Live now: version 3, by hand. Version 3 is the candidate cfgan" in page.read_text()
    assert "✗ Another reason." in page.read_text()
    assert "stays live" not in page.read_text()
    write_verdict(poor, named, replace(promotion, promoted=True, champion="3", previous="2"))
    tell_of_change(poor, named.register_.name, Change("2", "Live now: version 2 again."))
    assert "No longer live: cfgan, " in page.read_text()
    page.unlink()
    tell_of_change(poor, named.register_.name, Change("2", "Live now: version 2."))
    assert not page.exists()  # an evaluation since then has removed it

    # The same data and champion: the decision stands without asking anyone; another gate asks anew.
    again = judge(Recommenders(poor, named), third.version)
    assert (again.evidence, again.decision) == (None, promotion.decision)
    assert not promote(Recommenders(poor, named), third.version, again).promoted
    lenient = named.model_copy(
        update={
            "register_": named.register_.model_copy(
                update={"gate": named.register_.gate.model_copy(update={"min_coverage": 0.01})}
            )
        }
    )
    assert judge(Recommenders(poor, lenient), third.version).evidence is not None

    # The champion answers in this process too.
    champion = load_champion(poor, name)
    assert champion.version == "2"
    assert champion.packaged.recommend([["item-1", "item-7"]], 6)[0].item_ids[0] in {
        f"item-{item}" for item in range(13, ITEMS, TASTES)
    }


def test_the_gates_figure_of_a_challenger_is_evaluates_figure(client, named, tmp_path):
    """Also where confidences differ: a model gets the histories that it was measured with."""
    root = make_project(tmp_path / "project", named, good_tastes=TASTES)
    plain = shop_features()
    passing = np.roll(plain.test.history.toarray(), 1, axis=1) / 4  # another taste, looked at
    history = csr_array(4 * plain.test.history.toarray() + passing)
    features = replace(plain, test=replace(plain.test, history=history))
    write_features(features, root / "data" / "features")
    write_lock(root)
    rows = np.flatnonzero(np.diff(features.test.held_out.indptr))
    recommender = load_recommender(root / "models" / "cfgan")

    def by_evaluate(history):
        ranking = recommend(recommender, history, max(named.evaluate.k))[0][rows]
        measured, _ = measure({"cfgan": ranking}, features, rows, named.evaluate)
        return measured["recommenders"]["cfgan"]["metrics"]["ndcg_at_10"]

    judgement = judge(Recommenders(root, named), enrol(Recommenders(root, named)).version)
    figures = {comparison.mean_challenger for comparison in judgement.evidence.comparisons}
    assert figures == {by_evaluate(history)}
    assert by_evaluate(history) > by_evaluate(csr_array((history != 0).astype(np.float32))) + 0.1


def test_a_run_holds_params_metrics_curves_reports_and_lineage(client, named, tmp_path):
    root = make_project(tmp_path / "project", named, good_tastes=2)
    registered = enrol(Recommenders(root, named), "flow-run-7")
    run = client.get_run(registered.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["candidates.cfgan.generator.hidden"] == "[6]"
    assert run.data.params["register.gate.alpha"] == "0.05"
    assert run.data.metrics["candidates/cfgan/best_epoch"] == 2
    assert run.data.metrics["ndcg_at_10"] == 0.5
    assert run.data.metrics["evaluation/ease.ndcg_at_10"] == 0.25
    assert "train/validation_ndcg" not in run.data.metrics  # null
    curve = client.get_metric_history(registered.run_id, "curves/g_loss")
    assert [(point.step, point.value) for point in curve] == [(1, 1.5), (2, 1.25)]
    assert run.data.metrics["curves/ndcg_at_10"] == 0.5
    assert not [name for name in run.data.metrics if "ndcg_at_5" in name or "head_items" in name]
    assert run.data.metrics["ndcg_at_10_low"] == 0.25
    assert run.info.run_name == "cfgan, events until 2026-01-31"
    artifacts = {
        file.path
        for folder in (None, "reports", "metrics")
        for file in client.list_artifacts(run.info.run_id, folder)
    }
    assert {"dvc.lock", "reports/curves.csv", "metrics/candidates"} <= artifacts
    tags = client.get_model_version(named.register_.name, registered.version).tags
    assert tags["prefect.flow_run_id"] == "flow-run-7"
    assert tags["features.md5"] == folder_md5(root / "data" / "features")
    assert tags["validation.passed"] == "true"
    assert tags["git.sha"] == "none"  # the project of this test is no repository
    assert tags.items() <= run.data.tags.items()
    assert len(tags["train_key"]) == len(tags["dvc.lock.sha256"]) == 64

    # The package holds no pickle and what it needs is explicit.
    package = Path(
        mlflow.artifacts.download_artifacts(f"models:/{named.register_.name}/1", dst_path=str(tmp_path / "p"))
    )
    assert not [
        path for path in package.rglob("*") if path.suffix in {".pkl", ".pickle", ".pt", ".pth", ".ckpt"}
    ]
    assert (package / "code" / "recgan" / "recommenders" / "cfgan" / "recommender.py").exists()
    requirements = (package / "requirements.txt").read_text().splitlines()
    assert all("==" in line and "+" not in line for line in requirements)
    assert {line.partition("==")[0] for line in requirements} >= {"mlflow", "torch", "safetensors", "numpy"}


def test_a_package_that_cannot_answer_is_refused(client, named, tmp_path):
    root = make_project(tmp_path / "project", named, good_tastes=TASTES)
    (root / "models" / "cfgan" / "weights.safetensors").write_bytes(b"damaged")
    write_lock(root)
    registered = enrol(Recommenders(root, named))
    judgement = judge(Recommenders(root, named), registered.version)
    assert not judgement.decision.promote
    assert any("no readable recommender" in failure for failure in judgement.decision.failures)
    assert np.isnan(judgement.evidence.coverage)
    assert promote(Recommenders(root, named), registered.version, judgement).champion is None
    assert aliases(client, named) == {"challenger": "1"}


def test_a_package_that_cannot_be_fetched_is_no_verdict_on_it(client, named, tmp_path):
    asked = pa.record_batch([[["item-1"]], [[1.0]], [None]], QUESTIONS)
    with pytest.raises(Unavailable, match="models:/nothing/1 cannot be fetched"):
        ask("models:/nothing/1", asked, 5, True)
    root = make_project(tmp_path / "project", named, good_tastes=TASTES)
    version = enrol(Recommenders(root, named)).version
    location = client.get_experiment_by_name(named.register_.name).artifact_location
    place = Path(location.removeprefix("file://"))
    place.rename(place.with_name("away"))
    with pytest.raises(Unavailable, match="the artifact store does not have its files"):
        judge(Recommenders(root, named), version)
    assert "gate.decision" not in client.get_model_version(named.register_.name, version).tags
    place.with_name("away").rename(place)
    assert judge(Recommenders(root, named), version).decision.promote


def test_a_run_that_was_killed_is_not_shown_as_running_for_good(client, named, tmp_path):
    root = make_project(tmp_path / "project", named, good_tastes=TASTES)
    name = named.register_.name
    experiment = client.create_experiment(name, artifact_location(root, name))
    dead = client.create_run(experiment, tags={"train_key": "of a killed registration"}).info.run_id
    somebodys = client.create_run(experiment).info.run_id
    registered = enrol(Recommenders(root, named))
    client.update_run(registered.run_id, status="RUNNING")  # killed right after its version was made
    assert enrol(Recommenders(root, named)).reused
    assert client.get_run(registered.run_id).info.status == "FINISHED"
    assert client.get_run(dead).info.status == "KILLED"
    assert client.get_run(somebodys).info.status == "RUNNING"


def test_only_a_change_of_the_train_stage_makes_a_new_version(client, named, tmp_path):
    root = make_project(tmp_path / "project", named, good_tastes=2)
    assert enrol(Recommenders(root, named)).version == "1"
    lock = yaml.safe_load((root / "dvc.lock").read_text())
    lock["stages"]["evaluate"] = {"cmd": "y"}
    (root / "dvc.lock").write_text(yaml.safe_dump(lock))
    assert enrol(Recommenders(root, named)).reused
    write_lock(root, params={"params.yaml": {"candidates.cfgan": {"seed": 43}}})
    assert enrol(Recommenders(root, named)).version == "2"


def test_a_recommender_trained_past_dvc_is_refused(client, named, tmp_path):
    root = make_project(tmp_path / "project", named, good_tastes=2)
    assert enrol(Recommenders(root, named)).version == "1"
    taste_recommender(named, TASTES).save(root / "models" / "cfgan")
    with pytest.raises(RecganError, match="models/cfgan is not what"):
        enrol(Recommenders(root, named))
    shutil.rmtree(root / "models" / "cfgan")
    with pytest.raises(RecganError, match="the stage train@cfgan has not run yet; run dvc repro"):
        enrol(Recommenders(root, named))


def test_an_empty_store_takes_a_model_from_the_cache(empty_database, named, tmp_path, monkeypatch):
    """A relative database lies in the project, its files beside it, whatever the working directory."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    root = make_project(tmp_path / "project", named, good_tastes=2)
    shutil.copy(empty_database, root / "mlflow.db")
    assert enrol(Recommenders(root, named)).version == "1"
    assert (root / "mlartifacts" / named.register_.name).is_dir()


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("dvc.lock", "nothing was trained yet; run dvc repro"),
        ("metrics/validation.json", "does not say whether the expectations passed"),
        ("data/features/summary.json", "data/features is not what dvc.lock names"),
    ],
)
def test_what_is_missing_is_said(store_env, named, tmp_path, missing, message):
    root = make_project(tmp_path / "project", named, good_tastes=2)
    (root / missing).unlink()
    with pytest.raises(RecganError, match=message):
        enrol(Recommenders(root, named))


def test_no_champion_is_said(store_env):
    with pytest.raises(RecganError, match="nobody has no champion yet"):
        load_champion(Path(), "nobody")


def test_the_champions_own_retraining_is_judged_beside_another_challenger(client, named, tmp_path):
    """The champion is candidate `cfgan`; validation prefers `ease` from now on."""
    root = make_project(tmp_path / "project", named, good_tastes=TASTES)
    first = enrol(Recommenders(root, named))
    client.set_registered_model_alias(named.register_.name, "champion", first.version)
    assert retraining(root, named) is None  # it is the challenger itself
    summary = root / "data/evaluation/summary.json"
    summary.write_text(json.dumps({"challenger": "ease"}))
    own = retraining(root, named)
    assert own == Recommenders(root, named, "cfgan")
    write_lock(root, params={"params.yaml": {"candidates.cfgan": {"seed": 43}}})  # trained anew tonight
    second = enrol(own)
    assert client.get_model_version(named.register_.name, second.version).tags["candidate"] == "cfgan"
    judgement = judge(own, second.version)
    assert judgement.evidence.champion_same
    assert promote(own, second.version, judgement).promoted  # equal, so not worse
    assert aliases(client, named) == {"champion": second.version, "previous": first.version}

    # Not where tonight's settings are others, or the retraining failed.
    epochs = {"epochs": named.candidates["cfgan"].epochs + 1}
    changed = {**named.candidates, "cfgan": named.candidates["cfgan"].model_copy(update=epochs)}
    assert retraining(root, named.model_copy(update={"candidates": changed})) is None
    rest = {name: one for name, one in named.candidates.items() if name != "cfgan"}
    assert retraining(root, named.model_copy(update={"candidates": rest})) is None
    (root / "models/cfgan/skipped.json").write_text('{"reason": "9 GiB"}')
    assert retraining(root, named) is None


def test_without_a_champion_there_is_nothing_to_refresh(store_env, named, tmp_path):
    assert retraining(make_project(tmp_path / "project", named, good_tastes=1), named) is None
