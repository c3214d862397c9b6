"""Package what was trained for MLflow: code, files, an explicit signature and a manifest; no pickle."""

import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed
from pathlib import Path

import mlflow
from mlflow.models import ModelSignature
from mlflow.models.model import ModelInfo

import recgan
from recgan.core.temporary import temporary_folder
from recgan.registry.manifest import MANIFEST, write_manifest

_NEEDED = ("mlflow", "numpy", "pandas", "pydantic", "PyYAML", "safetensors", "scipy", "torch")


def log_package(
    name: str,
    script: Path,
    artifacts: Mapping[str, Path],
    signature: ModelSignature,
    tags: dict[str, str],
    needed: Sequence[str] = (),
) -> ModelInfo:
    """Log a package with all code of recgan to the active MLflow run.

    Args:
        name: of the logged model.
        script: that MLflow runs when it loads the package ("models from code").
        artifacts: files and folders by the names that the script knows them by.
        signature: what goes in and what comes out.
        tags: of the logged model.
        needed: packages beside those that every package needs.
    """
    code = Path(recgan.__file__).parent
    with temporary_folder() as folder, warnings.catch_warnings():
        # MLflow wants an example to check the signature; the trial prediction of the gate does.
        warnings.filterwarnings("ignore", ".*input example was not provided", UserWarning)
        manifest = folder / MANIFEST
        write_manifest(manifest, artifacts.values(), code)
        package: ModelInfo = mlflow.pyfunc.log_model(
            name=name,
            python_model=str(script),
            artifacts={key: str(path) for key, path in {**artifacts, "manifest": manifest}.items()},
            code_paths=[str(code)],
            signature=signature,
            # A local build such as 2.13.0+cpu is on no package index. Nothing is inferred.
            pip_requirements=[f"{one}=={installed(one).partition('+')[0]}" for one in (*_NEEDED, *needed)],
            tags=tags,
        )
    return package
