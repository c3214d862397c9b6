"""Read a trained recommender from its folder."""

from pathlib import Path

from recgan.core.errors import RecganError
from recgan.core.files import read_json, read_whole
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
    # Here, so that torch is imported only where something is loaded.
    match name:
        case "cfgan":
            from recgan.recommenders.cfgan.recommender import CFGAN

            return CFGAN.load(folder)
        case "feature_gan":
            from recgan.recommenders.feature_gan.recommender import FeatureGAN

            return FeatureGAN.load(folder)
        case "rcgan":
            from recgan.recommenders.rcgan.recommender import RCGAN

            return RCGAN.load(folder)
        case "irgan":
            from recgan.recommenders.irgan.recommender import IRGAN

            return IRGAN.load(folder)
        case "student":
            from recgan.recommenders.student.recommender import Student

            return Student.load(folder)
    raise RecganError(f"{folder} holds a recommender named {name!r}, which this version cannot load; retrain")
