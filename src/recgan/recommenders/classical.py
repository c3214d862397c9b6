"""What every classical recommender gives, and its two files. Needs no torch, and neither does serving one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.core.files import read_json, write_json
from recgan.recommenders.trained import DESCRIPTION, WEIGHTS


class Classical(Protocol):
    """A recommender in closed form, or by alternating between two."""

    half_life_days: float | None
    """By which a history's entries are weighed when it is scored; those that do not weigh it lack this."""

    def fit(self, user_items: csr_array) -> Self:
        """Learn from confidences (users, items)."""
        ...

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Score all items for each history (rows, items): rows in, rows out.

        Args:
            user_items: confidences.
            ages: days since the last event, entry by entry those of user_items; None where nothing is known.
        """
        ...

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all that scoring needs beside the settings."""
        ...

    @classmethod
    def from_arrays(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Put one together from its settings and what `arrays` returned.

        Raises:
            ValueError: their sizes disagree.
        """
        ...


def save_classical(
    folder: Path,
    name: str,
    recommender: Classical,
    settings: Mapping[str, Any],
    validation_ndcg: float | None,
) -> None:
    """Write weights.safetensors and recommender.json into an existing folder; no pickle.

    Args:
        folder: where to.
        name: of the kind, by which `load_recommender` knows what to load.
        recommender: fitted.
        settings: those that validation chose.
        validation_ndcg: theirs; None where nothing could choose.
    """
    arrays = {part: np.ascontiguousarray(array) for part, array in recommender.arrays().items()}
    (folder / WEIGHTS).write_bytes(save(arrays))
    about = {"name": name, "settings": dict(settings), "validation_ndcg": validation_ndcg}
    write_json(folder / DESCRIPTION, about)


def load_classical(folder: Path, kind: type[Classical]) -> Classical:
    """Read what `save_classical` wrote.

    Raises:
        RecganError: a file is missing, damaged, or its sizes disagree.
    """
    try:
        settings = dict(read_json(folder / DESCRIPTION)["settings"])
        return kind.from_arrays(settings, load((folder / WEIGHTS).read_bytes()))
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise RecganError(f"no readable recommender in {folder} ({error}); run dvc repro train") from None
