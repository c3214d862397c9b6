"""Read a fitted recommender from its folder."""

from pathlib import Path

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.files import read_json, read_whole
from recgan.recommenders.catalogue import CLASSICAL, TRAINED, classical_class, trained_class
from recgan.recommenders.classical import load_classical
from recgan.recommenders.protocol import Recommender
from recgan.recommenders.trained import DESCRIPTION
from recgan.recommenders.widened import as_noted


def load_recommender(folder: Path) -> Recommender:
    """Load what train wrote, by the name in recommender.json.

    Raises:
        RecganError: the folder is missing, damaged, or holds a recommender of an unknown name.
        Unavailable: the folder was replaced again and again meanwhile.
    """
    return read_whole(folder, _load)


def challenger_of(root: Path) -> str:
    """Return the name of the candidate that the last evaluation found the best on validation.

    Raises:
        RecganError: there is no readable evaluation.
    """
    path = root / layout.EVALUATION / "summary.json"
    try:
        return str(read_json(path)["challenger"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecganError(f"{path} does not name a challenger ({error!r}); run dvc repro") from None


def _load(folder: Path) -> Recommender:
    try:
        name = read_json(folder / DESCRIPTION)["name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecganError(f"no readable recommender in {folder} ({error}); run dvc repro train") from None
    if name in TRAINED:
        return as_noted(trained_class(name).load(folder), folder)
    if name in CLASSICAL:
        return load_classical(folder, classical_class(name))
    raise RecganError(f"{folder} holds a recommender named {name!r}, which this version cannot load; retrain")
