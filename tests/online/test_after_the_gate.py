"""A version that passed the offline gate: the champion at once, or only after an experiment."""

import pytest

from recgan.online.after_the_gate import promote_or_try
from recgan.package.lineage import SETTINGS
from recgan.registry.experimenting import begin, end
from recgan.registry.experiments import running
from recgan.registry.promotion import judge
from tests.package.conftest import store_env, store_uri  # noqa: F401  (fixtures)
from tests.registry.stub import Numbers
from tests.registry.test_rollback import aliases, client, name  # noqa: F401  (fixtures)


@pytest.fixture
def numbers(name, tmp_path):  # noqa: F811
    return Numbers(name, tmp_path, {"1": 1, "2": 2, "3": 3})


@pytest.fixture
def first(section):
    return section.model_copy(update={"before_promotion": True, "share": 0.25, "design": "interleave"})


def passed(params, numbers, version="3"):
    return promote_or_try(params, numbers, version, judge(numbers, version))


def test_by_default_it_is_promoted_at_once(section, numbers, client):  # noqa: F811
    done = passed(section, numbers)
    assert (done.promoted, done.held, aliases(client, numbers.name)["champion"]) == (True, None, "3")


def test_it_meets_shoppers_first_where_that_is_asked_for(first, numbers, client):  # noqa: F811
    done = passed(first, numbers)
    runs = running(numbers.root, numbers.name)
    assert (runs.challenger, runs.champion, runs.share, runs.design) == ("3", "2", 0.25, "interleave")
    assert (done.promoted, done.champion, aliases(client, numbers.name)["champion"]) == (False, "2", "2")
    assert done.held.startswith("an experiment has begun, version 3 against champion 2")
    assert done.decision.reasons == ("✓ It is worth more.", f"✗ It passed, but is not live yet: {done.held}")
    tags = client.get_model_version(numbers.name, "3").tags  # the offline gate's own word
    assert (tags["gate.decision"], tags["gate.reasons"]) == ("promote", "✓ It is worth more.")


def test_while_an_experiment_runs_nobody_is_promoted(section, numbers, client):  # noqa: F811
    begun = begin(numbers, "1", 0.1, "split", "ada")
    done = passed(section, numbers)
    assert (done.promoted, aliases(client, numbers.name)["champion"]) == (False, "2")
    assert done.held.startswith("an experiment runs, version 1 against champion 2")
    end(numbers, begun, "undecided", ("· Nothing.",))
    assert passed(section, numbers).promoted


def test_a_retraining_of_the_champions_own_needs_no_experiment(first, numbers, client):  # noqa: F811
    for version in "23":
        client.set_model_version_tag(numbers.name, version, SETTINGS, "the same")
    assert passed(first, numbers).promoted
    assert running(numbers.root, numbers.name) is None


def test_the_first_champion_needs_none_either(first, numbers, client):  # noqa: F811
    client.delete_registered_model_alias(numbers.name, "champion")
    assert passed(first, numbers).promoted


def test_what_was_tried_is_not_tried_again_by_itself_and_what_failed_offline_never(first, numbers):
    passed(first, numbers)
    end(numbers, running(numbers.root, numbers.name), "undecided", ("· The days are over.",))
    assert "its experiment ended: undecided; another begins by hand" in passed(first, numbers).held
    done = passed(first, numbers, "1")
    assert (done.promoted, done.held) == (False, None)
    assert running(numbers.root, numbers.name) is None
