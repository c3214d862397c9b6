"""The second gate decides by every reason; what it decides is done, and done once."""

import re
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from recgan.core.errors import RecganError
from recgan.online.experiment import judge, look, start
from recgan.online.second_gate import Arm, Effect, Evidence, decide
from recgan.online.sequences import Interval
from recgan.online.words import report
from recgan.registry.experimenting import begin
from recgan.registry.experiments import RUNNING, as_json, running
from tests.online.conftest import BEGAN, came, experiment_of, shown, tables
from tests.package.conftest import store_env, store_uri  # noqa: F401  (fixtures)
from tests.registry.stub import Numbers
from tests.registry.test_rollback import aliases, client, name  # noqa: F401  (fixtures)

RATES = {"click": 0.2, "cart": 0.1, "purchase": 0.05}


def evidence(low=-0.01, high=0.02, days=3.0, design="split", **more):
    arm = Arm("champion", 5000, 4000, 900, RATES, 1.0, 9.0, 0.0)
    tried = "challenger" if design == "split" else "interleaved"
    within = None if low is None else Interval(low, high)
    return Evidence(
        **{
            "experiment": experiment_of(design),
            "now": BEGAN + timedelta(days=days),
            "live": "1",
            "withdrawn": None,
            "champion": arm,
            "challenger": replace(arm, name=tried, answers=500, counted=400, shoppers=100),
            "own_items": (100, 90),
            "effects": (Effect("click", 0.1, Interval(0.05, 0.15)), Effect("purchase", 0.005, within)),
        }
        | more
    )


def arm(**more):
    return replace(evidence().challenger, **more)


@pytest.mark.parametrize(
    ("found", "outcome", "reason"),
    [
        (
            evidence(),
            "keep running",
            r"· Neither is credibly better: purchases per answer differ by \+0.0050",
        ),
        (evidence(0.001), "promote", r"✓ The challenger is credibly better"),
        (evidence(-0.03, -0.001), "roll back", r"✗ The challenger is credibly worse"),
        (evidence(None), "keep running", r"· No answer has led to a purchase yet"),
        (evidence(days=28.1), "end undecided", r"· The longest 28 days are over without a decision"),
        (evidence(0.001, days=28.1), "promote", r"✓ The challenger is credibly better"),
        (
            evidence(0.001, challenger=arm(shoppers=99)),
            "keep running",
            r"· The challenger arm has 99 shoppers",
        ),
        (
            evidence(0.001, champion=arm(name="champion", shoppers=9)),
            "keep running",
            r"champion arm has 9 sh",
        ),
        (
            evidence(0.001, challenger=arm(slowest=201.0)),
            "roll back",
            r"✗ Guardrail: the slowest .* 201.0 ms",
        ),
        (
            evidence(0.001, challenger=arm(failed=0.02)),
            "roll back",
            r"✗ Guardrail: another stood in for 2.00%",
        ),
        (evidence(0.001, own_items=(100, 49)), "roll back", r"✗ Guardrail: 49 distinct items beside .* 100"),
        (
            evidence(challenger=arm(failed=1.0, answers=99)),
            "keep running",
            r"99 answers: too few for the guard",
        ),
        (evidence(0.001, live="3"), "end undecided", r"· The champion is version 3 now, not version 1"),
        (evidence(0.001, live=None), "end undecided", r"· The champion is no version now"),
        (evidence(live="2"), "promote", r"✓ Version 2 is the champion already"),
        (evidence(0.001, withdrawn="Version 2 was withdrawn."), "roll back", r"✗ Version 2 was withdrawn"),
        (evidence(0.001, design="interleave"), "promote", r"lists won less lists lost by purchase: \+0.0050"),
    ],
)
def test_every_outcome_has_its_reason(section, found, outcome, reason):
    verdict = decide(found, section)
    assert verdict.outcome == outcome
    assert any(re.search(reason, said) for said in verdict.reasons), verdict.reasons


def test_another_primary_metric_decides_where_it_is_asked_for(section):
    assert decide(evidence(), section.model_copy(update={"primary": "click"})).outcome == "promote"


@pytest.fixture
def project(name, client, tmp_path, section):  # noqa: F811
    """A project with the log of an experiment that runs: 300 shoppers in each arm."""
    easy = section.model_copy(update={"narrowest_at": 100})
    params = SimpleNamespace(register_=SimpleNamespace(name=name), experiment=easy)
    begun = replace(begin(Numbers(name, tmp_path), "3", 0.5, "split", "ada"), began=BEGAN)
    client.set_registered_model_tag(name, RUNNING, as_json(begun))

    def log(champion, challenger):
        """Write one answer for each shopper, of which so many are followed by a purchase."""
        answers, events = [], []
        for number in range(600):
            tried = number % 2 == 1
            arm = "challenger" if tried else "champion"
            version = {"version": "3"} if tried else {"version": "2"}
            answers.append(shown(number, f"u{number}", arm, experiment=begun.id, **version))
            if number // 2 < (challenger if tried else champion):
                events.append(came(number, "a"))
        for kind, table in zip(("shown", "feedback"), tables(answers, events), strict=True):
            folder = tmp_path / "impressions" / name / kind / "date=2026-01-01"
            folder.mkdir(parents=True)
            pq.write_table(table, folder / "one.parquet")

    return SimpleNamespace(root=tmp_path, params=params, log=log, name=name, begun=begun)


def judged(project):
    return judge(project.root, project.params, "ada", BEGAN + timedelta(days=2))


def test_it_goes_on_and_a_look_changes_nothing(project, client):  # noqa: F811
    project.log(60, 62)
    found = judged(project)
    assert (found.ended, found.verdict.outcome) == (None, "keep running")
    assert running(project.root, project.name) == project.begun
    text = report(found, project.name)
    assert "| purchases per answer | 0.2000 | 0.2067 |" in text
    assert text == report(replace(found), project.name)
    assert look(project.root, project.params, BEGAN + timedelta(days=2))[1] == found.verdict


def test_a_credibly_better_version_becomes_the_champion(project, client):  # noqa: F811
    project.log(60, 140)
    found = judged(project)
    assert found.ended.outcome == "promoted"
    assert aliases(client, project.name) == {"champion": "3", "previous": "2"}
    assert judged(project) is None
    assert report(None, project.name) == f"No experiment of {project.name} runs."


def test_a_credibly_worse_one_is_withdrawn(project, client):  # noqa: F811
    project.log(140, 60)
    assert judged(project).ended.outcome == "rolled back"
    assert aliases(client, project.name) == {"champion": "2", "previous": "1"}
    assert "withdrawn.when" in client.get_model_version(project.name, "3").tags


def test_there_is_no_third_design(project):
    with pytest.raises(RecganError, match="no design 'both'; choose split or interleave"):
        start(project.root, project.params, design="both")
