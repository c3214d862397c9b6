"""Package a recommender for MLflow: its files, the vocabulary with it, and the signature."""

import shutil
from pathlib import Path

from mlflow.models import ModelSignature
from mlflow.models.model import ModelInfo
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array

from recgan.core import layout
from recgan.core.files import unchanged
from recgan.core.temporary import temporary_folder
from recgan.features.matrices import Features
from recgan.features.settings import FeaturesParams
from recgan.package.packaged import write_items
from recgan.package.shoppers import SHOPPERS, write_shoppers
from recgan.registry import log

SIGNATURE = ModelSignature(
    inputs=Schema(
        [
            ColSpec(Array(DataType.string), "history"),
            ColSpec(Array(DataType.double), "confidence", required=False),
            ColSpec(Array(DataType.double), "age_days", required=False),
        ]
    ),
    outputs=Schema([ColSpec(Array(DataType.string), "item_ids"), ColSpec(Array(DataType.double), "scores")]),
    params=ParamSchema(
        [
            ParamSpec("k", DataType.long, 10),
            ParamSpec("exclude_seen", DataType.boolean, True),
            ParamSpec("approximate", DataType.boolean, False),
        ]
    ),
)
"""A list of item ids in, with a confidence for each where they are not all 1, and the days since the last
event with each where that is known; the k best item ids and their scores out, best first."""


def log_package(
    recommender: Path, features: Features, params: FeaturesParams, tags: dict[str, str]
) -> ModelInfo:
    """Log the packaged recommender to the active MLflow run.

    Args:
        recommender: the folder that training wrote.
        features: whose vocabulary and popularity the recommender was trained on.
        params: the features section.
        tags: of the logged model.

    Raises:
        Unavailable: another run replaced the recommender meanwhile.
    """
    with temporary_folder() as folder:
        items, shoppers = folder / "items.json", folder / SHOPPERS
        write_items(features.items, items, params)
        write_shoppers(features, shoppers)
        # MLflow names a folder of the package after the folder that it comes from, here a candidate's name.
        named = folder / "recommender"
        with unchanged(recommender):
            shutil.copytree(recommender, named, ignore=shutil.ignore_patterns(layout.ABLATIONS, layout.WARM))
        return log.log_package(
            "recommender",
            Path(__file__).with_name("pyfunc.py"),
            {"recommender": named, "items": items, "shoppers": shoppers},
            SIGNATURE,
            tags,
        )
