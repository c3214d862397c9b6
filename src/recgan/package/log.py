"""Package a recommender for MLflow: code, weights, ids and an explicit signature; no pickle."""

import warnings
from importlib.metadata import version as installed
from pathlib import Path

import mlflow
from mlflow.models import ModelSignature
from mlflow.models.model import ModelInfo
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array

import recgan
from recgan.core.files import unchanged
from recgan.core.temporary import temporary_folder
from recgan.features.matrices import Features
from recgan.features.settings import FeaturesParams
from recgan.package.packaged import SHOPPERS, write_items, write_shoppers
from recgan.registry.manifest import MANIFEST, write_manifest

SIGNATURE = ModelSignature(
    inputs=Schema(
        [
            ColSpec(Array(DataType.string), "history"),
            ColSpec(Array(DataType.double), "confidence", required=False),
        ]
    ),
    outputs=Schema([ColSpec(Array(DataType.string), "item_ids"), ColSpec(Array(DataType.double), "scores")]),
    params=ParamSchema(
        [ParamSpec("k", DataType.long, 10), ParamSpec("exclude_seen", DataType.boolean, True)]
    ),
)
"""A list of item ids in, with a confidence for each where they are not all 1; the k best item ids and their
scores out, best first."""

_NEEDED = ("mlflow", "numpy", "pandas", "pydantic", "PyYAML", "safetensors", "scipy", "torch")


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
    with temporary_folder() as folder, warnings.catch_warnings():
        # MLflow wants an example to check the signature; the gate's trial prediction does.
        warnings.filterwarnings("ignore", ".*input example was not provided", UserWarning)
        items, shoppers, manifest = (folder / name for name in ("items.json", SHOPPERS, MANIFEST))
        code = Path(recgan.__file__).parent
        write_items(features.items, items, params)
        write_shoppers(features, shoppers)
        with unchanged(recommender):
            write_manifest(manifest, (recommender, items, shoppers), code)
            package: ModelInfo = mlflow.pyfunc.log_model(
                name="recommender",
                python_model=str(Path(__file__).with_name("pyfunc.py")),
                artifacts={
                    "recommender": str(recommender),
                    "items": str(items),
                    "shoppers": str(shoppers),
                    "manifest": str(manifest),
                },
                code_paths=[str(code)],
                signature=SIGNATURE,
                pip_requirements=requirements(),
                tags=tags,
            )
    return package


def requirements(*more: str) -> list[str]:
    """Return what a served package needs, and more, as installed here; nothing is inferred."""
    # A local build such as 2.13.0+cpu is on no package index.
    return [f"{name}=={installed(name).partition('+')[0]}" for name in (*_NEEDED, *more)]
