"""Profiles: what an account's products and ratings alone tell, for logs without times.

Each figure says how unusual an account is among accounts with about as many products. None of them is sure
enough to leave an account out: a shopper of rare tastes looks like a careless attacker.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.accounts.log import Log
from recgan.accounts.overlap import held

LEAST_ITEMS = 5
"""Products of an account below which its profile says nothing; its figures are NaN."""
UNUSUAL = 3.5
"""The modified z-score from which on a value is an outlier (Iglewicz and Hoaglin, 1993)."""
_COMPONENTS = 3
_GROUPS = 10


def mean_popularity(log: Log) -> NDArray[np.float64]:
    """Return the geometric mean of the accounts that hold an account's products.

    Fillers that are drawn from the whole catalogue make it small. It is the simplest form of the popularity
    profile: Williams, Mobasher and Burke, "Defending recommender systems: detection of profile injection
    attacks" (SOCA 2007) judge profiles by attributes of this kind.

    Returns:
        (users,), NaN for an account without products.
    """
    n_users = len(log.user_ids)
    holders = np.bincount(log.item, minlength=len(log.item_ids))
    sums = np.bincount(log.user, np.log(holders[log.item]), n_users)
    sizes = np.bincount(log.user, minlength=n_users)
    mean = np.divide(sums, sizes, out=np.full(n_users, np.nan), where=sizes > 0)
    return np.asarray(np.exp(mean))


def pca_varselect(log: Log) -> NDArray[np.float64]:
    """Return how much each account has to do with what most have in common (PCA-VarSelect).

    Accounts are the variables, items the observations. Ratings, or 1 for each product where there are none,
    become z-scores of the account, and what was not rated is 0 before. An account's figure is the sum of the
    squares of its coefficients in the first three principal components. Attackers have small ones, since they
    agree with nobody's taste in particular: Mehta and Nejdl, "Unsupervised strategies for shilling detection
    and robust collaborative filtering" (UMUAI 19, 2009).

    Returns:
        (users,), NaN where all products have one value, and in a log too small to have components.
    """
    from sklearn.decomposition import PCA

    matrix = _valued(log)
    n_users, n_items = matrix.shape
    figure = np.full(n_users, np.nan)
    if min(n_users, n_items) <= _COMPONENTS:
        return figure
    mean = np.asarray(matrix.mean(axis=1)).ravel()
    spread = np.sqrt(np.maximum(np.asarray(matrix.power(2).mean(axis=1)).ravel() - mean**2, 0))
    varied = np.flatnonzero(spread > 1e-9)
    if len(varied) <= _COMPONENTS:
        return figure
    scaled = csr_array(matrix[varied].multiply(1 / spread[varied, None]))
    fitted = PCA(_COMPONENTS, svd_solver="arpack", random_state=0).fit(csr_array(scaled.T))
    figure[varied] = (fitted.components_**2).sum(axis=0)
    return figure


def unusual(values: NDArray[np.float64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return by how much values exceed what is usual among accounts of about the same size.

    Args:
        values: (users,), NaN where nothing is known.
        sizes: (users,) products of each account.

    Returns:
        (users,) modified z-scores, .6745 (x - median) / median absolute deviation (Iglewicz and Hoaglin, "How
        to detect and handle outliers", 1993), of each tenth of the accounts by size; NaN below `LEAST_ITEMS`
        products.
    """
    scores = np.full(len(values), np.nan)
    judged = np.flatnonzero(~np.isnan(values) & (sizes >= LEAST_ITEMS))
    if not len(judged):
        return scores
    edges = np.unique(np.quantile(sizes[judged], np.arange(1, _GROUPS) / _GROUPS))
    group = np.searchsorted(edges, sizes[judged], side="right")
    for one in np.unique(group):
        rows = judged[group == one]
        apart = values[rows] - np.median(values[rows])
        far = np.abs(apart)
        # The median deviation is 0 where more than half are equal; their rule takes the mean one then.
        spread = float(np.median(far)) / 0.6745 or float(far.mean()) * 1.2533 or 1.0
        scores[rows] = apart / spread
    return scores


def sizes_of(log: Log) -> NDArray[np.int64]:
    """Return (users,) the products of each account."""
    return np.bincount(log.user, minlength=len(log.user_ids))


def _valued(log: Log) -> csr_array:
    matrix = held(log).astype(np.float64)
    if np.isfinite(log.stars).all() and len(log.stars):
        matrix = csr_array((log.stars.astype(np.float64), (log.user, log.item)), shape=matrix.shape)
    return matrix
