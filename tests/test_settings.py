"""params.yaml: typed, complete, and every fault named at once."""

import copy
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from recgan.core.errors import RecganError
from recgan.settings import check_params, load_params, load_with_base
from tests.conftest import EXAMPLES, ROOT, SHOP, example


@pytest.fixture
def content():
    return yaml.safe_load(SHOP.read_text())


@pytest.fixture
def cfgan():
    return example("cfgan-ml100k")


def faults(content):
    with pytest.raises(RecganError) as caught:
        check_params(content, Path("params.yaml"))
    return str(caught.value)


def test_every_params_file_of_the_project_is_sound():
    load_params(ROOT / "params.yaml")
    for path in EXAMPLES:
        load_with_base(path)


def test_a_mistyped_name_gets_the_likely_one(content):
    content["candidates"]["rcgan"]["epoch"] = content["candidates"]["rcgan"].pop("epochs")
    message = faults(content)
    assert "2 fault(s)" in message
    assert "candidates.rcgan.epoch: unknown parameter; did you mean `epochs`?" in message
    assert "candidates.rcgan.epochs: missing" in message


def test_another_recommenders_parameter_is_to_be_removed(content):
    content["candidates"]["rcgan"]["view"] = "item"
    assert "candidates.rcgan.view: unknown parameter; remove it" in faults(content)
    content["candidates"]["rcgan"] = {"recommender": "dfgan"}
    assert "'ials', 'rcgan', 'cfgan', 'irgan', 'feature_gan', 'sequence', 'student'" in faults(content)


def test_a_number_in_quotes_is_explained(content):
    content["candidates"]["rcgan"]["epochs"] = "1e3"
    assert "candidates.rcgan.epochs" in faults(content)
    assert "(given: '1e3'); this is text: write the number without quotes" in faults(content)


def test_every_fault_is_named_at_once(content):
    content["features"]["half_life_days"] = -3
    content["ingest"]["source"] = "store"
    content["evaluate"]["confidence"] = 2
    message = faults(content)
    assert "features.half_life_days" in message
    assert "(given: -3)" in message
    assert "'store'" in message
    assert "evaluate.confidence" in message


def test_sections_must_fit_together(content):
    content["features"]["split"] = {"kind": "published", "validation_share": 0, "seed": 1}
    message = faults(content)
    assert "a published split needs both" in message
    assert "set candidates.rcgan.patience to null" in message


@pytest.mark.parametrize(("must_beat", "least"), [(4, 240), (2, 160), (0, 80)])
def test_samples_with_which_nothing_could_be_promoted_are_refused(content, must_beat, least):
    """2 m / (B + 1) < .05, m with popularity and the champion."""
    content["evaluate"]["bootstrap_samples"] = max(100, least - 1)
    content["register"]["gate"]["must_beat"] = ["itemknn", "rp3beta", "ease", "ials"][:must_beat]
    if least > 100:
        message = faults(content)
        assert f"with {must_beat + 2} comparisons" in message
        assert f"raise evaluate.bootstrap_samples to {least} or more" in message
    content["evaluate"]["bootstrap_samples"] = max(100, least)
    check_params(content, Path("params.yaml"))


def test_a_stricter_level_needs_more_samples(content):
    content["register"]["gate"]["alpha"] = 0.0003
    content["evaluate"]["bootstrap_samples"] = 10_000
    assert "smallest p after Holm is 0.0004" in faults(content)


@pytest.mark.parametrize("max_loss", [0, 1, -0.1])
def test_a_retraining_may_lose_something_and_not_all(content, max_loss):
    content["register"]["gate"]["max_loss"] = max_loss
    assert "register.gate.max_loss" in faults(content)


def test_shares_of_a_random_split_leave_something_for_train(content):
    content["features"]["split"] = {"kind": "random", "validation_share": 0.6, "test_share": 0.4, "seed": 1}
    assert "validation_share 0.6 and test_share 0.4 leave nothing for train" in faults(content)


def test_the_primary_k_must_be_measured(content):
    content["evaluate"]["primary_k"] = 7
    assert "primary_k is 7" in faults(content)


def test_what_must_be_beaten_is_a_candidate(content):
    content["register"]["gate"]["must_beat"] = ["slim"]
    assert "must_beat names slim, which is no candidate" in faults(content)
    assert "popularity, itemknn, rp3beta, ease, ials, rcgan" in faults(content)


@pytest.mark.parametrize("name", ["champion", "RC-GAN", "a.b", "9th", ""])
def test_a_candidates_name_is_one_of_a_folder_a_stage_and_a_metric(content, name):
    content["candidates"][name] = content["candidates"]["ease"]
    assert f"candidates.{name}" in faults(content)


def test_two_candidates_may_be_the_same_recommender(content):
    content["candidates"]["rcgan_alone"] = content["candidates"]["rcgan"] | {"adversarial": 0}
    candidates = check_params(content, Path("params.yaml")).candidates
    assert [candidates[name].adversarial for name in ("rcgan", "rcgan_alone")] == [2, 0]


def test_an_empty_candidate_is_told_what_to_do(content):
    content["candidates"]["ease"] = None
    assert "candidates.ease is empty; remove its line to do without it" in faults(content)


def test_without_candidates_nothing_is_trained(content):
    content["candidates"] = {}
    assert "candidates: Dictionary should have at least 1 item" in faults(content)


def test_what_recommends_the_seen_needs_lists_with_the_seen(content):
    content["candidates"]["mine"] = {"recommender": "personal", "half_life_days": [None]}
    assert "set features.repeat_purchases to true" in faults(content)
    content["features"]["repeat_purchases"] = True
    check_params(content, Path("params.yaml"))


def test_who_has_the_sections_of_before_is_told_what_they_are_now(content):
    content["train"] = content["candidates"].pop("rcgan")
    assert "train: such sections are candidates now" in faults(content)


def test_params_are_frozen():
    params = load_params(SHOP)
    with pytest.raises(ValidationError):
        params.candidates["rcgan"].epochs = 1


def test_checking_leaves_the_content_alone(content):
    before = copy.deepcopy(content)
    check_params(content, Path("params.yaml"))
    assert content == before


@pytest.mark.parametrize("text", ["", "- a list", "a: [1,", "just text"])
def test_a_file_that_is_no_params_file_is_one_clear_error(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(RecganError, match=r"params\.yaml"):
        load_params(path)


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(RecganError, match="run recgan from the root"):
        load_params(tmp_path / "params.yaml")


def test_smoothing_needs_a_target_to_smooth(cfgan):
    cfgan["candidates"]["cfgan"]["stability"]["label_smoothing"] = 0.1
    check_params(cfgan, Path("params.yaml"))
    cfgan["candidates"]["cfgan"]["loss"] = "wasserstein"
    assert "label_smoothing is 0.1, but loss wasserstein has no target for real rows" in faults(cfgan)


def test_a_bare_wasserstein_is_a_choice_and_so_is_clipping_without_it(cfgan):
    cfgan["candidates"]["cfgan"]["loss"] = "wasserstein"
    check_params(cfgan, Path("params.yaml"))
    cfgan["candidates"]["cfgan"]["loss"] = "hinge"
    cfgan["candidates"]["cfgan"]["stability"]["constraints"]["clip_weights"] = 0.01
    check_params(cfgan, Path("params.yaml"))


def test_a_schedule_must_fit_its_training(cfgan):
    schedule = cfgan["candidates"]["cfgan"]["stability"]["schedule"]
    schedule["critic_steps"], schedule["warm_up"] = 5, cfgan["candidates"]["cfgan"]["epochs"]
    message = faults(cfgan)
    assert "critic_steps is 5, so discriminator.steps (2) counts for nothing; set it to 1" in message
    assert "would never hear the discriminator; shorten it" in message


def test_a_mistyped_constraint_gets_the_likely_one(cfgan):
    cfgan["candidates"]["cfgan"]["stability"]["constraints"]["gradient_penality"] = 1
    assert "did you mean `gradient_penalty`?" in faults(cfgan)


def test_a_retail_gan_must_have_something_to_learn_from():
    content = example("feature-gan")
    content["candidates"]["feature_gan"] |= {"adversarial": 0, "regression": 0}
    content["candidates"]["feature_gan"]["stability"]["label_smoothing"] = 0.1
    message = faults(content)
    assert "stability.feature_matching are 0: nothing is learned" in message
    assert "loss relativistic has no target for real rows" in message


@pytest.fixture
def own_files():
    return example("own-files")


def test_names_of_kinds_may_be_numbers(own_files):
    own_files["ingest"]["event_names"] = {1: "view", 3: "cart", 4: "purchase"}
    names = check_params(own_files, Path("params.yaml")).ingest.event_names
    assert names == {"1": "view", "3": "cart", "4": "purchase"}
    own_files["ingest"]["event_names"]["buy"] = "purchase"  # among text, DVC cannot sort a number
    assert "YAML reads the name 1 as no text; write it in quotes" in faults(own_files)


@pytest.mark.parametrize("name", [True, None, 1.1])
def test_a_name_that_yaml_reads_as_something_else_needs_quotes(own_files, name):
    own_files["ingest"]["event_names"] = {name: "view"}
    assert f"YAML reads the name {name!r} as no text; write it in quotes" in faults(own_files)


@pytest.mark.parametrize("zone", ["Sydney", "UTC+10", "../etc/passwd", ""])
def test_a_zone_has_an_iana_name(own_files, zone):
    own_files["ingest"]["timezone"] = zone
    assert "no such time zone; write an IANA name such as Europe/Berlin" in faults(own_files)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_refuses_times_that_are_none(path):
    # Seconds read as milliseconds, days and small counts all lie in January 1970.
    assert load_with_base(path).validate_.period_start.year >= 1995


def test_who_wrote_accelerator_is_told_what_it_is_now(content):
    content["candidates"]["rcgan"]["accelerator"] = content["candidates"]["rcgan"].pop("trainer")[
        "accelerator"
    ]
    assert "replace its line by trainer: {accelerator: auto, devices: 1, num_nodes: 1" in faults(content)


def test_a_time_that_is_none_is_told_how_it_is_written(content):
    content["candidates"]["rcgan"]["trainer"]["max_time"] = "2h"
    assert 'days:hours:minutes:seconds; two hours are "00:02:00:00"' in faults(content)
