"""Who is compared on today's test window, and who may have been trained on it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from recgan.core.errors import RecganError, Unavailable
from recgan.features.matrices import Outside, write_features
from recgan.package import evidence
from recgan.package.asking import Answers
from recgan.package.evidence import gather_evidence, trained_under
from recgan.package.gate import CHAMPION, FLOOR, decide
from recgan.package.store import Recommenders
from recgan.registry.enrol import enrol
from recgan.registry.tracking import connect
from tests.package.conftest import ITEMS, TASTES, dated_features, make_project, shop_features, write_lock

TODAY = {"kind": "time", "trained_until": "2026-01-01T00:00:00+00:00"}  # of the conftest's features


@pytest.fixture
def client(store_env):
    return connect()


@pytest.fixture
def named(params, request):
    name = request.node.name.partition("[")[0]
    return params.model_copy(update={"register_": params.register_.model_copy(update={"name": name})})


def make_version(client, name, *, tag=None, features=None, settings=None):
    """Make a version without a package, with the tags or with what its run says of the features."""
    found = client.get_experiment_by_name(name)
    experiment = client.create_experiment(name) if found is None else found.experiment_id
    run = client.create_run(experiment).info.run_id
    if features is not None:
        client.log_dict(run, features, "metrics/features.json")
    if found is None:
        client.create_registered_model(name)
    tags = {} if tag is None else {"features.split": json.dumps(tag)}
    tags |= {} if settings is None else {"settings.sha256": settings}
    return str(client.create_model_version(name, "file:///nowhere", run, tags).version)


@pytest.fixture
def asked(monkeypatch):
    """Answer for every version without a process; note which were asked."""
    versions = []

    def answer(model_uri, histories, k, exclude_seen):
        versions.append(model_uri.rpartition("/")[2])
        return Answers([[f"item-{item % ITEMS}" for item in range(k)]] * histories.num_rows, None)

    monkeypatch.setattr(evidence, "ask", answer)
    return versions


def test_a_version_tells_by_its_tag_or_by_the_cuts_in_its_run(client, named):
    name, cuts = named.register_.name, {"cuts": {"test_start": "2025-12-24T00:00:00+00:00"}}
    tagged = make_version(client, name, tag=TODAY, features=cuts)
    in_time = make_version(client, name, features=cuts)
    random = make_version(client, name, features={"split": "random", "cuts": None})
    silent = make_version(client, name)
    assert trained_under(client, name, tagged) == TODAY
    assert trained_under(client, name, in_time) == TODAY | {"trained_until": "2025-12-24T00:00:00+00:00"}
    assert trained_under(client, name, random) is None
    assert trained_under(client, name, silent) is None


def test_a_store_that_is_away_is_no_verdict(client, named, monkeypatch):
    version = make_version(client, named.register_.name)

    def away(*_):
        raise OSError("no route to host")

    monkeypatch.setattr(client, "list_artifacts", away)
    with pytest.raises(Unavailable, match="no route to host"):
        trained_under(client, named.register_.name, version)


@pytest.mark.parametrize(
    ("champion", "challenger", "compared", "failure"),
    [
        (TODAY, TODAY, {FLOOR, "ease", CHAMPION}, None),
        (
            TODAY | {"trained_until": "2026-01-02T00:00:00+00:00"},
            TODAY,
            {FLOOR, "ease"},
            "The champion",
        ),
        (None, TODAY, {FLOOR, "ease"}, "The champion"),
        (TODAY, {"kind": "published", "test": "a"}, set(), "The challenger"),
    ],
)
def test_only_who_cannot_know_the_answers_is_compared(
    client, named, asked, tmp_path, champion, challenger, compared, failure
):
    name = f"{named.register_.name}-{len(client.search_registered_models())}"
    named = named.model_copy(update={"register_": named.register_.model_copy(update={"name": name})})
    root = make_project(tmp_path / "project", named, good_tastes=TASTES)
    first, second = (make_version(client, name, tag=tag) for tag in (champion, challenger))
    found = gather_evidence(root, named, client, second, first)
    assert {comparison.name for comparison in found.comparisons} == compared
    assert asked == ([second, first] if CHAMPION in compared else [second])
    said = [text for text in decide(found, named.register_.gate).failures if "may have been trained" in text]
    assert [text.startswith(failure) for text in said] == ([True] if failure else [])


def test_on_too_few_users_nobody_is_compared(client, named, asked, tmp_path):
    root = make_project(tmp_path / "project", named, good_tastes=TASTES)
    name, gate = named.register_.name, named.register_.gate.model_copy(update={"min_users": 150})  # of 149
    first, second = (make_version(client, name, tag=TODAY) for _ in range(2))
    strict = named.model_copy(update={"register_": named.register_.model_copy(update={"gate": gate})})
    found = gather_evidence(root, strict, client, second, first)
    assert (found.users, found.comparisons, asked) == (149, (), [second])
    assert not decide(found, gate).promote


def test_a_version_carries_the_split_of_its_features(client, named, tmp_path):
    root = make_project(tmp_path / "project", named, good_tastes=TASTES)
    version = enrol(Recommenders(root, named)).version
    assert trained_under(client, named.register_.name, version) == TODAY
    path = root / "data/features/summary.json"
    path.write_text(path.read_text().replace("split_identity", "something"))
    write_lock(root)
    with pytest.raises(RecganError, match=r"does not say what the split holds out .*run dvc repro"):
        enrol(Recommenders(root, named))


@pytest.mark.parametrize(
    ("champion", "challenger", "same"),
    [("a", "a", True), ("a", "b", False), (None, "a", False), ("a", None, False), (None, None, False)],
)
def test_a_retraining_of_the_champion_is_told_by_its_tag(
    client, named, asked, tmp_path, champion, challenger, same
):
    name = f"{named.register_.name}-{len(client.search_registered_models())}"
    named = named.model_copy(update={"register_": named.register_.model_copy(update={"name": name})})
    root = make_project(tmp_path / "project", named, good_tastes=TASTES)
    first, second = (make_version(client, name, tag=TODAY, settings=key) for key in (champion, challenger))
    found = gather_evidence(root, named, client, second, first)
    assert found.champion_same == same
    assert (found.retraining is not None) == same
    assert (CHAMPION in {comparison.name for comparison in found.comparisons}) == (not same)
    if same:  # the same lists of everyone
        assert found.retraining.comparison.difference == 0
        assert found.retraining.p_value == pytest.approx(1 / 501)


def test_popularity_is_counted_from_the_features_and_needs_no_candidate_of_that_name(
    client, named, asked, tmp_path
):
    gate = named.register_.gate.model_copy(update={"must_beat": ()})
    bare = named.model_copy(update={"register_": named.register_.model_copy(update={"gate": gate})})
    root = make_project(tmp_path / "project", bare, good_tastes=TASTES)
    (root / "data/evaluation/rankings.npz").unlink()
    found = gather_evidence(root, bare, client, make_version(client, bare.register_.name, tag=TODAY), None)
    [floor] = found.comparisons
    features = shop_features()
    rows = np.flatnonzero(np.diff(features.test.held_out.indptr))
    history, wanted = (one[rows].toarray() for one in (features.test.history, features.test.held_out))
    popular = np.argsort(-features.train_validation.toarray().sum(axis=0), kind="stable")
    ndcg = []
    for seen, held_out in zip(history, wanted, strict=True):
        ranking = [item for item in popular if not seen[item]][:10]
        gains = held_out[ranking] @ (1 / np.log2(np.arange(2, 12)))
        ndcg.append(gains / (1 / np.log2(np.arange(2, 2 + int(held_out.sum())))).sum())
    assert floor.name == FLOOR
    assert floor.mean_other == pytest.approx(np.mean(ndcg))


def test_a_product_outside_todays_vocabulary_is_a_hit_of_the_version_that_names_it(
    client, named, monkeypatch, tmp_path
):
    root, features = make_project(tmp_path / "project", named, good_tastes=TASTES), shop_features()
    n_users = len(features.test.user_ids)
    everybody = csr_array(np.ones((n_users, 1), dtype=np.float32))
    outside = Outside(np.array(["of yesterday"], dtype=object), everybody)
    nothing = csr_array(features.test.held_out.shape, dtype=np.float32)
    window = replace(features.test, held_out=nothing, outside=outside)
    write_features(replace(features, test=window), root / "data" / "features")
    first, second = (make_version(client, named.register_.name, tag=TODAY) for _ in range(2))

    def answer(model_uri, histories, k, exclude_seen):
        top = "of yesterday" if model_uri.endswith(f"/{first}") else "unheard of"
        return Answers([[top, "item-0"]] * histories.num_rows, None)

    monkeypatch.setattr(evidence, "ask", answer)
    found = gather_evidence(root, named, client, second, first)
    champion = next(one for one in found.comparisons if one.name == CHAMPION)
    assert (found.users, champion.mean_challenger, champion.mean_other) == (n_users, 0, 1)
    assert found.coverage == 1 / ITEMS  # of the vocabulary


def test_one_to_beat_that_was_not_ranked_tonight_refuses(client, named, asked, tmp_path):
    root = make_project(tmp_path / "project", named, good_tastes=TASTES)
    np.savez(root / "data/evaluation/rankings.npz", popularity=np.zeros((150, 48), dtype=np.int32))
    found = gather_evidence(root, named, client, make_version(client, named.register_.name, tag=TODAY), None)
    assert "There is no comparison with ease." in decide(found, named.register_.gate).failures
    itself = replace(found, candidate="ease")
    assert "ease" not in " ".join(decide(itself, named.register_.gate).reasons)


def test_a_model_is_asked_with_the_ages_of_the_histories(client, named, monkeypatch, tmp_path):
    root, features = make_project(tmp_path / "project", named, good_tastes=TASTES), dated_features()
    write_features(features, root / "data" / "features")
    batches = []

    def answer(model_uri, histories, k, exclude_seen):
        batches.append(histories)
        return Answers([[f"item-{item % ITEMS}" for item in range(k)]] * histories.num_rows, None)

    monkeypatch.setattr(evidence, "ask", answer)
    gather_evidence(root, named, client, make_version(client, named.register_.name, tag=TODAY), None)
    rows = np.flatnonzero(np.diff(features.test.held_out.indptr))
    asked = [days for row in batches[0]["age_days"].to_pylist() for days in row]
    assert asked == features.test.ages[rows].data.tolist()
