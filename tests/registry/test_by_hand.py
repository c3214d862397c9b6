"""Promotion by hand: what is refused, what is recorded, and what the gate makes of it."""

import pytest

from recgan.core.errors import RecganError, Unavailable
from recgan.daily.recommendations import live_by_hand
from recgan.package.store import Recommenders
from recgan.registry.by_hand import promote_by_hand
from recgan.registry.promotion import judged_before
from recgan.registry.rollback import rollback
from recgan.registry.tracking import connect
from recgan.registry.versions import the_champion, why_none
from tests.package.conftest import named_so
from tests.registry.stub import Numbers
from tests.registry.test_rollback import aliases, name  # noqa: F401  (a fixture)


@pytest.fixture
def client(store_env):
    return connect()


def test_who_when_and_why_are_on_record_and_previous_is_set(client, name, tmp_path):  # noqa: F811
    client.set_model_version_tag(name, "3", "gate.key", "a refusal's")
    done = promote_by_hand(Numbers(name, tmp_path), "3", " the gate's window was a holiday ", "ada")
    assert aliases(client, name) == {"champion": "3", "previous": "2"}
    tags = client.get_model_version(name, "3").tags
    assert tags == {
        "gate.decision": "promote",
        "gate.reasons": "✓ Promoted by hand, without the gate, by ada: the gate's window was a holiday",
        "promoted.when": done.when.isoformat(timespec="seconds"),
        "promoted.by": "ada",
        "promoted.reason": "the gate's window was a holiday",
    }
    assert live_by_hand(tmp_path, done).startswith(f"Live now: {name} version 3, in place of version 2.")
    assert judged_before(client, name, "3", "2", "a refusal's") is None  # nothing to be taken again


def test_a_withdrawn_version_is_withdrawn_no_longer(client, name, tmp_path):  # noqa: F811
    rollback(Numbers(name, tmp_path), "empty lists", "ada")
    promote_by_hand(Numbers(name, tmp_path), "2", "the lists were the export's fault", "bob")
    assert aliases(client, name) == {"champion": "2", "previous": "1"}
    assert not [key for key in client.get_model_version(name, "2").tags if key.startswith("withdrawn")]
    assert rollback(Numbers(name, tmp_path), "worse", "ada").champion == "1"


@pytest.mark.parametrize(
    ("version", "reason", "says"),
    [
        ("3", "  ", "needs a reason for the record"),
        ("2", "why not", "version 2 of .* is the champion already"),
        ("7", "why not", "has no version '7'; choose one of 1, 2, 3"),
        ("three", "why not", "has no version 'three'; choose one of 1, 2, 3"),
        ("", "why not", "has no version ''"),
    ],
    ids=["no-reason", "the-champion", "unknown", "no-number", "nothing"],
)
def test_what_is_refused_changes_nothing(client, name, tmp_path, version, reason, says):  # noqa: F811
    with pytest.raises(RecganError, match=says):
        promote_by_hand(Numbers(name, tmp_path), version, reason, "ada")
    assert aliases(client, name) == {"champion": "2", "previous": "1"}
    assert not any(client.get_model_version(name, one).tags for one in "123")


def test_a_version_that_does_not_answer_is_refused(client, name, params, tmp_path):  # noqa: F811
    with pytest.raises(RecganError, match=r"does not answer \(an item stands twice\), so version 2 stays"):
        promote_by_hand(
            Numbers(name, tmp_path, trial=lambda uri: "an item stands twice"), "3", "why not", "ada"
        )
    with pytest.raises(Unavailable, match=r"cannot be asked .* so version 2 stays"):  # by the real trial
        promote_by_hand(Recommenders(tmp_path, named_so(params, name)), "3", "why not", "ada")
    assert aliases(client, name) == {"champion": "2", "previous": "1"}
    assert not client.get_model_version(name, "3").tags


def test_the_first_champion_has_nobody_before(client, name, tmp_path):  # noqa: F811
    for alias in ("champion", "previous"):
        client.delete_registered_model_alias(name, alias)
    assert promote_by_hand(Numbers(name, tmp_path), "1", "a start", "ada").previous is None
    assert aliases(client, name) == {"champion": "1"}
    with pytest.raises(RecganError, match="nobody has no version '1'; there is none yet: make numbers"):
        promote_by_hand(Numbers("nobody", tmp_path), "1", "a start", "ada")


def test_without_a_champion_the_refused_version_and_both_ways_on_are_named(client, name, tmp_path):  # noqa: F811
    client.delete_registered_model_alias(name, "champion")
    client.set_registered_model_alias(name, "challenger", "2")
    with pytest.raises(RecganError) as caught:
        the_champion(client, name)
    assert "version 2 has not passed the gate" in str(caught.value)
    assert 'make promote VERSION=2 REASON="…"' in str(caught.value)
    assert "make run" in str(caught.value)
    assert why_none(tmp_path, name) == str(caught.value)
    assert why_none(tmp_path, "nobody").endswith("a version becomes one by passing the gate: make run")
