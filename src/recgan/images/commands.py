"""The commands of `recgan images`, one for each stage and tool; their imports stay lazy."""

from pathlib import Path

import typer

from recgan.core.options import By, Reason, Version

images = typer.Typer(no_args_is_help=True, help="Train, measure and show generators of images.")


@images.command("ingest")
def images_ingest() -> None:
    """Read the images that images/params.yaml names."""
    from recgan.images.sources import ingest as stage

    stage()


@images.command("classify")
def images_classify() -> None:
    """Train the classifier that measures every generator."""
    from recgan.images.classifier import classify as stage

    stage()


@images.command("train")
def images_train() -> None:
    """Train the image generator."""
    from recgan.images.train import train as stage

    stage()


@images.command("evaluate")
def images_evaluate() -> None:
    """Measure the image generator against test images."""
    from recgan.images.evaluate import evaluate as stage

    stage()


@images.command("taste")
def images_taste() -> None:
    """Picture what shoppers are recommended, on one page."""
    from recgan.images.taste import taste as tool

    tool()


@images.command("promote")
def images_promote(version: Version, reason: Reason, by: By = None) -> None:
    """Make a version of the image generator the champion by hand, without the gate."""
    from recgan.images.package.store import Generators
    from recgan.images.settings import load_images_params
    from recgan.registry.by_hand import promote_by_hand, sentence

    root = Path()
    print(sentence(promote_by_hand(Generators(root, load_images_params(root)), version, reason, by)))


@images.command("rollback")
def images_rollback(reason: Reason, by: By = None) -> None:
    """Make the image generator that was the champion before the champion again."""
    from recgan.images.package.store import Generators
    from recgan.images.settings import load_images_params
    from recgan.registry.rollback import rollback as put_back
    from recgan.registry.rollback import sentence

    root = Path()
    print(sentence(put_back(Generators(root, load_images_params(root)), reason, by)))
