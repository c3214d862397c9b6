"""The evaluate stage on a small shop of its own, with EASE in the place of the GAN."""

import json
import re
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.evaluation.days import day_by_day
from recgan.evaluation.evaluate import measure
from recgan.evaluation.headline import headline
from recgan.evaluation.lists import spread
from recgan.evaluation.report import evaluation_table
from recgan.evaluation.settings import EvaluateParams
from recgan.evaluation.significance import intervals
from recgan.features.matrices import Features, HeldOut, Outside, write_features
from recgan.recommenders.ease.recommender import EASE
from recgan.recommenders.popularity.recommender import Popularity
from recgan.recommenders.protocol import recommend
from recgan.recommenders.ranking import ndcg
from recgan.stages import evaluate
from tests.conftest import SHOP, example

N_USERS, N_ITEMS = 90, 30


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(5)
    taste, kind = rng.normal(size=(N_USERS, 3)), rng.normal(size=(N_ITEMS, 3))
    events = csr_array((taste @ kind.T + rng.normal(size=(N_USERS, N_ITEMS)) > 1).astype(np.float32)).tocoo()
    in_test = rng.random(events.nnz) < 0.3
    in_test |= events.row < 4  # new users: no history

    def matrix(mask):
        return csr_array((events.data[mask], (events.row[mask], events.col[mask])), shape=events.shape)

    history, held_out = matrix(~in_test), matrix(in_test)
    some = np.diff(held_out.indptr) > 0
    some[10:13] = True
    emptied = held_out.toarray()
    emptied[10:13] = 0  # users with nothing held out
    user_ids = np.array([f"u{row:02}" for row in range(N_USERS)], dtype=object)
    first_seen = pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(np.arange(N_ITEMS) * 10, unit="D")
    return Features(
        train=history,
        train_validation=history,
        user_ids=user_ids,
        items=pd.DataFrame(
            {"item_id": [f"i{position}" for position in range(N_ITEMS)], "first_seen": first_seen}
        ),
        validation=None,
        test=HeldOut(user_ids[some], csr_array(history[some]), csr_array(csr_array(emptied)[some])),
        summary={
            "repeat_purchases": False,
            "log": {"start": "2025-10-31T00:00:00+00:00"},
            "cuts": {
                "validation_start": "2025-10-20T00:00:00+00:00",
                "test_start": "2025-11-01T00:00:00+00:00",
            },
            "md5": "0" * 32,
        },
    )


OURS = "cfgan"


@pytest.fixture
def project(features, tmp_path, monkeypatch):
    """A project whose GAN scores as EASE does, beside EASE and popularity."""
    params = yaml.safe_load(SHOP.read_text())
    gan = example("cfgan-ml100k")["candidates"]["cfgan"]
    params["candidates"] = {name: params["candidates"][name] for name in ("popularity", "ease")} | {OURS: gan}
    params["evaluate"] |= {"k": [5, 10], "primary_k": 10, "bootstrap_samples": 500, "new_item_days": 28}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    write_project(tmp_path, features)
    fitted = {name: EASE(5).fit(features.train_validation) for name in (OURS, "ease")}
    fitted["popularity"] = Popularity().fit(features.train_validation)
    monkeypatch.setattr("recgan.recommenders.loading.load_recommender", lambda folder: fitted[folder.name])
    return tmp_path


def write_project(root, features, **others):
    figures = {"popularity": 0.1, "ease": 0.3, OURS: 0.4} | others
    for folder in ("data/features", "metrics/candidates", "reports/curves"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    write_features(features, root / "data" / "features")
    for name, ndcg_there in figures.items():
        about = ndcg_there if isinstance(ndcg_there, dict) else {"validation_ndcg": ndcg_there}
        (root / f"metrics/candidates/{name}.json").write_text(json.dumps(about))
        (root / f"reports/curves/{name}.csv").write_text(f"epoch,{name}\n")


def read(root):
    return json.loads((root / "data" / "evaluation" / "summary.json").read_text())


def test_figures_are_those_of_the_users_with_something_held_out(project, features):
    evaluate(root=project)
    ranking, _ = recommend(EASE(5).fit(features.train_validation), features.test.history, 10)
    held_out = features.test.held_out
    some = np.diff(held_out.indptr) > 0
    summary = read(project)
    assert summary["users"] == some.sum()
    assert summary["users_left_out"] == 3
    expected = ndcg(ranking, held_out, 10)[some].mean()
    assert summary["recommenders"][OURS]["metrics"]["ndcg_at_10"] == pytest.approx(expected)
    assert summary["recommenders"][OURS]["metrics"]["ndcg_at_5"] == pytest.approx(
        ndcg(ranking, held_out, 5)[some].mean()
    )


def test_equal_rankings_tie_and_a_better_one_wins(project):
    evaluate(root=project)
    by_name = {comparison["name"]: comparison for comparison in read(project)["comparisons"]}
    assert by_name["ease"]["difference"] == 0
    assert by_name["ease"]["p_holm"] == 1
    assert by_name["popularity"]["difference"] > 0
    assert by_name["popularity"]["p_holm"] < 0.05


def test_per_user_figures_average_to_the_summary(project):
    evaluate(root=project)
    summary = read(project)
    per_user = pd.read_parquet(project / "data" / "evaluation" / "per_user.parquet")
    assert len(per_user) == summary["users"]
    assert not {"u10", "u11", "u12"} & set(per_user["user_id"])
    for name, measured in summary["recommenders"].items():
        for metric in ("hr_at_10", "ndcg_at_10"):
            assert per_user[f"{name}.{metric}"].mean() == pytest.approx(measured["metrics"][metric])
            interval = measured["intervals"][metric]
            assert interval["low"] < interval["mean"] < interval["high"]


def test_metrics_are_flat_finite_and_mlflow_takes_their_names(project):
    evaluate(root=project)
    metrics = json.loads((project / "metrics" / "evaluation.json").read_text())
    assert {"cfgan.ndcg_at_10", "cfgan.ndcg_at_10_low", "ease.hr_at_10_high"} <= set(metrics)
    assert {"cfgan.tail_items.ndcg_at_10", "popularity.coverage_at_5"} <= set(metrics)
    for name, value in metrics.items():
        assert re.fullmatch(r"[\w. /-]+", name)
        assert np.isfinite(value)


def test_all_segments_are_there_and_new_items_are_those_first_seen_late(project, features):
    evaluate(root=project)
    parts = read(project)["segments"]
    assert set(parts) == {
        *("light_users", "heavy_users", "new_users", "head_items", "tail_items", "new_items"),
    }
    assert parts["new_users"]["users"] == 4
    # First seen on day 280 or 290 of a year whose test starts on day 304: the last two items.
    late = features.test.held_out[:, [28, 29]].sum(axis=1) > 0
    assert parts["new_items"]["users"] == late.sum()


def test_a_segment_is_measured_on_its_users_with_intervals_of_the_same_bootstrap(project, features):
    evaluate(root=project)
    parts = read(project)["segments"]
    window = features.test
    rows = np.flatnonzero((np.diff(window.history.indptr) == 0) & (np.diff(window.held_out.indptr) > 0))
    with np.load(project / "data" / "evaluation" / "rankings.npz") as stored:
        rankings = {name: stored[name] for name in stored.files}
    for name, ranking in rankings.items():
        values = ndcg(ranking[rows], csr_array(window.held_out[rows]), 10)
        found = intervals(values[:, None], 500, 0.95, 0)[0]
        assert parts["new_users"]["ndcg"][name] == pytest.approx(values.mean())
        assert parts["new_users"]["intervals"][name] == pytest.approx(asdict(found))
    assert {name for name, part in parts.items() if part["too_few"]} == {
        name for name, part in parts.items() if part["users"] < 30
    }
    assert parts["new_users"]["too_few"]
    assert not parts["head_items"]["too_few"]
    report = (project / "reports" / "evaluation.md").read_text()
    for name, part in parts.items():
        line = next(line for line in report.splitlines() if line.startswith(f"| {name.replace('_', ' ')} "))
        assert (f"{part['users']} (too few)" in line) == part["too_few"]
        ours = part["intervals"][OURS]
        assert f"{ours['mean']:.4f} [{ours['low']:.4f}, {ours['high']:.4f}]" in line


def test_two_evaluations_write_the_same_bytes(project):
    files = [
        *("metrics/evaluation.json", "reports/evaluation.md", "data/evaluation/summary.json"),
        "data/evaluation/lists.json",
        "reports/evaluation.html",
        *("data/evaluation/per_user.parquet", "data/evaluation/rankings.npz"),
    ]
    evaluate(root=project)
    first = {name: (project / name).read_bytes() for name in files}
    evaluate(root=project)
    assert {name: (project / name).read_bytes() for name in files} == first


def test_the_headline_is_the_challengers_figures_beside_popularity(project):
    """The dozen that DVC compares; validation has not run here, so nothing is known of the events."""
    evaluate(root=project)
    summary, found = read(project), json.loads((project / "metrics/headline.json").read_text())
    measured = {name: one["metrics"] for name, one in summary["recommenders"].items()}
    low, high = (summary["recommenders"][OURS]["intervals"]["ndcg_at_10"][end] for end in ("low", "high"))
    assert found == {
        "challenger": OURS,
        "validation_ndcg": 0.4,
        "ndcg": measured[OURS]["ndcg_at_10"],
        "ndcg_low": low,
        "ndcg_high": high,
        "hit_rate": measured[OURS]["hr_at_10"],
        "coverage": measured[OURS]["coverage_at_10"],
        "popularity_ndcg": measured["popularity"]["ndcg_at_10"],
        "k": 10,
        "users": summary["users"],
        "items": summary["items"],
    }
    quality = {"kept": 9, "quarantined": 1}
    assert headline(summary, quality) == found | {"events": 9, "quarantined": 1}


def test_the_lists_that_are_shown_are_the_recommenders_own_without_any_shoppers_id(project, features):
    (project / "reports/verdict.html").write_text("of an earlier evaluation")
    evaluate(root=project)
    assert not (project / "reports/verdict.html").exists()
    text = (project / "data/evaluation/lists.json").read_text()
    found = json.loads(text)
    ease, test = EASE(5).fit(features.train_validation), features.test
    held = np.flatnonzero(np.diff(test.held_out.indptr))
    chosen = held[spread(np.diff(test.history.indptr)[held], 0)]
    own = recommend(ease, csr_array(test.history[chosen]), 10)[0]
    assert [one["lists"]["ease"] for one in found["shoppers"]] == [
        [f"i{item}" for item in row] for row in own
    ]
    for row, shopper in zip(chosen, found["shoppers"], strict=True):
        took = np.flatnonzero(test.held_out.toarray()[row])
        assert sorted(shopper["took"]) == sorted(f"i{item}" for item in took)
        assert shopper["had_in_all"] == np.count_nonzero(test.history.toarray()[row])
    nobody = recommend(ease, csr_array(np.zeros((1, N_ITEMS), np.float32)), 10)[0][0]
    assert found["first_list"]["ease"] == [f"i{item}" for item in nobody]
    page = (project / "reports/evaluation.html").read_text()
    assert not any(user in text + page for user in test.user_ids)


def test_what_is_bought_and_shown_is_told_by_popularity(project):
    evaluate(root=project)
    told = read(project)["popularity"]
    assert told["catalogue"] == pytest.approx(np.linspace(0.05, 1, 20))
    for shares in (told["bought"], *told["shown"].values()):
        assert np.all(np.diff(shares) >= 0)
        assert shares[-1] == pytest.approx(1)
    # Lists of popular items lie on the popular side of all others.
    assert np.all(np.array(told["shown"]["popularity"]) >= np.array(told["shown"]["ease"]) - 1e-12)


def test_every_k_has_intervals(project):
    evaluate(root=project)
    for measured in read(project)["recommenders"].values():
        assert set(measured["intervals"]) == {
            f"{metric}_at_{k}" for metric in ("hr", "ndcg", "recall", "known_ndcg") for k in (5, 10)
        }


def test_the_table_has_one_line_each_best_first_and_stands_in_the_report(project):
    evaluate(root=project)
    table = evaluation_table(root=project)
    lines = table.splitlines()
    assert [cell.strip() for cell in lines[0].split("|")[1:-1]] == [
        *("recommender", "HR@10 [95% CI]", "NDCG@10 [95% CI]", "known NDCG@10"),
        *("next NDCG@10", "coverage@10", "p vs challenger"),
    ]
    assert [line.split("|")[1].strip() for line in lines[2:]] == [
        "cfgan (challenger)",
        "ease",
        "popularity",
    ]
    assert len({len(line) for line in lines}) == 1
    assert table in (project / "reports" / "evaluation.md").read_text()


def test_seen_items_are_ranked_where_purchases_repeat(project, features):
    write_project(project, replace(features, summary={**features.summary, "repeat_purchases": True}))
    evaluate(root=project)
    with np.load(project / "data" / "evaluation" / "rankings.npz") as stored:
        ours = stored[OURS]
    history = features.test.history.toarray()
    assert history[np.arange(len(ours))[:, None], ours].any()


def test_without_timestamps_there_are_no_new_items(project, features):
    write_project(project, replace(features, summary={**features.summary, "cuts": None}))
    evaluate(root=project)
    assert "new_items" not in read(project)["segments"]


def test_the_challenger_is_the_best_on_validation_whatever_the_test_says(project, features, monkeypatch):
    write_project(project, features, ease=0.5)
    fitted = {
        "ease": Popularity().fit(features.train_validation),
        OURS: EASE(5).fit(features.train_validation),
    }
    fitted["popularity"] = fitted["ease"]
    monkeypatch.setattr("recgan.recommenders.loading.load_recommender", lambda folder: fitted[folder.name])
    evaluate(root=project)
    summary = read(project)
    assert summary["challenger"] == "ease"
    assert {one["name"]: one["difference"] < 0 for one in summary["comparisons"]} == {
        "popularity": False,
        OURS: True,
    }
    assert (project / "reports/curves.csv").read_text() == "epoch,ease\n"


def test_popularity_challenges_only_where_there_is_nothing_else(project, features):
    write_project(project, features, popularity=0.9)
    evaluate(root=project)
    assert read(project)["challenger"] == OURS
    write_project(project, features, popularity=0.9, ease={"skipped": "x"}, cfgan={"skipped": "x"})
    evaluate(root=project)
    assert read(project)["challenger"] == "popularity"


def test_of_equal_ones_the_first_challenges_and_without_validation_too(project, features):
    write_project(project, features, ease=0.4)
    evaluate(root=project)
    assert read(project)["challenger"] == "ease"
    write_project(project, features, popularity={}, ease={}, cfgan={"validation_ndcg": None})
    evaluate(root=project)
    assert read(project)["challenger"] == "ease"


def test_the_best_gan_is_compared_with_each_classical_one(project, features):
    write_project(project, features, popularity=0.35, ease=0.5)
    evaluate(root=project)
    summary = read(project)
    found = summary["adversarial"]
    assert summary["challenger"] == "ease"
    assert (found["gan"], found["classical"]) == (OURS, "ease")
    against = {one["name"]: one for one in found["comparisons"]}
    assert against["ease"]["difference"] == 0
    assert against["popularity"]["difference"] > 0
    assert against["popularity"]["p_holm"] == min(1, 2 * against["popularity"]["p_value"])


def test_one_that_was_skipped_is_named_with_its_reason_and_counts_no_more(project, features, caplog):
    write_project(project, features, cfgan={"skipped": "9 GiB"}, ease={"validation_ndcg": float("nan")})
    evaluate(root=project)
    summary = read(project)
    assert summary["challenger"] == "popularity"
    assert list(summary["recommenders"]) == ["popularity"]
    reasons = {one["name"]: one["skipped"] for one in summary["candidates"]}
    assert reasons == {"popularity": None, "ease": "its NDCG on validation is nan", OURS: "9 GiB"}
    assert "cfgan is left out: 9 GiB" in caplog.text
    for page in ("reports/evaluation.md", "reports/evaluation.html"):
        assert "9 GiB" in (project / page).read_text()


def test_one_that_cannot_rank_is_skipped_and_the_next_best_challenges(project, monkeypatch, features):
    ease = EASE(5).fit(features.train_validation)

    def load(folder):
        if folder.name == OURS:
            raise MemoryError("9 GiB")
        return ease

    monkeypatch.setattr("recgan.recommenders.loading.load_recommender", load)
    evaluate(root=project)
    summary = read(project)
    assert summary["challenger"] == "ease"
    assert summary["candidates"][2]["skipped"] == "it cannot rank the test users: 9 GiB"


def test_where_all_were_skipped_every_reason_is_told(project, features):
    write_project(
        project, features, **{name: {"skipped": f"{name}!"} for name in ("popularity", "ease", OURS)}
    )
    with pytest.raises(RecganError, match=r"(?s)no candidate has a result.*popularity!.*ease!.*cfgan!"):
        evaluate(root=project)
    assert not (project / "data" / "evaluation").exists()


def test_a_candidate_that_was_not_trained_names_the_remedy(project):
    (project / "metrics/candidates/ease.json").unlink()
    with pytest.raises(RecganError, match=r"no readable figures of candidate ease .* train@ease"):
        evaluate(root=project)


def test_the_next_item_is_measured_alone_and_only_where_there_is_one(features):
    """By hand: a's next is at place 1, b's two of one instant are at 2 and nowhere, c's is outside."""
    n_items = 6
    window = HeldOut(
        np.array(["a", "b", "c"], dtype=object),
        csr_array((3, n_items), dtype=np.float32),
        csr_array(np.float32([[1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 1], [0, 0, 0, 1, 0, 0]])),
        held_out_times=np.array([5.0, 4.0, 3.0, 3.0, 9.0]),
        outside=Outside(np.array(["new"], dtype=object), csr_array(np.float32([[0], [0], [1]])), np.ones(1)),
    )
    few = csr_array(np.eye(3, n_items, dtype=np.float32))
    lists = {"one": np.array([[1, 4, 0], [4, 2, 3], [3, 4, 0]], dtype=np.int32)}
    settings = EvaluateParams(**yaml.safe_load(SHOP.read_text())["evaluate"] | {"k": [1, 3], "primary_k": 3})

    def figures(split, test=window):
        summary = {**features.summary, "split": split}
        items = features.items.iloc[:n_items]
        own = replace(features, train=few, train_validation=few, items=items, test=test, summary=summary)
        return measure(lists, own, np.arange(3), settings)[0]["recommenders"]["one"]

    found = figures("time")
    metrics = found["metrics"]
    b = (1 / np.log2(3)) / (1 + 1 / np.log2(3))
    assert metrics["next_hr_at_1"] == pytest.approx(1 / 3)
    assert metrics["next_hr_at_3"] == pytest.approx(2 / 3)
    assert metrics["next_ndcg_at_1"] == pytest.approx(1 / 3)
    assert metrics["next_ndcg_at_3"] == pytest.approx((1 + b + 0) / 3)
    assert metrics["hr_at_3"] == 1  # c's other item is in the list, but did not come first
    assert found["intervals"]["next_ndcg_at_3"]["mean"] == pytest.approx(metrics["next_ndcg_at_3"])
    assert figures("leave-last-out")["metrics"]["next_hr_at_3"] == metrics["next_hr_at_3"]
    for without in (figures("random"), figures("time", replace(window, held_out_times=None))):
        assert not [name for name in (*without["metrics"], *without["intervals"]) if name.startswith("next")]


def test_all_that_came_counts_and_known_counts_the_vocabulary_alone(project, features):
    test = features.test
    beyond = np.zeros((len(test.user_ids), 3), dtype=np.float32)
    beyond[0] = 1  # three more for one of them
    nobody = int(np.flatnonzero(np.diff(test.held_out.indptr) == 0)[0])
    beyond[nobody, 1] = 1  # somebody to whom nothing else came
    outside = Outside(np.array(["x", "y", "z"], dtype=object), csr_array(beyond))
    write_project(project, replace(features, test=replace(test, outside=outside)))
    evaluate(root=project)
    summary, held_out = read(project), test.held_out.toarray()
    assert summary["users"] == summary["known_users"] + 1
    assert summary["outside_share"] == pytest.approx(4 / (4 + held_out.sum()))
    ranking, _ = recommend(EASE(5).fit(features.train_validation), test.history, 10)
    known, whole = [], []
    for row, places in enumerate(ranking):
        gain = sum(held_out[row, item] / np.log2(place + 2) for place, item in enumerate(places))
        n_known, n_all = int(held_out[row].sum()), int(held_out[row].sum() + beyond[row].sum())
        ideal = np.cumsum(1 / np.log2(np.arange(2, 12)))
        known += [gain / ideal[min(n_known, 10) - 1]] if n_known else []
        whole += [gain / ideal[min(n_all, 10) - 1]] if n_all else []
    metrics = summary["recommenders"]["ease"]["metrics"]
    assert metrics["ndcg_at_10"] == pytest.approx(np.mean(whole))
    assert metrics["known_ndcg_at_10"] == pytest.approx(np.mean(known))
    assert metrics["ndcg_at_10"] < metrics["known_ndcg_at_10"]
    per_user = pd.read_parquet(project / "data" / "evaluation" / "per_user.parquet")
    assert per_user["outside_items"].sum() == 4


def test_each_day_of_the_window_is_measured_on_what_came_on_it(features):
    times = np.array([1.0, 1.99, 3.5])  # days from the log's start, the window's start is day 1
    window = HeldOut(
        np.array(["a", "b"], dtype=object),
        csr_array((2, 3), dtype=np.float32),
        csr_array(np.float32([[0, 1, 1], [1, 0, 0]])),
        held_out_times=times,
        outside=Outside(np.array(["new"], dtype=object), csr_array(np.float32([[0], [1]])), np.array([1.5])),
    )
    lists = {"one": np.array([[1, 2, 0], [2, 1, 0]], dtype=np.int32)}
    days = day_by_day(lists, replace(features, test=window), np.arange(2), 3)
    third = 1 / np.log2(4)  # of one item, at place 3
    assert [(day["day"], day["users"], day["interactions"], day["outside"]) for day in days] == [
        (1, 2, 3, 1),
        (3, 1, 1, 0),
    ]
    first = (1 + 1 / np.log2(3)) / (1 + 1 / np.log2(3))
    assert days[0]["ndcg"]["one"] == pytest.approx((first + 0) / 2)
    assert days[1]["ndcg"]["one"] == pytest.approx(third)
    no_times = replace(window, held_out_times=None)
    assert day_by_day(lists, replace(features, test=no_times), np.arange(2), 3) == []


def test_nothing_held_out_at_all_is_an_error_and_writes_nothing(project, features):
    nothing = replace(features.test, held_out=csr_array(features.test.held_out.shape, dtype=np.float32))
    write_features(replace(features, test=nothing), project / "data" / "features")
    with pytest.raises(RecganError, match="no test user has anything held out"):
        evaluate(root=project)
    assert not (project / "data" / "evaluation").exists()


def test_a_table_without_an_evaluation_names_the_remedy(tmp_path):
    with pytest.raises(RecganError, match="dvc repro evaluate"):
        evaluation_table(root=tmp_path)
