"""Two promoters at once: the better version is the champion in the end, whoever was first."""

import threading
from dataclasses import replace

import pytest

from recgan.registry.promotion import judge, promote
from recgan.registry.tracking import connect, current
from tests.registry.stub import Numbers


@pytest.fixture
def client(store_env):
    return connect()


@pytest.fixture
def numbers(client, tmp_path, request):
    """Three versions without packages, the first of them champion, the last of them the best."""
    numbers = Numbers(request.node.name, tmp_path, {"1": 0.1, "2": 0.2, "3": 0.3})
    run = client.create_run(client.create_experiment(numbers.name))
    client.create_registered_model(numbers.name)
    for _ in numbers.worth:
        client.create_model_version(numbers.name, "file:///nowhere", run.info.run_id)
    client.set_registered_model_alias(numbers.name, "champion", "1")
    return numbers


def aliases(client, name):
    found = {alias: current(client, name, alias) for alias in ("champion", "challenger", "previous")}
    return {alias: str(version.version) for alias, version in found.items() if version is not None}


def test_a_champion_that_changed_is_judged_anew(client, numbers):
    second, third = judge(numbers, "2"), judge(numbers, "3")
    assert second.decision.promote
    assert promote(numbers, "3", third).promoted
    promotion = promote(numbers, "2", second)
    assert numbers.asked == ["2", "3", "2"]
    assert (promotion.promoted, promotion.champion) == (False, "3")
    assert aliases(client, numbers.name) == {"champion": "3", "previous": "1"}


def test_a_decision_is_taken_again_while_what_it_depends_on_is_the_same(numbers, monkeypatch):
    monkeypatch.setattr(numbers, "basis", lambda: ("tonight",))
    numbers.worth["2"] = 0.0
    refused = judge(numbers, "2")
    promote(numbers, "2", refused)
    assert judge(numbers, "2").decision == refused.decision
    assert numbers.asked == ["2"]
    monkeypatch.setattr(numbers, "basis", lambda: ("tomorrow",))
    judge(numbers, "2")
    assert numbers.asked == ["2", "2"]


def test_the_decision_is_the_description_of_version_and_run(client, numbers):
    promote(numbers, "2", judge(numbers, "2"))
    version = client.get_model_version(numbers.name, "2")
    assert version.description.startswith("**The gate lets it pass.**")
    assert version.description.endswith("|---|---|\n| ✓ | It is worth more. |")
    assert client.get_run(version.run_id).data.tags["mlflow.note.content"] == version.description


def test_the_better_of_two_promoters_always_ends_champion(client, numbers):
    for _ in range(6):  # without the lock nearly every second one ends wrong
        race(client, numbers)
        assert aliases(client, numbers.name)["champion"] == "3"


def test_the_better_of_two_promoters_ends_champion_by_a_lock_in_postgres(
    client, numbers, monkeypatch, postgres
):
    monkeypatch.setenv("RECGAN_LOCK_DATABASE", postgres)
    for _ in range(6):
        race(client, numbers)
        assert aliases(client, numbers.name)["champion"] == "3"


def race(client, numbers):
    """Let versions 2 and 3, both judged better than version 1, promote themselves at the same time."""
    client.set_registered_model_alias(numbers.name, "champion", "1")
    gate = threading.Barrier(2)

    def run(version):
        promoter = replace(numbers)
        judgement = judge(promoter, version)
        gate.wait()
        promote(promoter, version, judgement)

    racers = [threading.Thread(target=run, args=(version,)) for version in ("2", "3")]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
