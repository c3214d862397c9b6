"""A version that is broken as versions do break: its scores belong to other products than it says."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recgan.core import layout
from recgan.features.matrices import read_features
from recgan.package.log import log_package
from recgan.package.store import Recommenders
from recgan.registry.enrol import enrol
from recgan.registry.lineage import TRAIN_KEY
from recgan.settings import Params

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models.model import ModelInfo


@dataclass(frozen=True)
class Broken(Recommenders):
    """A candidate whose ids were sorted anew after its training."""

    def tags(self, flow_run_id: str | None) -> dict[str, str]:
        """Return the lineage under a key of its own: it is a version beside the genuine one."""
        genuine = super().tags(flow_run_id)
        return genuine | {TRAIN_KEY: f"{genuine[TRAIN_KEY]}-broken"}

    def package(self, client: "MlflowClient", run_id: str, tags: dict[str, str]) -> "ModelInfo":
        """Log the genuine weights with the ids in another order."""
        features = read_features(self.root / layout.FEATURES)
        ids = np.random.default_rng(0).permutation(features.items["item_id"].to_numpy())
        broken = replace(features, items=features.items.assign(item_id=ids))
        return log_package(self.root / layout.MODELS / self.candidate, broken, self.params.features, tags)


def plant(root: Path, params: Params) -> str:
    """Register a broken version of the last night's challenger; return its number."""
    return enrol(Broken(root, params)).version
