"""What a domain gives, so that its versions can be registered, judged and promoted like any other's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.models.model import ModelInfo


@dataclass(frozen=True)
class Decision:
    """Whether to promote, and every reason: criteria that passed (✓) or failed (✗); · is for information."""

    promote: bool
    reasons: tuple[str, ...]

    @classmethod
    def of(cls, criteria: Sequence[tuple[bool, str]]) -> "Decision":
        """Promote where every criterion passed; each comes with its sentence."""
        return cls(
            promote=all(passed for passed, _ in criteria),
            reasons=tuple(f"{'✓' if passed else '✗'} {sentence}" for passed, sentence in criteria),
        )

    @property
    def failures(self) -> tuple[str, ...]:
        """The reasons against, without their mark."""
        return tuple(reason[2:] for reason in self.reasons if reason.startswith("✗"))


class Domain(Protocol):
    """A registered model, and the project that trains its versions."""

    @property
    def root(self) -> Path:
        """The project."""

    @property
    def name(self) -> str:
        """Of the registered model."""

    @property
    def label(self) -> str:
        """What a run is called: what was trained, and on which data."""

    @property
    def retrain(self) -> str:
        """The command that makes the next version, for messages."""

    @property
    def command(self) -> str:
        """The command whose subcommands are `promote` and `rollback`, for messages."""

    def tags(self, flow_run_id: str | None) -> dict[str, str]:
        """Return where the training comes from, `train_key` among it: tags of run and version.

        Args:
            flow_run_id: of the Prefect flow run; None for a run by hand.

        Raises:
            RecganError: a stage has not run yet, or its output is not that of dvc.lock.
        """

    def package(self, client: MlflowClient, run_id: str, tags: dict[str, str]) -> ModelInfo:
        """Log everything about the training to the active run, the package last.

        Args:
            client: of the tracking store.
            run_id: of the active run.
            tags: of the packaged model.
        """

    def basis(self) -> tuple[str, ...]:
        """Return all that a decision depends on but the champion: the same basis, the same decision."""

    def look(self, client: MlflowClient, version: str, champion_version: str | None) -> tuple[Decision, Any]:
        """Compare a version with the champion and decide.

        Args:
            client: of the tracking store.
            version: the challenger.
            champion_version: None where there is none.

        Returns:
            The decision, and the evidence for it: a dataclass.

        Raises:
            DamagedPackageError: a file of a package is not the one that was packaged.
            Unavailable: a package cannot be fetched, or the process that answers was hindered.
            RecganError: the champion does not answer, or something to compare by is missing.
        """

    def page(
        self, version: ModelVersion, decision: Decision, champion_version: str | None, evidence: Any
    ) -> str | None:
        """Return an HTML page about a judged version; None where there is none.

        Args:
            version: the challenger.
            decision: on it.
            champion_version: what it was compared with; None where there was none.
            evidence: as `look` returned it.
        """

    def trial(self, model_uri: str) -> str | None:
        """Say why a packaged model does not answer, or None.

        Raises:
            DamagedPackageError: a file of the package is not the one that was packaged.
            Unavailable: it cannot be fetched, or the process that answers was hindered.
        """
