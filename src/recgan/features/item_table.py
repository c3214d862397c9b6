"""What is known of each item of the vocabulary."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.data.sums import FIXED_POINT
from recgan.features.cells import Cells
from recgan.features.clean import Log
from recgan.features.confidence import NO_TIME, Pairs
from recgan.features.split import TEST, TRAIN, VALIDATION
from recgan.features.statistics import Statistics


def item_table(
    pairs: Pairs,
    cells: Cells,
    train: csr_array,
    train_validation: csr_array,
    items: pd.DataFrame,
    log: Log,
    statistics: Statistics,
) -> pd.DataFrame:
    """Describe each item of the vocabulary, by the items table and by its events.

    Those of train's vocabulary by the train window alone, so that nothing of validation tells what is chosen
    on it. The later ones, which only train + validation knows, by both.
    """
    n_items, of_train = len(cells.vocabulary), train.shape[1]
    popularity = np.bincount(train_validation.indices, minlength=n_items)
    popularity[:of_train] = np.bincount(train.indices, minlength=of_train)

    def total(name: str) -> NDArray[np.float64]:
        of_windows = statistics[name][cells.vocabulary]
        found = of_windows[:, TRAIN]
        found[of_train:] += of_windows[of_train:, VALIDATION]
        return found

    def share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
        quotient = np.full(n_items, np.nan)
        np.divide(part, whole, out=quotient, where=whole > 0)
        return quotient

    before_test = (cells.windows < TEST) & cells.known & (pairs.rows["first"].to_numpy() != NO_TIME)
    latest = np.iinfo(np.int64).max
    first = np.full(n_items, latest)
    np.minimum.at(first, cells.positions[before_test], pairs.rows["first"].to_numpy()[before_test])
    first[first == latest] = NO_TIME

    table = pd.DataFrame({"item_id": pairs.item_ids[cells.vocabulary].astype(str)})
    table = table.merge(items, on="item_id", how="left", validate="one_to_one")
    return table.assign(
        popularity=popularity,
        first_seen=pd.Series(first.astype("datetime64[us]")).dt.tz_localize("UTC"),
        mean_price=share(total("price_sum") / FIXED_POINT, total("prices")),
        mean_rating=share(total("rating_sum") / FIXED_POINT, total("ratings")),
        purchases_per_view=share(total("purchase"), total("view")),
        trend=share(total("recent"), total("events")) if log.start is not None else np.nan,
    )
