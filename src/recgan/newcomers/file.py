"""The file of new products: one safetensors file, whose bytes are the old or the new ones."""

import hashlib
import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.files import replacing
from recgan.newcomers.tastes import Standing, Tastes
from recgan.newcomers.weights import Newcomers, Origin
from recgan.package.packaged import Catalogue

VARIABLE = "RECGAN_NEWCOMERS"
"""Names the file where a server is not to look beside the published recommendations."""

_OWN, _STANDING = ("vectors", "stand_ins", "stand_in_shares"), ("mean", "covariance")


def target_path(root: Path, name: str) -> Path:
    """Return where the new products of a registered model's champion stand: beside its lists."""
    return root / layout.RECOMMENDATIONS / f"{name}.newcomers.safetensors"


def write_newcomers(newcomers: Newcomers, path: Path) -> None:
    """Write the file in one step; no pickle."""
    origin = newcomers.origin
    about = {
        "origin": asdict(origin) | {"until": origin.until.isoformat()},
        "item_ids": newcomers.item_ids,
        "catalogue": asdict(newcomers.catalogue),
        "lift": newcomers.lift,
        "max_share": newcomers.max_share,
        "owners": newcomers.owners,
    }
    arrays = {name: np.ascontiguousarray(getattr(newcomers, name)) for name in _OWN}
    arrays |= {name: np.ascontiguousarray(getattr(newcomers.standing, name)) for name in _STANDING}
    arrays["directions"] = np.ascontiguousarray(newcomers.standing.tastes.directions)
    # Beside the weights, not in the header: that may have 100 MB, and a large shop's owners take more.
    arrays["about"] = np.frombuffer(json.dumps(about, allow_nan=False).encode(), dtype=np.uint8)
    with replacing(path) as new:
        new.write_bytes(save(arrays))


def read_newcomers(path: Path) -> Newcomers:
    """Read what `write_newcomers` wrote.

    Raises:
        RecganError: the file is missing, damaged, or its sizes disagree.
    """
    try:
        content = path.read_bytes()
        arrays = load(content)
        about = json.loads(arrays.pop("about").tobytes())
        origin = about["origin"]
        found = Newcomers(
            origin=Origin(**(origin | {"until": datetime.fromisoformat(origin["until"])})),
            item_ids=list(about["item_ids"]),
            catalogue=Catalogue(**about["catalogue"]),
            standing=Standing(Tastes(arrays["directions"]), arrays["mean"], arrays["covariance"]),
            lift=float(about["lift"]),
            max_share=float(about["max_share"]),
            owners=dict(about["owners"]),
            md5=hashlib.md5(content, usedforsecurity=False).hexdigest(),
            **{name: arrays[name] for name in _OWN},
        )
        _check(found)
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise RecganError(f"no readable new products in {path} ({error}); run recgan newcomers") from None
    return found


def _check(found: Newcomers) -> None:
    """Raise ValueError where sizes disagree."""
    n_new, directions = len(found), found.standing.tastes.directions
    width, few = directions.shape[1] + 1, found.stand_ins.shape[1]
    for name, array, shape in (
        ("vectors", found.vectors, (n_new, width)),
        ("mean", found.standing.mean, (width,)),
        ("covariance", found.standing.covariance, (width, width)),
        ("stand_ins", found.stand_ins, (n_new, few)),
        ("stand_in_shares", found.stand_in_shares, (n_new, few)),
    ):
        if array.shape != shape:
            raise ValueError(f"{name} is {array.shape}, not {shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds what is no number")
    if not 0 <= found.max_share <= 1:
        raise ValueError(f"max_share is {found.max_share:g}")
    if len(set(found.item_ids)) < n_new:
        raise ValueError("a product stands twice")
    if len(found.catalogue.titles) != n_new:
        raise ValueError(f"there are {len(found.catalogue.titles):,} titles for {n_new:,} products")
    if found.catalogue.images is not None and len(found.catalogue.images) != n_new:
        raise ValueError(f"there are {len(found.catalogue.images):,} pictures for {n_new:,} products")
    if found.catalogue.brands is not None and len(found.catalogue.brands) != n_new:
        raise ValueError(f"there are {len(found.catalogue.brands):,} brands for {n_new:,} products")
    if n_new and not 0 <= found.stand_ins.min() <= found.stand_ins.max() < len(directions):
        raise ValueError("a stand-in is no known product")
