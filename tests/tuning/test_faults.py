"""search.yaml fits every params file, and a faulty one is one clear error."""

import json
import shutil
from dataclasses import replace

import pytest
import yaml

from recgan.core.errors import RecganError
from recgan.features.matrices import read_features
from recgan.tuning.search import search
from recgan.tuning.search_space import load_space
from recgan.use import whole
from tests.conftest import EXAMPLES, ROOT
from tests.tuning.conftest import ALL, edit, features


def test_search_yaml_fits_every_params_file_of_the_project(tmp_path):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    shutil.copy(ROOT / "search.yaml", tmp_path)
    assert set(yaml.safe_load((ROOT / "search.yaml").read_text())) == set(ALL)
    seen = set()
    for path in [ROOT / "params.yaml", *EXAMPLES]:
        text, content = whole(path)
        if content["features"]["split"].get("validation_share") == 0:
            continue  # nothing to judge by
        (tmp_path / "params.yaml").write_bytes(text)
        for recommender in ALL:
            held = (recommender, json.dumps(content["candidates"].get(recommender)))
            if held in seen:  # examples say little else than their base
                continue
            seen.add(held)
            space = load_space(recommender, tmp_path)
            assert all(space.present[name] in values for name, values in space.ranges.items())


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (
            {"generator.dropuot": {"low": 0, "high": 0.5}},
            ["dropuot: unknown", "did you mean `generator.dropout`?"],
        ),
        ({"generator.dropout": {"low": 0, "high": 1.5}}, ["generator.dropout", "less than 1 (given: 1.5)"]),
        ({"generator.dropout": {"low": 0.7, "high": 0.1}}, ["low is 0.7 and high 0.1"]),
        ({"adversarial": {"low": 0, "high": 4, "log": True}}, ["low is 0, which has no logarithm"]),
        (
            {"adversarial": {"low": 0, "hihg": 4}},
            ["hihg: unknown; did you mean `high`?", "adversarial.high: missing"],
        ),
        ({"adversarial": {"low": 0}}, ["rcgan.space.adversarial.high: missing"]),
        ({"adversarial": {"low": "0.1e", "high": 4}}, ["adversarial.low", "valid number", "'0.1e'"]),
        ({"adversarial": {"choices": []}}, ["adversarial.choices", "at least 1"]),
        ({"generator.hidden": {"low": 8, "high": 80}}, ["generator.hidden", "valid tuple"]),
        ({"generator.batch_size": {"low": 0.5, "high": 80}}, ["batch_size", "valid integer"]),
        ({"refit": {"choices": [True]}}, ["refit: says how to measure", "remove it"]),
        ({"trainer": {"choices": [1]}}, ["trainer: says how to measure", "remove it"]),
        ({"seed": {"low": 5, "high": 50}}, ["seed: says how to measure", "remove it"]),
        ({"generator": {"low": 5, "high": 50}}, ["rcgan.generator: unknown parameter"]),
        ({}, ["rcgan.space", "at least 1"]),
        ([], ["rcgan.space", "dictionary"]),
    ],
)
def test_a_faulty_space_is_one_clear_error(project, space, words):
    root = project(rcgan=space)
    with pytest.raises(RecganError) as caught:
        search("rcgan", trials=1, root=root)
    message = str(caught.value)
    assert message.startswith(f"{root / 'search.yaml'} has ")
    for word in words:
        assert word in message
    assert not (root / "tuning").exists()


@pytest.mark.parametrize(
    ("recommender", "words"),
    [
        ("eese", "no recommender 'eese'; did you mean ease"),
        ("popularity", "popularity has nothing to search; choose one of itemknn"),
        ("personal", "personal has nothing to search; choose one of itemknn"),
        ("student", "student has nothing to search; choose one of itemknn"),
        ("rcgam", "no recommender 'rcgam'; did you mean rcgan?"),
        ("svd++", "choose one of itemknn, rp3beta, ease, sparse_ease, ials"),
    ],
)
def test_a_recommender_that_cannot_be_searched_is_named(project, recommender, words):
    with pytest.raises(RecganError) as caught:
        search(recommender, trials=1, root=project())
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("recommender", "change", "words"),
    [
        ("ease", lambda content: content.pop("ease"), "has no section ease; write one"),
        (
            "ease",
            lambda content: content.update(esae=content["ease"]),
            "esae: unknown recommender; did you mean `ease`",
        ),
        ("itemknn", lambda content: content["itemknn"]["space"].pop("shrink"), "itemknn.shrink: missing"),
        ("cfgan", lambda content: content["cfgan"].pop("base"), "cfgan is no candidate of params.yaml, and"),
        (
            "cfgan",
            lambda content: content["cfgan"].update(base="examples/ml-1m.yaml"),
            "ml-1m.yaml, has no such candidate",
        ),
        ("cfgan", lambda content: content["cfgan"].update(base="examples/none.yaml"), "none.yaml"),
        (
            "cfgan",
            lambda content: content["cfgan"].update(bases=1),
            "cfgan.bases: unknown; did you mean `base`?",
        ),
    ],
)
def test_a_section_that_does_not_do_is_one_clear_error(project, recommender, change, words):
    root = project()
    edit(root, change)
    with pytest.raises(RecganError) as caught:
        search(recommender, trials=1, root=root)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a list", "a: [1,"])
def test_a_file_that_is_no_search_yaml_is_one_clear_error(project, text):
    root = project()
    (root / "search.yaml").write_text(text)
    with pytest.raises(RecganError, match=r"search\.yaml"):
        search("ease", trials=1, root=root)
    (root / "search.yaml").unlink()
    with pytest.raises(RecganError, match=r"no .*search\.yaml"):
        search("ease", trials=1, root=root)


def test_without_a_budget_validation_or_record_to_read_nothing_is_tried(project):
    root = project()
    for budget in ({"trials": 0}, {"minutes": -1}):
        with pytest.raises(RecganError, match="give a number above 0"):
            search("ease", root=root, **budget)
    search("ease", trials=1, root=root)
    (record,) = (root / "tuning").glob("ease-*.json")
    record.write_text("{}")
    with pytest.raises(RecganError, match="remove it to begin anew"):
        search("ease", trials=1, root=root)
    blind = project("blind", replace(features(), validation=None))
    with pytest.raises(RecganError, match="no validation window"):
        search("ease", trials=1, root=blind)
    assert read_features(root / "data/features").validation is not None
