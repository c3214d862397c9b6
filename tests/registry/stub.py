"""A domain of plain numbers: nothing is packaged, nobody is asked, the larger number is the better one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import mlflow

from recgan.registry.domain import Decision


@dataclass
class Numbers:
    """Versions that are worth a number each; what is not said of it is harmless."""

    name: str
    root: Path = Path()
    worth: dict[str, float] = field(default_factory=dict)
    trial: Callable[[str], str | None] = lambda model_uri: None
    train_key: str = "1"
    asked: list[str] = field(default_factory=list)
    """Versions that were looked at."""
    label = "a number, of no data"
    retrain = "make numbers"
    command = "numbers"

    def __post_init__(self):
        self._looks = count()

    def tags(self, flow_run_id):
        return {"train_key": self.train_key, "prefect.flow_run_id": flow_run_id or "none"}

    def package(self, client, run_id, tags):
        mlflow.log_param("train_key", tags["train_key"])
        model = mlflow.create_external_model(name="number", source_run_id=run_id)
        return SimpleNamespace(model_uri=f"models:/{model.model_id}")

    def basis(self):
        return (str(next(self._looks)),)  # never the same: each decision is made anew

    def look(self, client, version, champion_version):
        self.asked.append(version)
        better = self.worth.get(version, 0) > self.worth.get(champion_version, -1)
        return Decision.of([(better, "It is worth more.")]), None

    def page(self, version, decision, champion_version, evidence):
        return None
