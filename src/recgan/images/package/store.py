"""Register, judge and promote image generators, as the registry does with recommenders."""

import base64
import hashlib
import json
import logging
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.models.model import ModelInfo

from recgan.core.errors import RecganError, Unavailable
from recgan.core.files import read_json
from recgan.core.temporary import temporary_folder
from recgan.images.classifier import CLASSIFIER, Classifier
from recgan.images.evaluate import Measures, measure
from recgan.images.gan import even_labels
from recgan.images.labelled import Images, read_images
from recgan.images.measures import class_gaussians, frechet_distance, gaussian
from recgan.images.package.gate import ImageEvidence, decide
from recgan.images.package.log import log_package
from recgan.images.pictures import Pixels, from_png
from recgan.images.settings import PARAMS, EvaluateImagesParams, ImagesParams, IngestImagesParams
from recgan.images.train import CURVES
from recgan.package.asking import ended, fetched
from recgan.package.store import Registered, enrol
from recgan.registry.figures import flat, log_figures
from recgan.registry.lineage import check_locked, origin
from recgan.registry.outage import outside
from recgan.registry.promotion import Judgement, Promotion, judged, judged_before, settle
from recgan.registry.tracking import connect, current

log = logging.getLogger(__name__)

_FOLDER = Path("images")
_ASK_TIMEOUT = 1800  # seconds


@outside()
def register(root: Path, params: ImagesParams, flow_run_id: str | None = None) -> Registered:
    """Log the trained generator as one MLflow run, with every grid of samples, and register it.

    Idempotent: a training that has a version already gets no second one.

    Args:
        root: the project.
        params: of images/params.yaml.
        flow_run_id: of the Prefect flow run; None for a run by hand.

    Raises:
        RecganError: a stage has not run yet, its output is not that of images/dvc.lock, or the tracking store
            does not answer.
    """
    tags = origin(root, root / _FOLDER, flow_run_id)
    check_locked(
        root, root / _FOLDER, (("classify", "images/models/classifier"), ("train", "images/models/generator"))
    )

    def package(client: MlflowClient, run_id: str) -> ModelInfo:
        mlflow.log_params(dict(flat(params.model_dump(mode="json", by_alias=True), ".")))
        log_figures(client, run_id, root / _FOLDER / "metrics", root / CURVES)
        mlflow.log_artifacts(str(root / _FOLDER / "reports"), "reports")
        for file in (PARAMS, _FOLDER / "dvc.yaml", _FOLDER / "dvc.lock"):
            if (root / file).exists():
                mlflow.log_artifact(str(root / file))
        return log_package(root, params, tags)

    return enrol(root, params.register_.name, tags, package)


@outside()
def judge(root: Path, params: ImagesParams, version: str) -> Judgement:
    """Measure a version and the champion by today's classifier and let the gate decide.

    Raises:
        RecganError: images or classifier are missing, or the champion does not answer.
    """
    client, name = connect(root), params.register_.name
    champion = current(client, name)
    champion_version = None if champion is None else str(champion.version)
    key = _key(root, params, champion_version)
    known = judged_before(client, name, version, champion_version, key)
    if known is not None:
        return known

    def look() -> Judgement:
        evidence = gather_evidence(root, params, version, champion_version, client)
        return Judgement(champion_version, decide(evidence, params.register_.gate), evidence, key)

    return judged(name, version, champion_version, look)


def promote(root: Path, params: ImagesParams, version: str, judgement: Judgement) -> Promotion:
    """Make a version the champion if the gate decided so; record the decision with its reasons either way.

    Raises:
        RecganError: another process holds the critical section too long.
    """
    return settle(root, params.register_.name, version, judgement, lambda: judge(root, params, version))


def gather_evidence(
    root: Path, params: ImagesParams, version: str, champion_version: str | None, client: MlflowClient
) -> ImageEvidence:
    """Ask both packages for several draws of images and measure all of them by one classifier.

    Raises:
        RecganError: images or classifier are missing, or the champion does not answer.
    """
    name, gate = params.register_.name, params.register_.gate
    images, classifier = read_images(root), Classifier.load(root / CLASSIFIER)
    settings = EvaluateImagesParams.model_validate({**params.evaluate.model_dump(), "samples": gate.samples})
    labels = even_labels(gate.samples, len(images.classes))
    rng = np.random.default_rng(settings.seed)
    plain = class_gaussians(images.train.pixels, images.train.labels, labels, rng)
    real = gaussian(classifier.see(images.test.pixels).features)

    def distances(draws: list[Pixels]) -> tuple[float, ...]:
        different = {draw.tobytes(): draw for draw in draws}.values()  # the same set again tells nothing new
        if len(different) < len(draws):
            log.warning("only %d of %d draws differ", len(different), len(draws))
        return tuple(frechet_distance(gaussian(classifier.see(draw).features), real) for draw in different)

    log.info("asking challenger %s for %d draws of %d images", version, gate.draws, gate.samples)
    draws, error = ask(f"models:/{name}/{version}", images, params, gate.draws, gate.samples)
    first: Measures | None = None
    others: tuple[float, ...] = ()
    unfair = partial(_held_out_otherwise, client, name, params.ingest)
    champion_unfair = None if champion_version is None else unfair(champion_version)
    if error is None:
        first = measure(draws[0], None, images, classifier, settings)
        if champion_version is not None and champion_unfair is None:
            log.info("asking champion %s", champion_version)
            answers, fault = ask(
                f"models:/{name}/{champion_version}", images, params, gate.draws, gate.samples
            )
            if fault is not None:
                raise RecganError(
                    f"the champion (version {champion_version} of {name}) does not answer: {fault}; "
                    "give the alias `champion` to a version that does, or remove it"
                )
            others = distances(answers)
    return ImageEvidence(
        version=version,
        champion_version=champion_version,
        frechet=distances(draws),
        champion_frechet=others,
        gaussian_frechet=distances([plain])[0],
        coverage=float("nan") if first is None else first.coverage,
        copies=float("nan") if first is None else first.copies,
        smoke_error=error,
        challenger_unfair=unfair(version),
        champion_unfair=champion_unfair,
    )


def _held_out_otherwise(
    client: MlflowClient, name: str, today: IngestImagesParams, version: str
) -> str | None:
    """Say how the test images of a version differ from today's, by the parameters in its run."""
    run = client.get_run(str(client.get_model_version(name, version).run_id))
    drawn = ("test_share", "seed") if today.source == "digits" else ()  # the others bring a test of their own
    for key in ("source", *drawn):
        then, now = run.data.params.get(f"ingest.{key}"), str(getattr(today, key))
        if then != now:
            return f"ingest.{key} was {then} when it was trained, and is {now} now"
    return None


def ask(
    model_uri: str, images: Images, params: ImagesParams, draws: int, samples: int
) -> tuple[list[Pixels], str | None]:
    """Ask a packaged generator for draws of images, in a process of its own with its own packaged code.

    Args:
        model_uri: of MLflow, such as models:/recgan-digits/3.
        images: the source, whose classes are asked for in turn.
        params: of images/params.yaml; tell whether there are classes to ask for.
        draws: sets of images, each from a seed of its own.
        samples: images in each, (samples, side, side).

    Returns:
        The draws, and why there are none.

    Raises:
        Unavailable: the package cannot be fetched, or its process was killed or took too long.
        DamagedPackageError: a file of it is not the one that was packaged.
    """
    classes = images.classes if params.train.conditional else ()
    n = -(-samples // max(1, len(classes)))
    with outside(), fetched(model_uri) as model, temporary_folder() as folder:
        answers = folder / "answers.json"
        script = Path(__file__).with_name("ask.py")
        command = [sys.executable, "-P", str(script), str(model.resolve()), json.dumps(classes)]
        try:
            done = subprocess.run(
                [*command, str(answers), str(n), str(draws), str(os.getpid())],
                capture_output=True,
                text=True,
                timeout=_ASK_TIMEOUT,
                cwd=folder,
                env=os.environ | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(
                f"the packaged generator took longer than {_ASK_TIMEOUT} s; run this again when the machine "
                "is less busy"
            ) from None
        log.debug("%s", done.stderr)
        if done.returncode:
            fault = ended(done.returncode, (done.stderr.strip().splitlines() or ["without a word"])[-1])
            if isinstance(fault, Unavailable):
                raise fault
            return [], str(fault)
        content = read_json(answers)
    if content["error"] is not None:
        return [], str(content["error"])
    try:
        return [
            np.stack([from_png(base64.b64decode(image)) for image in draw[:samples]])
            for draw in content["images"]
        ], None
    except ValueError as error:
        return [], f"an answer is no image: {error}"


def _key(root: Path, params: ImagesParams, champion_version: str | None) -> str:
    parts = [
        (root / _FOLDER / "dvc.lock").read_text(encoding="utf-8"),
        params.register_.model_dump_json(),
        params.evaluate.model_dump_json(),
        str(champion_version),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
