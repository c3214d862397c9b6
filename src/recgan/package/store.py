"""Recommenders in the registry: how one is registered and judged, and the champion in this process."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import mlflow
import pyarrow as pa
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.models.model import ModelInfo
from scipy.sparse import csr_array

from recgan.core import layout
from recgan.core.temporary import temporary_folder
from recgan.features.matrices import read_features
from recgan.package.asking import ask, questions
from recgan.package.evidence import gather_evidence
from recgan.package.figures import figures, label
from recgan.package.gate import Evidence, decide
from recgan.package.lineage import CANDIDATE, SETTINGS, check_outputs, lineage
from recgan.package.log import log_package
from recgan.package.packaged import PackagedRecommender
from recgan.package.reference import REFERENCE, describe_training
from recgan.package.same import settings_key
from recgan.package.verdict import draw
from recgan.recommenders.loading import challenger_of
from recgan.recommenders.skipped import skipped
from recgan.registry.domain import Decision
from recgan.registry.figures import log_training
from recgan.registry.outage import outside
from recgan.registry.promotion import Promotion
from recgan.registry.tracking import connect, current
from recgan.registry.versions import VersionId, identify, the_champion
from recgan.settings import Params

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recommenders:
    """A candidate of a project: what `registry.domain` asks of a domain."""

    root: Path
    params: Params
    own: str | None = None
    """Its name; None for the challenger."""
    retrain = "make run"
    command = "recgan"

    @property
    def name(self) -> str:
        """Of the registered model."""
        return self.params.register_.name

    @property
    def label(self) -> str:
        """The candidate, and until when its events go."""
        return label(self.root, self.candidate)

    @property
    def candidate(self) -> str:
        """Which candidate it is."""
        return self.own or challenger_of(self.root)

    def tags(self, flow_run_id: str | None) -> dict[str, str]:
        """Return where the recommender comes from; refuse outputs that are not those of dvc.lock."""
        check_outputs(self.root, self.candidate)
        return lineage(self.root, self.candidate, self.settings, flow_run_id)

    @property
    def settings(self) -> str:
        """What tells its settings from others (recgan.package.same)."""
        return settings_key(self.params.candidates[self.candidate], self.params.features)

    def package(self, client: MlflowClient, run_id: str, tags: dict[str, str]) -> ModelInfo:
        """Log parameters, figures, files, what monitor compares with, and the package."""
        content = self.params.model_dump(mode="json", by_alias=True)
        (self.root / layout.VERDICT_PAGE).unlink(missing_ok=True)  # it is of another version
        measured = figures(self.root, self.candidate, self.params.evaluate.primary_k)
        log_training(client, run_id, self.root, content, measured)
        features = read_features(self.root / layout.FEATURES)
        reference = describe_training(self.root, features, self.candidate, self.params.evaluate.primary_k)
        if reference is not None:
            mlflow.log_dict(reference, REFERENCE)
        left = self.root / layout.MODELS / self.candidate / layout.WARM
        if left.is_dir():  # of use to the next training alone, so beside the package
            mlflow.log_artifacts(str(left), layout.WARM)
        return log_package(self.root / layout.MODELS / self.candidate, features, self.params.features, tags)

    def basis(self) -> tuple[str, ...]:
        """Return dvc.lock and the parameters that decide."""
        return (
            (self.root / layout.LOCK).read_text(encoding="utf-8"),
            self.params.register_.model_dump_json(),
            self.params.evaluate.model_dump_json(),
        )

    def look(
        self, client: MlflowClient, version: str, champion_version: str | None
    ) -> tuple[Decision, Evidence]:
        """Gather the evidence on today's test window and decide."""
        evidence = gather_evidence(self.root, self.params, client, version, champion_version)
        return decide(evidence, self.params.register_.gate), evidence

    def page(
        self, version: ModelVersion, decision: Decision, champion_version: str | None, evidence: Evidence
    ) -> str | None:
        """Return the evaluation's page with the decision; None, with a warning, where it cannot be shown."""
        became = Promotion(
            version=str(version.version),
            promoted=decision.promote,
            already_champion=False,
            champion=str(version.version) if decision.promote else champion_version,
            previous=champion_version if decision.promote else None,
            decision=decision,
        )
        return draw(self.root, self.params, version, became, asdict(evidence))

    def trial(self, model_uri: str) -> str | None:
        """Say what is wrong with its answers to an unknown and an empty history, or None."""
        return ask(model_uri, questions(csr_array((2, 0)), pa.array([], pa.string())), 10, True).error


@outside()
def retraining(root: Path, params: Params) -> Recommenders | None:
    """Return tonight's retraining of the champion, where it is another candidate than the challenger.

    None without a champion, or where tonight has no candidate of its name with its settings.

    Raises:
        Unavailable: the store does not answer.
    """
    champion = current(connect(root), params.register_.name)
    name = None if champion is None else champion.tags.get(CANDIDATE)
    if champion is None or name is None or name not in params.candidates or name == challenger_of(root):
        return None
    own = Recommenders(root, params, name)
    same = champion.tags.get(SETTINGS) == own.settings
    return own if same and skipped(root, name) is None else None


@dataclass(frozen=True)
class Champion:
    """The champion, loaded into this process."""

    identity: VersionId
    packaged: PackagedRecommender

    @property
    def version(self) -> str:
        """Its number in the registered model."""
        return self.identity.version


@outside()
def load_champion(root: Path, name: str) -> Champion:
    """Load the champion's recommender and ids into this process, with this process's code.

    Raises:
        RecganError: there is no champion.
    """
    version = the_champion(connect(root), name)
    return Champion(identify(version), load_version(name, str(version.version)))


@outside()
def load_version(name: str, version: str) -> PackagedRecommender:
    """Load a version's package from the store that `connect` has pointed MLflow at.

    Raises:
        Unavailable: it cannot be fetched.
        DamagedPackageError: a file of it is not the one that was packaged.
    """
    with temporary_folder() as folder:
        uri = f"models:/{name}/{version}/artifacts"
        model = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))
        return PackagedRecommender.load(model / "recommender", model / "items.json")
