"""Warm start: a training begins from the weights that the champion's training left.

Two trainings make a recommender. The first, on train, learns the epoch from validation; the second, on
train + validation, serves. Each leaves weights of its own, and each begins from those of its own kind:

    first     its weights know events before then's validation window, which may not start after tonight's
    second    its weights know events before then's test window, which may not start after tonight's

So neither knows what is held out from it. By induction that holds for a chain of nights too. The weights that
serve would leak into the first training: they know most of tonight's validation window, on which it stops.

Rows of users and items are copied by id. New ones start as they do in a training that begins anew, and so do
the optimisers.

Night after night on the same weights is one long training, which overfits. So one night in `EVERY` begins
anew, as does the first. Beside it the warm start takes one look, which tells whether the nights after it may
begin warm.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.files import read_json, write_json
from recgan.features.matrices import Features
from recgan.features.unfair import unfair
from recgan.recommenders.settings import WarmParams

log = logging.getLogger(__name__)

EVERY = 5
"""Nights of which one begins anew and compares."""
WITHIN = 0.01
"""What the warm start's one look may be below the NDCG on validation of that night, as a share: about what
another seed makes of it."""

Tables = Mapping[str, str]
"""A weight's name → `items` or `users`, of which it has a row each; all others have one size every night."""
Begin = Callable[[Any], None]
"""Sets a game's first weights."""


@dataclass(frozen=True)
class Left:
    """What one training left: the weights of all players."""

    tensors: Mapping[str, Tensor]
    user_ids: NDArray[np.object_]
    item_ids: NDArray[np.object_]


@dataclass(frozen=True)
class History:
    """What the nights before found of warm starts."""

    good: bool = False
    """Whether the last night that compared found them good."""
    since: int | None = None
    """Nights since then; None where none has compared."""


@dataclass(frozen=True)
class Start:
    """What tonight may begin from."""

    first: Left
    second: Left | None
    """None where the champion was not fitted anew."""
    version: str
    history: History


def begin_from(
    left: Left, tables: Tables, user_ids: NDArray[np.object_], item_ids: NDArray[np.object_]
) -> Begin:
    """Return what puts weights into a game whose rows are these users and items."""
    rows = {"users": matched(left.user_ids, user_ids), "items": matched(left.item_ids, item_ids)}

    def begin(game: Any) -> None:
        with torch.no_grad():
            for player in ("generator", "discriminator"):
                network = getattr(game, player)
                for name, weight in () if network is None else network.named_parameters():
                    old = left.tensors[f"{player}.{name}"].to(weight.device)
                    axis = tables.get(f"{player}.{name}")
                    if axis is None:
                        weight.copy_(old)
                    else:
                        then, now = (torch.as_tensor(one, device=weight.device) for one in rows[axis])
                        weight[now] = old[then]

    return begin


def matched(
    then: NDArray[np.object_], now: NDArray[np.object_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions, then and now, of the ids that both have."""
    _, before, today = np.intersect1d(then.astype(str), now.astype(str), return_indices=True)
    return before, today


def leak(then: Mapping[str, Any], summary: Mapping[str, Any]) -> str | None:
    """Say why weights may know what tonight holds out; None where they cannot.

    Args:
        then: what was held out from them: `split`, an identity, and `cuts` of a split in time.
        summary: of tonight's features.
    """
    now = summary["split_identity"]
    if (why := unfair(then["split"], now)) is not None:
        return why
    if now["kind"] == "time":
        before, tonight = (datetime.fromisoformat(one["cuts"]["validation_start"]) for one in (then, summary))
        if before > tonight:
            return (
                f"its first weights know events until {before:%Y-%m-%d %H:%M}, and tonight's validation "
                f"window starts at {tonight:%Y-%m-%d %H:%M}"
            )
        return None
    if now["kind"] == "random" and then["split"] == now:
        return None
    return f"the {now['kind']} split does not tell that validation held out the same then"


def write_left(
    folder: Path,
    settings: WarmParams,
    features: Features,
    weights: tuple[Mapping[str, Tensor], Mapping[str, Tensor] | None],
    history: History,
) -> None:
    """Write what the next nights may begin from into a new folder; no pickle.

    Args:
        folder: where to.
        settings: of the candidate.
        features: that it was trained on.
        weights: of the first and the second training; None without a second one.
        history: of warm starts, tonight included.
    """
    folder.mkdir()
    for name, tensors in zip(_TRAININGS, weights, strict=True):
        if tensors is not None:
            content = save({key: tensor.contiguous() for key, tensor in tensors.items()})
            (folder / f"{name}.safetensors").write_bytes(content)
    items = features.items["item_id"].to_numpy()
    ids: dict[str, NDArray[Any]] = {
        "user_ids": features.user_ids.astype(str),
        "item_ids": items.astype(str),
        "train": np.array(features.train.shape),
    }
    np.savez_compressed(folder / "ids.npz", allow_pickle=False, **ids)
    about = {
        "recommender": settings.recommender,
        "sizes": settings.sizes,
        "split": features.summary["split_identity"],
        "cuts": features.summary.get("cuts"),
        "good": history.good,
        "since": history.since,
    }
    write_json(folder / layout.BEGIN, about)


def read_start(folder: Path, name: str, settings: WarmParams, features: Features) -> Start | str:
    """Read what a candidate may begin from, or say why it begins anew.

    Args:
        folder: what a flow has put there for tonight.
        name: of the candidate.
        settings: of the candidate.
        features: of tonight.

    Raises:
        RecganError: the folder is damaged.
    """
    try:
        about = read_json(folder / layout.BEGIN)
        if "version" not in about:
            return str(about["reason"])
        if about["candidate"] != name:
            return f"the champion is {about['candidate']}"
        if (about["recommender"], about["sizes"]) != (settings.recommender, settings.sizes):
            return f"the champion's networks are {about['recommender']} of {about['sizes']}"
        if features.validation is None:
            return "nothing is held out for validation, so nobody could tell whether it is good"
        if (why := leak(about, features.summary)) is not None:
            return f"{why}: that would leak"
        with np.load(folder / "ids.npz", allow_pickle=False) as ids:
            users, items = (ids[axis].astype(object) for axis in ("user_ids", "item_ids"))
            n_users, n_items = ids["train"].tolist()
        first = load((folder / "first.safetensors").read_bytes())
        second = folder / "second.safetensors"
        if settings.refit and not second.exists():
            return "the champion was not fitted anew on train + validation"
        return Start(
            Left(first, users[:n_users], items[:n_items]),
            Left(load(second.read_bytes()), users, items) if second.exists() else None,
            str(about["version"]),
            History(bool(about["good"]), about["since"]),
        )
    except (OSError, KeyError, TypeError, ValueError, BadZipFile, SafetensorError) as error:
        raise RecganError(
            f"what {name} begins from is not readable in {folder} ({error!r}); remove the folder and run "
            "this again"
        ) from None


_TRAININGS = ("first", "second")


@dataclass(frozen=True)
class Plan:
    """How tonight's training begins."""

    first: Begin | None = None
    """None begins anew."""
    second: Begin | None = None
    compared: Begin | None = None
    """What a night that begins anew compares with."""
    history: History = field(default_factory=History)
    """Of warm starts, tonight included, without what tonight finds."""
    version: str | None = None
    """Of what it begins from or compares with."""

    @property
    def began_from(self) -> str | None:
        """Return the version that it begins from; None anew."""
        return None if self.first is None else self.version


def plan_of(folder: Path | None, name: str, settings: WarmParams, tables: Tables, features: Features) -> Plan:
    """Say how tonight's training begins, and why anew.

    Args:
        folder: what a flow has put there; None begins anew.
        name: of the candidate.
        settings: of the candidate.
        tables: which of its weights have a row for each item or user.
        features: of tonight.

    Raises:
        RecganError: the folder is damaged.
    """
    if folder is None or not (folder / layout.BEGIN).exists():
        found: Start | str = "no flow has looked for a champion"
    else:
        found = read_start(folder, name, settings, features)
    if isinstance(found, str):
        log.info("%s begins anew: %s", name, found)
        return Plan()
    items, (n_users, n_items) = features.items["item_id"].to_numpy(), features.train.shape
    first = begin_from(found.first, tables, features.user_ids[:n_users], items[:n_items])
    since = None if found.history.since is None else found.history.since + 1
    if since is None or since >= EVERY:
        log.info("%s begins anew, as one night in %s does; version %s compares", name, EVERY, found.version)
        return Plan(compared=first, history=History(since=0), version=found.version)
    history = replace(found.history, since=since)
    if not history.good:
        log.info("%s begins anew: the warm start was behind when it was last compared", name)
        return Plan(history=history)
    log.info("%s begins from version %s", name, found.version)
    second = None
    if found.second is not None:
        second = begin_from(found.second, tables, features.user_ids, items)
    return Plan(first, second, history=history, version=found.version)


def is_good(warm: float, anew: float) -> bool:
    """Tell whether a warm start keeps up with a training that began anew, by their NDCG on validation."""
    return warm >= (1 - WITHIN) * anew
