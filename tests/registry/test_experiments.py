"""An experiment in the registry: how it begins, what is refused, what its end does to the versions."""

import re
from dataclasses import replace

import pytest

from recgan.core.errors import RecganError, Unavailable
from recgan.registry.by_hand import promote_by_hand
from recgan.registry.experimenting import begin, end, stop
from recgan.registry.experiments import last, running, told
from recgan.registry.promotion import judge
from tests.registry.stub import Numbers
from tests.registry.test_rollback import aliases, client, name  # noqa: F401  (fixtures)

NO_ANSWER = "no answer"


@pytest.fixture
def numbers(name, tmp_path):  # noqa: F811
    return Numbers(name, tmp_path)


def test_it_stands_in_the_registry_until_it_is_stopped(numbers):
    assert running(numbers.root, numbers.name) is None
    begun = begin(numbers, "3", 0.25, "split", "ada")
    assert running(numbers.root, numbers.name) == begun
    assert (begun.champion, begun.challenger, begun.share, begun.design, begun.by) == (
        "2",
        "3",
        0.25,
        "split",
        "ada",
    )
    with pytest.raises(RecganError, match=r"runs already: version 3 against champion 2.*experiment stop"):
        begin(numbers, "1", 0.1, "split")
    done = stop(numbers, " a holiday ", "bob")
    assert running(numbers.root, numbers.name) is None
    assert last(numbers.root, numbers.name) == done
    assert done.reasons == ("· Stopped by bob: a holiday",)
    assert "by bob: stopped." in told(done)
    again = begin(numbers, "3", 0.1, "split")
    assert again.id != begun.id  # so that other people meet it


@pytest.mark.parametrize(
    ("version", "share", "says"),
    [
        ("3", 0.0, r"the share is 0; give one between"),
        ("3", 1.0, r"the share is 1; give one between"),
        ("3", float("nan"), r"the share is nan"),
        ("2", 0.1, r"version 2 of .* is the champion"),
        ("7", 0.1, r"has no version '7'; choose one of 1, 2, 3"),
        (None, 0.1, r"has no challenger; name a version: numbers experiment start --version N"),
    ],
    ids=["nobody", "everybody", "no-number", "champion", "unknown", "none"],
)
def test_what_cannot_be_tried_is_refused(numbers, version, share, says):
    with pytest.raises(RecganError, match=says):
        begin(numbers, version, share, "split")
    assert running(numbers.root, numbers.name) is None


def test_a_version_must_answer_and_there_must_be_a_champion(numbers, client):  # noqa: F811
    numbers.trial = lambda uri: NO_ANSWER
    with pytest.raises(RecganError, match=r"does not answer \(no answer\), so no experiment has begun"):
        begin(numbers, "3", 0.1, "split")
    client.delete_registered_model_alias(numbers.name, "champion")
    with pytest.raises(RecganError, match="has no champion to try a version beside"):
        begin(numbers, "3", 0.1, "split")
    with pytest.raises(RecganError, match="so there is nothing to stop"):
        stop(numbers, "why not")
    with pytest.raises(RecganError, match="needs a reason"):
        stop(numbers, " ")


def test_the_alias_challenger_is_tried_where_no_version_is_named(numbers, client):  # noqa: F811
    client.set_registered_model_alias(numbers.name, "challenger", "1")
    assert begin(numbers, None, 0.1, "interleave").challenger == "1"


def test_a_better_version_is_promoted_and_keeps_the_reasons(numbers, client):  # noqa: F811
    begun = begin(numbers, "3", 0.1, "split")
    done = end(numbers, begun, "promoted", ("✓ More bought.", "✓ As fast."), "ada")
    assert aliases(client, numbers.name) == {"champion": "3", "previous": "2"}
    version = client.get_model_version(numbers.name, "3")
    assert version.tags["experiment.outcome"] == "promoted"
    assert version.tags["experiment.reasons"] == "✓ More bought.\n✓ As fast."
    assert f"Experiment {begun.id} against version 2: promoted" in version.description
    with pytest.raises(RecganError, match="does not run any more"):
        end(numbers, begun, "rolled back", ("✗ Late.",))
    assert last(numbers.root, numbers.name) == done


def test_a_worse_version_is_withdrawn_and_refused_by_the_gate(numbers, client):  # noqa: F811
    client.set_registered_model_alias(numbers.name, "challenger", "3")
    begun = begin(numbers, "3", 0.1, "split")
    end(numbers, begun, "rolled back", ("✗ Less bought.", "✓ As fast."), "ada")
    assert aliases(client, numbers.name) == {"champion": "2", "previous": "1"}
    numbers.worth = {"3": 9.0}
    (reason,) = judge(numbers, "3").decision.reasons
    assert re.fullmatch(r"✗ Version 3 was withdrawn at .* by ada: Less bought\.", reason)
    with pytest.raises(RecganError, match="has no challenger"):
        begin(numbers, None, 0.1, "split")
    with pytest.raises(RecganError, match="Version 3 was withdrawn"):
        begin(numbers, "3", 0.1, "split")


def test_nobody_is_promoted_over_a_champion_that_it_was_not_compared_with(numbers, client):  # noqa: F811
    begun = begin(numbers, "3", 0.1, "split")
    promote_by_hand(numbers, "1", "a sale", "bob")
    done = end(numbers, begun, "promoted", ("✓ More bought.",))
    assert (done.outcome, aliases(client, numbers.name)["champion"]) == ("undecided", "1")
    assert "✗ The champion is version 1 now, not version 2" in told(done)


@pytest.mark.parametrize("outcome", ["promoted", "rolled back"])
def test_who_is_killed_on_the_way_is_followed_by_one_who_ends_it(numbers, client, outcome, monkeypatch):  # noqa: F811
    begun = begin(numbers, "3", 0.1, "split")
    with monkeypatch.context() as patch:

        def killed(*_):
            raise Unavailable("killed")

        patch.setattr(type(client), "delete_registered_model_tag", killed)
        with pytest.raises(Unavailable):
            end(numbers, begun, outcome, ("✗ So.",))
    assert running(numbers.root, numbers.name) == begun
    end(numbers, begun, outcome, ("✗ So.",))
    assert running(numbers.root, numbers.name) is None
    expected = (
        {"champion": "3", "previous": "2"} if outcome == "promoted" else {"champion": "2", "previous": "1"}
    )
    assert aliases(client, numbers.name) == expected
    assert client.get_model_version(numbers.name, "3").description.count("Experiment") == 1


def test_two_that_end_it_at_once_end_it_once(numbers):
    begun = begin(numbers, "3", 0.1, "split")
    other = replace(begun, id="another")
    with pytest.raises(RecganError, match=r"another of .* does not run any more"):
        end(numbers, other, "stopped", ("· So.",))
    assert running(numbers.root, numbers.name) == begun
