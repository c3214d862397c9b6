"""Read a trained recommender from its folder."""

from pathlib import Path

from recgan.errors import RecganError
from recgan.files import read_json
from recgan.recommenders.cfgan import CFGAN
from recgan.recommenders.protocol import Recommender
from recgan.recommenders.rcgan import RCGAN


def load_recommender(folder: Path) -> Recommender:
    """Load the recommender that train wrote, by the name in recommender.json.

    Raises:
        RecganError: the folder is missing, damaged, or holds a recommender of an unknown name.
    """
    try:
        name = read_json(folder / "recommender.json")["name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecganError(f"no readable recommender in {folder} ({error}); run dvc repro train") from None
    match name:
        case CFGAN.name:
            return CFGAN.load(folder)
        case RCGAN.name:
            return RCGAN.load(folder)
    raise RecganError(f"{folder} holds a recommender named {name!r}, which this version cannot load; retrain")
