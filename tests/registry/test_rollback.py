"""Rollback: what is live, what is on record, and that the withdrawn version stays out."""

import threading

import pytest

from recgan.core.errors import RecganError, Unavailable
from recgan.daily.recommendations import live_now
from recgan.package.store import Recommenders
from recgan.registry.domain import Decision
from recgan.registry.promotion import Judgement, judge, promote
from recgan.registry.rollback import rollback
from recgan.registry.tracking import connect, current
from tests.package.conftest import named_so
from tests.registry.stub import Numbers


@pytest.fixture
def client(store_env):
    return connect()


@pytest.fixture
def name(client, request):
    """Three versions without packages: 2 is the champion, 1 the one before."""
    name = request.node.name.replace("[", "-").rstrip("]")
    run = client.create_run(client.create_experiment(name))
    client.create_registered_model(name)
    for _ in range(3):
        client.create_model_version(name, "file:///nowhere", run.info.run_id)
    client.set_registered_model_alias(name, "champion", "2")
    client.set_registered_model_alias(name, "previous", "1")
    return name


def aliases(client, name):
    found = {alias: current(client, name, alias) for alias in ("champion", "previous")}
    return {alias: str(version.version) for alias, version in found.items() if version is not None}


def test_the_version_before_is_live_and_both_say_who_when_and_why(client, name, tmp_path):
    done = rollback(Numbers(name, tmp_path), "  empty lists since noon ", "ada")
    assert aliases(client, name) == {"champion": "1"}
    assert (done.champion, done.withdrawn, done.by) == ("1", "2", "ada")
    when = done.when.isoformat(timespec="seconds")
    common = {"when": when, "by": "ada", "reason": "empty lists since noon"}
    withdrawn, restored = (client.get_model_version(name, version).tags for version in "21")
    assert withdrawn == {f"withdrawn.{key}": value for key, value in {**common, "for": "1"}.items()}
    assert restored == {f"restored.{key}": value for key, value in {**common, "instead_of": "2"}.items()}
    assert live_now(tmp_path, done).startswith(f"Live now: {name} version 1, in place of version 2.")


def test_a_second_rollback_is_refused_and_tells_of_the_first(client, name, tmp_path):
    rollback(Numbers(name, tmp_path), "empty lists", "ada")
    with pytest.raises(RecganError, match=r"no version before its champion \(version 1\).*by ada: empty"):
        rollback(Numbers(name, tmp_path), "empty lists", "bob")
    assert aliases(client, name) == {"champion": "1"}


def test_without_a_champion_or_one_before_or_a_reason_nothing_moves(client, name, tmp_path):
    with pytest.raises(RecganError, match="nobody has no champion"):
        rollback(Numbers("nobody", tmp_path), "why not")
    with pytest.raises(RecganError, match="needs a reason"):
        rollback(Numbers(name, tmp_path), " ")
    client.set_registered_model_alias(name, "previous", "2")  # a promotion killed between its two aliases
    with pytest.raises(RecganError, match="no version before"):
        rollback(Numbers(name, tmp_path), "why not")
    client.delete_registered_model_alias(name, "previous")
    with pytest.raises(RecganError, match="no version before"):
        rollback(Numbers(name, tmp_path), "why not")
    assert aliases(client, name) == {"champion": "2"}
    assert not any(client.get_model_version(name, version).tags for version in "123")


def test_a_version_that_does_not_answer_does_not_come_back(client, name, params, tmp_path):
    """The second time by the real trial: the artifact store does not have these versions' packages."""
    with pytest.raises(RecganError, match=r"version 1 .* does not answer \(empty lists\), so version 2"):
        rollback(Numbers(name, tmp_path, trial=lambda uri: "empty lists"), "empty lists")
    with pytest.raises(Unavailable, match=r"version 1 .* cannot be asked .*so version 2 stays"):
        rollback(Recommenders(tmp_path, named_so(params, name)), "empty lists")
    assert aliases(client, name) == {"champion": "2", "previous": "1"}


@pytest.mark.parametrize("after", ["set_model_version_tag", "set_registered_model_alias"])
def test_killed_on_the_way_it_can_be_done_again_or_is_done(client, name, tmp_path, after, monkeypatch):
    kind = type(client)
    original = getattr(kind, after)

    def and_die(self, *arguments):
        original(self, *arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(kind, after, and_die)
        rollback(Numbers(name, tmp_path), "empty lists", "ada")
    if after == "set_model_version_tag":
        rollback(Numbers(name, tmp_path), "empty lists", "ada")
    else:
        with pytest.raises(RecganError, match="no version before"):
            rollback(Numbers(name, tmp_path), "empty lists", "ada")
    assert aliases(client, name)["champion"] == "1"
    assert client.get_model_version(name, "2").tags["withdrawn.by"] == "ada"


def test_the_gate_refuses_what_was_withdrawn_and_takes_another(client, name, tmp_path):
    """It would beat the restored champion again, were it asked."""
    numbers = Numbers(name, tmp_path, {"1": 1, "2": 2, "3": 3})
    before = Judgement("2", Decision(True, ("✓ quality",)), None, "key")  # of version 3, before the rollback
    rollback(numbers, "empty lists", "ada")
    judgement = judge(numbers, "2")
    assert judgement.decision.failures[0].startswith("Version 2 was withdrawn at 20")
    assert judgement.decision.failures[0].endswith("by ada: empty lists")
    promotion = promote(numbers, "2", judgement)
    assert (promotion.promoted, promotion.champion) == (False, "1")
    assert not numbers.asked

    promotion = promote(numbers, "3", before)
    assert numbers.asked == ["3"]
    assert (promotion.champion, promotion.previous) == ("3", "1")
    assert rollback(numbers, "slow", "bob").champion == "1"


def test_a_withdrawn_version_that_comes_back_is_withdrawn_no_longer(client, name, tmp_path):
    rollback(Numbers(name, tmp_path), "empty lists", "ada")
    client.set_registered_model_alias(name, "champion", "3")
    client.set_registered_model_alias(name, "previous", "2")
    rollback(Numbers(name, tmp_path), "worse still", "ada")
    tags = client.get_model_version(name, "2").tags
    assert {key.partition(".")[0] for key in tags} == {"restored"}


def test_two_at_once_roll_back_once(client, name, tmp_path):
    outcomes = []

    def race():
        try:
            outcomes.append(rollback(Numbers(name, tmp_path), "empty lists", "ada").champion)
        except RecganError as error:
            outcomes.append(str(error))

    racers = [threading.Thread(target=race) for _ in range(2)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(outcomes)[0] == "1"
    assert "no version before" in sorted(outcomes)[1]
    assert aliases(client, name) == {"champion": "1"}
