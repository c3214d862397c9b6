"""What makes a training a retraining of another: equal settings, wherever it runs."""

import pytest

from recgan.package.same import settings_key
from recgan.settings import check_params
from tests.conftest import ROOT, example

STUDENT = "student-ml100k"


def name_of(content):
    """The GAN's name: the last candidate that plays by itself."""
    return [name for name, one in content["candidates"].items() if "trainer" in one or "teacher" in one][-1]


def ours(content):
    """The GAN's own section."""
    return content["candidates"][name_of(content)]


def key(content):
    params = check_params(content, ROOT / "params.yaml")
    return settings_key(params.candidates[name_of(content)], params.features)


@pytest.fixture(params=["shop", "cfgan-ml100k", STUDENT])
def content(request):
    return example(request.param)


def trainer(content):
    train = ours(content)
    return train.get("teacher", train)["trainer"]


def test_where_it_runs_what_it_says_and_what_is_held_out_change_nothing(content):
    before = key(content)
    trainer(content)["accelerator"] = "cpu"
    assert key(content) == before
    train = ours(content).get("teacher", ours(content))
    (train if "alarms" in train else train["stability"])["alarms"]["grace"] = 9
    assert key(content) == before
    if content["candidates"].get("rcgan"):
        content["candidates"]["rcgan"]["warm_start"] = 1
        assert key(content) == before
    content["features"]["split"] = {"kind": "time", "validation_days": 3, "test_days": 5}
    if content["ingest"]["source"] != "published-split":
        assert key(content) == before
    content["evaluate"]["bootstrap_samples"] += 1


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("rcgan", "epochs", 7),
        ("rcgan", "seed", 43),
        ("features", "binary", False),
        ("features", "min_rating", None),
        ("features", "half_life_days", 30),
        ("features", "repeat_purchases", True),
    ],
)
def test_what_decides_the_result_makes_other_settings(section, name, value):
    content = example("shop")
    before = key(content)
    (ours(content) if section == "rcgan" else content[section])[name] = value
    assert key(content) != before


def test_what_stops_or_rounds_a_training_decides_too():
    content = example("shop")
    before = key(content)
    for name, value in (("precision", "bf16-mixed"), ("max_time", "00:00:01:00")):
        changed = example("shop")
        ours(changed)["trainer"][name] = value
        assert key(changed) != before


def test_what_stands_in_two_stages_for_comparison_alone_decides_nothing():
    def key_of(change):
        content = example("shop")
        change(content["candidates"]["two_stage"])
        params = check_params(content, ROOT / "params.yaml")
        return settings_key(params.candidates["two_stage"], params.features)

    before = key_of(lambda section: None)
    assert key_of(lambda section: section.update(blend=[])) == before
    assert key_of(lambda section: section["generator"].update(factors=[32])) != before
    assert key_of(lambda section: section.update(windows=2)) != before


def test_two_recommenders_are_never_the_same():
    keys = [key(example(name)) for name in ("rcgan-ml100k", "cfgan-ml100k", "irgan-ml100k", STUDENT)]
    assert len(set(keys)) == 4
