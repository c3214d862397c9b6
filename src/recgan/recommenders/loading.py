"""Read a trained recommender from its folder."""

from pathlib import Path

from recgan.core.errors import RecganError
from recgan.core.files import read_json, read_whole
from recgan.recommenders.catalogue import TRAINED, class_of
from recgan.recommenders.protocol import Recommender


def load_recommender(folder: Path) -> Recommender:
    """Load the recommender that train wrote, by the name in recommender.json.

    Raises:
        RecganError: the folder is missing, damaged, or holds a recommender of an unknown name.
        Unavailable: the folder was replaced again and again meanwhile.
    """
    return read_whole(folder, _load)


def _load(folder: Path) -> Recommender:
    try:
        name = read_json(folder / "recommender.json")["name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecganError(f"no readable recommender in {folder} ({error}); run dvc repro train") from None
    if name not in TRAINED:
        raise RecganError(
            f"{folder} holds a recommender named {name!r}, which this version cannot load; retrain"
        )
    return class_of(name).load(folder)
