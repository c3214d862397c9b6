"""The script that MLflow packages and runs ("models from code"): no object is pickled.

Import `recgan.images.package.packaged` for the generator itself; this file is only run by MLflow.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from recgan.core.errors import RecganError
from recgan.images.package.packaged import PackagedImages, Wish


class ImagesModel(PythonModel):
    """Columns `class` (a name) or `history` (item ids) in; `classes` and `images` (PNG, base64) out."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the generator, and the recommender where one was packaged."""
        taste = context.artifacts.get("taste")
        self.packaged = PackagedImages.load(
            Path(context.artifacts["generator"]), None if taste is None else Path(taste)
        )

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Write images for each row of the input."""
        nothing = [None] * len(model_input)
        names = model_input.get("class", nothing)
        histories = model_input.get("history", nothing)
        wishes = [
            Wish(
                name if isinstance(name, str) else None,
                None if history is None or isinstance(history, float) else tuple(history),
            )
            for name, history in zip(names, histories, strict=True)
        ]
        try:
            answers = self.packaged.answer(wishes, **(params or {}))
        except RecganError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error
        return pd.DataFrame(
            {
                "classes": [answer.classes for answer in answers],
                "images": [answer.images for answer in answers],
            }
        )


set_model(ImagesModel())
