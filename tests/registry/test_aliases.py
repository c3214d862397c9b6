"""Killed before any write to the registry, a move of the champion is completed by whatever comes next."""

import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, ModelVersionTag
from mlflow.exceptions import MlflowException

from recgan.core.errors import RecganError
from recgan.registry import by_hand, promotion, rollback
from recgan.registry.domain import Decision
from recgan.registry.promotion import Judgement, judged_before
from recgan.registry.tracking import connect
from tests.registry.stub import Numbers


class Memory:
    """As much of MLflow's client as a move of the champion needs; dies before one of its writes."""

    def __init__(self, aliases, tags):
        self.aliases, self.tags = dict(aliases), {version: dict(of) for version, of in tags.items()}
        self.descriptions = {}
        self.writes, self.dies_at = 0, None

    def get_model_version(self, name, version):
        tags = [ModelVersionTag(key, value) for key, value in self.tags[version].items()]
        return ModelVersion(name, version, 0, tags=tags, run_id=f"run of {version}")

    def get_model_version_by_alias(self, name, alias):
        if alias not in self.aliases:
            raise MlflowException.invalid_parameter_value(f"Registered model alias {alias} not found.")
        return self.get_model_version(name, self.aliases[alias])

    def write(self):
        self.writes += 1
        if self.writes == self.dies_at:
            raise KilledError

    def set_registered_model_alias(self, name, alias, version):
        self.write()
        self.aliases[alias] = version

    def delete_registered_model_alias(self, name, alias):
        self.write()
        self.aliases.pop(alias, None)

    def set_model_version_tag(self, name, version, key, value):
        self.write()
        self.tags[version][key] = value

    def delete_model_version_tag(self, name, version, key):
        self.write()
        self.tags[version].pop(key, None)

    def update_model_version(self, name, version, description):
        self.write()
        self.descriptions[version] = description

    def set_tag(self, run_id, key, value):
        self.write()
        self.descriptions[run_id] = value

    def state(self):
        """The aliases, tags and descriptions, but for the times in them."""
        tags = {
            version: {key: value for key, value in of.items() if not key.endswith(".when")}
            for version, of in self.tags.items()
        }
        return self.aliases, tags, self.descriptions


class KilledError(BaseException):
    """The process is gone, between two writes."""


ALIASES = {"previous": "1", "champion": "2", "challenger": "3"}
TAGS = {
    "1": {"withdrawn.when": "long ago", "withdrawn.by": "bob"},
    "2": {},
    "3": {"gate.key": "of another night"},
}
"""Version 1 came before the champion 2 and was withdrawn once; version 3 challenges."""


@pytest.fixture
def memory(monkeypatch, tmp_path):
    """Make a registry in memory that the next move gets."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")  # for the lock

    def make():
        made = Memory(ALIASES, TAGS)
        for module in (promotion, by_hand, rollback):
            monkeypatch.setattr(module, "connect", lambda root: made)
        return made

    return make


def promoted_by_the_gate(name="shop"):
    judgement = Judgement("2", Decision(True, ("✓ better",)), None, "tonight")
    promotion.promote(Numbers(name), "3", judgement)


def promoted_by_hand():
    by_hand.promote_by_hand(Numbers("shop"), "1", "the gate errs", "ada")


def rolled_back(name="shop"):
    return rollback.rollback(Numbers(name), "empty lists", "ada")


@pytest.mark.parametrize(
    ("move", "ends_with"),
    [
        (promoted_by_the_gate, {"champion": "3", "previous": "2"}),
        (promoted_by_hand, {"champion": "1", "previous": "2", "challenger": "3"}),
        (rolled_back, {"champion": "1", "challenger": "3"}),
    ],
)
def test_killed_before_any_write_and_asked_for_again_it_ends_as_an_undisturbed_one(memory, move, ends_with):
    undisturbed = memory()
    move()
    assert undisturbed.aliases == ends_with
    assert undisturbed.writes > 6
    for number in range(1, undisturbed.writes + 1):
        registry = memory()
        registry.dies_at = number
        with pytest.raises(KilledError):
            move()
        assert registry.aliases["champion"] in ("2", ends_with["champion"])
        try:
            move()
        except RecganError as error:  # it was done but for its last writes
            assert "no version before" in str(error) or "champion already" in str(error)  # noqa: PT017
        assert registry.state() == undisturbed.state(), f"killed before write {number}"


def test_a_rollback_after_any_kill_of_a_promotion_brings_back_the_champion_before(memory):
    """Once the new version is live it is version 2, and not version 1, which was `previous` until then."""
    undisturbed = memory()
    promoted_by_the_gate()
    brought_back = set()
    for number in range(1, undisturbed.writes + 1):
        registry = memory()
        registry.dies_at = number
        with pytest.raises(KilledError):
            promoted_by_the_gate()
        live = registry.aliases["champion"]
        brought_back.add((live, rolled_back().champion))
        assert "previous" not in registry.aliases
    assert brought_back == {("2", "1"), ("3", "2")}


def test_a_decision_that_was_half_recorded_is_not_taken_again(memory):
    """Its key comes last, and that of the decision before goes first."""
    registry = memory()
    registry.dies_at = 3
    with pytest.raises(KilledError):
        promoted_by_the_gate()
    assert registry.tags["3"]["gate.decision"] == "promote"
    assert judged_before(registry, "shop", "3", "2", "of another night") is None


def test_in_mlflow_itself_what_a_killed_promotion_left_is_completed(store_env, monkeypatch):
    client, name = connect(), "killed-promotion"
    run = client.create_run(client.create_experiment(name))
    client.create_registered_model(name)
    for _ in TAGS:
        client.create_model_version(name, "file:///nowhere", run.info.run_id)
    for alias, version in ALIASES.items():
        client.set_registered_model_alias(name, alias, version)
    original = MlflowClient.set_registered_model_alias

    def dies(self, name, alias, version):
        if alias == "previous":
            raise KilledError
        original(self, name, alias, version)

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(MlflowClient, "set_registered_model_alias", dies)
        promoted_by_the_gate(name)
    assert client.get_registered_model(name).aliases == {"previous": 1, "champion": 3, "challenger": 3}
    done = rolled_back(name)
    assert (done.champion, done.withdrawn) == ("2", "3")
    assert client.get_registered_model(name).aliases == {"champion": 2}
