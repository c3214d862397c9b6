"""The script that MLflow packages and runs ("models from code"): no object is pickled.

Import `recgan.package.packaged` for the recommender itself; this file is only run by MLflow.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from recgan.core.errors import RecganError
from recgan.package.packaged import PackagedRecommender


class RecommenderModel(PythonModel):
    """Columns `history` and perhaps `confidence` and `age_days` in; `item_ids` and `scores` out."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the recommender and its vocabulary."""
        self.packaged = PackagedRecommender.load(
            Path(context.artifacts["recommender"]),
            Path(context.artifacts["items"]),
            shoppers=False,  # whoever asks brings the history along
        )

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Recommend for each row of the input."""
        histories = [[] if history is None else list(history) for history in model_input["history"]]
        confidences, ages = (_lists(model_input, column) for column in ("confidence", "age_days"))
        try:
            answers = self.packaged.recommend(histories, confidences=confidences, ages=ages, **(params or {}))
        except RecganError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error
        return pd.DataFrame(
            {
                "item_ids": [answer.item_ids for answer in answers],
                "scores": [answer.scores for answer in answers],
            }
        )


def _lists(table: pd.DataFrame, column: str) -> list[list[float] | None] | None:
    if column not in table:
        return None
    # Where a row has none, pandas may hold NaN in its place.
    return [None if one is None or isinstance(one, float) else list(one) for one in table[column]]


set_model(RecommenderModel())
