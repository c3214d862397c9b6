"""What stands beside a recommender in two stages for comparison alone: its way into a folder and back."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from recgan.core.files import read_json, write_json
from recgan.recommenders.chosen import Chosen
from recgan.recommenders.loading import load_recommender
from recgan.recommenders.two_stage.blend import Blend
from recgan.recommenders.two_stage.discriminator import Discriminator
from recgan.recommenders.two_stage.judged import Judged
from recgan.recommenders.two_stage.statistics import Statistics

_UNIFORM, _ABOUT = "uniform.safetensors", "ablations.json"


def write_ablations(folder: Path, ablations: Mapping[str, Any], blended: Sequence[Chosen]) -> None:
    """Write all but the generator, which lies beside, into an existing folder; no pickle.

    Args:
        folder: where to.
        ablations: uniform, generator and, where validation weighed one, blend.
        blended: what writes each recommender of the blend but the generator.
    """
    uniform, blend = ablations["uniform"], ablations.get("blend")
    (folder / _UNIFORM).write_bytes(save(named("discriminator", uniform.discriminator)))
    weights = None if blend is None else list(blend.weights)
    write_json(folder / _ABOUT, {"proposals": uniform.proposals, "weights": weights})
    if blend is not None:
        for number, (chosen, one) in enumerate(zip(blended, blend.recommenders[1:], strict=True)):
            (folder / str(number)).mkdir()
            chosen.save(one, folder / str(number))


def read_ablations(folder: Path, served: Judged) -> dict[str, Any]:
    """Read what `write_ablations` wrote: name → recommender.

    Args:
        folder: where it lies.
        served: the recommender that it stands beside.
    """
    about = read_json(folder / _ABOUT)
    other = Discriminator.from_arrays(part_of("discriminator", load((folder / _UNIFORM).read_bytes())))
    found: dict[str, Any] = {
        "uniform": replace(served, discriminator=other, proposals=int(about["proposals"])),
        "generator": served.generator,
    }
    if about["weights"] is not None:
        others = [load_recommender(folder / str(number)) for number in range(len(about["weights"]) - 1)]
        found["blend"] = Blend([served.generator, *others], about["weights"])
    return found


def named(name: str, part: Discriminator | Statistics) -> dict[str, NDArray[Any]]:
    """Return a part's arrays as a file of several parts names them."""
    return {f"{name}.{own}": np.ascontiguousarray(array) for own, array in part.arrays().items()}


def part_of(name: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the arrays of one part by their own names."""
    start = f"{name}."
    return {one.removeprefix(start): array for one, array in arrays.items() if one.startswith(start)}
