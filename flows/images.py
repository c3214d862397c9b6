"""Images: every stage of images/dvc.yaml, then register, the gate, promotion, and what people read."""

import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.preflight import prepare

prepare(__name__ == "__main__")  # before Prefect and MLflow read their settings

from prefect import flow, get_run_logger, task  # noqa: E402
from prefect.artifacts import create_markdown_artifact  # noqa: E402
from prefect.cache_policies import NO_CACHE  # noqa: E402
from prefect.states import Completed, State  # noqa: E402

from flows import summary  # noqa: E402
from flows.here import run_here  # noqa: E402
from flows.names import named  # noqa: E402
from flows.promotion import through_the_gate  # noqa: E402
from flows.retrain import push  # noqa: E402
from flows.stages import run_in_order, run_stage, stage_order  # noqa: E402
from recgan.core.alone import alone  # noqa: E402
from recgan.images import taste  # noqa: E402
from recgan.images.evaluate import REPORT  # noqa: E402
from recgan.images.package.store import Generators  # noqa: E402
from recgan.images.page import PAGE, write_page  # noqa: E402
from recgan.images.settings import ImagesParams, load_images_params  # noqa: E402
from recgan.registry.live import followed  # noqa: E402
from recgan.registry.promotion import Promotion  # noqa: E402

STAGES = "images/dvc.yaml"


@task(cache_policy=NO_CACHE)  # DVC's is the only cache
def bring_up_to_date(stage: str, root: Path, params: ImagesParams) -> State[str]:
    """Run one DVC stage, or find it unchanged."""
    with followed(root, params.register_.name) if stage == "train" else nullcontext({}) as variables:
        outcome = run_stage(f"{STAGES}:{stage}", root, get_run_logger().info, variables)
    return Completed(name=outcome.title(), message=f"{stage}: {outcome}", data=str(outcome))


@task(task_run_name="picture-taste", cache_policy=NO_CACHE)
def picture_taste(root: Path, params: ImagesParams) -> State[str]:
    """Write the page of histories, recommendations and pictures, or say why there is none."""
    reason = taste.why_not(params, root)
    if reason is not None:
        return Completed(name="Skipped", message=f"no pictures of a taste: {reason}", data=reason)
    taste.taste(root=root)
    return Completed(name="Ran", message=f"wrote {taste.PAGE}", data=str(taste.PAGE))


@task(task_run_name="publish", cache_policy=NO_CACHE)
def publish(root: Path, params: ImagesParams, promotion: Promotion) -> None:
    """Show the measures and the decision: as artifacts, and as a page with the images of each class."""
    report = (root / REPORT).read_text(encoding="utf-8")
    create_markdown_artifact(report, key="images", description="The generated images, measured")
    create_markdown_artifact(
        summary.decision(params, promotion), key="images-gate", description="The gate's decision"
    )
    write_page(root, params, promotion, datetime.now(UTC).date())


@flow(name="images", flow_run_name=named("images", load_images_params))
def images(root: Path = Path()) -> State[Promotion]:
    """Bring every stage up to date, register the generator, and promote it if the gate lets it pass.

    Args:
        root: the project, a folder with images/params.yaml and images/dvc.yaml.
    """
    # Not the lock of the recommender's stages: neither chain writes what the other reads.
    with alone(root / ".recgan/images.lock", "images", get_run_logger().info):
        params = load_images_params(root)

        def run(stage: str, after: list[Any]) -> State[str]:
            task = bring_up_to_date.with_options(name=stage, task_run_name=stage)
            return task(stage, root, params, return_state=True, wait_for=after)

        done = run_in_order(stage_order(root, STAGES), run)[-1:]  # it waited for all the others
        picture_taste(root, params, wait_for=done)
        promotion = through_the_gate(Generators(root, params), done)
        push(root, wait_for=[promotion])
        publish(root, params, promotion)
    return Completed(
        name=summary.state_name(promotion), message=summary.sentence(params, promotion), data=promotion
    )


def main() -> int:
    """Run the flow here and print what came of it."""
    root = Path()
    return run_here(
        lambda: images(root, return_state=True),
        lambda promotion: closing(root, load_images_params(root), promotion),
        check=lambda: load_images_params(root),
    )


def closing(root: Path, params: ImagesParams, promotion: Promotion) -> str:
    """Return what `make images` ends with: the measures, the decision with its reasons, where to look."""
    name = params.register_.name
    lines = [
        "",
        (root / REPORT).read_text(encoding="utf-8"),
        f"{summary.sentence(params, promotion)}.",
        *(f"  {reason}" for reason in promotion.decision.reasons),
        "",
        "Where to look:",
        f"  {PAGE}  each class, real images beside drawn ones, and the decision",
        "  images/reports/samples/     a grid of samples for each look in training",
        "  images/reports/nearest.png  the most copied-looking images above their nearest training image",
        *([f"  {taste.PAGE}   a shopper's taste, pictured"] if (root / taste.PAGE).exists() else []),
        summary.pages(root, name, 28),
    ]
    if promotion.champion:
        lines.append(f"  make serve-model NAME={name}   ask the champion for a class over HTTP")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
