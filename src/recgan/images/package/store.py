"""Image generators in the registry: how one is registered and judged."""

from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.models.model import ModelInfo

from recgan.core import layout
from recgan.images.classifier import CLASSIFIER
from recgan.images.package.asking import ask
from recgan.images.package.evidence import gather_evidence
from recgan.images.package.gate import ImageEvidence, decide
from recgan.images.package.log import log_package
from recgan.images.settings import ImagesParams
from recgan.images.train import GENERATOR
from recgan.registry.domain import Decision
from recgan.registry.figures import log_training, numbers
from recgan.registry.lineage import check_locked, origin

_OUTPUTS = (("classify", CLASSIFIER), ("train", GENERATOR))


@dataclass(frozen=True)
class Generators:
    """The image generators that a project trains: what `registry.domain` asks of a domain."""

    root: Path
    params: ImagesParams
    retrain = "make images"
    command = "recgan images"

    @property
    def name(self) -> str:
        """Of the registered model."""
        return self.params.register_.name

    @property
    def label(self) -> str:
        """Whose images they are made after."""
        return f"generator, images of {self.params.ingest.source}"

    @property
    def folder(self) -> Path:
        """With the stages of the images."""
        return self.root / "images"

    def tags(self, flow_run_id: str | None) -> dict[str, str]:
        """Return where the generator comes from; refuse outputs that are not those of images/dvc.lock."""
        check_locked(self.root, self.folder, _OUTPUTS)
        return origin(self.root, self.folder, flow_run_id)

    def package(self, client: MlflowClient, run_id: str, tags: dict[str, str]) -> ModelInfo:
        """Log parameters, figures, every grid of samples, and the package."""
        content = self.params.model_dump(mode="json", by_alias=True)
        measured = {
            key: value
            for path in sorted((self.folder / layout.METRICS).glob("*.json"))
            for key, value in numbers(path, path.stem).items()
        }
        log_training(client, run_id, self.folder, content, measured)
        return log_package(self.root, self.params, tags)

    def basis(self) -> tuple[str, ...]:
        """Return images/dvc.lock and the parameters that decide."""
        return (
            (self.folder / layout.LOCK).read_text(encoding="utf-8"),
            self.params.register_.model_dump_json(),
            self.params.evaluate.model_dump_json(),
        )

    def look(
        self, client: MlflowClient, version: str, champion_version: str | None
    ) -> tuple[Decision, ImageEvidence]:
        """Measure challenger and champion by today's classifier and decide."""
        evidence = gather_evidence(self.root, self.params, client, version, champion_version)
        return decide(evidence, self.params.register_.gate), evidence

    def page(
        self,
        version: ModelVersion,
        decision: Decision,
        champion_version: str | None,
        evidence: ImageEvidence,
    ) -> str | None:
        """Return None: the evaluation of the images is Markdown, which the run has already."""
        return None

    def trial(self, model_uri: str) -> str | None:
        """Say why it does not write an image, or None."""
        return ask(model_uri, (), draws=1, samples=1)[1]
