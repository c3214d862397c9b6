"""The example file of a proposal, written and checked by the stages themselves."""

import os
from pathlib import Path
from typing import Any

from recgan.adopt.draft import Draft, text
from recgan.adopt.proposal import Proposal
from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.files import read_json, write_text
from recgan.core.temporary import temporary_folder
from recgan.stages import features, ingest, screen, validate
from recgan.use import EXAMPLES, whole

BASE = "own-files.yaml"
_UNFINISHED = layout.STATE / "adopt"
"""Copies of the examples whose check failed."""

_LARGE = ("large-catalogue.yaml", 20_000)
"""The base, and the number of products from which EASE's dense matrices take minutes."""


def base_of(proposal: Proposal) -> str:
    """Return the name of the example that suits the number of products."""
    products = proposal.kept["item_id"].combine_chunks().unique()
    return _LARGE[0] if len(products) > _LARGE[1] else BASE


def example(proposal: Proposal, name: str, content: dict[str, Any], base: str, path: Path) -> str:
    """Return the text of the example.

    Args:
        proposal: what is to be written.
        name: of the example, and of the model that it registers.
        content: what the base comes to.
        base: its path from the example's folder.
        path: becomes `ingest.path`.
    """
    draft = Draft(content)
    for key, value in proposal.ingest.items():
        values = value.items() if key == "csv" else [(None, value)]
        for inside, one in values:
            draft.put(f"ingest.{key}" + (f".{inside}" if inside else ""), str(path) if key == "path" else one)
    draft.comments["ingest.event_names"] = "yours: ours"
    if proposal.kinds.others:
        others = ", ".join(proposal.kinds.others[:6])
        draft.comments["ingest.event_names"] = f"yours: ours; rows of others are left out: {others}"
    if "timezone" not in proposal.ingest and not proposal.moments.zoned:
        draft.comments["ingest.columns"] = (
            "times have no zone: read as UTC, or as of `timezone: Europe/Berlin`"
        )
    draft.comments["ingest.fill_down"] = "what an order's first row alone has"
    draft.comments["ingest.leave_out"] = "rows of orders that nobody kept; [] means any value"
    for key, value in proposal.validate.items():
        draft.put(f"validate.{key}", value)
    draft.comments["validate.not_products"] = "see that nobody misses one of these"
    draft.comments["validate.values"] = "as far as this export goes"
    draft.comments["validate.price"] = "as far as this export goes"
    draft.comments["validate.expected"] = "left out as a matter of course; the quarantine counts them"
    draft.comments["validate.min_events"] = "half of this export: a cut-off one stops the night"
    draft.comments["validate.max_user_share"] = "few shoppers: one of them has a large share"
    _put_sizes(draft, proposal)
    draft.put("register.name", f"recgan-{name}")
    heading = (
        f"{proposal.export.path.name}, {proposal.kind.name}, as `recgan adopt` proposed it.\n"
        "Edit it freely. YAML 1.2, as DVC reads it: 1e-4 is a number, NO a text; a time stands in quotes.\n"
        "What each parameter means and which values it takes: src/recgan/settings.py."
    )
    return text(draft, base, heading, {"validate.not_products": proposal.no_products})


def _put_sizes(draft: Draft, proposal: Proposal) -> None:
    sizes = proposal.sizes
    if sizes is None:
        return
    stars = proposal.validate.get("values", {}).get("rating", draft.base["validate"]["values"]["rating"])
    if stars != draft.base["validate"]["values"]["rating"]:
        liking = round(stars["low"] + 0.75 * (stars["high"] - stars["low"]), 2)
        draft.put("features.min_rating", liking, "from three quarters of the scale on it is a liking")
    draft.put("features.min_user_items", sizes.min_user_items, "few shoppers have three products")
    draft.put("features.min_item_users", sizes.min_item_users, "few products have three shoppers")
    why = (
        f"of {sizes.days:.0f} days; {sizes.shoppers:,} shoppers meet something new in the last {sizes.window}"
    )
    draft.put("features.split.validation_days", sizes.window, why)
    draft.put(
        "features.split.test_days",
        sizes.window,
        "" if "features.split.validation_days" in draft.comments else why,
    )
    if sizes.few:
        draft.put("candidates.rcgan", None, "too few shoppers for a network; take the line out to train it")
        draft.put("candidates.two_stage", None)
    if sizes.monitor_events < draft.base["monitor"]["min_events"]:
        draft.put("monitor.min_events", sizes.monitor_events, "half of what the last days had")


def place(name: str, out: Path | None, root: Path) -> tuple[Path, str]:
    """Return where the example goes, and how `make run` names it.

    Raises:
        RecganError: this is no project.
    """
    if not (root / EXAMPLES / BASE).is_file():
        raise RecganError(f"no {EXAMPLES}/{BASE} here; run recgan adopt from the root of the project")
    target = root / EXAMPLES / f"{name}.yaml" if out is None else out
    inside = target.parent.resolve() == (root / EXAMPLES).resolve()
    return target, target.stem if inside else str(target)


def unfinished(target: Path, root: Path) -> bool:
    """Tell whether an example is one whose check failed, as it was written: nobody has edited it since."""
    kept = root / _UNFINISHED / target.name
    return kept.is_file() and kept.read_bytes() == target.read_bytes()


def keep(target: Path, content: str, root: Path, *, finished: bool) -> None:
    """Write an example; of an unfinished one a copy stays, by which the next attempt knows it."""
    kept = root / _UNFINISHED / target.name
    if finished:
        kept.unlink(missing_ok=True)
    else:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_text(kept, content)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, content)


def path_from(target: Path, base: str, root: Path) -> str:
    """Return the path of a base from the folder of the example."""
    return os.path.relpath(root / EXAMPLES / base, target.parent)


def check(content: str) -> dict[str, Any]:
    """Run ingest, validation, the screen and features on an example in a folder of their own.

    Args:
        content: of the example, with absolute paths.

    Returns:
        The figures of metrics/features.json.

    Raises:
        RecganError: what the stage says of it.
    """
    with temporary_folder() as folder:
        written = folder / "example.yaml"
        write_text(written, content)
        (folder / layout.PARAMS).write_bytes(whole(written)[0])
        for stage in (ingest, validate, screen, features):
            stage(folder)
        figures: dict[str, Any] = read_json(folder / layout.FEATURES_METRICS)
        return figures
