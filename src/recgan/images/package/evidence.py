"""Evidence for the gate of the images: several draws of challenger and champion, by one classifier."""

import logging
from functools import partial
from pathlib import Path

import numpy as np
from mlflow import MlflowClient

from recgan.core.errors import RecganError
from recgan.images.classifier import CLASSIFIER, Classifier
from recgan.images.evaluate import Measures, measure
from recgan.images.gan import even_labels
from recgan.images.labelled import read_images
from recgan.images.measures import class_gaussians, frechet_distance, gaussian
from recgan.images.package.asking import ask
from recgan.images.package.gate import ImageEvidence
from recgan.images.pictures import Pixels
from recgan.images.settings import EvaluateImagesParams, ImagesParams, IngestImagesParams

log = logging.getLogger(__name__)


def gather_evidence(
    root: Path, params: ImagesParams, client: MlflowClient, version: str, champion_version: str | None
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
    known = images.train
    plain = [class_gaussians(known.pixels, known.labels, labels, rng) for _ in range(gate.draws)]
    real = gaussian(classifier.see(images.test.pixels).features)

    def distances(draws: list[Pixels]) -> tuple[float, ...]:
        different = {draw.tobytes(): draw for draw in draws}.values()  # the same set again tells nothing new
        if len(different) < len(draws):
            log.warning("only %d of %d draws differ", len(different), len(draws))
        return tuple(frechet_distance(gaussian(classifier.see(draw).features), real) for draw in different)

    def draw(version: str) -> tuple[list[Pixels], str | None]:
        classes = images.classes if params.train.conditional else ()
        return ask(f"models:/{name}/{version}", classes, gate.draws, gate.samples)

    log.info("asking challenger %s for %d draws of %s images", version, gate.draws, f"{gate.samples:,}")
    draws, error = draw(version)
    first: Measures | None = None
    others: tuple[float, ...] = ()
    unfair = partial(_held_out_otherwise, client, name, params.ingest)
    champion_unfair = None if champion_version is None else unfair(champion_version)
    if error is None:
        first = measure(draws[0], None, images, classifier, settings)
        if champion_version is not None and champion_unfair is None:
            log.info("asking champion %s", champion_version)
            answers, fault = draw(champion_version)
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
        gaussian_frechet=distances(plain),
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
