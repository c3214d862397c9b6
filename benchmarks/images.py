"""Train image GANs on MNIST and Fashion-MNIST: two networks, four losses, one table for each source.

    python benchmarks/images.py --data FOLDER [--sources mnist fashion-mnist] [--networks dcgan dense]
        [--losses cross-entropy least-squares wasserstein-penalty wasserstein-clipped] [--limit 10000]
        [--dcgan-epochs 4] [--dense-epochs 8] [--width 0.5] [--threads 1] [--grids FOLDER]

FOLDER holds mnist/ and fashion-mnist/ with their idx files. Everything else is images/params.yaml. All
networks are conditional; the look with the smallest Fréchet distance to training images is kept, and the
table measures it on 1,000 images against the test images that nothing has seen. The DCGAN has half of the
article's channels unless --width is 1, for the CPU's sake.
"""

import argparse
import copy
import time
from pathlib import Path

import numpy as np
import torch

from recgan.core.yaml12 import read_yaml
from recgan.images.classifier import Classifier
from recgan.images.evaluate import Measures, measure
from recgan.images.gan import even_labels
from recgan.images.labelled import Images
from recgan.images.measures import class_gaussians
from recgan.images.pictures import grid, png
from recgan.images.settings import ImagesParams
from recgan.images.sources import read_source
from recgan.images.train import fit

PARAMS = Path(__file__).parents[1] / "images/params.yaml"

LOSSES = {
    "cross-entropy": {"loss": "non_saturating"},
    "least-squares": {"loss": "least_squares"},
    "wasserstein-penalty": {"loss": "wasserstein", "constraints": {"gradient_penalty": 10}},
    "wasserstein-clipped": {"loss": "wasserstein", "constraints": {"clip_weights": 0.05}},
}
"""Name → what differs from images/params.yaml."""

WIDTHS = {"dcgan": ([256, 128, 64], [64, 128]), "dense": ([256, 512, 1024], [512, 256, 128])}


def params(source: str, arguments: argparse.Namespace) -> ImagesParams:
    """Return images/params.yaml for another source."""
    content = read_yaml(PARAMS)
    content["ingest"] |= {"source": source, "path": str(arguments.data / source), "limit": arguments.limit}
    content["classify"]["epochs"] = 4
    return ImagesParams.model_validate(content)


def settings(whole: ImagesParams, network: str, loss: str, arguments: argparse.Namespace) -> ImagesParams:
    """Return the same with another network and loss."""
    content = copy.deepcopy(whole.model_dump(by_alias=True))
    train = content["train"]
    g, d = ([max(1, round(width * arguments.width)) for width in side] for side in WIDTHS[network])
    if network == "dense":
        g, d = WIDTHS[network]
    epochs = {"dcgan": arguments.dcgan_epochs, "dense": arguments.dense_epochs}[network]
    train |= {"network": network, "loss": LOSSES[loss]["loss"], "epochs": epochs}
    train["evaluate_every"] = max(1, epochs // 2)
    train["constraints"] |= LOSSES[loss].get("constraints", {})
    train["generator"]["hidden"], train["discriminator"]["hidden"] = g, d
    return ImagesParams.model_validate(content)


def row(name: str, found: Measures, seconds: str) -> str:
    accuracy = "–" if found.class_accuracy is None else f"{found.class_accuracy:.1%}"
    return (
        f"| {name} | {found.frechet:.2f} | {accuracy} | {found.coverage:.0%} | {found.effective_classes:.1f} "
        f"| {found.precision:.2f} | {found.recall:.2f} | {found.copies:.1%} | {seconds} |"
    )


def reference(images: Images, classifier: Classifier, whole: ImagesParams) -> None:
    """Print what real images and a Gaussian for each class come to."""
    labels = even_labels(whole.evaluate.samples, len(images.classes))
    rng = np.random.default_rng(0)
    plain = class_gaussians(images.train.pixels, images.train.labels, labels, rng)
    print(row("class Gaussians", measure(plain, labels, images, classifier, whole.evaluate), ""), flush=True)
    known = images.train.take(rng.permutation(len(images.train.labels))[: whole.evaluate.samples])
    found = measure(known.pixels, known.labels, images, classifier, whole.evaluate)
    print(row("training images", found, ""), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sources", nargs="+", default=["mnist", "fashion-mnist"])
    parser.add_argument("--networks", nargs="+", choices=list(WIDTHS), default=list(WIDTHS))
    parser.add_argument("--losses", nargs="+", choices=list(LOSSES), default=list(LOSSES))
    parser.add_argument("--limit", type=int, default=10_000)
    parser.add_argument("--dcgan-epochs", type=int, default=4)
    parser.add_argument("--dense-epochs", type=int, default=8)
    parser.add_argument("--width", type=float, default=0.5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--grids", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for source in arguments.sources:
        whole = params(source, arguments)
        images = read_source(whole.ingest)
        start = time.process_time()
        classifier = Classifier(whole.classify, images.side, len(images.classes)).fit(images.train)
        accuracy = (classifier.see(images.test.pixels).classes == images.test.labels).mean()
        print(
            f"\n{source}: {len(images.train.labels):,} training images, classifier right in {accuracy:.1%} "
            f"of the test images, {time.process_time() - start:.0f} s of CPU\n\n"
            "| | Fréchet | class accuracy | coverage | effective classes | precision | recall "
            "| copies | seconds of CPU |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|",
            flush=True,
        )
        reference(images, classifier, whole)
        for network in arguments.networks:
            for loss in arguments.losses:
                chosen = settings(whole, network, loss, arguments)
                start = time.process_time()
                grids = None if arguments.grids is None else arguments.grids / source / network / loss
                gan = fit(chosen.train, images, classifier, grids)
                seconds = time.process_time() - start
                labels = even_labels(whole.evaluate.samples, len(images.classes))
                written = gan.write(labels, torch.Generator().manual_seed(0))
                found = measure(written, labels, images, classifier, whole.evaluate)
                print(row(f"{network}, {loss}", found, f"{seconds:.0f}"), flush=True)
                if grids is not None:
                    (grids / "kept.png").write_bytes(png(grid(written[:100], 10, 2)))


if __name__ == "__main__":
    main()
