"""Package an image generator for MLflow: its files, the recommender where there is one, the signature."""

import shutil
from pathlib import Path

from mlflow.models import ModelSignature
from mlflow.models.model import ModelInfo
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array

from recgan.core import layout
from recgan.core.files import unchanged
from recgan.core.temporary import temporary_folder
from recgan.features.matrices import read_features
from recgan.images.package.packaged import write_taste
from recgan.images.settings import ImagesParams
from recgan.images.taste import FEATURES, why_not
from recgan.images.train import GENERATOR
from recgan.package.packaged import write_items
from recgan.recommenders.loading import challenger_of
from recgan.registry import log

SIGNATURE = ModelSignature(
    inputs=Schema(
        [
            ColSpec(DataType.string, "class", required=False),
            ColSpec(Array(DataType.string), "history", required=False),
        ]
    ),
    outputs=Schema([ColSpec(Array(DataType.string), "classes"), ColSpec(Array(DataType.string), "images")]),
    params=ParamSchema([ParamSpec("n", DataType.long, 1), ParamSpec("seed", DataType.long, 0)]),
)
"""A class by name or a history of item ids in; images as PNG in base64 out, with the class of each."""


def log_package(root: Path, params: ImagesParams, tags: dict[str, str]) -> ModelInfo:
    """Log the packaged generator to the active MLflow run, with the recommender where tastes can be pictured.

    Args:
        root: the project.
        params: of the images.
        tags: of the logged model.

    Raises:
        Unavailable: another run replaced the generator or the recommender meanwhile.
    """
    with temporary_folder() as holder:
        artifacts = {"generator": root / GENERATOR}
        if why_not(params, root) is None:
            folder = holder / "taste"
            folder.mkdir()
            items = read_features(root / FEATURES).items
            recommender = root / layout.MODELS / challenger_of(root)
            with unchanged(recommender):
                shutil.copytree(recommender, folder / "recommender")
            write_items(items, folder / "items.json")
            write_taste(items, params.taste.classes, folder / "taste.json")
            artifacts["taste"] = folder
        with unchanged(root / GENERATOR):
            script = Path(__file__).with_name("pyfunc.py")
            return log.log_package("generator", script, artifacts, SIGNATURE, tags, ["pillow"])
